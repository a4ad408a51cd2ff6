"""Who warns of a limit before it is hit, and how often of one that is never hit: leaks, filling volumes, certificates.

Arms: a fixed share of the limit, and `predict_linear` as the node-exporter mixin has it. A fault is predicted when a
warning of the very thing that runs out is on when the limit is hit, unbroken since at least half an hour before.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from airis_mon.query.values import Vector
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import METRIC, Labels, without
from airis_mon.series.steps import Steps
from airis_mon.simulate.faults import Fault
from airis_mon.simulate.world import World
from airis_mon.yardstick.base import NOT_BUILT, Answer, Estimate, Row, Tell, resampled, untold
from airis_mon.yardstick.patterns import AFTER_MS, DAYS, METRIC_NAME, OWNER, patterns
from airis_mon.yardstick.redrawn import percentile, ratio
from airis_mon.yardstick.rulesarm import metrics_read
from airis_mon.yardstick.scraped import Scraped, scraped
from airis_mon.yardstick.worlds import Spec, described, specs

DECOYS = ("gc_thrash", "traffic_surge", "host_failure", "cache_failure")
"""Sudden faults that move the same series and run into no limit."""
LEAST_LEAD_MS = 30 * 60_000
HELD_MS, MIXIN_HELD_MS = 300_000, 3_600_000
"""`for` of fixed shares, and of the mixin."""
STEP_MS = 300_000
SHARE, SHARES = 0.85, (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
MIXIN_USED = 0.6
MOST_FALSE = 0.2
"""Per series-month: what the chosen share may cost on the training worlds."""
HOUR_MS, DAY_MS, MONTH_DAYS = 3_600_000, 86_400_000, 30.44
STATIC, CHOSEN = "fixed share 85 %", "fixed share chosen"
LINEAR, MIXIN, OURS = "predict_linear 6h -> 24h", "predict_linear 6h -> 24h and > 60 % used", "ours"
REMARKS = (
    "The time of the limit is the world's own: the moment from which the fault does its harm.",
    "World 1 exports no limits: a leak harms once a series is a set share of the nominal limit above its usual level.",
    "That is taken for the limit, for all series alike; the usual level is the median of the history.",
    "World 1 has few harmless rises: `test patterns` has logs that rotate, caches that fill, data loads, days.",
    "Its leaks take 6 to 72 h (yardstick/patterns.py). All of it is of our own making: only ratios between arms count.",
    "thread_leak has no hard limit in world 1 and is left out. Leads are 2 to 20 h in it, so a lead of 24 h cannot be.",
    "A warning is false when it begins while nothing leaks into that series; sudden faults belong to the background.",
    "Every arm is evaluated every 5 minutes; fixed shares hold for 5 minutes, predict_linear for 1 h as in the mixin.",
)

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Resource:
    """What runs out. used: in PromQL, a share of the nominal limit, less = better; room: see REMARKS, NaN = all.

    every: how often there is a sample.
    """

    used: str
    owner: str
    kind: str
    room: float = np.nan
    every: str = "1m"


RESOURCES = (
    Resource("container_memory_working_set_bytes / 2^30", "pod", "memory_leak", 0.6),
    Resource("process_open_fds / 4096", "pod", "fd_leak", 0.75),
    Resource("volume_used_bytes / (100 * 2^30)", "service", "disk_fill", 0.6),
    Resource("1 - certificate_days_left / 90", "service", "certificate_expiry"),
    Resource("1 - node_filesystem_avail_bytes / (200 * 2^30)", "host", ""),
)
KINDS = tuple(r.kind for r in RESOURCES if r.kind)
PATTERN = Resource(METRIC_NAME, OWNER, "pattern", every="5m")
TEST_SEEDS = (901, 902, 903, 904, 905)
"""Of the patterns; nothing is chosen on patterns."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Something runs into a limit: it rises from onset_ms on, is full at full_ms and until end_ms."""

    kind: str
    onset_ms: int
    full_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Gauge:
    """The series of one resource over the steps of a world.

    used, ahead: (s, steps) share of the limit, now and as a line through 6 h has it in 24 h; has: (s, steps) where
    there is a sample.
    """

    resource: Resource
    owners: tuple[str, ...]
    t: Times
    used: Values
    ahead: Values
    has: Flags


