"""`airis-mon detect FILE`: the live detector over a file, in its order, without looking ahead."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airis_mon.cli.table import aligned, as_json, tame

if TYPE_CHECKING:
    from airis_mon.cli.judged import Judged
    from airis_mon.cli.sketch import Summary
    from airis_mon.detect.base import Detector
    from airis_mon.ingest.files import FileReader
    from airis_mon.series.batch import Batch
    from airis_mon.series.catalogue import Catalogue

COUNTERS = ("_total", "_count", "_sum", "_bucket")
"""With --rates, metrics whose names end so are judged by their rate."""
MAX_WORKERS = 8


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "detect",
        help="judge every value of a CSV or Parquet file",
        description="Runs the live detector over a file in its order, without looking ahead: one row out per value in. "
        "Long files have the columns timestamp, value, optionally metric, and labels; see --wide for the other form.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV (also .gz, .zst) or Parquet")
    parser.add_argument("--wide", action="store_true", help="text columns are labels, each numeric column is a metric")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="where to write: .parquet or .csv")
    parser.add_argument(
        "--entity", metavar="LABEL", help="also judge what this label names, such as a host, as a whole"
    )
    parser.add_argument("--entities-out", type=Path, metavar="OUT2", help="where to write the entities' scores")
    parser.add_argument("--rates", action="store_true", help=f"judge counters ({', '.join(COUNTERS)}) by their rate")
    parser.add_argument("--zone", default="UTC", help="time zone of daily and weekly profiles (default UTC)")
    parser.add_argument("--skip-bad", action="store_true", help="leave bad rows out and count them")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judges the file and prints a summary; answers 0, also when anomalies were found.

    Raises InputError for the file, ConfigError for an option.
    """
    from airis_mon.app.ground import keep_kernels, user_cache

    keep_kernels(user_cache())  # before the first kernel is imported
    from airis_mon.cli.entities import EntityTable
    from airis_mon.cli.judged import Names, TableFile, judged_columns
    from airis_mon.cli.progress import Progress
    from airis_mon.cli.sketch import Summary
    from airis_mon.detect.detectors.record import Record
    from airis_mon.ingest.files import FileReader
    from airis_mon.series.catalogue import Catalogue
    from airis_mon.series.zone import zone

    _check(args)
    start = time.monotonic()
    catalogue, summary = Catalogue(max_series=10_000_000), Summary()
    hours = zone(args.zone)
    banks = [Record(zone=hours) for _ in range(min(os.cpu_count() or 1, MAX_WORKERS))]
    with (
        TableFile(args.out) as out,
        ThreadPoolExecutor(len(banks) + 1) as pool,
        Progress(f"detect {args.file.name}", sys.stderr) as bar,
    ):
        reader = FileReader(args.file, catalogue, wide=args.wide, skip_bad=args.skip_bad)
        judge = Judge(banks, catalogue, pool, rates=args.rates)
        names = Names(catalogue, reader.labels)
        entities = EntityTable(catalogue, args.entity, reader.labels) if args.entities_out else None
        for batch in _read_ahead(reader, pool):
            judged = judge(batch)
            summary.add(judged, catalogue.size)
            summary.skipped += batch.refused
            out.write(judged_columns(judged, names, Record.FEATURES))
            if entities:
                entities.add(judged)
            bar.update(reader.fraction, f"{summary.values:,} values")
    if entities:
        entities.write(args.entities_out)
    told = _told(args, summary, catalogue, Record.FEATURES, time.monotonic() - start)
    if entities:
        told["entities"] = {"out": str(args.entities_out), "rows": entities.rows, "anomalies": entities.anomalies}
    print(as_json(told) if args.json else _table(told, summary))
    return 0


def _check(args: argparse.Namespace) -> None:
    from airis_mon.errors import ConfigError

    if args.entities_out is not None and args.entity is None:
        raise ConfigError("--entities-out needs --entity LABEL: the label whose values name the entities")
    outs = [p for p in (args.out, args.entities_out) if p is not None]
    if len({p.resolve() for p in (args.file, *outs)}) <= len(outs):
        raise ConfigError("FILE, --out and --entities-out must be different files")


