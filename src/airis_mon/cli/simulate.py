"""`airis-mon simulate`: writes a simulated world to files, its truth apart."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from airis_mon.series.labels import Labels
    from airis_mon.simulate.deliver import Delivery
    from airis_mon.simulate.settings import Settings
    from airis_mon.simulate.truth import Verdict
    from airis_mon.simulate.world import World

README = """Simulated data. Nothing in this folder was measured on a real system.

world version {version}, seed {seed}, settings {settings}

metrics.parquet   timestamp, metric, labels, value: one row per sample, in order of arrival
edges.csv         caller, callee: the published graph; a share of its edges is wrong on purpose
changes.csv       timestamp, entity, kind, title: deploys, settings, flags and scalings, most of them innocent
maintenance.csv   start, end, entity, title: planned work
truth/truth.json  what really happened; not to be shown to whoever is judged on the rest
"""
SIMULATED = b"airis.simulated"
"""A key of the file's own metadata: whoever shows these data can say what they are."""
LABELS = ("service", "handler", "host", "zone", "pod", "client", "server", "code", "le")


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "simulate",
        help="write a simulated world: metrics, edges, changes, and the truth apart",
        description="Writes a world of services, load and faults into a folder. One seed, the same bytes. Long files "
        "of metrics that detect, rca and replay read; what really happened lies apart, under truth/.",
    )
    parser.add_argument("--seed", type=int, required=True, metavar="N", help="another number is another world")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that is empty or not there")
    parser.add_argument("--topology", default="shop", help="shop (default), ticket, social or random")
    parser.add_argument("--services", type=int, default=20, metavar="N", help="of a random topology (default 20)")
    parser.add_argument("--days", type=float, default=14.0, metavar="D", help="how long (default 14)")
    parser.add_argument("--step", type=float, default=15.0, metavar="S", help="seconds between scrapes (default 15)")
    parser.add_argument("--start", metavar="TIME", help="RFC 3339 (default 2026-01-05T00:00:00Z)")
    parser.add_argument("--faults-per-day", type=float, default=4.0, metavar="F", help="expected (default 4)")
    parser.add_argument("--amplitude", type=float, default=1.0, metavar="X", help="times the usual strength of faults")
    parser.add_argument("--noise", type=float, default=1.0, metavar="X", help="times the usual noise")
    parser.add_argument("--dirt", type=float, default=1.0, metavar="X", help="times the usual dirt; 0 = none")
    parser.add_argument("--edges-wrong", type=float, default=0.1, metavar="P", help="share of edges (default 0.1)")
    parser.add_argument("--history-days", type=float, metavar="D", help="faults not to be scored (default 1, or less)")
    parser.add_argument("--kinds", metavar="A,B", help="only these kinds of faults")
    parser.add_argument("--no-histograms", action="store_true", help="sums and counts of latencies only")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the folder and prints a summary. Raises InputError for settings and folders that cannot be."""
    from airis_mon.cli.progress import Progress
    from airis_mon.simulate.world import World

    settings = _settings(args)
    world = World(settings, args.seed)
    out = _fresh(args.out)
    (out / "truth").mkdir()
    with Progress(f"simulate {out.name}", sys.stderr) as bar:
        samples = _write_metrics(world, out / "metrics.parquet", bar)
        found = _judged(world, bar)
    _write_tables(world, out)
    (out / "truth" / "truth.json").write_text(json.dumps(_truth(world, args.seed, found), indent=1) + "\n")
    readme = README.format(version=world.version, seed=args.seed, settings=json.dumps(_every(settings)))
    (out / "README.txt").write_text(readme)
    told = {
        "out": str(out),
        "world": world.version,
        "seed": args.seed,
        "series": len(world.labels),
        "samples": samples,
        "faults": len(found),
        "validFaults": sum(v.is_valid for v in found),
    }
    print(json.dumps(told) if args.json else _sentence(told))
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    from airis_mon.cli.times import read_time
    from airis_mon.simulate.kinds import KINDS
    from airis_mon.simulate.settings import START_MS, Settings

    return Settings(
        topology=args.topology,
        services=args.services,
        days=args.days,
        step_s=args.step,
        start_ms=START_MS if args.start is None else read_time(args.start, 0, UTC),
        faults_per_day=args.faults_per_day,
        amplitude=args.amplitude,
        noise=args.noise,
        dirt=args.dirt,
        edges_wrong=args.edges_wrong,
        history_days=min(1.0, args.days / 4) if args.history_days is None else args.history_days,
        kinds=tuple(KINDS if args.kinds is None else args.kinds.split(",")),
        histogram=not args.no_histograms,
    )


def _fresh(out: Path) -> Path:
    """The folder, made if need be. Raises InputError where files of another run would be mixed with this one's."""
    from airis_mon.errors import InputError

    try:
        out.mkdir(parents=True, exist_ok=True)
        is_empty = not any(out.iterdir())
    except OSError as error:
        raise InputError(f"{out}: cannot be made: {error.strerror}; choose another folder for --out") from None
    if not is_empty:
        raise InputError(f"{out}: is not empty; choose another folder for --out, or empty it")
    return out


