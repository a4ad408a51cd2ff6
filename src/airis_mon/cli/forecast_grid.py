"""A file's samples -> series on one regular grid, as forecasters take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import ConfigError, InputError
from airis_mon.forecast.base import Panel
from airis_mon.forecast.seasons import usual_seasons
from airis_mon.series.batch import Ids, Times, Values

if TYPE_CHECKING:
    from airis_mon.series.batch import Batch
    from airis_mon.series.catalogue import Catalogue

COUNTERS = ("_total", "_count", "_sum", "_bucket")
"""With --rates, metrics whose names end so are forecast by their rate."""
MAX_CELLS = 100_000_000
"""Points of all series together: 800 MB, and several times that while they are forecast."""
USUAL_S = (
    *(1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800),
    *(3600, 7200, 10_800, 14_400, 21_600, 28_800, 43_200, 86_400, 604_800),
)
"""Steps that people choose; one within `NEAR` of what is found is taken for it."""
NEAR = 0.1
LONG = 5
"""Steps without a sample after which a counter's rise says nothing of its rate."""


@dataclass(frozen=True, slots=True, eq=False)
class Gridded:
    """Series by name on one grid. last_ms: (series,) time of each one's last value; repeated: samples left out."""

    names: list[str]
    panel: Panel
    step_ms: int
    start_ms: int
    last_ms: Times
    repeated: int

    @property
    def end_ms(self) -> int:
        """Time of the last column."""
        return self.start_ms + (self.panel.length - 1) * self.step_ms


def gridded(batches: Sequence[Batch], catalogue: Catalogue, *, step_ms: int | None, rates: bool) -> Gridded:
    """Means per step, NaN where a step has no value; a repeated (series, time) counts once, its first row.

    Series without any number are left out. Raises InputError when nothing is left, or no step can be told, ConfigError
    when the step makes too many points.
    """
    from airis_mon.series.labels import series_name

    sid, t, value, repeated = _sorted(batches)
    sid, t, value = _numbers(sid, t, value)
    found = _step(sid, t) if step_ms is None or rates else step_ms
    if rates:
        sid, t, value = _numbers(sid, t, _rates(sid, t, value, catalogue, found))
    present, row = np.unique(sid, return_inverse=True)
    step = step_ms or found
    column, start = _columns(t, step)
    length = int(column[-1 if len(present) == 1 else column.argmax()]) + 1
    if length * len(present) > MAX_CELLS:
        raise ConfigError(
            f"--step: {len(present):,} series x {length:,} steps of {step / 1000:g} s are more than {MAX_CELLS:,} "
            "points; take a longer step, such as --step 900"
        )
    panel = Panel(_means(row, column, value, len(present), length), usual_seasons(step, length), step, start)
    last = np.zeros(len(present), np.int64)
    np.maximum.at(last, row, t)
    names = [series_name(catalogue.labels(s)) for s in present.tolist()]
    return Gridded(names, panel, step, start, last, repeated)


def _sorted(batches: Sequence[Batch]) -> tuple[Ids, Times, Values, int]:
    """Samples by series and time, the first of each pair only, and how many were left out."""
    from airis_mon.series.batch import empty_batch, join

    all_of = join([b for b in batches if len(b)] or [empty_batch()])
    order = np.lexsort((all_of.t, all_of.sid))
    sid, t, value = all_of.sid[order], all_of.t[order], all_of.value[order]
    fresh = np.ones(len(sid), np.bool_)
    fresh[1:] = (sid[1:] != sid[:-1]) | (t[1:] != t[:-1])
    return sid[fresh], t[fresh], value[fresh], int(len(sid) - fresh.sum())


def _numbers(sid: Ids, t: Times, value: Values) -> tuple[Ids, Times, Values]:
    seen = np.isfinite(value)
    if not seen.any():
        raise InputError("the file holds no values to forecast from; every row is empty or a gap")
    return sid[seen], t[seen], value[seen]


def _rates(sid: Ids, t: Times, value: Values, catalogue: Catalogue, step: int) -> Values:
    """Of counters the rise per second since the sample before, NaN for the first and after a long gap.

    A counter that fell has restarted at zero. Not the live rule: its gap is for scrapes, and files hold hours and days.
    """
    metrics = [catalogue.metrics[m] for m in catalogue.metric[: catalogue.size]]
    is_counter = np.array([m.endswith(COUNTERS) for m in metrics], np.bool_)[sid]
    rate = np.full(len(value), np.nan)
    apart, rise = np.diff(t), np.diff(value)
    rise = np.where(rise < 0, value[1:], rise)
    follows = (sid[1:] == sid[:-1]) & (apart <= LONG * step)
    rate[1:][follows] = rise[follows] * 1000.0 / apart[follows]
    return np.where(is_counter, rate, value)


def _step(sid: Ids, t: Times) -> int:
    """The median of the series' median distances, in ms, or a usual step beside it."""
    apart = np.diff(t)[sid[1:] == sid[:-1]]
    of = sid[1:][sid[1:] == sid[:-1]]
    if not len(apart):
        raise InputError("no series has two values, so the step between them is not known; give it with --step SECONDS")
    ends = np.flatnonzero(np.r_[of[1:] != of[:-1], True]) + 1
    found = float(np.median([np.median(part) for part in np.split(apart, ends[:-1])]))
    usual = min((s * 1000 for s in USUAL_S), key=lambda s: abs(s - found))
    return usual if abs(usual - found) <= NEAR * usual else max(1, round(found))


def _columns(t: Times, step: int) -> tuple[Times, int]:
    """(n,) columns from 0, and the time of the first: the samples' own phase when most share one, else whole steps."""
    phases, count = np.unique(t % step, return_counts=True)
    is_regular = 2 * count.max() > len(t)
    phase = int(phases[count.argmax()]) if is_regular else 0
    # A sample of a regular series that came a little early still belongs to its own step.
    column = (t - phase + (step // 2 if is_regular else 0)) // step
    first = int(column.min())
    return np.asarray(column - first), first * step + phase


def _means(row: NDArray[np.integer], column: Times, value: Values, series: int, length: int) -> Values:
    cell = row.astype(np.int64) * length + column
    count = np.bincount(cell, minlength=series * length)
    total = np.bincount(cell, weights=value, minlength=series * length)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count).reshape(series, length)
