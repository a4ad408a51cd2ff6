"""What runs out is seen coming; what rises and falls again is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from airis_mon.errors import InputError
from airis_mon.forecast.exhaustion import Exhaustion, Outlook

HOUR, STEP = 3_600_000, 300_000
T0 = 1_767_600_000_000


def times(hours: float) -> np.ndarray:
    return T0 + np.arange(round(hours * HOUR / STEP), dtype=np.int64) * STEP


def looked(share: np.ndarray, t: np.ndarray | None = None) -> Outlook:
    """The outlook of one series or several."""
    share = np.atleast_2d(share)
    watch = Exhaustion()
    watch.reserve(len(share))
    return watch.update(times(share.shape[1] / 12) if t is None else t, share)


def leak(hours: float, onset: float = 6, base: float = 0.4) -> np.ndarray:
    """Flat, then in a straight line to the limit within so many hours, and there it stays for an hour."""
    h = np.arange(round((onset + hours + 1) * 12)) / 12
    return base + (1 - base) * np.clip((h - onset) / hours, 0, 1)


@pytest.mark.parametrize("hours", [2, 6, 20, 72])
def test_leak_is_warned_of_half_an_hour_before_the_limit_and_until_it_is_hit(hours: float) -> None:
    found = looked(leak(hours) + np.random.default_rng(1).normal(0, 0.002, round((7 + hours) * 12)))
    full = round((6 + hours) * 12)
    began = int(found.warns[0].argmax())
    assert 6 * 12 < began <= full - 6
    assert found.warns[0, began:full].all()


def test_blocks_of_any_size_give_the_same() -> None:
    share = np.stack([leak(20), leak(18, onset=8)])
    share[0, 40:55] = np.nan
    whole, t = looked(share), times(share.shape[1] / 12)
    watch = Exhaustion()
    watch.reserve(2)
    cuts = [0, 1, 2, 30, 47, 200, share.shape[1]]
    parts = [watch.update(t[a:b], share[:, a:b]) for a, b in itertools.pairwise(cuts)]
    for name in Outlook.__slots__:
        joined = np.concatenate([getattr(part, name) for part in parts], axis=1)
        np.testing.assert_array_equal(joined, getattr(whole, name), err_msg=name)


def test_step_longer_than_an_hour_is_refused() -> None:
    with pytest.raises(InputError, match="step_ms must be within"):
        Exhaustion(step_ms=2 * HOUR)
