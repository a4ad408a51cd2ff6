"""Bands from mean and deviation over time, as the recording rules of grafana/promql-anomaly-detection make them.

Facts from its `rules/adaptive.yml` (commit 7ed6390), written anew for arrays: the middle is the mean of an hour;
deviations of an hour count only where they exceed half the mean, and are averaged over 26 hours; the band is the
widest of twice that, of half the middle, and of mean +- two deviations of the hour around this time a day and a week
ago (offsets 23h30m and 167h30m); below 0 it ends; an alert waits for five minutes.

Values of 0 or less are not judged, nor are request rates below five a minute. Where we differ: the offset bands are
computed at every row, not every five minutes.
"""

from __future__ import annotations

import numpy as np

from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import metric_of
from airis_mon.yardstick.baselines.base import HOUR_MS, MINUTE_MS, Array, Mask, Sums, held, window
from airis_mon.yardstick.worlds import WorldRun, WorldSignal

NAME = "promql band"
WORDS = "PromQL mean +- deviation bands, 2 deviations, for 5m"
MULTIPLIER, MARGIN, VARIED, SPARSE = 2.0, 0.5, 0.5, 5 / 60
SMOOTH_MS, FOR_MS = 26 * HOUR_MS, 5 * MINUTE_MS
OFFSETS_MS = (23 * HOUR_MS + 30 * MINUTE_MS, 167 * HOUR_MS + 30 * MINUTE_MS)


def alarms(run: WorldRun) -> Mask:
    """(row,) where the value left its band for so long."""
    found = np.zeros(len(run.value), np.bool_)
    for signal, what in enumerate(run.signals):
        rows, value = run.rows(signal), run.value[run.rows(signal)].astype(float)
        judged = np.flatnonzero(value > 0)
        t = run.times(signal)[judged]
        found[rows.start + judged] = _alarms(t, value[judged], is_requests=_is_requests(what))
    return found


def band(t: Times, value: Values) -> tuple[Values, Values]:
    """(lower, upper) per row, each (n,); value > 0."""
    sums = Sums(value)
    hour = window(t, HOUR_MS)
    middle = sums.mean(*hour)
    spreads = [MULTIPLIER * _smoothed(t, middle, sums.deviation(*hour)), MARGIN * middle]
    lower, upper = [middle - s for s in spreads], [middle + s for s in spreads]
    for offset in OFFSETS_MS:
        then = window(t, HOUR_MS, offset)
        mean, spread = sums.mean(*then), MULTIPLIER * sums.deviation(*then)
        lower.append(mean - spread)
        upper.append(mean + spread)
    return np.maximum(_widest(np.fmin, lower), 0.0), _widest(np.fmax, upper)


def _alarms(t: Times, value: Values, *, is_requests: bool) -> Mask:
    with np.errstate(invalid="ignore", divide="ignore"):
        lower, upper = band(t, value)
        beyond = (value < lower) | (value > upper)
    if is_requests:
        beyond &= Sums(value).mean(*window(t, HOUR_MS)) >= SPARSE
    return held(t, np.asarray(beyond), FOR_MS)


def _smoothed(t: Times, middle: Values, deviation: Values) -> Values:
    """(n,) the mean over 26 h of the deviations that are large enough to count, NaN where none is."""
    counts = deviation > VARIED * middle
    total = np.concatenate([[0.0], np.cumsum(np.where(counts, deviation, 0.0))])
    number = np.concatenate([[0], np.cumsum(counts)])
    begin, end = window(t, SMOOTH_MS)
    n = (number[end] - number[begin]).astype(float)
    n[n == 0] = np.nan
    return np.asarray((total[end] - total[begin]) / n)


def _widest(choose: np.ufunc, bands: list[Values]) -> Array:
    """Bands that do not exist yet (NaN) have no say."""
    found = bands[0]
    for other in bands[1:]:
        found = choose(found, other)
    return np.asarray(found)


def _is_requests(signal: WorldSignal) -> bool:
    return signal.kind == "rate" and metric_of(signal.labels).endswith("_requests_total")
