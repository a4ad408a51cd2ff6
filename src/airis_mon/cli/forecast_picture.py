"""One series of a forecast as a picture: its past, what is expected, and what would have been expected of its end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from airis_mon.cli.forecast_why import few
from airis_mon.errors import AirisError, MissingExtra

if TYPE_CHECKING:
    from airis_mon.cli.forecast import Check
    from airis_mon.cli.forecast_grid import Gridded
    from airis_mon.forecast.base import Forecast
    from airis_mon.series.batch import Values

AHEAD, THEN = "tab:blue", "0.4"
POINTS = 2000
"""Drawn at most of each line; more are drawn as means of neighbours, a band as far as its members reach."""
PASTS = 5
"""Horizons of the past that are shown, more where a season is longer."""
SIZE_IN, DPI = (12.0, 5.0), 120
PLACE = (0.085, 0.19, 0.895, 0.67)
"""Of the axes in the picture: left, bottom, width, height."""
NAME = 70
"""Characters of a series' name in the title."""
UNITS = {"bytes": "B", "seconds": "s", "celsius": "°C", "volts": "V", "joules": "J", "meters": "m", "grams": "g"}
"""Endings of a metric's name -> unit, as Prometheus' naming has them."""

Moments = NDArray[np.datetime64]


def demand_matplotlib(find: Callable[[str], Any] = find_spec) -> None:
    """Raises MissingExtra without it, with the command for this environment: to be known before the work."""
    if find("matplotlib") is None:
        missing = MissingExtra("matplotlib", "picture")  # a plain pip may be that of another environment
        python = shlex.quote(sys.executable)
        missing.args = (f"matplotlib is not installed; install it with: {python} -m pip install 'airis-mon[picture]'",)
        raise missing


def draw(
    path: Path, grid: Gridded, made: Forecast, check: Check | None, series: int, zone: str, *, rates: bool = False
) -> None:
    """Writes a PNG. Raises MissingExtra without matplotlib, AirisError when the file cannot be written."""
    demand_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_IN, dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes(PLACE)
    _lines(axes, grid, made, check, series, zone)
    _axes(axes, grid, series, zone, rates)
    title, below = _title(grid, made, check, series, _unit(grid, series, rates=rates))
    figure.text(PLACE[0], 0.95, title, fontsize=12, fontweight="bold", va="center")
    figure.text(PLACE[0], 0.90, below, fontsize=9.5, va="center", color="0.2")
    figure.legend(loc="lower left", bbox_to_anchor=(PLACE[0] - 0.01, 0.0), ncols=5, frameon=False, fontsize=9.5)
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format="png", metadata={"Software": None})
        part.replace(path)
    except OSError as error:
        raise AirisError(f"{path}: cannot be written: {error.strerror or error}") from None


def _lines(axes: Any, grid: Gridded, made: Forecast, check: Check | None, series: int, zone: str) -> None:
    horizon, length = made.mean.shape[1], grid.panel.length
    shown = min(length, max(PASTS * horizon, 2 * max(grid.panel.seasons, default=1)))
    past = _moments(grid, np.arange(length - shown, length), zone)
    ahead = _moments(grid, np.arange(length, length + horizon), zone)
    percent = f"{made.level * 100:g} %"
    axes.plot(*_thin(past, grid.panel.value[series, -shown:]), color="black", lw=1.1, label="measured", zorder=3)
    axes.plot(*_thin(ahead, made.mean[series]), color=AHEAD, ls="--", lw=1.8, label="forecast", zorder=3)
    _band(axes, ahead, made.lower[series], made.upper[series], AHEAD, "", f"{percent} interval")
    if check is not None and np.isfinite(check.made.mean[series]).any():
        then, told = _moments(grid, np.arange(length - horizon, length), zone), check.made
        axes.plot(*_thin(then, told.mean[series]), color=THEN, ls=":", lw=1.8, label="forecast made at the dotted line")
        _band(axes, then, told.lower[series], told.upper[series], THEN, "////", f"its {percent} interval")
        axes.axvline(then[0], color="0.3", lw=0.9, ls=":")
    axes.axvline(ahead[0], color="0.3", lw=0.9)
    axes.set_xlim(past[0], ahead[-1])


