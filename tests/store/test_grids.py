"""Functions of windows inside the store against Prometheus' arithmetic in plain Python (`windows`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airis_mon.errors import QueryCancelled, QueryError, QueryTimeout
from airis_mon.query.ranges import over
from airis_mon.query.values import Runs, Scalar
from airis_mon.series.batch import STALE, Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.series.matchers import Matcher
from airis_mon.series.slopes import SLOPES
from airis_mon.series.steps import Steps
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.base import Grid
from tests.series import windows
from tests.series.windows import Sample
from tests.store.conftest import Open

pytestmark = [pytest.mark.live, pytest.mark.slow]
both_ways = pytest.mark.parametrize("open_store", ["embedded", "http"], indirect=True)
T = 1_760_000_400_000
MINUTE, DAY = 60_000, 86_400_000
AHEAD = 123.456
FUNCTIONS = (
    *("last", "timestamp", "rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear"),
    *("changes", "resets", "min_over_time", "max_over_time", "avg_over_time", "sum_over_time"),
    *("count_over_time", "last_over_time", "present_over_time"),
)
_numbers = itertools.count()


class World:
    """A store with some series, and what Prometheus would answer of them. Samples may be in any order."""

    def __init__(self, store: ClickHouse, series: Sequence[Sequence[Sample]]) -> None:
        self.store, self.catalogue = store, Catalogue()
        names = [canonical([("__name__", f"m{next(_numbers)}")]) for _ in series]
        self.sids = [self.catalogue.intern(name) for name in names]
        self.samples = [sorted(samples) for samples in series]
        self.write(series)

    def write(self, series: Sequence[Sequence[Sample]]) -> None:
        rows = [(sid, t, v) for sid, samples in zip(self.sids, series, strict=True) for t, v in samples]
        sid, t, value = zip(*rows, strict=True)
        batch = Batch(np.array(sid, np.int32), np.array(t, np.int64), np.array(value, np.float64))
        self.store.write(self.catalogue, batch, f"b{next(_numbers)}")

    @property
    def fps(self) -> list[int]:
        return [int(self.catalogue.fp[sid]) for sid in self.sids]

    def grid(self, function: str, steps: Steps, window: int) -> Grid:
        return self.store.grid(self.fps, function, steps, window, [AHEAD] if function == "predict_linear" else [])

    def check(self, steps: Steps, window: int, functions: Sequence[str] = FUNCTIONS) -> None:
        for function in functions:
            grid = self.grid(function, steps, window)
            assert (np.diff(grid.fp.astype(object)) > 0).all()
            assert grid.value.shape == grid.has.shape == (len(grid.fp), steps.count)
            assert np.isnan(grid.value[~grid.has]).all()
            assert grid.has.any(axis=1).all()
            row = {fp: i for i, fp in enumerate(grid.fp.tolist())}
            for fp, samples in zip(self.fps, self.samples, strict=True):
                got = [None] * steps.count
                if fp in row:
                    cells = zip(grid.value[row[fp]].tolist(), grid.has[row[fp]].tolist(), strict=True)
                    got = [v if there else None for v, there in cells]
                want = [expected(function, samples, t, window) for t in steps.t.tolist()]
                for t, a, b in zip(steps.t.tolist(), got, want, strict=True):
                    assert alike(function, a, b, samples), (function, t - T, window, a, b, samples)


def expected(function: str, samples: Sequence[Sample], t: int, window: int) -> float | None:
    if function not in {"last", "timestamp"}:
        return windows.compute(function, [s for s in samples if not is_marker(s[1])], t, window, [AHEAD])
    inside = windows.window(samples, t, window)
    if not inside or is_marker(inside[-1][1]):
        return None
    return windows.last(inside) if function == "last" else windows.stamp(inside)


def alike(function: str, got: float | None, want: float | None, samples: Sequence[Sample]) -> bool:
    """Slopes and samples have the very bits; sums may be added up in another order."""
    if got is None or want is None:
        return got is want
    if function in {"sum_over_time", "avg_over_time"}:
        size = max((abs(v) for _, v in samples if math.isfinite(v)), default=0.0)
        return (math.isnan(got) and math.isnan(want)) or math.isclose(got, want, rel_tol=1e-12, abs_tol=1e-15 * size)
    if function in {"delta", "irate"}:
        return (math.isnan(got) and math.isnan(want)) or math.isclose(got, want, rel_tol=1e-12)
    return np.array_equal(got, want, equal_nan=True)


def is_marker(value: float) -> bool:
    return np.float64(value).view(np.uint64) == STALE.view(np.uint64)


def scraped(rng: np.random.Generator, n: int = 60, gap: int = 15_000, late: int = 0, lost: float = 0.2) -> list[int]:
    """Times of scrapes, some of which are late or lost."""
    t = T + np.arange(n) * gap + rng.integers(0, late + 1, n)
    return [int(x) for x in t[rng.random(n) >= lost]]


def counter(rng: np.random.Generator, times: Sequence[int], digits: int, start: float = 0.0) -> list[Sample]:
    value, samples = start, []
    for t in times:
        value = 0.0 if rng.random() < 0.08 else value + round(float(rng.random()) * 40, digits)
        samples.append((t, value))
    return samples


def chosen(rng: np.random.Generator, times: Sequence[int], values: Sequence[float]) -> list[Sample]:
    return [(t, float(values[i])) for t, i in zip(times, rng.integers(0, len(values), len(times)), strict=True)]


def zoo(rng: np.random.Generator) -> list[list[Sample]]:
    inf, nan, marker = math.inf, math.nan, float(STALE)
    return [
        counter(rng, scraped(rng), 0),
        counter(rng, scraped(rng, late=14_000), 2),
        counter(rng, scraped(rng, late=3), 17, start=1e9),
        counter(rng, scraped(rng, lost=0.6), 17, start=1e15),
        [(t, float(rng.normal())) for t in scraped(rng)],
        [(t, 1e9 + float(rng.normal())) for t in scraped(rng, late=2_000)],
        [(t, 0.1) for t in scraped(rng)],
        [(t, 1 / 3 * (1 + i // 20)) for i, t in enumerate(scraped(rng))],
        [(t, float(rng.random())) for t in scraped(rng, n=12, gap=200_000)],
        [(T + 100_001, 5.25)],
        chosen(rng, scraped(rng), [0.1, 0.2, -0.3, 0.7]),
        chosen(rng, scraped(rng), [0.0, -0.0]),
        chosen(rng, scraped(rng), [nan, 1.0, 2.0]),
        chosen(rng, scraped(rng), [nan]),
        chosen(rng, scraped(rng), [inf]),
        chosen(rng, scraped(rng), [inf, *[1.0, 2.0, 3.0] * 6]),
        chosen(rng, scraped(rng), [inf, -inf, nan, *[1.0, 2.0, 3.0] * 6]),
        chosen(rng, scraped(rng), [marker, *[1.0, 2.5, nan] * 4]),
        [*counter(rng, scraped(rng, n=30), 1), (T + 31 * 15_000, marker)],
    ]


@both_ways
def test_every_function_equals_prometheus_on_every_kind_of_series(open_store: Open) -> None:
    rng = np.random.default_rng(4)
    world = World(open_store(), zoo(rng))
    assert world.store.grid_functions == set(FUNCTIONS)
    for steps, window in (
        (Steps(T - 60_000, 15_000, 70), MINUTE),
        (Steps(T - 7, 31_000, 40), 5 * MINUTE),
        (Steps(T, 60_000, 20), 30_000),
        (Steps(T + 500, 5_234, 40), 15_500),
        (Steps(T, 500, 40), 500),
        (Steps(T, 400_000, 7), 300 * DAY),
        (Steps.at(T + 300_000), 5 * MINUTE),
    ):
        world.check(steps, window)


def test_slopes_are_the_same_whether_the_store_computes_them_or_the_algebra_from_samples(open_store: Open) -> None:
    world = World(open_store(), zoo(np.random.default_rng(5)))
    numbers = [[s for s in samples if not is_marker(s[1])] for samples in world.samples]
    t, value = zip(*itertools.chain.from_iterable(numbers), strict=True)
    bounds = np.cumsum([0, *map(len, numbers)])
    runs = Runs([(("fp", str(fp)),) for fp in world.fps], bounds, np.array(t, np.int64), np.array(value, np.float64))
    for steps, window in ((Steps(T - 7, 31_000, 40), 5 * MINUTE), (Steps.at(T + 300_000), 5 * MINUTE)):
        ahead = Scalar(np.full(steps.count, AHEAD))
        for function in SLOPES:
            ours = over(function, runs, steps.t, window, [ahead], steps.t, lambda: None).present()
            grid = world.grid(function, steps, window)
            row = {str(fp): i for i, fp in enumerate(grid.fp.tolist())}
            order = [row[labels[0][1]] for labels in ours.labels]
            assert len(order) == len(row) > 10
            np.testing.assert_array_equal(ours.has, grid.has[order])
            np.testing.assert_array_equal(ours.value, grid.value[order])


@both_ways
def test_a_window_has_its_end_and_not_its_beginning(open_store: Open) -> None:
    world = World(open_store(), [[(T, 1.0), (T + 10_000, 3.0), (T + 20_000, 2.0)]])
    steps = Steps(T - 1, 1, 30_003)
    for function, first, last in (("count_over_time", T, T + 29_999), ("last", T, T + 29_999)):
        grid = world.grid(function, steps, 10_000)
        there = steps.t[grid.has[0]]
        assert (there.min(), there.max()) == (first, last)
    counts = world.grid("count_over_time", Steps(T, 10_000, 3), 10_000)
    assert counts.value.tolist() == [[1.0, 1.0, 1.0]]
    counts = world.grid("count_over_time", Steps(T, 10_000, 3), 10_001)
    assert counts.value.tolist() == [[1.0, 2.0, 2.0]]


@both_ways
def test_an_instant_selector_sees_nothing_after_a_staleness_marker(open_store: Open) -> None:
    values = [1.5, 2.5, float(STALE), 4.5]
    world = World(open_store(), [list(zip([T, T + 15_000, T + 30_000, T + 60_000], values, strict=True))])
    last = world.grid("last", Steps(T, 15_000, 8), MINUTE)
    assert last.has.tolist() == [[True, True, False, False, True, True, True, True]]
    assert last.value[last.has].tolist() == [1.5, 2.5, 4.5, 4.5, 4.5, 4.5]
    assert world.grid("last_over_time", Steps(T, 15_000, 8), MINUTE).has.all()


@both_ways
def test_of_equal_times_the_greatest_number_counts_once_in_every_function(open_store: Open) -> None:
    kept = [[(T, 2.0), (T + 15_000, 3.0), (T + 30_000, 3.5), (T + 45_000, math.nan), (T + 60_000, 1.0)]] * 2
    world = World(open_store(), kept)
    less = [(T, -1.0), (T, 2.0), (T + 30_000, 3.0), (T + 30_000, math.nan), (T + 60_000, float(STALE))]
    for _ in range(2):  # a part of its own each time
        world.write([less, []])
    world.write([[], less])
    world.check(Steps(T, 15_000, 8), MINUTE)
    (fp, _) = world.fps
    assert world.store.samples([fp], T, T + 30_000).value.tolist() == [2.0, 3.0, 3.5]


def times_and_values() -> st.SearchStrategy[list[Sample]]:
    values = st.one_of(
        st.integers(-5, 5).map(float),
        st.integers(-1000, 1000).map(lambda n: n / 10),
        st.floats(-1e6, 1e6).map(lambda v: round(v, 6)),
        st.sampled_from([math.nan, math.inf, -math.inf, float(STALE), -0.0, 1e15, 1e-12]),
    )
    times = st.integers(-100, 100).map(lambda n: T + n * 500)
    return st.lists(st.tuples(times, values), min_size=1, max_size=25, unique_by=lambda sample: sample[0])


def test_any_samples_steps_and_window_give_what_prometheus_gives(open_store: Open) -> None:
    store = open_store()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(times_and_values(), min_size=1, max_size=6),
        st.integers(-120, 120),
        st.integers(1, 80),
        st.integers(1, 12),
        st.integers(1, 250),
    )
    def holds(series: list[list[Sample]], start: int, step: int, count: int, window: int) -> None:
        steps = Steps.at(T + start * 500) if count == 1 else Steps(T + start * 500, step * 250, count)
        World(store, series).check(steps, window * 250)

    holds()


def test_the_mean_of_huge_values_is_finite_and_of_infinite_ones_is_not(open_store: Open) -> None:
    huge = [(T + i, v) for i, v in enumerate([1.7e308, 1.7e308, 1.1e308, 1.7e308])]
    world = World(open_store(), [huge, [(T, math.inf), (T + 1, 1.0)], [(T, 0.1), (T + 1, 0.3)]])
    grid = world.grid("avg_over_time", Steps.at(T + 9), 10)
    means = dict(zip(grid.fp.tolist(), grid.value[:, 0].tolist(), strict=True))
    assert [means[fp] for fp in world.fps] == [pytest.approx(1.55e308), math.inf, 0.2]


@both_ways
def test_series_without_a_value_are_left_out_and_steps_beyond_all_time_are_empty(open_store: Open) -> None:
    world = World(open_store(), [[(T, 1.0)], [(T + DAY, 1.0)]])
    first, _ = world.fps
    grid = world.store.grid([*world.fps, 7], "last", Steps(T, 1000, 3), MINUTE)
    assert grid.fp.tolist() == [first]
    ages = Steps(-(10**15), 10**13, 2_000)  # from 29,000 years ago to 300,000 years ahead
    assert world.store.grid(world.fps, "count_over_time", ages, 10**15).value.shape == (2, 2_000)
    for fps, steps, window in (
        ([], Steps(T, 1000, 3), MINUTE),
        ([7], Steps(T, 1000, 3), MINUTE),
        (world.fps, Steps(T, 1000, 3), 0),
        (world.fps, Steps(-(10**15), 1000, 3), MINUTE),
        (world.fps, Steps(10**15, 1000, 3), MINUTE),
    ):
        for function in ("last", "rate"):
            grid = world.store.grid(fps, function, steps, window)
            assert (grid.fp.shape, grid.value.shape, grid.has.shape) == ((0,), (0, 3), (0, 3))


def test_steps_on_both_sides_of_what_times_can_be_keep_their_places(open_store: Open) -> None:
    earliest = -2_208_988_800_000
    world = World(open_store(), [[(earliest + 1_000, 1.0), (earliest + 3_000, 3.0)]])
    steps = Steps(earliest - 2_000, 1_000, 7)
    assert world.grid("count_over_time", steps, 2_500).has.tolist() == [[False] * 3 + [True] * 4]
    assert world.grid("increase", steps, 2_500).has.tolist() == [[False] * 5 + [True] + [False]]


@both_ways
def test_other_series_of_the_metric_stay_out_whether_the_catalogue_knows_them_or_not(open_store: Open) -> None:
    store, catalogue = open_store(), Catalogue()
    names = [canonical([("__name__", "m"), ("i", str(i))]) for i in range(400)]
    sids = np.array([catalogue.intern(name) for name in names], np.int32)
    store.write(catalogue, Batch(sids, np.full(400, T), np.arange(400.0)), "t")
    young = Catalogue()  # as after a start that has met only some series again
    met = np.array([young.intern(name) for name in names[:150]], np.int32)
    store.write(young, Batch(met, np.full(150, T + 1000), np.ones(150)), "u")
    for some in (slice(0, 150), slice(0, 3), slice(20, 140), slice(3, 290), slice(0, 400)):
        fps = sorted(int(catalogue.fp[sid]) for sid in sids[some])
        for function in ("count_over_time", "last"):
            assert store.grid(fps, function, Steps(T + 1000, 1000, 2), MINUTE).fp.tolist() == fps
        assert set(store.grid(fps, "increase", Steps(T + 1000, 1000, 2), MINUTE).fp.tolist()) <= set(fps)


def test_an_answer_of_many_cells_is_put_together_from_pieces(open_store: Open) -> None:
    world = World(open_store(), [[(T + i * 1000, float(i))] for i in range(450)])
    grid = world.grid("last", Steps(T, 1, 10_000), 1_500)  # 4.5 million cells
    number = dict(zip(world.fps, range(450), strict=True))
    values = [number[fp] for fp in grid.fp.tolist()]
    assert sorted(values) == list(range(10))
    for row, i in enumerate(values):
        assert grid.has[row].nonzero()[0].tolist() == list(range(i * 1000, min(i * 1000 + 1_500, 10_000)))


def test_samples_closer_than_reckoned_are_read_in_halves(open_store: Open) -> None:
    store, catalogue = open_store(), Catalogue()
    sids = [catalogue.intern(canonical([("__name__", "m"), ("i", str(i))])) for i in range(3)]
    n = 1_500_000
    for sid in sids:
        store.write(catalogue, Batch(np.full(n, sid, np.int32), T + np.arange(n), np.arange(n) * 2.0), str(sid))
    grid = store.grid([int(catalogue.fp[sid]) for sid in sids], "increase", Steps.at(T + n - 1), n)
    assert grid.value.tolist() == [[2.0 * (n - 1)]] * 3


def test_a_query_that_needs_more_memory_than_there_is_says_what_to_do(open_store: Open) -> None:
    n = 1_000_000
    store, catalogue = open_store(), Catalogue()
    sid = catalogue.intern(canonical([("__name__", "m")]))
    store.write(catalogue, Batch(np.full(n, sid, np.int32), T + np.arange(n), np.random.default_rng(0).random(n)), "t")
    store = open_store(memory_bytes=40_000_000)
    with pytest.raises(QueryError, match=r"too many samples into memory.*shorter time") as caught:
        store.grid([int(catalogue.fp[sid])], "sum_over_time", Steps.at(T + n), 2 * n)
    assert not isinstance(caught.value, QueryTimeout)
    assert store.grid([int(catalogue.fp[sid])], "sum_over_time", Steps.at(T + 10), 10).has.all()


@both_ways
def test_a_query_ends_when_its_time_is_over(open_store: Open) -> None:
    world = World(open_store(), [[(T + i * 1000, float(i)) for i in range(1000)]] * 20)
    for timeout_s in (0.0, -1.0, 0.000_001):
        with pytest.raises(QueryTimeout, match="query timed out in expression evaluation"):
            world.store.grid(world.fps, "max_over_time", Steps(T, 100, 10_000), DAY, (), timeout_s)
        with pytest.raises(QueryTimeout, match="query timed out in expression evaluation"):
            world.store.samples(world.fps, T, T + DAY, None, timeout_s)
        with pytest.raises(QueryTimeout, match="query timed out in expression evaluation"):
            world.store.series([Matcher("__name__", "=~", "m.*")], None, None, 10, timeout_s)
    assert world.store.grid(world.fps, "last", Steps.at(T), MINUTE, (), 5.0).has.all()


def test_a_query_that_nobody_waits_for_ends_before_its_next_part(open_store: Open) -> None:
    world, calls = World(open_store(), [[(T, 1.0)]] * 3), 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise QueryCancelled("the query was cancelled")

    with pytest.raises(QueryCancelled):
        world.store.grid(world.fps, "last", Steps(T, 1, 4_000_000), MINUTE, (), None, check)
    assert calls == 5


def test_samples_and_series_are_not_read_for_nobody(open_store: Open) -> None:
    world = World(open_store(), [[(T, 1.0)]])

    def gone() -> None:
        raise QueryCancelled("the query was cancelled")

    with pytest.raises(QueryCancelled):
        world.store.samples(world.fps, T, T, None, None, gone)
    with pytest.raises(QueryCancelled):
        world.store.series([Matcher("__name__", "=", "m0")], None, None, 10, None, gone)
