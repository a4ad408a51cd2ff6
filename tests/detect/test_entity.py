import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.detect.detectors.record import Record
from airis_mon.detect.entity import Entities, EntityScores
from airis_mon.errors import ConfigError

MINUTE = 60_000
LINE = 0.8


def two_hosts(metrics: int = 6) -> Entities:
    hosts = Entities()
    hosts.assign(np.arange(2 * metrics), np.repeat([0, 1], metrics))
    return hosts


def rows(minutes: int, slots: int) -> tuple[np.ndarray, np.ndarray]:
    return np.tile(np.arange(slots, dtype=np.int32), minutes), np.repeat(np.arange(1, minutes + 1) * MINUTE, slots)


def at(scores: EntityScores, entity: int) -> np.ndarray:
    return scores.score[scores.entity == entity]


def test_every_entity_has_one_row_per_time() -> None:
    slot, t = rows(7, 12)
    out = two_hosts().update(slot, t, np.zeros(84), np.zeros(84))
    assert len(out) == 14
    assert sorted(zip(out.entity.tolist(), out.t.tolist(), strict=True)) == [
        (e, k * MINUTE) for e in (0, 1) for k in range(1, 8)
    ]
    assert (out.score == 0).all()


def test_the_burning_host_stands_out_and_its_metrics_are_named_by_their_part() -> None:
    slot, t = rows(1, 12)
    level, onset = np.ones(12), np.zeros(12)
    level[[8, 10]], onset[10] = 25, 5
    out = two_hosts().update(slot, t, onset, level)
    assert at(out, 1)[0] > at(out, 0)[0]
    blamed = out.slot[out.entity == 1][0]
    assert blamed[:2].tolist() == [10, 8]
    share = out.share[out.entity == 1][0]
    assert (np.diff(share) <= 0).all()
    assert 0.99 < share.sum() <= 1.01


def test_all_metrics_far_from_their_level_reach_the_line() -> None:
    slot, t = rows(1, 12)
    out = two_hosts().update(slot, t, np.zeros(12), np.where(slot < 6, 20.0, 1.0))
    assert at(out, 0)[0] >= LINE
    assert at(out, 1)[0] < 0.2


def test_a_high_level_is_held_and_fades() -> None:
    hosts = two_hosts()
    slot, t = rows(60, 12)
    level = np.where((slot < 6) & (t == MINUTE), 20.0, 0.0)
    score = at(hosts.update(slot, t, np.zeros(len(slot)), level), 0)
    assert (np.diff(score) < 0).all()
    assert 0.2 < score[20] / score[0] < 0.8
    assert score[-1] < 0.1


@given(st.integers(1, 40), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_whole_times_may_come_in_any_cut_and_any_order_of_slots(cut: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    slot, t = rows(40, 12)
    onset, level = rng.exponential(0.2, 480), rng.exponential(3, 480)
    whole = two_hosts().update(slot, t, onset, level)
    mixed, parts = two_hosts(), []
    for minutes in (slice(0, cut), slice(cut, 40)):
        order = np.concatenate([k * 12 + rng.permutation(12) for k in range(40)[minutes]] or [np.empty(0, int)])
        order = order.astype(int)
        parts.append(mixed.update(slot[order], t[order], onset[order], level[order]))
    for entity in (0, 1):
        np.testing.assert_allclose(at(whole, entity), np.concatenate([at(p, entity) for p in parts]), rtol=1e-6)


def test_a_metric_that_fell_silent_no_longer_counts() -> None:
    hosts = two_hosts()
    slot, t = rows(30, 12)
    level = np.where(slot == 0, 30.0, 0.0)
    use = (slot != 0) | (t <= 5 * MINUTE)
    out = hosts.update(slot[use], t[use], np.zeros(use.sum()), level[use])
    blamed = out.slot[(out.entity == 0) & (out.t == 30 * MINUTE)][0]
    assert 0 not in blamed.tolist()


def test_slots_without_an_entity_are_passed_by() -> None:
    hosts = Entities()
    hosts.assign(np.array([0, 1, 2]), np.array([0, -1, 0]))
    out = hosts.update(np.array([1, 5]), np.array([MINUTE, MINUTE]), np.ones(2), np.ones(2))
    assert len(out) == 0


def test_a_slot_can_move_to_another_entity() -> None:
    hosts = two_hosts()
    slot, t = rows(1, 12)
    hosts.update(slot, t, np.zeros(12), np.full(12, 20.0))
    hosts.assign(np.array([0]), np.array([2]))
    out = hosts.update(np.array([0]), np.array([2 * MINUTE]), np.zeros(1), np.zeros(1))
    assert out.entity.tolist() == [2]
    assert out.score[0] == 0


def test_a_fault_in_many_metrics_is_found_from_raw_values() -> None:
    rng = np.random.default_rng(0)
    n, m = 1500, 8
    value = rng.normal(50, 2, (n, m))
    value[1200:1260, 2:7] += 40
    slot, t = np.tile(np.arange(m, dtype=np.int32), n), np.repeat(np.arange(1, n + 1) * MINUTE, m)
    bank = Record()
    bank.reserve(m)
    scores = bank.update(slot, t, value.ravel())
    hosts = Entities()
    hosts.assign(np.arange(m), np.zeros(m, int))
    out = hosts.update(slot, t, scores.onset, scores.level)
    assert (out.score[1201:1260] >= LINE).all()
    assert (out.score[200:1200] < LINE).all()
    assert set(out.slot[1230].tolist()) == {2, 3, 4, 5, 6}


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="entity"):
        Entities(top=0)


def test_constants_that_change_before_they_are_known_raise_nothing() -> None:
    n, m = 240, 8
    value = np.zeros((n, m))
    for k in range(3, 9):  # one after another, from the third sample on
        value[k * k - 6 :, k % m] += 0.01 * k
    slot, t = rows(n, m)
    bank = Record()
    bank.reserve(m)
    scores = bank.update(slot, t, value.ravel())
    hosts = Entities()
    hosts.assign(np.arange(m), np.zeros(m, int))
    out = hosts.update(slot, t, scores.onset, scores.level)
    assert (out.score[:12] == 0).all()
    assert (out.score < LINE).all()
