"""What every forecaster must do. `CHECKS` take a function that makes a fresh forecaster and raise AssertionError.

>>> from airis_mon.checks.forecaster import CHECKS
>>> from airis_mon.forecast.models.seasonal_naive import SeasonalNaive
>>> for check in CHECKS:
...     check(SeasonalNaive)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from airis_mon.forecast.base import Forecaster, Panel
from airis_mon.series.batch import Values

Make = Callable[[], Forecaster]

START, STEP_MS = 1_700_002_800_000, 3_600_000
SEASONS = (24, 168)
SERIES, LENGTH, HORIZON = 6, 504, 30
CLOSE = 1e-3
"""Of a series' range: what iterative fits may differ by when the same series come otherwise."""


def means_have_their_shape_and_are_whole(make: Make) -> None:
    """(series, horizon) float64 for any horizon; a row is finite all through or NaN all through."""
    model = _fitted(make, _panel())
    for horizon in (1, HORIZON, 200):
        mean = model.predict(horizon)
        _demand(mean.shape == (SERIES, horizon), f"a horizon of {horizon} gave the shape {mean.shape}")
        _demand(mean.dtype == np.float64, f"means are {mean.dtype}, not float64")
        _demand(_rows_are_whole(mean), f"a row of {horizon} means is finite in part")
    _demand(bool(np.isfinite(model.predict(HORIZON)).any()), "no series of three weeks of hours could be forecast")


def the_same_panel_gives_the_same_forecast(make: Make) -> None:
    """Two forecasters, and one asked twice, say the same to the bit."""
    model = _fitted(make, _panel())
    first, again = model.predict(HORIZON), model.predict(HORIZON)
    _demand(_equal(first, again), "the second answer is another one")
    _demand(_equal(first, _fitted(make, _panel()).predict(HORIZON)), "another forecaster of its kind says otherwise")


def a_panel_is_only_read(make: Make) -> None:
    """Neither fit nor predict changes the values, nor does changing an answer change the next."""
    panel = _panel(holes=0.1)
    before = panel.value.copy()
    model = _fitted(make, panel)
    first = model.predict(HORIZON)
    kept = first.copy()
    first[:] = -1.0
    _demand(_equal(model.predict(HORIZON), kept), "writing into an answer changed the next")
    _demand(_equal(panel.value, before), "the panel's values were changed")


def order_of_series_does_not_matter(make: Make) -> None:
    """A panel in another order gives the same rows in that order."""
    panel, order = _panel(), np.random.default_rng(1).permutation(SERIES)
    mixed = _but(panel, panel.value[order])
    here, there = _fitted(make, panel).predict(HORIZON)[order], _fitted(make, mixed).predict(HORIZON)
    _demand(_close(here, there, panel.value[order]), "another order of series gave other forecasts")


def a_later_fit_forgets_the_earlier(make: Make) -> None:
    """What was learned of one panel does not show in another, of other series, length and seasons."""
    model = _fitted(make, _panel(seed=7, series=9, length=300))
    model.fit(_panel())
    _demand(_equal(model.predict(HORIZON), _fitted(make, _panel()).predict(HORIZON)), "an earlier panel shows")


def gaps_are_bridged_or_refused(make: Make) -> None:
    """Single gaps, a long one, one at the end and a late beginning: rows are whole, and not far from the series."""
    panel = _panel(holes=0.15)
    panel.value[1, 100:180] = np.nan
    panel.value[2, -10:] = np.nan
    panel.value[3, :250] = np.nan
    mean = _fitted(make, panel).predict(HORIZON)
    _demand(_rows_are_whole(mean), "gaps gave rows that are finite in part")
    seen = np.isfinite(mean).all(axis=1)
    low, high = np.nanmin(panel.value, axis=1), np.nanmax(panel.value, axis=1)
    room = 2 * (high - low)
    is_near = (mean > (low - room)[:, None]) & (mean < (high + room)[:, None])
    _demand(bool(is_near[seen].all()), "with gaps, means left the series' range by more than twice its width")


