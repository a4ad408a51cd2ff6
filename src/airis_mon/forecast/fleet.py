"""Forecasts of many series at once: models held against each series' own past, the best mixed, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import ConfigError, InputError, MissingExtra
from airis_mon.forecast import models as kinds
from airis_mon.forecast.backtest import Backtest, backtest, origins, say
from airis_mon.forecast.base import BASELINE, Forecast, Forecaster, Panel
from airis_mon.forecast.conformal import bands
from airis_mon.forecast.panel import span
from airis_mon.forecast.select import choose, mix, names, unseen
from airis_mon.series.batch import Values

Bools = NDArray[np.bool_]
Team = list[tuple[str, Forecaster]]
FAST: tuple[str, ...] = (BASELINE, "last_season", "smooth", "smooth_log", "ridge", "ridge_log")
"""Kinds for thousands of series, without any extra."""
FULL: tuple[str, ...] = (*FAST, "lightgbm")
"""With what an extra adds; a kind whose library is missing is left out by name."""
SETS = {"fast": FAST, "full": FULL}
"""Names that stand for several kinds."""
SLOW: tuple[str, ...] = ("auto_ets", "auto_theta", "mstl")
"""Kinds of an extra that take 0.1 to 0.4 s a series and fit; only taken when named."""


def own(kind: str) -> Forecaster:
    """A forecaster of ours with its default settings. Raises ConfigError for an unknown kind, MissingExtra."""
    ours = {m.name for m in iter_modules(kinds.__path__)}
    if kind not in ours:  # a client's text: never imported unseen
        raise ConfigError(f"there is no forecaster {kind[:40]!r}; take one of {', '.join((*SETS, *FULL, *SLOW))}")
    module = import_module(f"airis_mon.forecast.models.{kind}")
    model: Forecaster = getattr(module, "".join(word.title() for word in kind.split("_")))()
    return model


def quiet(share: float, what: str) -> None:
    """Hears of progress and does nothing."""


def forecast(
    panel: Panel,
    horizon: int,
    *,
    level: float = 0.95,
    models: Sequence[str] = (),
    windows: int = 3,
    make: Callable[[str], Forecaster] = own,
    tell: Callable[[float, str], None] = quiet,
) -> Forecast:
    """The next `horizon` points of every series.

    models: kinds or names of `SETS`, () = `FAST`; the baseline is always among them. windows: of the backtest at each
    series' end; fewer when the panel is short. make: a kind as an object; a MissingExtra, there or when it fits, leaves
    the kind out, and the answer says so.
    tell: hears the share done, 0 to 1, and what was done; an error it raises ends the forecast.
    Raises InputError for a horizon or level that means nothing, ConfigError for an unknown kind.
    """
    if horizon < 1:
        raise InputError(f"horizon {horizon} is no number of points ahead; give 1 or more")
    if not 0 < level < 1:
        raise InputError(f"level {level} is no share; give one between 0 and 1, such as 0.95")
    team, left_out = _gather(tuple(models) or FAST, make)
    cuts = origins(panel.length, horizon, windows, panel.seasons)
    step = _steps(len(team) * (len(cuts) + 1), tell)
    test, team, mute = _heard(backtest(panel, horizon, team, windows, step), team, step)
    weight = choose(test)
    error, baseline_error = test.error(mix(weight, test.mean)), test.error(test.mean[0])
    mean = _mixture(panel, horizon, team, weight, step)
    mean, lower, upper, floored = _plausible(panel, mean, *bands(test.actual - unseen(test), mean, level))
    who = names(test.models, weight, mean, error)
    return Forecast(mean, lower, upper, who, error, baseline_error, level, test.windows, (*left_out, *mute), floored)


def _gather(wanted: tuple[str, ...], make: Callable[[str], Forecaster]) -> tuple[Team, tuple[str, ...]]:
    """The models, the baseline first, and those left out with the reason."""
    team: Team = []
    left_out = []
    named = (member for kind in wanted for member in SETS.get(kind, (kind,)))
    for kind in dict.fromkeys((BASELINE, *named)):
        try:
            model = make(kind)
            team.append((kind, model if kind == BASELINE else _Willing(model)))
        except MissingExtra as missing:
            left_out.append(f"{kind}: {missing}")
    return team, tuple(left_out)


@dataclass(slots=True)
class _Willing:
    """A forecaster that falls silent when it turns out to lack a library, and says why. series: of the last panel."""

    model: Forecaster
    why: str = ""
    series: int = 0

    def fit(self, panel: Panel) -> None:
        self.series = panel.series
        self._tried(lambda: self.model.fit(panel))

    def predict(self, horizon: int) -> Values:
        said = self._tried(lambda: self.model.predict(horizon))
        return np.full((self.series, horizon), np.nan) if said is None else said

    def _tried(self, what: Callable[[], Values | None]) -> Values | None:
        try:
            return None if self.why else what()
        except MissingExtra as missing:
            self.why = str(missing)
            return None


def _heard(test: Backtest, team: Team, step: Callable[[str], None]) -> tuple[Backtest, Team, tuple[str, ...]]:
    """The backtest and the team without those who fell silent; and these with the reason."""
    mute = {kind: model.why for kind, model in team if isinstance(model, _Willing) and model.why}
    for kind in mute:
        step(kind)
    heard = [m for m, (kind, _) in enumerate(team) if kind not in mute]
    rest = replace(test, models=tuple(test.models[m] for m in heard), mean=test.mean[heard])
    return rest, [team[m] for m in heard], tuple(f"{kind}: {why}" for kind, why in mute.items())


def _mixture(panel: Panel, horizon: int, team: Team, weight: Values, step: Callable[[str], None]) -> Values:
    """(series, horizon) what the models say by their weights; that of a silent one goes over to the baseline."""
    said = np.full((len(team), panel.series, horizon), np.nan)
    for m, (kind, model) in enumerate(team):
        if m == 0 or weight[m].any():
            said[m] = say(model, panel, horizon)
        silent = np.isnan(said[m, :, 0])
        weight[0, silent] += weight[m, silent] * (m > 0)
        weight[m, silent] *= m == 0
        step(kind)
    return mix(weight, said)


def _steps(total: int, tell: Callable[[float, str], None]) -> Callable[[str], None]:
    done = 0

    def step(kind: str) -> None:
        nonlocal done
        done += 1
        tell(done / total, kind)

    return step


def _plausible(panel: Panel, mean: Values, lower: Values, upper: Values) -> tuple[Values, Values, Values, Bools]:
    """Means within the history's range and its width beyond; nothing below 0 where the history never was."""
    low, high = span(panel.value)
    room = (high - low)[:, None]
    bounded = np.clip(mean, low[:, None] - room, high[:, None] + room)
    moved = bounded - mean
    never_negative = low >= 0
    floor = np.where(never_negative, 0.0, -np.inf)[:, None]
    mean, lower, upper = (np.maximum(part, floor) for part in (bounded, lower + moved, upper + moved))
    return mean, lower, upper, never_negative