def _band(axes: Any, t: Moments, lower: Values, upper: Values, color: str, hatch: str, label: str) -> None:
    """A grey or blue area; the hatch tells the two apart where there is no color."""
    if not np.isfinite(lower).any():
        return
    low, high = _thin(t, lower, np.fmin.reduce)[1], _thin(t, upper, np.fmax.reduce)[1]
    face = {"facecolor": color, "edgecolor": color, "alpha": 0.22, "hatch": hatch, "lw": 0}
    axes.fill_between(_thin(t, lower)[0], low, high, label=label, **face)


def _thin(t: Moments, value: Values, of: Any = None) -> tuple[Moments, Values]:
    """`POINTS` at most: means, or another reduction, of as many neighbours as it takes."""
    every = -(-len(value) // POINTS)
    if every == 1:
        return t, value
    starts = np.arange(0, len(value), every)
    if of is not None:
        return t[starts], np.array([of(value[s : s + every]) for s in starts])
    seen = np.isfinite(value)
    count = np.add.reduceat(seen, starts, dtype=np.int64)
    total = np.add.reduceat(np.where(seen, value, 0.0), starts)
    return t[starts], np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _moments(grid: Gridded, column: NDArray[np.int64], zone: str) -> Moments:
    """Local times of columns, as matplotlib takes them."""
    from airis_mon.series.zone import zone as zone_of

    return zone_of(zone).local(grid.start_ms + grid.step_ms * column).astype("datetime64[ms]")


def _axes(axes: Any, grid: Gridded, series: int, zone: str, rates: bool) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import EngFormatter

    locator: Any = cast("Any", AutoDateLocator)(minticks=5, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(cast("Any", ConciseDateFormatter)(locator))
    axes.set_xlabel(f"time ({zone}), {_span(grid.step_ms)} a point")
    metric = grid.names[series].partition("{")[0]
    unit = _unit(grid, series, rates=rates)
    axes.set_ylabel(_plain(f"{_short(metric, 40)} ({unit or 'value'})"))
    axes.yaxis.set_major_formatter(EngFormatter(unit=unit))
    axes.grid(color="0.85", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _unit(grid: Gridded, series: int, *, rates: bool) -> str:
    """The unit of a series as its metric's name has it, "" where it has none."""
    from airis_mon.cli.forecast_grid import COUNTERS

    metric = grid.names[series].partition("{")[0]
    unit = next((u for word, u in UNITS.items() if word in metric.split("_")), "")
    return f"{unit}/s" if rates and metric.endswith(COUNTERS) else unit


def _title(grid: Gridded, made: Forecast, check: Check | None, series: int, unit: str) -> tuple[str, str]:
    """The series, and a line about who forecast it and how well."""
    from matplotlib.ticker import EngFormatter

    number = EngFormatter(unit=unit, places=1) if unit else "{:.4g}".format
    parts = [few(made.model[series])]
    if np.isfinite(made.error[series]):
        parts.append(f"mean absolute error {number(made.error[series])} in {made.windows} backtests")
        if (base := made.baseline_error[series]) > 0:
            parts[-1] += f", {made.error[series] / base:.0%} of seasonal naive's"
    if check is not None and np.isfinite(check.covered[series]):
        parts.append(f"the earlier interval held {check.covered[series]:.0%}")
    return _plain(_short(grid.names[series], NAME)), _plain("  ·  ".join(parts))


def _plain(text: str) -> str:
    """As matplotlib draws it letter by letter: between two dollar signs it would read mathematics."""
    return text.replace("$", r"\$")


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _span(ms: int) -> str:
    """A step as people say it."""
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if ms % size == 0:
            return f"{ms // size} {unit}"
    return f"{ms} ms"