class Judge:
    """The detector over batches: one bank per thread, the series dealt out among them.

    A slot's samples stay in order and slots don't know each other, so the result is that of one bank.
    """

    def __init__(
        self, banks: Sequence[Detector], catalogue: Catalogue, pool: ThreadPoolExecutor, *, rates: bool = False
    ) -> None:
        import numpy as np

        self._banks = banks
        self._catalogue = catalogue
        self._pool = pool
        self._rates = rates
        self._is_counter = np.zeros(0, np.bool_)
        self._last_t = np.zeros(0, np.int64)
        self._last_v = np.zeros(0)

    def __call__(self, batch: Batch) -> Judged:
        """Scores and bands of a batch, in its order; then it is learned."""
        import numpy as np

        from airis_mon.cli.judged import Judged
        from airis_mon.detect.base import Bands, Scores

        value = self._as_rates(batch) if self._rates else batch.value
        n, dealt = len(batch), len(self._banks)
        score, onset, level = (np.empty(n, np.float32) for _ in range(3))
        scores = Scores(score, onset, level, np.empty(n, np.int8))
        bands = Bands(np.empty(n), np.empty(n), np.empty(n))

        def share(at: int) -> None:
            bank, rows = self._banks[at], np.flatnonzero(batch.sid % dealt == at)
            bank.reserve(max(0, self._catalogue.size // dealt + 1 - bank.size))
            slot = batch.sid[rows] // dealt  # series that stand together keep neighbouring slots
            some, some_bands = bank.update_with_bands(slot, batch.t[rows], value[rows])
            for name in ("score", "onset", "level", "feature"):
                getattr(scores, name)[rows] = getattr(some, name)
            for name in ("expected", "lower", "upper"):
                getattr(bands, name)[rows] = getattr(some_bands, name)

        list(self._pool.map(share, range(dealt)))
        return Judged(batch.sid, batch.t, value, scores, bands)

    def _as_rates(self, batch: Batch) -> Any:
        import numpy as np

        from airis_mon.detect.derive import rates_in_place
        from airis_mon.series.catalogue import NEVER

        known = len(self._is_counter)
        if (more := self._catalogue.size - known) > 0:
            metrics = [self._catalogue.metrics[m] for m in self._catalogue.metric[known : known + more]]
            fresh = np.array([m.endswith(COUNTERS) for m in metrics], np.bool_)
            self._is_counter = np.concatenate([self._is_counter, fresh])
            self._last_t = np.concatenate([self._last_t, np.full(more, NEVER)])
            self._last_v = np.concatenate([self._last_v, np.full(more, np.nan)])
        return rates_in_place(batch.sid, batch.t, batch.value, self._is_counter, self._last_t, self._last_v)


def _read_ahead(reader: FileReader, pool: ThreadPoolExecutor) -> Iterator[Batch]:
    """The reader's batches, the next one being read while one is used.

    The first is empty: it opens the output, so that an unwritable one is known before the work.
    """
    from airis_mon.series.batch import empty_batch

    yield empty_batch()
    batches = iter(reader)
    coming = pool.submit(next, batches, None)
    while (batch := coming.result()) is not None:
        coming = pool.submit(next, batches, None)
        yield batch


def _told(
    args: argparse.Namespace, summary: Summary, catalogue: Catalogue, features: tuple[str, ...], seconds: float
) -> dict[str, Any]:
    """The summary as JSON has it."""
    from airis_mon.series.labels import series_name

    def name(sid: int) -> str:
        return series_name(catalogue.labels(sid))

    worst = summary.worst_series()
    return {
        "file": str(args.file),
        "out": str(args.out),
        "series": catalogue.size,
        "values": summary.values,
        "gaps": summary.gaps,
        "skippedRows": summary.skipped,
        "anomalies": int(summary.anomalies.sum()),
        "anomalousSeries": int((summary.anomalies > 0).sum()),
        "seconds": round(seconds, 3),
        "top": [
            {
                "series": name(w.sid),
                "timestamp": _moment(w.t),
                "value": w.value,
                "score": round(w.score, 4),
                "expected": _finite(w.expected),
                "lower": _finite(w.lower),
                "upper": _finite(w.upper),
                "feature": features[w.feature] if w.feature >= 0 else None,
            }
            for w in summary.top
        ],
        "worst": None
        if worst is None
        else {"series": name(worst), "sid": worst, "anomalies": int(summary.anomalies[worst])},
    }


def _table(told: dict[str, Any], summary: Summary) -> str:
    """The summary as a person reads it."""
    from airis_mon.cli.plot import BLOCKS, PLAIN_BLOCKS

    lines = [
        f"{told['values']:,} values of {told['series']:,} series in {told['seconds']:.1f} s -> {told['out']}"
        + (f"; {told['gaps']:,} gaps" if told["gaps"] else "")
        + (f"; {told['skippedRows']:,} bad rows left out" if told["skippedRows"] else ""),
        f"{told['anomalies']:,} anomalies (score >= 0.8) in {told['anomalousSeries']:,} series",
    ]
    if told.get("entities"):
        of = told["entities"]
        lines.append(f"{of['anomalies']:,} of {of['rows']:,} judgements of entities are anomalies -> {of['out']}")
    if told["top"]:
        head = ("score", "time", "value", "expected", "normal range", "series", "what fired")
        lines += ["", *chain.from_iterable(aligned([head, *(_cells(w) for w in told["top"])], frozenset()))]
    worst = told["worst"]
    can_draw = "utf" in (sys.stdout.encoding or "").lower()
    if worst and (picture := summary.picture(worst["sid"], BLOCKS if can_draw else PLAIN_BLOCKS)):
        lines += [
            "",
            f"{tame(worst['series'])}: {worst['anomalies']:,} anomalies (^)",
            f"  {picture[0]}",
            f"  {picture[1]}",
        ]
    return "\n".join(lines)


def _cells(worst: dict[str, Any]) -> tuple[str, ...]:
    numbers = [_short(worst[k]) for k in ("value", "expected", "lower", "upper")]
    return (
        f"{worst['score']:.3f}",
        worst["timestamp"],
        numbers[0],
        numbers[1],
        f"{numbers[2]} .. {numbers[3]}",
        worst["series"],
        worst["feature"] or "level",
    )


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:.5g}"


def _finite(number: float) -> float | None:
    return number if abs(number) < float("inf") else None


def _moment(t: int) -> str:
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=t)
    return moment.isoformat(timespec="milliseconds" if t % 1000 else "seconds").replace("+00:00", "Z")
