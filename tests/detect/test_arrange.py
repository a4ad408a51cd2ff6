import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.detect.arrange import arranged
from airis_mon.detect.detectors.record import Record

SLOTS = st.lists(st.integers(0, 70), max_size=200)


def order(slots: list[int]) -> list[int]:
    return arranged(np.array(slots, np.int32), 71).tolist()


def test_a_block_comes_once_in_rounds_of_one_sample_per_slot() -> None:
    assert order([17, 1, 0, 17, 1, 16]) == [2, 1, 4, 5, 0, 3]


@given(SLOTS)
def test_every_row_comes_once_and_a_slots_samples_keep_their_order(slots: list[int]) -> None:
    rows = order(slots)
    assert sorted(rows) == list(range(len(slots)))
    for slot in set(slots):
        mine = [r for r in rows if slots[r] == slot]
        assert mine == sorted(mine)


@given(SLOTS)
def test_scores_do_not_depend_on_the_arrangement(slots: list[int]) -> None:
    slot = np.array(slots, np.int32)
    t = np.arange(len(slots), dtype=np.int64) * 1000
    value = np.sin(t / 7000.0) * 10
    plain, arrayed = Record(), Record()
    plain.reserve(71), arrayed.reserve(71)
    rows = arranged(slot, 71)
    scores = plain.update(slot, t, value)
    again = arrayed.update(slot[rows], t[rows], value[rows])
    np.testing.assert_array_equal(scores.score[rows], again.score)
