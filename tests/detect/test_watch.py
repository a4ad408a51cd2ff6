"""What is watched, by which signal, and in which slot."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.detect.watch import Watch
from airis_mon.series.batch import STALE, Batch
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.series.labels import canonical
from airis_mon.series.matchers import parse_selector

STEP = 15_000


class Bank:
    """A bank that remembers what it was told."""

    def __init__(self):
        self.size = 0
        self.seeds = {}
        self.borrowed = {}
        self.released = []
        self.lends = False

    def reserve(self, n):
        first, self.size = self.size, self.size + n
        return first

    def seed_constant(self, slot, value, t_first, t_last, n):
        self.seeds[slot] = (value, t_first, t_last, n)

    def borrow(self, slot, donors):
        self.borrowed[slot] = donors.tolist()
        return self.lends

    def release(self, slots):
        self.released += slots.tolist()


class World:
    """A catalogue, a bank and a watch, and short ways to feed them."""

    def __init__(self, types=None, **settings):
        self.catalogue = Catalogue()
        self.bank = Bank()
        self.declare(types or {})
        self.watch = Watch(self.catalogue, self.bank, **settings)

    def declare(self, types):
        take_types(self.catalogue, [(name, kind) for name, kind in types.items()])

    def sid(self, name, **labels):
        return self.catalogue.intern(canonical([("__name__", name), *labels.items()]))

    def fp(self, name, **labels):
        return int(self.catalogue.fp[self.sid(name, **labels)])

    def route(self, *samples):
        """(sid, t, value) ... -> [(kind, t, value), ...]"""
        sid, t, value = zip(*samples, strict=True)
        signals = self.watch.route(Batch(np.array(sid, np.int32), np.array(t, np.int64), np.array(value, float)))
        return [
            (self.watch.signal(s).kind, int(u), float(v))
            for s, u, v in zip(signals.slot, signals.t, signals.value, strict=True)
        ]

    def feed(self, sid, values, start=0, step=STEP):
        return self.route(*[(sid, start + i * step, v) for i, v in enumerate(values)])

    def reason(self, name, **labels):
        found = self.watch.coverage(parse_selector(f'{{"{name}"}}'))
        return next(item.reason for item in found.items if item.fp == self.fp(name, **labels))


def test_a_gauge_is_watched_by_its_value_once_it_changes():
    world = World({"temp": MetricType.GAUGE})
    sid = world.sid("temp")
    assert world.feed(sid, [5, 5, 5]) == []
    assert world.feed(sid, [7, 7, 6], start=3 * STEP) == [("value", (3 + i) * STEP, v) for i, v in enumerate([7, 7, 6])]
    assert world.bank.seeds == {0: (5.0, 0, 2 * STEP, 3)}


@pytest.mark.parametrize("values", [[5, 7], [5, 5, 7]])
def test_a_gauge_that_changes_early_is_watched_from_its_first_sample(values):
    world = World({"temp": MetricType.GAUGE})
    assert world.feed(world.sid("temp"), values) == [("value", i * STEP, v) for i, v in enumerate(values)]
    assert world.bank.seeds == {}


def test_a_constant_holds_no_slot_until_it_changes_and_then_its_past_is_known():
    world = World()
    up = world.sid("up", job="api")
    assert world.feed(up, [1] * 500) == []
    assert world.bank.size == 0
    assert world.reason("up", job="api") == "constant"
    assert world.feed(up, [0], start=500 * STEP) == [("value", 500 * STEP, 0.0)]
    assert world.bank.seeds == {0: (1.0, 0, 499 * STEP, 500)}
    assert world.reason("up", job="api") == "value"


def test_a_counter_is_watched_by_its_rate_per_second_and_a_reset_counts_from_zero():
    world = World({"http_requests": MetricType.COUNTER})
    got = world.feed(world.sid("http_requests_total"), [100, 115, 145, 15])
    assert got == [("rate", STEP, 1.0), ("rate", 2 * STEP, 2.0), ("rate", 3 * STEP, 1.0)]


def test_a_counter_that_stood_still_is_seeded_with_a_zero_rate():
    world = World()
    errors = world.sid("errors_total")
    assert world.feed(errors, [7] * 10 + [22]) == [("rate", 10 * STEP, 1.0)]
    assert world.bank.seeds == {0: (0.0, STEP, 9 * STEP, 9)}


def test_a_counter_starts_anew_after_five_minutes_and_after_a_stale_marker():
    world = World()
    sid = world.sid("a_total")
    world.feed(sid, [0, 15])
    assert world.feed(sid, [1000, 1015], start=STEP + 300_001) == [("rate", 2 * STEP + 300_001, 1.0)]
    assert world.feed(sid, [STALE, 5000, 5015], start=10_000_000) == [("rate", 10_000_000 + 2 * STEP, 1.0)]


def test_gaps_and_samples_that_are_not_newer_give_nothing():
    world = World({"temp": MetricType.GAUGE})
    sid = world.sid("temp")
    world.feed(sid, [1, 2])
    assert world.route((sid, STEP, 9), (sid, 0, 9), (sid, 2 * STEP, math.nan), (sid, 3 * STEP, math.inf)) == []
    assert world.route((sid, 4 * STEP, STALE), (sid, 5 * STEP, 3)) == [("value", 5 * STEP, 3.0)]


def test_a_gap_in_a_counter_is_bridged_by_its_next_sample():
    world = World()
    sid = world.sid("a_total")
    assert world.feed(sid, [0, 15, math.nan, 75]) == [("rate", STEP, 1.0), ("rate", 3 * STEP, 2.0)]


def test_an_untyped_series_that_only_rises_becomes_a_counter_by_behaviour():
    world = World()
    sid = world.sid("packets")
    assert world.feed(sid, [15 * i for i in range(30)]) == []
    assert world.feed(sid, [450, 480], start=30 * STEP) == [("rate", 30 * STEP, 1.0), ("rate", 31 * STEP, 2.0)]
    assert world.reason("packets") == "guessed"


def test_an_untyped_series_that_falls_is_a_gauge_at_once():
    world = World()
    assert world.feed(world.sid("load"), [1, 2, 1.5, 1.6])[0] == ("value", STEP, 2.0)


def test_an_untyped_series_that_rises_seldom_is_a_gauge():
    world = World()
    sid = world.sid("disk_used")
    world.feed(sid, [10] * 20 + [11] * 11)
    assert world.feed(sid, [12], start=31 * STEP) == [("value", 31 * STEP, 12.0)]


def test_a_supposed_counter_that_falls_a_little_is_a_gauge_after_all():
    world = World()
    sid = world.sid("memory_used")
    world.feed(sid, [1000 + i for i in range(32)])
    assert world.feed(sid, [1020, 1025], start=32 * STEP) == [
        ("value", 32 * STEP, 1020.0),
        ("value", 33 * STEP, 1025.0),
    ]
    assert world.watch.in_use == 1
    world.feed(sid, [1026], start=34 * STEP)
    assert world.bank.released == [0]


def test_a_supposed_counter_that_restarts_stays_a_counter():
    world = World()
    sid = world.sid("packets")
    world.feed(sid, [15 * i for i in range(31)])
    assert world.feed(sid, [30], start=31 * STEP) == [("rate", 31 * STEP, 2.0)]


def test_a_type_that_becomes_known_later_decides_anew():
    world = World()
    requests, size = world.sid("requests"), world.sid("size")
    world.feed(size, [3, 2, 4])
    world.feed(requests, [30, 45, 60])
    world.declare({"requests": MetricType.COUNTER, "size": MetricType.COUNTER})
    assert world.feed(requests, [75], start=3 * STEP) == [("rate", 3 * STEP, 1.0)]
    assert world.reason("size") == "constant"
    assert world.watch.in_use == 1


@pytest.mark.parametrize(
    ("name", "labels", "reason"),
    [
        ("build_info", {}, "info"),
        ("process_start_time_seconds", {}, "timestamp"),
        ("requests_created", {}, "timestamp"),
        ("last_backup_timestamp_seconds", {}, "timestamp"),
        ("odd", {"le": "1"}, "bucket"),
    ],
)
def test_what_measures_nothing_is_skipped_unless_it_is_selected(name, labels, reason):
    world = World()
    sid = world.sid(name, **labels)
    assert world.feed(sid, [3, 2, 1]) == []
    assert world.reason(name, **labels) == reason
    forced = World(select=[f'{{"{name}"}}'])
    assert forced.feed(forced.sid(name, **labels), [3, 2, 1]) == [("value", i * STEP, 3.0 - i) for i in range(3)]


def test_drop_wins_over_select_and_what_is_not_selected_is_skipped():
    world = World(select=["cpu", "mem"], drop=['{instance="b"}'])
    a, b, c = world.sid("cpu", instance="a"), world.sid("cpu", instance="b"), world.sid("disk")
    assert world.route(*[(s, i * STEP, v) for i, v in enumerate([3, 2, 1]) for s in (a, b, c)]) != []
    assert world.reason("cpu", instance="a") == "value"
    assert world.reason("cpu", instance="b") == "dropped"
    assert world.reason("disk") == "unselected"


def test_beyond_max_signals_the_reason_is_the_limit_until_slots_come_back():
    world = World({"g": MetricType.GAUGE}, max_signals=2)
    sids = [world.sid("g", i=str(i)) for i in range(3)]
    for i, values in enumerate([(1, 1, 1), (2, 2, 2)]):
        got = world.route(*[(s, i * STEP, v) for s, v in zip(sids, values, strict=True)])
    assert len(got) == 4
    assert world.reason("g", i="2") == "limit"
    assert world.watch.coverage().skipped == {"limit": 1}
    world.watch.evict(np.array(sids[:1], np.int32))
    world.route((sids[2], 2 * STEP, 5), (sids[2], 3 * STEP, 6))
    assert world.reason("g", i="2") == "value"
    assert world.watch.in_use == 2


def test_slots_of_evicted_series_are_released_and_used_again():
    world = World({"g": MetricType.GAUGE})
    a = world.sid("g", i="a")
    world.feed(a, [1, 2])
    world.watch.evict(np.array([a], np.int32))
    assert world.bank.released == [0]
    b = world.sid("g", i="b")
    world.feed(b, [1, 2])
    assert world.bank.size == 1
    assert world.watch.slots_of(world.fp("g", i="b")) == [0]


def test_a_new_series_borrows_from_like_ones_of_its_job():
    world = World({"g": MetricType.GAUGE})
    world.bank.lends = True
    for job, instance in [("x", "a"), ("x", "b"), ("y", "c"), ("x", "d")]:
        world.feed(world.sid("g", job=job, instance=instance), [1, 2])
    assert world.bank.borrowed == {1: [0], 3: [0, 1]}
    assert world.bank.seeds == {}


def test_a_long_constant_life_is_worth_more_than_borrowed_knowledge():
    world = World()
    world.bank.lends = True
    world.feed(world.sid("up", i="a"), [1, 0])
    world.feed(world.sid("up", i="b"), [1] * 40 + [0])
    assert world.bank.seeds[1] == (1.0, 0, 39 * STEP, 40)


def test_our_own_metrics_are_not_judged_unless_asked_for():
    names = ("aiops_anomaly_score", "airis_series")
    world = World(dict.fromkeys(names, MetricType.GAUGE))
    for name in names:
        assert world.feed(world.sid(name), [1, 2, 3]) == []
    assert world.watch.coverage(reason="ours").matched == 2


# --- histograms and summaries ---------------------------------------------------------------------------------------


def histogram(world, name="lat", **labels):
    bounds = ["0.1", "0.5", "1", "+Inf"]
    return [
        *[world.sid(f"{name}_bucket", le=b, **labels) for b in bounds],
        world.sid(f"{name}_sum", **labels),
        world.sid(f"{name}_count", **labels),
    ]


def scrape(sids, t, values):
    return [(s, t, v) for s, v in zip(sids, values, strict=True)]


EMPTY = [0, 0, 0, 0, 0, 0]
SOME = [15, 30, 30, 30, 9, 30]
MORE = [15, 130, 130, 130, 59, 130]


@pytest.mark.parametrize("types", [{}, {"lat": MetricType.HISTOGRAM}])
def test_a_histogram_is_watched_by_rate_mean_and_p99_instead_of_its_buckets(types):
    world = World(types)
    sids = histogram(world)
    assert world.route(*scrape(sids, 0, EMPTY)) == []
    assert world.route(*scrape(sids, STEP, SOME)) == [
        ("rate", STEP, 2.0),
        ("mean", STEP, pytest.approx(0.3)),
        ("p99", STEP, pytest.approx(0.1 + 0.4 * (29.7 - 15) / 15)),
    ]
    assert world.watch.in_use == 3
    assert world.reason("lat_bucket", le="0.5") == "family"
    assert len(world.watch.slots_of(world.fp("lat_sum"))) == 3


def test_a_quantile_beyond_the_last_bound_is_the_last_bound():
    world = World()
    sids = histogram(world)
    world.route(*scrape(sids, 0, EMPTY))
    assert world.route(*scrape(sids, STEP, [0, 0, 0, 30, 90, 30]))[2] == ("p99", STEP, 1.0)


def test_without_events_a_histogram_has_a_rate_but_no_mean_and_no_quantile():
    world = World()
    sids = histogram(world)
    world.route(*scrape(sids, 0, EMPTY), *scrape(sids, STEP, SOME))
    assert world.route(*scrape(sids, 2 * STEP, SOME)) == [("rate", 2 * STEP, 0.0)]


def test_a_histogram_that_never_counted_holds_no_slot():
    world = World()
    sids = histogram(world)
    for i in range(5):
        assert world.route(*scrape(sids, i * STEP, EMPTY)) == []
    assert world.reason("lat_count") == "constant"
    world.route(*scrape(sids, 5 * STEP, SOME))
    assert world.bank.seeds == {0: (0.0, STEP, 4 * STEP, 4)}


def test_a_histogram_that_restarts_counts_from_zero():
    world = World()
    sids = histogram(world)
    world.route(*scrape(sids, 0, EMPTY), *scrape(sids, STEP, MORE))
    assert world.route(*scrape(sids, 2 * STEP, SOME))[0] == ("rate", 2 * STEP, 2.0)


def test_members_that_arrive_apart_and_out_of_phase_give_the_same():
    together, apart = World(), World()
    rows = [EMPTY, SOME, MORE, [20, 140, 150, 160, 70, 160]]
    sids = histogram(together)
    want = together.route(*[x for i, row in enumerate(rows) for x in scrape(sids, i * STEP, row)])
    sids = histogram(apart)
    apart.route(*scrape(sids, 0, rows[0]))
    left = [x for i in (1, 2, 3) for x in scrape(sids[:3], i * STEP, rows[i][:3])]
    right = [x for i in (1, 2, 3) for x in scrape(sids[3:], i * STEP, rows[i][3:])]
    assert apart.route(*left) == []
    assert apart.route(*right) == want


def test_a_scrape_that_stays_incomplete_goes_into_the_next_complete_one():
    world = World()
    sids = histogram(world)
    world.route(*scrape(sids, 0, EMPTY), *scrape(sids[:-1], STEP, SOME[:-1]))
    assert world.route(*scrape(sids, 2 * STEP, [15, 60, 60, 60, 18, 60]))[0] == ("rate", 2 * STEP, 2.0)


def test_a_member_that_never_comes_back_stops_being_waited_for():
    world = World()
    sids = histogram(world)
    world.route(*scrape(sids, 0, EMPTY))
    got = [world.route(*scrape(sids[1:], i * STEP, [15 * i] * 3 + [i, 15 * i])) for i in range(1, 20)]
    assert got[-1][0] == ("rate", 19 * STEP, 1.0)


def test_a_histogram_whose_target_returns_starts_anew():
    world = World()
    sids = histogram(world)
    world.route(*scrape(sids, 0, EMPTY), *scrape(sids, STEP, SOME))
    assert world.route(*scrape(sids, 2 * STEP, [STALE] * 6)) == []
    got = [world.route(*scrape(sids, i * STEP, [v + 30 * i for v in MORE])) for i in range(3, 6)]
    assert got[:2] == [[], []]
    assert got[2][0] == ("rate", 5 * STEP, 2.0)


def test_a_bucket_that_appears_later_joins_its_histogram():
    world = World()
    sids = histogram(world)
    world.route(*scrape(sids, 0, EMPTY), *scrape(sids, STEP, SOME))
    late = world.sid("lat_bucket", le="0.2")
    got = [world.route(*scrape([late, *sids], i * STEP, [20 * i, *[30 * i] * 6])) for i in range(2, 6)]
    assert [kind for kind, _, _ in got[-1]] == ["rate", "mean", "p99"]
    assert got[-1][2][2] == pytest.approx(0.099)


def test_a_summary_is_watched_by_rate_and_mean_and_its_quantiles_by_value():
    world = World({"gc": MetricType.SUMMARY})
    total, count, q = world.sid("gc_sum"), world.sid("gc_count"), world.sid("gc", quantile="0.5")
    world.route((total, 0, 0), (count, 0, 0), (q, 0, 1))
    got = world.route((total, STEP, 45), (count, STEP, 30), (q, STEP, 2))
    assert got == [("rate", STEP, 2.0), ("mean", STEP, 1.5), ("value", 0, 1.0), ("value", STEP, 2.0)]


def test_untyped_sum_and_count_belong_together_and_a_count_alone_does_not():
    world = World()
    total, count, alone = world.sid("x_sum"), world.sid("x_count"), world.sid("thread_count")
    got = world.route(*[(s, i * STEP, v) for i, v in enumerate([4, 8, 7]) for s in (total, count, alone)])
    assert ("value", 2 * STEP, 7.0) in got
    assert {kind for kind, _, _ in got} == {"rate", "mean", "value"}


def test_an_untyped_count_joins_when_its_buckets_show_up_in_a_later_request():
    world = World()
    sids = histogram(world)
    world.route(*scrape(sids[4:], 0, EMPTY[4:]))
    world.route(*scrape(sids[:4], 0, EMPTY[:4]))
    for i in range(1, 4):
        got = world.route(*scrape(sids, i * STEP, [v * i for v in SOME]))
    assert [kind for kind, _, _ in got] == ["rate", "mean", "p99"]


def test_many_histograms_grow_the_columns_without_mixing():
    world = World()
    families = [histogram(world, pod=str(i)) for i in range(300)]
    for step in range(3):
        got = world.route(
            *[
                x
                for i, sids in enumerate(families)
                for x in scrape(sids, step * STEP, [v * step * (i + 1) for v in SOME])
            ]
        )
    assert [v for kind, _, v in got if kind == "rate"] == [pytest.approx(2.0 * (i + 1)) for i in range(300)]
    world.watch.evict(np.array([s for sids in families[:299] for s in sids], np.int32))
    assert world.watch.in_use == 3


# --- coverage, state, history ---------------------------------------------------------------------------------------


def test_coverage_counts_and_pages_what_is_asked_for():
    world = World({"g": MetricType.GAUGE})
    for i in range(5):
        world.feed(world.sid("g", i=str(i)), [1, 2])
    world.feed(world.sid("app_info"), [1, 1])
    page = world.watch.coverage(parse_selector("g"), offset=3, limit=10)
    assert (page.watched, page.skipped, page.signals, page.matched) == (5, {"info": 1}, 5, 5)
    assert [item.name for item in page.items] == ['g{i="3"}', 'g{i="4"}']
    assert page.items[0].signals == ("value",)
    skipped = world.watch.coverage(reason="info").items
    assert [(s.name, s.is_watched) for s in skipped] == [("app_info", False)]
    assert "detect.select" in skipped[0].words


def test_a_slot_that_nobody_holds_is_unknown():
    with pytest.raises(KeyError):
        World().watch.signal(0)


def mixed(world):
    return [
        world.sid("g", job="a"), world.sid("g", job="b"), world.sid("r_total"), world.sid("untyped"),
        *histogram(world), world.sid("alone_count"),
    ]  # fmt: skip


def samples_of(sids, steps, seed):
    rng = np.random.default_rng(seed)
    grown = np.cumsum(rng.integers(0, 9, (steps, len(sids))), axis=0).astype(float)
    grown[:, 0] = rng.integers(0, 2, steps)
    grown[:, 1] = 5
    grown[:, 3] = rng.normal(size=steps)
    grown[:, 4:8] = np.sort(grown[:, 4:8], axis=1)
    return [(s, i * STEP, grown[i, j]) for i in range(steps) for j, s in enumerate(sids)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 20 * 11), st.integers(0, 1000))
def test_a_restored_watch_continues_identically(cut, seed):
    world = World({"g": MetricType.GAUGE})
    samples = samples_of(mixed(world), 20, seed)
    if cut:
        world.route(*samples[:cut])
    state = world.watch.state()
    before = world.watch.in_use
    other = World({"g": MetricType.GAUGE})
    for sid in reversed(range(world.catalogue.size)):  # other numbers in another process
        other.catalogue.intern(world.catalogue.labels(sid))
    other.bank.size = world.bank.size
    other.watch = Watch.from_state(state, other.catalogue, other.bank)
    assert other.watch.in_use == before
    if cut < len(samples):
        renumbered = [(other.catalogue.intern(world.catalogue.labels(s)), t, v) for s, t, v in samples[cut:]]
        assert other.route(*renumbered) == world.route(*samples[cut:])
    assert set(other.watch.state()) == set(state)


def test_a_restored_watch_gives_back_the_slots_of_what_is_no_longer_wanted():
    world = World({"g": MetricType.GAUGE})
    for job in "ab":
        world.feed(world.sid("g", job=job), [1, 2])
    watch = Watch.from_state(world.watch.state(), world.catalogue, world.bank, drop=['{job="a"}'])
    assert watch.in_use == 1
    watch.state()
    assert world.bank.released == [0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 19 * 11), st.integers(0, 1000))
def test_history_recomputed_from_a_state_equals_what_was_live(cut, seed):
    world = World({"g": MetricType.GAUGE})
    sids = mixed(world)
    samples = samples_of(sids, 20, seed)
    if cut:
        world.route(*samples[:cut])
    state = world.watch.state()
    sid, t, value = (np.array(x) for x in zip(*samples[cut:], strict=True))
    born = set(world.watch.slots.held().tolist())
    live = world.watch.route(Batch(sid.astype(np.int32), t, value))
    order = np.lexsort((t, sid))  # as a store gives them
    for slot in born:
        got_t, got = world.watch.derive(slot, world.catalogue.fp[sid[order]], t[order], value[order], state)
        mine = live.slot == slot
        assert got_t.tolist() == live.t[mine].tolist()
        assert got.tolist() == live.value[mine].tolist()


def test_history_without_a_state_begins_with_the_second_sample_of_a_counter():
    world = World()
    sid = world.sid("a_total")
    world.feed(sid, [0, 0, 15])
    fp = np.full(3, world.catalogue.fp[sid])
    t, value = world.watch.derive(0, fp, np.array([0, STEP, 2 * STEP]), np.array([0.0, 0, 15]))
    assert (t.tolist(), value.tolist()) == ([STEP, 2 * STEP], [0.0, 1.0])
    assert world.watch.inputs(0) == [world.fp("a_total")]
