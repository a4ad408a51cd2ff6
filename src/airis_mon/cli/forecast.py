"""`airis-mon forecast FILE`: what comes next for every series of a file, with intervals, held against its own end."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airis_mon.cli.table import aligned, as_json, tame

if TYPE_CHECKING:
    from airis_mon.cli.forecast_grid import Gridded
    from airis_mon.cli.progress import Progress
    from airis_mon.forecast.base import Forecast
    from airis_mon.series.batch import Values

ROWS = 20
"""Series in the table; JSON has all of them."""


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "forecast",
        help="forecast every series of a CSV or Parquet file",
        description="Forecasts every series of a file N steps beyond its end. Each series gets the models that would "
        "have forecast its own past best, never worse there than its last season repeated, and an interval.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV (also .gz, .zst) or Parquet")
    parser.add_argument("--wide", action="store_true", help="text columns are labels, each numeric column is a metric")
    parser.add_argument("--horizon", type=int, required=True, metavar="N", help="steps ahead")
    parser.add_argument("--level", type=float, default=0.95, metavar="P", help="of the intervals (default 0.95)")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="where to write: .parquet or .csv")
    parser.add_argument("--step", type=float, metavar="S", help="seconds between points (default: as in the file)")
    parser.add_argument("--models", metavar="A,B", help="kinds of forecasters to choose from (default: the fast ones)")
    parser.add_argument(
        "--holidays",
        nargs="?",
        const="",
        metavar="KR,US",
        help="know the holidays of these countries, without a name of the country of --zone; needs --zone",
    )
    parser.add_argument("--zone", metavar="ZONE", help="time zone of holidays and of the picture (default UTC)")
    parser.add_argument("--rates", action="store_true", help="forecast counters (_total, _count ...) by their rate")
    parser.add_argument("--no-check", action="store_true", help="don't hold a forecast against the file's end: faster")
    parser.add_argument("--png", type=Path, metavar="PICTURE", help="draw one series: past, forecast, interval, check")
    parser.add_argument("--series", metavar="NAME", help="the series to draw (default: the first)")
    parser.add_argument("--skip-bad", action="store_true", help="leave bad rows out and count them")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """A forecast made `horizon` points before the file's end, with nothing of these; covered: (series,), NaN = none."""

    made: Forecast
    covered: Values


def run(args: argparse.Namespace) -> int:
    """Forecasts the file and prints a summary; answers 0. Raises InputError for the file, ConfigError for an option."""
    from airis_mon.app.ground import keep_kernels, user_cache

    keep_kernels(user_cache())  # before the first kernel is imported
    from airis_mon.cli.judged import TableFile
    from airis_mon.cli.progress import Progress
    from airis_mon.forecast.base import BASELINE

    start = time.monotonic()
    countries = _options(args)
    with TableFile(args.out) as out, Progress(f"forecast {args.file.name}", sys.stderr) as bar:
        grid, skipped = _read(args, bar)
        _demand_past(args.horizon, grid, is_step_chosen=args.step is not None)
        drawn = _drawn(args, grid)
        ask = _asker(args, countries)
        check = None if args.no_check else _check(ask, grid, args.horizon, _part(bar, 0.0, 0.5))
        made = _only_living(ask(grid.panel, _part(bar, 0.5 if check else 0.0, 1.0)), grid, args.horizon)
        out.write(_rows(grid, made))
    if args.png:
        from airis_mon.cli.forecast_picture import draw

        draw(args.png, grid, made, check, drawn, args.zone or "UTC", rates=args.rates)
    told = _told(args, grid, made, check, skipped, time.monotonic() - start)
    print(as_json(told) if args.json else _table(told, BASELINE))
    return 0


def _options(args: argparse.Namespace) -> tuple[str, ...]:
    """Checks what needs no file; answers the countries whose holidays are meant."""
    from airis_mon.errors import ConfigError

    if args.horizon < 1:
        raise ConfigError(f"--horizon {args.horizon} is no number of steps ahead; give 1 or more")
    if not 0 < args.level < 1:
        raise ConfigError(f"--level {args.level:g} is no share; give one between 0 and 1, such as 0.95")
    if args.step is not None and not 0.001 <= args.step < float("inf"):
        raise ConfigError(f"--step {args.step:g} is no length; give seconds, 0.001 or more")
    if args.series is not None and args.png is None:
        raise ConfigError("--series names the series to draw and needs --png PICTURE")
    if args.png is not None and args.png.suffix != ".png":
        raise ConfigError(f"--png {args.png}: the name of the picture must end in .png")
    outs = [p for p in (args.out, args.png) if p is not None]
    if len({p.resolve() for p in (args.file, *outs)}) <= len(outs):
        raise ConfigError("FILE, --out and --png must be different files")
    for place in (p.parent for p in outs):
        if not place.is_dir():
            raise ConfigError(f"the folder {place} does not exist; make it, or write elsewhere")
    if args.png is not None:
        from airis_mon.cli.forecast_picture import demand_matplotlib

        demand_matplotlib()
    return _countries(args)