def a_series_of_gaps_is_refused_and_harms_no_other(make: Make) -> None:
    """All NaN gives NaN; the others are forecast as well as without it."""
    panel = _panel()
    value = panel.value.copy()
    value[2] = np.nan
    mean = _fitted(make, _but(panel, value)).predict(HORIZON)
    _demand(bool(np.isnan(mean[2]).all()), "a series without values was forecast")
    others = np.arange(SERIES) != 2
    alone = _fitted(make, _but(panel, panel.value[others])).predict(HORIZON)
    _demand(_close(mean[others], alone, panel.value[others]), "a series without values changed others")


def constants_stay_or_are_refused(make: Make) -> None:
    """A series of one value is forecast as that value, small, large, negative or zero, or not at all."""
    panel = _panel()
    value = panel.value.copy()
    level = np.array([0.0, 7.0, -3.0, 1e12, 1e-9])
    value[:5] = level[:, None]
    mean = _fitted(make, _but(panel, value)).predict(HORIZON)[:5]
    _demand(_rows_are_whole(mean), "a constant gave a row that is finite in part")
    seen = np.isfinite(mean).all(axis=1)
    error = np.abs(mean - level[:, None]).max(axis=1)
    _demand(bool((error <= 1e-5 * np.abs(level) + 1e-9)[seen].all()), f"constants are forecast otherwise: {mean[:, 0]}")


def what_is_too_short_is_refused(make: Make) -> None:
    """No column, one, a few; one late value; no series: NaN or a forecast, never an error."""
    full = _panel()
    for length in (0, 1, 2, 3, 5, 25, 49):
        mean = _fitted(make, full.until(length)).predict(HORIZON)
        _demand(mean.shape == (SERIES, HORIZON), f"{length} points gave the shape {mean.shape}")
        _demand(_rows_are_whole(mean), f"{length} points gave rows that are finite in part")
    late = full.value.copy()
    late[0, :-1] = np.nan
    mean = _fitted(make, _but(full, late)).predict(HORIZON)
    _demand(_rows_are_whole(mean), "a series of one late value gave a row that is finite in part")
    none = _fitted(make, _but(full, full.value[:0])).predict(HORIZON)
    _demand(none.shape == (0, HORIZON), f"no series gave the shape {none.shape}")


def a_panel_needs_neither_seasons_nor_times(make: Make) -> None:
    """Without seasons, without times, or with seasons longer than the panel, there is an answer or NaN."""
    full = _panel()
    for panel in (
        Panel(full.value),
        Panel(full.value, SEASONS),
        Panel(full.value, (), STEP_MS, START),
        Panel(full.value, (24, 10_000)),
    ):
        mean = _fitted(make, panel).predict(HORIZON)
        _demand(mean.shape == (SERIES, HORIZON) and _rows_are_whole(mean), f"{panel.seasons} gave no whole rows")


def odd_values_give_no_odd_answer(make: Make) -> None:
    """Huge, tiny and jumping values never give infinity."""
    rng = np.random.default_rng(3)
    panel = _panel()
    value = panel.value.copy()
    value[0] = rng.choice([0.0, 1e150, -1e150], LENGTH)
    value[1] = 1e-150 * value[1]
    value[2] = rng.choice([0.0, 0.0, 0.0, 5.0], LENGTH)
    value[3] = np.where(np.arange(LENGTH) == 200, 1e9, 1.0)
    value[4] = np.exp(np.arange(LENGTH) / 30)
    mean = _fitted(make, _but(panel, value)).predict(HORIZON)
    _demand(not np.isinf(mean).any(), "odd values gave infinity")
    _demand(_rows_are_whole(mean), "odd values gave rows that are finite in part")


