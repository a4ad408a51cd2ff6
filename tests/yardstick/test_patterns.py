"""Leaks that hit their limit when they say, and rises that never do."""

from __future__ import annotations

import numpy as np
import pytest

from airis_mon.yardstick.patterns import AFTER_MS, HARMLESS, HOUR_MS, LEAKS, Pattern, patterns


@pytest.fixture(scope="module")
def drawn() -> list[Pattern]:
    return patterns(3, 210)


def test_one_seed_is_the_same_series(drawn: list[Pattern]) -> None:
    again = patterns(3, 210)
    assert [p.held.value.tobytes() for p in again] == [p.held.value.tobytes() for p in drawn]
    assert patterns(4, 1)[0].held.value.tobytes() != drawn[0].held.value.tobytes()


def test_every_kind_is_there_as_often(drawn: list[Pattern]) -> None:
    kinds = [p.kind for p in drawn]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys([*LEAKS, *HARMLESS], 30)
    assert len({p.name for p in drawn}) == len(drawn)


def test_leak_is_full_when_it_says_and_not_before(drawn: list[Pattern]) -> None:
    for one in drawn:
        if one.hit_ms is not None:
            t, full = one.held.t, one.held.value >= 1
            assert full[(t >= one.hit_ms) & (t < one.hit_ms + AFTER_MS)].all()
            assert not full[(t < one.hit_ms - HOUR_MS) | (t >= one.hit_ms + AFTER_MS)].any()
            assert 6 * HOUR_MS <= one.hit_ms - one.onset_ms <= 72 * HOUR_MS


def test_harmless_series_stay_below_the_limit_and_some_come_near(drawn: list[Pattern]) -> None:
    highest = [p.held.value.max() for p in drawn if p.hit_ms is None]
    assert max(highest) < 1
    assert np.mean(np.array(highest) > 0.8) > 0.15


def test_accelerating_leak_begins_slower_than_a_steady_one() -> None:
    climb = np.linspace(0, 1, 11)
    assert (LEAKS["accelerating leak"](climb)[1:-1] < LEAKS["steady leak"](climb)[1:-1]).all()
