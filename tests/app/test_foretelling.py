from __future__ import annotations

import numpy as np
import pytest

from airis_mon.app.fleetwork import foretell
from airis_mon.app.foretelling import Asked, panel_of
from airis_mon.errors import InputError
from airis_mon.forecast.base import Panel

HOUR = 3_600_000
T = 1_800_000_000_000 // HOUR * HOUR


def asked(n: int, horizon: int = 1, **rest: object) -> Asked:
    value = np.arange(n) % 5.0
    return Asked(**{"value": value, "t": None, "step_ms": None, "horizon": horizon, "seasons": None} | rest)  # type: ignore[arg-type]


def test_values_without_times_are_the_grid_and_their_seasons_are_found() -> None:
    panel = panel_of(asked(40, step_ms=HOUR))
    np.testing.assert_array_equal(panel.value, [np.arange(40) % 5.0])
    assert (panel.step_ms, panel.start_ms) == (HOUR, None)
    assert 5 in panel.seasons
    assert panel_of(asked(40, seasons=(10, 5))).seasons == (5, 10)
    assert panel_of(asked(40, seasons=())).seasons == ()
    assert panel_of(asked(96, t=T + HOUR * np.arange(96))).seasons == (24,)


def test_samples_become_the_means_of_steps_that_end_at_their_times() -> None:
    t = T + np.array([-30, -10, 0, 1, 130, 185]) * 60_000
    panel = panel_of(asked(6, t=t, step_ms=HOUR, value=np.array([1.0, 2, 3, 10, 7, 8])))
    assert panel.start_ms == T
    np.testing.assert_array_equal(panel.value, [[2.0, 10.0, np.nan, 7.0, 8.0]])


def test_the_step_of_samples_is_their_usual_distance_or_makes_some_thousand_points() -> None:
    t = T + HOUR * np.arange(20)
    assert panel_of(asked(20, t=np.delete(t, 7), value=np.arange(19.0))).length == 20
    many = T + 1000 * np.arange(50_000)
    assert panel_of(asked(50_000, t=many)).step_ms == 30_000


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (asked(20, 11), r"\$.horizon: is more than 10, half of the 20 points"),
        (asked(9000, 1001), r"\$\.horizon: is more than 1,000, the most of one forecast; lower it"),
        (asked(2000, 1001), r"\$\.horizon: is more than 1,000, the most of one forecast"),
        (asked(1998, 1000), r"\$\.horizon: is more than 999, half of the 1,998 points"),
        (
            asked(4, t=T + 86_400_000 * np.array([0, 1, 2, 104_167])),
            r"\$\.timestamps: make 104,168 points of 86400 s; at most 20,000: leave out",
        ),
        (asked(20, 2, t=253_402_214_400_000 + HOUR * np.arange(20) + 3 * HOUR), r"\$\.horizon: .* the year 9999"),
        (asked(3), r"\$.values: has 3 values .* needs 4"),
        (asked(20, seasons=(11,)), r"\$.seasons\[0\]: is no season of 20 points; give 2 to 10"),
        (asked(4, t=T + np.array([0, 1, 2, 10**9]), step_ms=1000), r"\$.stepS: makes 1,000,001 points .* enlarge"),
        (asked(5, t=T + np.arange(5), step_ms=HOUR), r"\$.values: has 2 values on a grid of 3600 s"),
        (asked(0, t=np.empty(0, np.int64), value=np.empty(0)), r"\$.start: .* no sample"),
    ],
)
def test_what_cannot_be_forecast_is_refused_with_its_limit(wrong: Asked, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        panel_of(wrong)
    assert refused.value.refusals[0].path == str(refused.value).partition(":")[0]


def test_holidays_that_cannot_be_known_are_left_out_and_that_is_said() -> None:
    panel = Panel(np.tile(np.arange(5.0), (1, 8)), (5,))
    found = foretell(panel, 5, 0.9, (), ("KR",))
    assert found.left_out == ("holidays: the values have no times",)
    np.testing.assert_allclose(found.mean, [np.arange(5.0)])
