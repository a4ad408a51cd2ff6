"""Series in which nothing happens: what is left in peace, and what is found in them all the same."""

import numpy as np
import pytest
from numpy.typing import NDArray

from airis_mon.detect.base import Scores
from airis_mon.detect.detectors.record import Record

START = 1_699_833_600_000  # a Monday, 00:00 UTC
DAY_S = 86_400
LINE = 0.8


def judge(value: NDArray[np.float64], step_s: float = 60, start: int = START) -> Scores:
    bank = Record()
    bank.reserve(1)
    t = start + (np.arange(len(value)) * step_s * 1000).astype(np.int64)
    return bank.update(np.zeros(len(value), np.int32), t, value)


def sine(phase: int, days: float, step_s: float) -> NDArray[np.float64]:
    at = np.arange(int(days * DAY_S / step_s)) * step_s / DAY_S
    wave: NDArray[np.float64] = 50 + 20 * np.sin(2 * np.pi * (at + phase / 8))
    return wave + np.random.default_rng(100 + phase).normal(0, 1, len(at))


@pytest.mark.parametrize(("step_s", "days"), [(15, 2), (60, 8), (300, 8)])
def test_a_daily_wave_is_calm_when_its_hours_and_its_week_begin_to_be_known(step_s: int, days: int) -> None:
    for phase in range(8):
        out = judge(sine(phase, days, step_s), step_s, START + phase * 5 * 3_600_000)
        hours = np.flatnonzero(out.score >= LINE) * step_s / 3600
        assert not (np.abs(hours - 24) <= 2).any(), (phase, hours)
        assert not (np.abs(hours - 168) <= 2).any(), (phase, hours)


@pytest.mark.parametrize("step_s", [60, 300])
def test_a_spike_on_a_daily_wave_is_found_on_the_days_after(step_s: int) -> None:
    for day in (1.2, 3.4, 7.3):
        value = sine(0, 8, step_s)
        at = int(day * DAY_S / step_s)
        value[at] += 12
        assert judge(value, step_s).score[at] >= LINE


@pytest.mark.parametrize(("usual", "then"), [(0.2, 0.19988), (15.00104, 15.000923), (8e9, 8.0004e9)])
@pytest.mark.parametrize("jitter", [0.0, 1e-8])
@pytest.mark.parametrize("seen", [40, 1500])
def test_a_rounding_error_in_what_stands_still_is_no_anomaly(
    usual: float, then: float, jitter: float, seen: int
) -> None:
    value = usual * (1 + jitter * np.random.default_rng(0).normal(size=seen))
    assert (judge(np.append(value, [then] * 5)).score < LINE).all()


@pytest.mark.parametrize(("usual", "then"), [(1.0, 0.0), (0.0, 1.0), (1.0, 2.0), (100.0, 98.0)])
@pytest.mark.parametrize("seen", [40, 1500])
def test_a_constant_that_changes_by_what_matters_is_found_at_once(usual: float, then: float, seen: int) -> None:
    assert judge(np.append(np.full(seen, usual), then)).score[-1] >= LINE


def test_a_level_alone_never_reaches_the_line() -> None:
    """Once re-armed, a plateau far from the long-run level raises nothing new however far it is."""
    value = np.append(np.zeros(3000), np.full(1500, 1e12))
    out = judge(value)
    assert (out.level > 40).any()
    assert ((out.score < LINE) | (out.feature >= 0)).all()
    assert ((out.score > LINE) == (out.score >= LINE)).all()