def a_series_that_repeats_is_continued(make: Make) -> None:
    """A clean day with hardly any noise comes again, within a fifth of its height."""
    hours = np.arange(LENGTH + HORIZON)
    clean = 100 + 20 * np.sin(hours / 24 * 2 * np.pi + np.arange(SERIES)[:, None])
    value = clean[:, :LENGTH] + np.random.default_rng(4).normal(size=(SERIES, LENGTH)) * 0.05
    mean = _fitted(make, Panel(value, SEASONS, STEP_MS, START)).predict(HORIZON)
    seen = np.isfinite(mean).all(axis=1)
    error = np.abs(mean - clean[:, LENGTH:]).mean(axis=1)
    _demand(bool(seen.any()), "a clean season of three weeks was not forecast")
    _demand(bool((error[seen] < 4).all()), f"a clean season is missed by {error[seen].max():.1f} of 20")


CHECKS: tuple[Callable[[Make], None], ...] = (
    means_have_their_shape_and_are_whole,
    the_same_panel_gives_the_same_forecast,
    a_panel_is_only_read,
    order_of_series_does_not_matter,
    a_later_fit_forgets_the_earlier,
    gaps_are_bridged_or_refused,
    a_series_of_gaps_is_refused_and_harms_no_other,
    constants_stay_or_are_refused,
    what_is_too_short_is_refused,
    a_panel_needs_neither_seasons_nor_times,
    odd_values_give_no_odd_answer,
    a_series_that_repeats_is_continued,
)


def goes_with_unit_and_zero(make: Make) -> None:
    """For forecasters that promise it: a x + b is forecast as a times the forecast of x, plus b."""
    panel = _panel()
    mean = _fitted(make, panel).predict(HORIZON)
    for unit, zero in ((1000.0, 0.0), (0.001, 5.0), (1.0, -1e4)):
        moved = _fitted(make, _but(panel, panel.value * unit + zero)).predict(HORIZON)
        _demand(_close((moved - zero) / unit, mean, panel.value), f"{unit:g} x {zero:+g} is forecast otherwise")


def goes_with_unit(make: Make) -> None:
    """For forecasters of logarithms: a x is forecast as a times the forecast of x."""
    panel = _panel()
    mean = _fitted(make, panel).predict(HORIZON)
    for unit in (1000.0, 0.001):
        moved = _fitted(make, _but(panel, panel.value * unit)).predict(HORIZON)
        _demand(_close(moved / unit, mean, panel.value), f"{unit:g} x is forecast otherwise")


def _demand(claim: bool, message: str) -> None:
    if not claim:
        raise AssertionError(message)


def _panel(seed: int = 0, series: int = SERIES, length: int = LENGTH, holes: float = 0.0) -> Panel:
    """Hours with a day and a weekend, noise, a drift or a level shift, of several sizes, all above 0."""
    rng = np.random.default_rng(seed)
    hours = np.arange(length)
    day = np.sin((hours % 24) / 24 * 2 * np.pi + rng.uniform(0, 6, (series, 1)))
    weekend = np.where(hours // 24 % 7 > 4, -0.5, 0.0)
    noise = np.cumsum(rng.normal(size=(series, length)), axis=1) * 0.02 + rng.normal(size=(series, length)) * 0.2
    value = (8 + day + weekend + noise + hours / length * rng.uniform(-1, 1, (series, 1))) * 10.0 ** rng.integers(
        -1, 3, (series, 1)
    )
    value[0, length // 2 :] *= 1.3
    value[rng.random(value.shape) < holes] = np.nan
    return Panel(value, SEASONS, STEP_MS, START)


def _but(panel: Panel, value: Values) -> Panel:
    return Panel(value, panel.seasons, panel.step_ms, panel.start_ms)


def _fitted(make: Make, panel: Panel) -> Forecaster:
    model = make()
    model.fit(panel)
    return model


def _rows_are_whole(mean: Values) -> bool:
    seen = np.isfinite(mean)
    return bool((seen.all(axis=1) | np.isnan(mean).all(axis=1)).all())


def _equal(a: Values, b: Values) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def _close(a: Values, b: Values, past: Values) -> bool:
    """Whether forecasts agree within `CLOSE` of their series' range, and are missing in the same places."""
    room = CLOSE * (np.nanmax(past, axis=1) - np.nanmin(past, axis=1))[:, None]
    same = np.isnan(a) & np.isnan(b)
    return bool((same | (np.abs(a - b) <= room)).all())
