import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.analyze.rolling import Rolling
from airis_mon.analyze.statistics import statistics
from airis_mon.errors import InputError

STEPS = st.lists(st.tuples(st.integers(0, 4_000), st.floats(-1e6, 1e6)), min_size=1, max_size=60)


@given(STEPS, st.integers(1, 20), st.integers(1, 10_000))
def test_at_any_moment_it_equals_the_statistics_of_the_window(
    steps: list[tuple[int, float]], at_once: int, window_ms: int
) -> None:
    t = np.cumsum([s for s, _ in steps])
    value = np.array([v for _, v in steps])
    live = Rolling(window_ms)
    for first in range(0, len(t), at_once):
        after = min(first + at_once, len(t))
        live.add(t[first:after], value[first:after])
        inside = t[:after] > t[after - 1] - window_ms
        assert live.statistics() == statistics(value[:after][inside])
        assert live.last == value[after - 1]
        np.testing.assert_array_equal(live.t, t[:after][inside])


def test_a_sample_leaves_exactly_when_it_is_as_old_as_the_window() -> None:
    live = Rolling(1_000)
    live.add(np.array([0, 500]), np.array([1.0, 2.0]))
    live.advance(999)
    assert live.value.tolist() == [1.0, 2.0]
    live.advance(1_000)
    assert live.value.tolist() == [2.0]
    live.advance(5_000)
    assert (len(live), live.statistics(), live.last, live.rate()) == (0, None, None, None)


def test_the_rate_is_the_rise_per_second_between_the_ends() -> None:
    live = Rolling(60_000)
    live.add(np.array([0]), np.array([10.0]))
    assert live.rate() is None
    live.add(np.array([4_000, 5_000]), np.array([0.0, 30.0]))
    assert live.rate() == 4.0


def test_gaps_are_left_out_but_move_the_window() -> None:
    live = Rolling(1_000)
    live.add(np.array([0, 900, 1_500]), np.array([1.0, 2.0, np.nan]))
    assert live.value.tolist() == [2.0]


def test_memory_stays_bounded_on_a_long_stream() -> None:
    live = Rolling(10_000, most=100)
    for k in range(300):
        live.add(np.arange(50) + 50 * k, np.full(50, float(k)))
        assert live.is_cut == (k >= 2)
        assert len(live) == min(100, 50 * (k + 1))
    assert live._t.size <= 400
    live.advance(100_000)
    assert not live.is_cut


def test_more_at_once_than_it_holds_keeps_the_newest() -> None:
    live = Rolling(10_000, most=3)
    live.add(np.arange(5), np.arange(5.0))
    assert (live.value.tolist(), live.is_cut) == ([2.0, 3.0, 4.0], True)


def test_samples_from_the_past_are_refused() -> None:
    live = Rolling(1_000)
    live.add(np.array([100]), np.array([1.0]))
    with pytest.raises(InputError, match="99 ms comes after 100"):
        live.add(np.array([99]), np.array([1.0]))
    with pytest.raises(InputError, match="must ascend"):
        live.add(np.array([200, 150]), np.array([1.0, 2.0]))
    with pytest.raises(InputError, match="one length"):
        live.add(np.array([300]), np.array([1.0, 2.0]))
    with pytest.raises(InputError, match="window_ms 0"):
        Rolling(0)
