import numpy as np

from airis_mon.errors import Refusal
from airis_mon.series.batch import STALE, STALE_BITS, Batch, empty_batch, is_stale, join


def batch(*sids, **kw):
    return Batch(np.array(sids, np.int32), np.array(sids, np.int64) * 10, np.array(sids, np.float64), **kw)


def test_joined_batches_follow_each_other():
    joined = join([batch(1, 2), empty_batch(), batch(3)])
    assert (joined.sid.tolist(), joined.t.tolist(), joined.value.tolist()) == ([1, 2, 3], [10, 20, 30], [1.0, 2.0, 3.0])
    assert (joined.sid.dtype, joined.t.dtype, joined.value.dtype) == (np.int32, np.int64, np.float64)
    assert len(joined) == 3


def test_refusals_stay_with_their_request():
    refused = batch(1, refusals=(Refusal("a", "b", "c"),), refused=1)
    assert join([refused, batch(2)]).refused == 0
    assert join([refused]) is refused


def test_an_empty_batch_carries_its_refusals():
    empty = empty_batch((Refusal("a", "b", "c"),), 7)
    assert (len(empty), empty.refused, empty.refusals[0].path) == (0, 7, "a")


def test_only_the_marker_is_stale():
    other = np.uint64(STALE_BITS + 1).view(np.float64)
    values = np.array([STALE, np.nan, other, 0.0, np.inf])
    assert is_stale(values).tolist() == [True, False, False, False, False]