def _countries(args: argparse.Namespace) -> tuple[str, ...]:
    from airis_mon.errors import ConfigError
    from airis_mon.forecast.calendar import country_of

    if args.holidays is None:
        return ()
    if args.zone is None:
        raise ConfigError("--holidays needs --zone, such as --zone Asia/Seoul: a holiday begins at local midnight")
    named = tuple(c.strip().upper() for c in args.holidays.split(",") if c.strip())
    if not named and country_of(args.zone) is None:
        raise ConfigError(f"--holidays: the country of {args.zone} is not known; name it, such as --holidays KR")
    return named or (country_of(args.zone) or "",)


def _read(args: argparse.Namespace, bar: Progress) -> tuple[Gridded, int]:
    from airis_mon.cli.forecast_grid import gridded
    from airis_mon.ingest.files import FileReader
    from airis_mon.series.catalogue import Catalogue

    catalogue = Catalogue(max_series=10_000_000)
    reader = FileReader(args.file, catalogue, wide=args.wide, skip_bad=args.skip_bad)
    batches, skipped = [], 0
    for batch in reader:
        batches.append(batch)
        skipped += batch.refused
        bar.update(reader.fraction / 10, "reading")
    step_ms = None if args.step is None else round(args.step * 1000)
    return gridded(batches, catalogue, step_ms=step_ms, rates=args.rates), skipped


def _demand_past(horizon: int, grid: Gridded, *, is_step_chosen: bool) -> None:
    from airis_mon.errors import ConfigError

    if horizon > (length := grid.panel.length):
        finer = ", or a shorter --step" if is_step_chosen else ""
        raise ConfigError(
            f"--horizon {horizon} is longer than the file: {length} points, {grid.step_ms / 1000:g} s apart; give "
            f"{length} at most, {max(1, length // 2)} for intervals{finer}"
        )


def _drawn(args: argparse.Namespace, grid: Gridded) -> int:
    """Which series is drawn; known before the work, so that a wrong name costs nothing."""
    from airis_mon.errors import ConfigError

    if args.series is None:
        return 0
    if args.series not in grid.names:
        import difflib

        close = difflib.get_close_matches(args.series, grid.names, 1, 0.0)
        raise ConfigError(f"--series {args.series}: the file has no such series; did you mean {close[0]}?")
    return grid.names.index(args.series)


Tell = Callable[[float, str], None]


def _asker(args: argparse.Namespace, countries: tuple[str, ...]) -> Callable[..., Forecast]:
    """A forecast of a panel with the options given."""
    from airis_mon.errors import ConfigError
    from airis_mon.forecast.calendar import calendar
    from airis_mon.forecast.calendar_effect import with_calendar
    from airis_mon.forecast.fleet import forecast, own
    from airis_mon.series.zone import zone

    try:  # told before the work, by the option
        place = zone(args.zone or "UTC")
        calendar(countries, place, 0, 0)
    except ConfigError as error:
        raise ConfigError(f"--{str(error).removeprefix('time.')}") from None
    models = tuple(m.strip() for m in (args.models or "").split(",") if m.strip())
    make = with_calendar(own, countries, place)

    def ask(panel: Any, tell: Tell) -> Forecast:
        return forecast(panel, args.horizon, level=args.level, models=models, make=make, tell=tell)

    return ask


def _part(bar: Progress, start: float, end: float) -> Tell:
    def tell(share: float, what: str) -> None:
        bar.update(0.1 + 0.9 * (start + (end - start) * share), what)

    return tell


def _check(ask: Callable[..., Forecast], grid: Gridded, horizon: int, tell: Tell) -> Check | None:
    """The same forecast from before the last `horizon` points; None where too few points are left for it."""
    import numpy as np

    before = grid.panel.length - horizon
    if before < 2 * horizon:
        return None
    made = ask(grid.panel.until(before), tell)
    actual = grid.panel.value[:, before:]
    can_tell = np.isfinite(actual) & np.isfinite(made.lower) & np.isfinite(made.upper)
    hits = (can_tell & (made.lower <= actual) & (actual <= made.upper)).sum(axis=1)
    count = can_tell.sum(axis=1)
    return Check(made, np.where(count > 0, hits / np.maximum(count, 1), np.nan))