def _write_metrics(world: World, path: Path, bar: Any) -> int:
    import pyarrow.parquet as pq

    from airis_mon.simulate.deliver import deliver

    samples, begin, length = 0, world.settings.start_ms, world.settings.end_ms - world.settings.start_ms
    codes: tuple[tuple[Labels, ...], list[tuple[Any, Any]]] = ((), [])
    with pq.ParquetWriter(path, _schema(), compression="zstd", compression_level=1) as file:
        for some in deliver(world.blocks()):
            if codes[0] is not some.labels:
                codes = (some.labels, [_coded(some.labels, n) for n in ("__name__", *LABELS)])
            file.write_batch(_batch(some, codes[1]))
            samples += len(some.t)
            bar.update(0.9 * (int(some.arrival[-1]) - begin) / length if len(some.t) else 0.0, f"{samples:,} samples")
    return samples


def _schema() -> pa.Schema:
    import pyarrow as pa

    word = pa.dictionary(pa.int32(), pa.string())
    columns = [("timestamp", pa.timestamp("ms", tz="UTC")), ("metric", word), *((n, word) for n in LABELS)]
    return pa.schema([*columns, ("value", pa.float64())], {SIMULATED: b"true"})


def _coded(labels: Sequence[Labels], name: str) -> tuple[Any, Any]:
    """(series,) codes of one label, and the words they stand for."""
    import numpy as np

    words = [dict(series).get(name, "") for series in labels]
    known = {word: i for i, word in enumerate(dict.fromkeys(words))}
    return np.array([known[w] for w in words], np.int32), list(known)


def _batch(some: Delivery, codes: list[tuple[Any, Any]]) -> pa.RecordBatch:
    import pyarrow as pa

    named = [pa.DictionaryArray.from_arrays(code[some.column], pa.array(words, pa.string())) for code, words in codes]
    t = pa.array(some.t).cast(pa.timestamp("ms", tz="UTC"))
    return pa.record_batch([t, *named, pa.array(some.value)], schema=_schema())


def _judged(world: World, bar: Any) -> list[Verdict]:
    from airis_mon.simulate.truth import verdicts

    found, begin = [], world.settings.start_ms
    for verdict in verdicts(world, begin, world.settings.end_ms):
        found.append(verdict)
        done = (verdict.fault.full_ms - begin) / (world.settings.end_ms - begin)
        bar.update(0.9 + 0.1 * done, f"{len(found)} faults judged")
    return found


def _write_tables(world: World, out: Path) -> None:
    begin, end = world.settings.start_ms, world.settings.end_ms
    _table(out / "edges.csv", ("caller", "callee"), world.edges)
    changes = ((_moment(c.t), c.entity, c.kind, c.title) for c in world.changes(begin, end))
    _table(out / "changes.csv", ("timestamp", "entity", "kind", "title"), changes)
    works = sorted(world.plan.maintenance(begin, end), key=lambda w: w.start_ms)
    rows = ((_moment(w.start_ms), _moment(w.end_ms), w.entity, w.title) for w in works)
    _table(out / "maintenance.csv", ("start", "end", "entity", "title"), rows)


def _table(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def _truth(world: World, seed: int, found: Sequence[Verdict]) -> dict[str, Any]:
    begin, end = world.settings.start_ms, world.settings.end_ms
    controls = [c for c in world.plan.cases(begin, end) if not c.faults]
    return {
        "note": "simulated data",
        "world": world.version,
        "seed": seed,
        "settings": _every(world.settings),
        "faults": [_fault(v) for v in found],
        "controls": [{"id": c.id, "start": _moment(c.start_ms), "end": _moment(c.end_ms)} for c in controls],
        "edges": [list(e) for e in world.topology.edges],
    }


def _fault(v: Verdict) -> dict[str, Any]:
    f = v.fault
    return {
        "id": f.id,
        "case": v.case,
        "kind": f.kind,
        "entity": f.entity,
        "edge": v.edge,
        "scope": f.scope,
        "onset": _moment(f.onset_ms),
        "full": _moment(f.full_ms),
        "end": _moment(f.end_ms),
        "rampSeconds": f.ramp_ms / 1000,
        "amplitude": round(f.amplitude, 4),
        "change": _moment(f.change_ms) if f.change_ms is not None else None,
        "isHistory": v.is_history,
        "isValid": v.is_valid,
        "impact": _moment(v.impact_ms) if v.impact_ms is not None else None,
        "indicators": [{"name": i.name, "moved": _moment(i.moved_ms), "worst": i.worst} for i in v.indicators],
        "path": [{"service": r.service, "onset": _moment(r.onset_ms)} for r in v.path],
    }


def _every(settings: Settings) -> dict[str, Any]:
    """Every setting."""
    from dataclasses import asdict

    return asdict(settings)


def _moment(t: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=t)
    return moment.isoformat(timespec="milliseconds" if t % 1000 else "seconds").replace("+00:00", "Z")


def _sentence(told: dict[str, Any]) -> str:
    return (
        f"{told['samples']:,} samples of {told['series']:,} simulated series -> {told['out']} "
        f"(world {told['world']}, seed {told['seed']})\n"
        f"{told['faults']} faults, {told['validFaults']} of them felt by users; the truth lies in truth/truth.json"
    )