@dataclass(frozen=True, slots=True)
class Case:
    """A limit that was hit: how many ms before each arm's warning began, NaN = it did not warn."""

    kind: str
    lead_ms: float


@dataclass(frozen=True, slots=True)
class Watch:
    """One series over the judged days: how many warnings it had of nothing."""

    kind: str
    false: int
    days: float


@dataclass(frozen=True, slots=True)
class Judged:
    """What one arm did on one world."""

    cases: tuple[Case, ...] = ()
    watches: tuple[Watch, ...] = ()

    def __add__(self, other: Judged) -> Judged:
        return Judged(self.cases + other.cases, self.watches + other.watches)

    def of(self, kind: str) -> Judged:
        """One kind of limit alone."""
        return Judged(tuple(c for c in self.cases if c.kind == kind), tuple(w for w in self.watches if w.kind == kind))


def answer(*, quick: bool, tell: Tell) -> Answer:
    """Judges every arm on the test worlds; the chosen share is chosen on training worlds. Takes minutes."""
    began = time.perf_counter()
    train, test = specs("train", quick=quick), specs("test", quick=quick)
    tried = judged(train, {f"{share:g}": share for share in SHARES}, lambda part, note: tell(0.4 * part, note))
    share = chosen_share({float(name): some for name, some in tried.items() if name not in {LINEAR, MIXIN}})
    lines = {STATIC: SHARE, CHOSEN: share}
    found = judged(test, lines, lambda part, note: tell(0.4 + 0.55 * part, note))
    rows = [Row(arm, "test", figures(some)) for arm, some in found.items()]
    for kind in KINDS:
        rows += [Row(arm, f"test {kind}", figures([one.of(kind) for one in some])) for arm, some in found.items()]
    tell(0.95, "patterns")
    seeds = TEST_SEEDS[:1] if quick else TEST_SEEDS
    rows += [Row(arm, "test patterns", figures(some)) for arm, some in on_patterns(seeds, lines).items()]
    rows.append(Row(OURS, "test", {}, NOT_BUILT))
    tell(1.0, "prediction")
    return Answer(
        "prediction",
        on=described([*train, *test]) | {"kinds": [*KINDS, *DECOYS], "patterns": list(seeds)},
        chosen={
            "share": share,
            "on": f"train, the best recall at no more than {MOST_FALSE} false warnings per series-month",
            "tried": {name: _brief(some) for name, some in tried.items()},
        },
        rows=tuple(rows),
        not_built=("warnings of ours: the forecast of limits does not exist yet",),
        seconds=time.perf_counter() - began,
        remarks=REMARKS,
    )


def chosen_share(tried: Mapping[float, Sequence[Judged]]) -> float:
    """The share with the best recall among those that warn falsely seldom enough, or else the most silent one."""
    silent = {share: some for share, some in tried.items() if false_rate(some) <= MOST_FALSE}
    if not silent:
        return min(tried, key=lambda share: false_rate(tried[share]))
    return max(silent, key=lambda share: (recall(silent[share]), share))


# --- worlds -------------------------------------------------------------------------------------------------------


def judged(of: Sequence[Spec], lines: Mapping[str, float], tell: Tell = untold) -> dict[str, list[Judged]]:
    """Every arm on some worlds; lines: the fixed shares by arm."""
    found: dict[str, list[Judged]] = {arm: [] for arm in (*lines, LINEAR, MIXIN)}
    for k, spec in enumerate(of):
        tell(k / len(of), f"world {spec.name}")
        for arm, one in _on(spec, lines).items():
            found[arm].append(one)
    return found


def _on(spec: Spec, lines: Mapping[str, float]) -> dict[str, Judged]:
    """Every arm on one world."""
    world = _world(spec)
    source = scraped(world, metrics_read([r.used for r in RESOURCES]))
    faults, found = _faults(world), {arm: Judged() for arm in (*lines, LINEAR, MIXIN)}
    begin = world.settings.start_ms + round(spec.history_days * DAY_MS)
    for gauge in _gauges(world, source, begin):
        struck = _struck(world, gauge, faults)
        for arm, warns in warnings(gauge, lines).items():
            found[arm] += judge(gauge, warns, struck, begin, world.settings.end_ms)
    return found


