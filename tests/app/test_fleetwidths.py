from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from airis_mon.app.fleetwidths import Widths
from airis_mon.forecast.base import Forecast

A, B = (2**64 - 1, "value"), (7, "rate")


def forecast() -> Forecast:
    mean = np.array([[10.0, 10.0], [5.0, 5.0]])
    nobody = np.full(2, np.nan)
    return Forecast(mean, mean - 1, mean + 2, ("a", "b"), nobody, nobody, 0.9, 3)


def test_intervals_that_held_too_little_grow_those_of_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "widths.json"
    widths = Widths(0.9, path)
    widths.learn([A, B], np.array([np.nan, np.nan]))
    assert not path.exists()
    widths.learn([A, B], np.array([0.4, np.nan]))
    lower, upper = widths.widened([A, B], forecast())
    grown = np.exp(0.1 * 0.5)
    np.testing.assert_allclose(lower, [[10 - grown] * 2, [4, 4]])
    np.testing.assert_allclose(upper, [[10 + 2 * grown] * 2, [7, 7]])


def test_an_interval_that_grew_still_says_nothing_below_zero_of_what_never_was() -> None:
    widths = Widths(0.9)
    for _ in range(40):
        widths.learn([A, B], np.zeros(2))
    assert (widths.widened([A, B], forecast())[0] < 0).all()
    lower, upper = widths.widened([A, B], replace(forecast(), never_negative=np.array([True, False])))
    assert (lower[0] == 0).all()
    assert (lower[1] < 0).all()
    assert (upper > 10).all()


def test_what_was_learned_stays_over_a_restart_and_a_damaged_file_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "widths.json"
    widths = Widths(0.9, path)
    widths.learn([A], np.array([0.4]))
    widths.learn([A, B], np.array([0.4, 1.0]))
    again = Widths(0.9, path)
    assert again.of(A) == widths.of(A) > 1
    assert again.of(B) == widths.of(B) < 1
    assert again.of((1, "value")) == 1
    assert Widths(0.8, path).of(A) == 1  # learned for another promise
    widths.learn([B], np.array([0.4]))
    assert widths.of(A) == Widths(0.9, path).of(A) == 1  # gone
    path.write_bytes(path.read_bytes()[:100])
    assert Widths(0.9, path).of(A) == 1