def _only_living(made: Forecast, grid: Gridded, horizon: int) -> Forecast:
    """Without forecasts of series that ended more than a horizon before the file does."""
    from dataclasses import replace

    import numpy as np

    from airis_mon.cli.forecast_why import ENDED

    over = grid.last_ms < grid.end_ms - horizon * grid.step_ms
    mean, lower, upper = (np.where(over[:, None], np.nan, part) for part in (made.mean, made.lower, made.upper))
    model = tuple(ENDED if is_over else kind for is_over, kind in zip(over.tolist(), made.model, strict=True))
    return replace(made, mean=mean, lower=lower, upper=upper, model=model)


def _rows(grid: Gridded, made: Forecast) -> dict[str, Any]:
    """The columns of the output, series by series."""
    import numpy as np
    import pyarrow as pa

    series, horizon = made.mean.shape
    t = grid.end_ms + grid.step_ms * np.arange(1, horizon + 1, dtype=np.int64)
    at = pa.array(np.repeat(np.arange(series, dtype=np.int32), horizon))
    return {
        "timestamp": pa.array(np.tile(t, series), pa.timestamp("ms", "UTC")),
        "series": pa.array(grid.names, pa.string()).take(at),
        **{n: pa.array(getattr(made, n).ravel(), from_pandas=True) for n in ("mean", "lower", "upper")},
        "model": pa.array(made.model, pa.string()).take(at),
    }


def _told(
    args: argparse.Namespace, grid: Gridded, made: Forecast, check: Check | None, skipped: int, seconds: float
) -> dict[str, Any]:
    """The summary as JSON has it."""
    import numpy as np

    from airis_mon.cli.forecast_why import no_check, why_of

    covered = np.full(len(grid.names), np.nan) if check is None else check.covered
    every = covered[np.isfinite(covered)]
    return {
        "file": str(args.file),
        "out": str(args.out),
        "png": None if args.png is None else str(args.png),
        "series": len(grid.names),
        "points": grid.panel.length,
        "stepS": grid.step_ms / 1000,
        "seasons": list(grid.panel.seasons),
        "horizon": args.horizon,
        "level": made.level,
        "windows": made.windows,
        "gaps": int(np.isnan(grid.panel.value).sum()),
        "repeatedRows": grid.repeated,
        "skippedRows": skipped,
        "leftOut": list(made.left_out),
        "coverage": float(every.mean()) if len(every) else None,
        "coverageWhy": None if len(every) else no_check(args, grid),
        "seconds": round(seconds, 3),
        "forecasts": [
            {
                "series": name,
                "model": made.model[s],
                "error": _known(made.error[s]),
                "baselineError": _known(made.baseline_error[s]),
                "coverage": _known(covered[s]),
                "why": why_of(made, s, args.horizon),
            }
            for s, name in enumerate(grid.names)
        ],
    }


def _known(number: float) -> float | None:
    return float(number) if abs(number) < float("inf") else None


def _table(told: dict[str, Any], baseline: str) -> str:
    """The summary as a person reads it."""
    every = told["forecasts"]
    lines = [
        f"{told['series']:,} series of {told['points']:,} points, {told['stepS']:g} s apart, {told['horizon']:,} steps "
        f"ahead in {told['seconds']:.1f} s -> {told['out']}"
        + (f"; {told['gaps']:,} gaps" if told["gaps"] else "")
        + (f"; {told['repeatedRows']:,} repeated rows left out" if told["repeatedRows"] else "")
        + (f"; {told['skippedRows']:,} bad rows left out" if told["skippedRows"] else ""),
    ]
    if told["coverage"] is not None:
        lines.append(
            f"Check: made {told['horizon']:,} steps before the end, intervals of {told['level']:.0%} held "
            f"{told['coverage']:.1%} of what then came"
        )
    else:
        lines.append(f"No check: {told['coverageWhy']}")
    lines += [f"Left out: {tame(why)}" for why in told["leftOut"]]
    if told["png"]:
        lines.append(f"Picture: {told['png']}")
    head = ("series", "model", "error", f"of {baseline}", "covered", "remark")
    cells = [head, *(_cells(f) for f in every[:ROWS])]
    lines += ["", *(line for row in aligned(cells, frozenset({2, 3, 4})) for line in row)]
    if len(every) > ROWS:
        lines.append(f"... and {len(every) - ROWS:,} more; --json has them all")
    return "\n".join(lines)


def _cells(told: dict[str, Any]) -> tuple[str, ...]:
    from airis_mon.cli.forecast_why import few

    error, base = told["error"], told["baselineError"]
    ratio = f"{error / base:.0%}" if error is not None and base else "-"
    covered = "-" if told["coverage"] is None else f"{told['coverage']:.0%}"
    shown = "-" if error is None else f"{error:.4g}"
    return told["series"], few(told["model"]), shown, ratio, covered, told["why"] or ""