def on_patterns(seeds: Sequence[int], lines: Mapping[str, float]) -> dict[str, list[Judged]]:
    """Every arm on the patterns of some seeds, after a day of history."""
    found: dict[str, list[Judged]] = {arm: [] for arm in (*lines, LINEAR, MIXIN)}
    for seed in seeds:
        drawn = patterns(seed)
        steps = Steps.between(0, DAYS * DAY_MS - 1, STEP_MS)
        gauge = _gauge_of(Scraped([one.held for one in drawn]), PATTERN, steps, DAY_MS)
        row_of = {owner: i for i, owner in enumerate(gauge.owners)}
        struck = [
            (Limit(PATTERN.kind, p.onset_ms, p.hit_ms, p.hit_ms + AFTER_MS), [row_of[p.name]])
            for p in drawn
            if p.hit_ms
        ]
        for arm, warns in warnings(gauge, lines).items():
            found[arm].append(judge(gauge, warns, struck, DAY_MS, DAYS * DAY_MS))
    return found


def _world(spec: Spec) -> World:
    """The world of a spec, in which half of the faults run into limits."""
    return World(replace(spec.settings, kinds=(*KINDS, *DECOYS)), spec.seed)


def _faults(world: World) -> list[Fault]:
    """Whatever leaks in the days of a world, also towards a limit that lies behind their end."""
    settings = world.settings
    return [f for f in world.plan.faults(settings.start_ms, settings.end_ms) if f.kind in KINDS]


def _gauges(world: World, source: Scraped, begin: int) -> list[Gauge]:
    settings = world.settings
    steps = Steps.between(settings.start_ms, settings.end_ms - 1, STEP_MS)
    found = [_gauge_of(source, resource, steps, begin) for resource in RESOURCES]
    return [gauge for gauge in found if gauge.owners]


def _gauge_of(source: Scraped, resource: Resource, steps: Steps, begin: int) -> Gauge:
    used = source.ask(resource.used, steps).value
    ahead = source.ask(f"predict_linear(({resource.used})[6h:{resource.every}], 86400)", steps).value
    if not isinstance(used, Vector) or not isinstance(ahead, Vector):
        raise TypeError(f"{resource.used} gives no vector")
    return _gauge(resource, used, ahead, steps, begin)


def _gauge(resource: Resource, used: Vector, ahead: Vector, steps: Steps, begin: int) -> Gauge:
    labels = [without(one, METRIC) for one in used.labels]
    row_of = {without(one, METRIC): i for i, one in enumerate(ahead.labels)}
    rows = [row_of[one] for one in labels]
    limit = limits(resource, used, steps.t < begin)[:, np.newaxis]
    owners = tuple(_owner(one, resource.owner) for one in labels)
    return Gauge(
        resource, owners, steps.t, used.value / limit, ahead.value[rows] / limit, used.has & np.isfinite(used.value)
    )


def _owner(labels: Labels, name: str) -> str:
    return dict(labels)[name]


def limits(resource: Resource, used: Vector, is_past: Flags) -> Values:
    """(s,) the share of the nominal limit that is the limit."""
    if np.isnan(resource.room):
        return np.ones(len(used))
    past = np.where(used.has & np.isfinite(used.value), used.value, np.nan)[:, is_past]
    known = ~np.isnan(past).all(axis=1)
    usual = np.full(len(used), 1 - resource.room)  # a series without a history has the nominal limit
    usual[known] = np.nanmedian(past[known], axis=1)
    return np.minimum(usual + resource.room, 1.0)


