"""`airis-mon detect FILE`: the live detector over a file, in its order, without looking ahead."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    parser.add_argument("--rates", action="store_true", help=f"judge counters ({', '.join(COUNTERS)}) by their rate")
    parser.add_argument("--zone", default="UTC", help="time zone of daily and weekly profiles (default UTC)")
    parser.add_argument("--skip-bad", action="store_true", help="leave bad rows out and count them")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judges the file and prints a summary; answers 0, also when anomalies were found.

    Raises InputError for the file, ConfigError for an option.
    """
    from airis_mon.cli.judged import Names, TableFile, judged_columns
    from airis_mon.cli.progress import Progress
    from airis_mon.cli.sketch import Summary
    from airis_mon.detect.detectors.record import Record
    from airis_mon.errors import ConfigError
    from airis_mon.ingest.files import FileReader
    from airis_mon.series.catalogue import Catalogue
    from airis_mon.series.zone import zone

    if args.out.exists() and args.file.exists() and args.out.samefile(args.file):
        raise ConfigError(f"{args.out}: --out is the file that is read; give another name")
    start = time.monotonic()
    catalogue, summary = Catalogue(max_series=10_000_000), Summary()
    bank = Record(zone=zone(args.zone))
    workers = min(os.cpu_count() or 1, MAX_WORKERS)
    with (
        TableFile(args.out) as out,
        ThreadPoolExecutor(workers + 1) as pool,
        Progress(f"detect {args.file.name}", sys.stderr) as bar,
    ):
        reader = FileReader(args.file, catalogue, wide=args.wide, skip_bad=args.skip_bad)
        judge = Judge(bank, catalogue, pool, workers, rates=args.rates)
        names = Names(catalogue, reader.labels)
        for batch in _read_ahead(reader, pool):
            judged = judge(batch)
            summary.add(judged, catalogue.size)
            summary.skipped += batch.refused
            out.write(judged_columns(judged, names, bank.FEATURES))
            bar.update(reader.fraction, f"{summary.values:,} values")
    told = _told(args, summary, catalogue, bank.FEATURES, time.monotonic() - start)
    print(json.dumps(told, ensure_ascii=False) if args.json else _table(told, summary))
    return 0


class Judge:
    """The detector over batches: a slot per series, the series shared among threads.

    A slot's samples stay in order and slots don't know each other, so the result is that of one thread.
    """

    def __init__(
        self, bank: Detector, catalogue: Catalogue, pool: ThreadPoolExecutor, workers: int, *, rates: bool = False
    ) -> None:
        import numpy as np

        self._bank = bank
        self._catalogue = catalogue
        self._pool = pool
        self._workers = workers
        self._rates = rates
        self._is_counter = np.zeros(0, np.bool_)
        self._last_t = np.zeros(0, np.int64)
        self._last_v = np.zeros(0)

    def __call__(self, batch: Batch) -> Judged:
        """Scores and bands of a batch, in its order; then it is learned."""
        import numpy as np

        from airis_mon.cli.judged import Judged
        from airis_mon.detect.base import Bands, Scores

        if (new := self._catalogue.size - self._bank.size) > 0:
            self._bank.reserve(new)
        value = self._as_rates(batch) if self._rates else batch.value
        shares = [np.flatnonzero(batch.sid % self._workers == w) for w in range(self._workers)]
        shares = [rows for rows in shares if len(rows)]
        parts = list(
            self._pool.map(
                lambda rows: self._bank.update_with_bands(batch.sid[rows], batch.t[rows], value[rows]), shares
            )
        )
        n = len(batch)
        score, onset, level = (np.empty(n, np.float32) for _ in range(3))
        scores = Scores(score, onset, level, np.empty(n, np.int8))
        bands = Bands(np.empty(n), np.empty(n), np.empty(n))
        for rows, (some_scores, some_bands) in zip(shares, parts, strict=True):
            for name in ("score", "onset", "level", "feature"):
                getattr(scores, name)[rows] = getattr(some_scores, name)
            for name in ("expected", "lower", "upper"):
                getattr(bands, name)[rows] = getattr(some_bands, name)
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
    from airis_mon.cli.sketch import BLOCKS, PLAIN

    lines = [
        f"{told['values']:,} values of {told['series']:,} series in {told['seconds']:.1f} s -> {told['out']}"
        + (f"; {told['gaps']:,} gaps" if told["gaps"] else "")
        + (f"; {told['skippedRows']:,} bad rows left out" if told["skippedRows"] else ""),
        f"{told['anomalies']:,} anomalies (score >= 0.8) in {told['anomalousSeries']:,} series",
    ]
    if told["top"]:
        head = ("score", "time", "value", "expected", "normal range", "series", "what fired")
        lines += ["", *_aligned([head, *(_cells(w) for w in told["top"])])]
    worst = told["worst"]
    can_draw = "utf" in (sys.stdout.encoding or "").lower()
    if worst and (picture := summary.picture(worst["sid"], BLOCKS if can_draw else PLAIN)):
        lines += ["", f"{worst['series']}: {worst['anomalies']:,} anomalies (^)", f"  {picture[0]}", f"  {picture[1]}"]
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


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _short(number: float | None) -> str:
    return "-" if number is None else f"{number:.5g}"


def _finite(number: float) -> float | None:
    return number if abs(number) < float("inf") else None


def _moment(t: int) -> str:
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=t)
    return moment.isoformat(timespec="milliseconds" if t % 1000 else "seconds").replace("+00:00", "Z")