def _struck(world: World, gauge: Gauge, faults: Sequence[Fault]) -> list[tuple[Limit, list[int]]]:
    """The faults of a gauge, each with the rows of the series that it fills."""
    found = []
    for fault in faults:
        if fault.kind == gauge.resource.kind:
            names = {fault.entity}
            if gauge.resource.owner == "pod":
                names = {f"{world.topology.names[world.topology.service[r]]}-{r}" for r in fault.replicas}
            limit = Limit(fault.kind, fault.onset_ms, fault.full_ms, fault.end_ms)
            found.append((limit, [i for i, owner in enumerate(gauge.owners) if owner in names]))
    return found


# --- arms ---------------------------------------------------------------------------------------------------------


def warnings(gauge: Gauge, lines: Mapping[str, float]) -> dict[str, Flags]:
    """(s, steps) where each arm warns; lines: the fixed shares by arm."""
    will = gauge.has & (gauge.ahead >= 1)
    static = {arm: held(gauge.has & (gauge.used > line), HELD_MS // STEP_MS) for arm, line in lines.items()}
    held_for = MIXIN_HELD_MS // STEP_MS
    return static | {LINEAR: held(will, held_for), MIXIN: held(will & (gauge.used > MIXIN_USED), held_for)}


def held(holds: Flags, steps: int) -> Flags:
    """(s, n) where it has held at this step and the `steps` before it, as `for` has it."""
    column = np.arange(holds.shape[1])
    last_not = np.maximum.accumulate(np.where(holds, -1, column), axis=1)
    return np.asarray(holds & (column - last_not > steps))


def judge(gauge: Gauge, warns: Flags, struck: Sequence[tuple[Limit, Sequence[int]]], begin: int, end: int) -> Judged:
    """One arm on one gauge, within [begin, end) ms."""
    leaking = np.zeros(warns.shape, np.bool_)
    cases = []
    for fault, rows in struck:
        for row in rows:
            leaking[row] |= (gauge.t >= fault.onset_ms) & (gauge.t <= fault.end_ms + STEP_MS)
        if begin <= fault.full_ms < end and rows:
            leads = [_lead(gauge.t, warns[row], fault.full_ms) for row in rows]
            cases.append(Case(fault.kind, float(np.nanmax(leads)) if not np.isnan(leads).all() else np.nan))
    starts = warns & ~np.pad(warns, ((0, 0), (1, 0)))[:, :-1]
    is_false = starts & ~leaking & (gauge.t >= begin)
    days = (end - begin) / DAY_MS
    watches = tuple(Watch(gauge.resource.kind, int(n), days) for n in is_false.sum(axis=1))
    return Judged(tuple(cases), watches)


def _lead(t: Times, warns: Flags, hit: int) -> float:
    """Ms from the start of the warning that is on at the last step before the limit is hit; NaN = none is."""
    at = int(np.searchsorted(t, hit)) - 1
    if at < 0 or not warns[at]:
        return np.nan
    before = np.flatnonzero(~warns[: at + 1])
    return float(hit - t[before[-1] + 1 if len(before) else 0])


# --- figures ------------------------------------------------------------------------------------------------------


def recall(some: Sequence[Judged]) -> float:
    """The share of limits that were warned of in time, NaN = there were none."""
    return figures(some)["recall30min"].value


def false_rate(some: Sequence[Judged]) -> float:
    """False warnings per series-month."""
    return figures(some)["falsePerSeriesMonth"].value


def figures(some: Sequence[Judged]) -> dict[str, Estimate]:
    """The measures of one arm on some worlds, with their intervals."""
    cases = resampled([np.array([(c.lead_ms >= LEAST_LEAD_MS, 1) for c in one.cases]) for one in some])
    watches = resampled([np.array([(w.false, w.days) for w in one.watches]) for one in some])
    leads = [[c.lead_ms / HOUR_MS for c in one.cases if c.lead_ms >= LEAST_LEAD_MS] for one in some]
    return {
        "recall30min": cases.estimate(lambda x: ratio(x[..., 0], x[..., -1])),
        "medianLeadHours": percentile(leads, 50),
        "falsePerSeriesMonth": watches.estimate(lambda x: MONTH_DAYS * ratio(x[..., 0], x[..., -1])),
    }


def _brief(some: Sequence[Judged]) -> dict[str, float]:
    return {name: round(one.value, 3) for name, one in figures(some).items() if name != "medianLeadHours"}
