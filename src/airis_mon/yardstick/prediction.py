"""Who warns of a limit before it is hit, and how often of one that is never hit: leaks, filling volumes, certificates.

Arms: ours, a fixed share of the limit, and `predict_linear` as the node-exporter mixin has it. A fault is predicted
when a warning of the very thing that runs out is on when the limit is hit, and began at least half an hour before, but
not before the leak did: who always warns predicts nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from airis_mon.errors import AirisError
from airis_mon.forecast.exhaustion import Exhaustion, Outlook
from airis_mon.query.values import Vector
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import METRIC, Labels, without
from airis_mon.series.steps import Steps
from airis_mon.simulate.faults import Fault
from airis_mon.simulate.world import World
from airis_mon.yardstick.base import Answer, Row, Tell, untold
from airis_mon.yardstick.patterns import AFTER_MS, DAYS, METRIC_NAME, OWNER, patterns
from airis_mon.yardstick.prevention import claim, compared, false_per_host_week
from airis_mon.yardstick.rulesarm import metrics_read
from airis_mon.yardstick.scraped import Scraped, scraped
from airis_mon.yardstick.warned import (
    DAY_MS,
    STEP_MS,
    Flags,
    Judged,
    Limit,
    Told,
    brief,
    false_hours,
    figures,
    judge,
    recall,
    skill,
)
from airis_mon.yardstick.worlds import Spec, described, specs

DECOYS = ("gc_thrash", "traffic_surge", "host_failure", "cache_failure")
"""Sudden faults that move the same series and run into no limit."""
HELD_MS, MIXIN_HELD_MS = 300_000, 3_600_000
"""`for` of fixed shares, and of the mixin."""
SHARE, SHARES = 0.85, (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
MIXIN_USED = 0.6
MOST_FALSE_HOURS = 1.0
"""Per series-month: what the chosen share may cost on the training worlds. Hours, since most warnings there are of one
pod whose open files flap: no share of their limit keeps it silent for long."""
STATIC, CHOSEN = "fixed share 85 %", "fixed share chosen"
LINEAR, MIXIN, OURS = "predict_linear 6h -> 24h", "predict_linear 6h -> 24h and > 60 % used", "ours"
OTHERS = (LINEAR, MIXIN, OURS)
"""The arms that are no fixed share."""
AGAINST = (LINEAR, STATIC)
"""Whom the claim is held against."""
PARTS = ("test", "test patterns")
WRITTEN_FOR = "2"
"""The version of the world whose metrics, limits and leads RESOURCES and REMARKS describe."""
REMARKS = (
    "The time of the limit is the world's own: the moment at which it is reached, and the fault does its harm.",
    "Shares are of the limits that the world exports; caches and stores have no limit of memory and are not watched.",
    "The world has rises that harm nobody; `test patterns` has more: logs that rotate, caches, data loads, days.",
    "Its leaks take 6 to 72 h (yardstick/patterns.py). All of it is of our own making: only ratios between arms count.",
    "thread_leak has no limit and is left out. Leaks of the world take 2 to 20 h, so a lead of 24 h cannot be.",
    "In time: it is on when the limit is hit, and began after the onset. Breaks of up to 30 minutes end no warning.",
    "False: it began while nothing leaked into that series, be it before the judged days, or outlasts a leak by 6 h.",
    "False hours are those of false warnings while nothing leaks. Sudden faults belong to the background.",
    "Every arm is evaluated every 5 minutes; fixed shares hold for 5 minutes, predict_linear for 1 h as in the mixin.",
    "Ours was made on train, dev, worlds of their graphs with seeds 111-116, and patterns of seeds 801-805, 811-813.",
    "intervalCoverage: of the 90 % intervals stated when the warnings in time began.",
)


@dataclass(frozen=True, slots=True)
class Resource:
    """What runs out. used: in PromQL, a share of its limit, less = better; every: how often there is a sample."""

    used: str
    owner: str
    kind: str
    every: str = "1m"


RESOURCES = (
    Resource("container_memory_working_set_bytes / (container_spec_memory_limit_bytes > 0)", "pod", "memory_leak"),
    Resource("process_open_fds / (process_max_fds > 0)", "pod", "fd_leak"),
    Resource("volume_used_bytes / (volume_size_bytes > 0)", "service", "disk_fill"),
    Resource("1 - certificate_days_left / 90", "service", "certificate_expiry"),
    Resource("1 - node_filesystem_avail_bytes / (node_filesystem_size_bytes > 0)", "host", ""),
)
KINDS = tuple(r.kind for r in RESOURCES if r.kind)
PATTERN = Resource(METRIC_NAME, OWNER, "pattern", every="5m")
TEST_SEEDS = (901, 902, 903, 904, 905)
"""Of the patterns; nothing is chosen on these."""


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


def answer(*, quick: bool, tell: Tell) -> Answer:
    """Judges every arm on the test worlds; the chosen share is chosen on training worlds. Takes minutes."""
    began = time.perf_counter()
    check_version()
    train, test = specs("train", quick=quick), specs("test", quick=quick)
    tried = judged(train, {f"{share:g}": share for share in SHARES}, lambda part, note: tell(0.4 * part, note))
    share = chosen_share({float(name): some for name, some in tried.items() if name not in OTHERS})
    lines = {STATIC: SHARE, CHOSEN: share}
    found = judged(test, lines, lambda part, note: tell(0.4 + 0.55 * part, note))
    rows = [Row(arm, "test", figures(some)) for arm, some in found.items()]
    for kind in KINDS:
        rows += [Row(arm, f"test {kind}", figures([one.of(kind) for one in some])) for arm, some in found.items()]
    tell(0.95, "patterns")
    seeds = TEST_SEEDS[:1] if quick else TEST_SEEDS
    drawn = on_patterns(seeds, lines)
    rows += [Row(arm, "test patterns", figures(some)) for arm, some in drawn.items()]
    both = zip(PARTS, (found, drawn), strict=True)
    pairs = [(other, part, arms[OURS], arms[other]) for part, arms in both for other in AGAINST]
    for other, part, ours, theirs in pairs:
        measures = skill(ours, theirs) | compared(ours, theirs)
        rows.append(Row(f"{OURS} beside {other}", part, measures | {"falsePerHostWeek": false_per_host_week(ours)}))
    tell(1.0, "prediction")
    return Answer(
        "prediction",
        on=described([*train, *test]) | {"kinds": [*KINDS, *DECOYS], "patterns": list(seeds)},
        chosen={
            "share": share,
            "on": f"train, the best recall at no more than {MOST_FALSE_HOURS:g} false hours per series-month",
            "tried": {name: brief(some) for name, some in tried.items()},
        },
        rows=tuple(rows),
        claims=tuple(claim(*pair, quick=quick) for pair in pairs),
        seconds=time.perf_counter() - began,
        remarks=REMARKS,
    )


def check_version(version: str = World.version) -> None:
    """Raises AirisError for a world that this module was not written for: its figures would be of other limits."""
    if version != WRITTEN_FOR:
        raise AirisError(
            f"prediction was written for version {WRITTEN_FOR} of the world, this is {version}: see whether RESOURCES, "
            "REMARKS and docs/bench.md hold for it, then set WRITTEN_FOR"
        )


def chosen_share(tried: Mapping[float, Sequence[Judged]]) -> float:
    """The share with the best recall among those that warn falsely seldom enough, or else the most silent one."""
    silent = {share: some for share, some in tried.items() if false_hours(some) <= MOST_FALSE_HOURS}
    if not silent:
        return min(tried, key=lambda share: false_hours(tried[share]))
    return max(silent, key=lambda share: (recall(silent[share]), share))


# --- worlds -------------------------------------------------------------------------------------------------------


def judged(of: Sequence[Spec], lines: Mapping[str, float], tell: Tell = untold) -> dict[str, list[Judged]]:
    """Every arm on some worlds; lines: the fixed shares by arm."""
    found: dict[str, list[Judged]] = {arm: [] for arm in (*lines, *OTHERS)}
    for k, spec in enumerate(of):
        tell(k / len(of), f"world {spec.name}")
        for arm, one in _on(spec, lines).items():
            found[arm].append(one)
    return found


def _on(spec: Spec, lines: Mapping[str, float]) -> dict[str, Judged]:
    """Every arm on one world."""
    world = _world(spec)
    source = scraped(world, metrics_read([r.used for r in RESOURCES]))
    faults, found = _faults(world), {arm: Judged() for arm in (*lines, *OTHERS)}
    begin = world.settings.start_ms + round(spec.history_days * DAY_MS)
    for gauge in _gauges(world, source):
        struck = filled(gauge, faults)
        for arm, one in told(gauge, lines).items():
            found[arm] += judge(gauge.resource.kind, one, gauge.has, struck, begin, world.settings.end_ms)
    return found


def on_patterns(seeds: Sequence[int], lines: Mapping[str, float]) -> dict[str, list[Judged]]:
    """Every arm on the patterns of some seeds, after a day of history."""
    found: dict[str, list[Judged]] = {arm: [] for arm in (*lines, *OTHERS)}
    for seed in seeds:
        drawn = patterns(seed)
        steps = Steps.between(0, DAYS * DAY_MS - 1, STEP_MS)
        gauge = _gauge_of(Scraped([one.held for one in drawn]), PATTERN, steps)
        row_of = {owner: i for i, owner in enumerate(gauge.owners)}
        struck = [
            (Limit(PATTERN.kind, p.onset_ms, p.hit_ms, p.hit_ms + AFTER_MS), [row_of[p.name]])
            for p in drawn
            if p.hit_ms
        ]
        for arm, one in told(gauge, lines).items():
            found[arm].append(judge(PATTERN.kind, one, gauge.has, struck, DAY_MS, DAYS * DAY_MS))
    return found


def _world(spec: Spec) -> World:
    """The world of a spec, in which half of the faults run into limits."""
    return World(replace(spec.settings, kinds=(*KINDS, *DECOYS)), spec.seed)


def _faults(world: World) -> list[Fault]:
    """Whatever leaks in the days of a world, also towards a limit that lies behind their end."""
    settings = world.settings
    return [f for f in world.plan.faults(settings.start_ms, settings.end_ms) if f.kind in KINDS]


def _gauges(world: World, source: Scraped) -> list[Gauge]:
    settings = world.settings
    steps = Steps.between(settings.start_ms, settings.end_ms - 1, STEP_MS)
    found = [_gauge_of(source, resource, steps) for resource in RESOURCES]
    return [gauge for gauge in found if gauge.owners]


def _gauge_of(source: Scraped, resource: Resource, steps: Steps) -> Gauge:
    used = source.ask(resource.used, steps).value
    ahead = source.ask(f"predict_linear(({resource.used})[6h:{resource.every}], 86400)", steps).value
    if not isinstance(used, Vector) or not isinstance(ahead, Vector):
        raise TypeError(f"{resource.used} gives no vector")
    return _gauge(resource, used, ahead, steps)


def _gauge(resource: Resource, used: Vector, ahead: Vector, steps: Steps) -> Gauge:
    row_of = {without(one, METRIC): i for i, one in enumerate(ahead.labels)}
    labels = [without(one, METRIC) for one in used.labels]
    known = [i for i, one in enumerate(labels) if one in row_of]  # one sample alone makes no line
    line = np.full(used.value.shape, np.nan)
    line[known] = ahead.value[[row_of[labels[i]] for i in known]]
    owners = tuple(_owner(one, resource.owner) for one in labels)
    return Gauge(resource, owners, steps.t, used.value, line, used.has & np.isfinite(used.value))


def _owner(labels: Labels, name: str) -> str:
    return dict(labels)[name]


def filled(gauge: Gauge, faults: Sequence[Fault]) -> list[tuple[Limit, list[int]]]:
    """The faults of a gauge, each with the rows of the series that it fills."""
    found = []
    for fault in faults:
        if fault.kind == gauge.resource.kind:
            limit = Limit(fault.kind, fault.onset_ms, fault.full_ms, fault.end_ms)
            rows = [i for i, owner in enumerate(gauge.owners) if _is_struck(owner, gauge.resource.owner, fault)]
            found.append((limit, rows))
    return found


def _is_struck(owner: str, kind: str, fault: Fault) -> bool:
    """A pod gets a new name with every deploy, which still ends with the number of its replica."""
    return int(owner.rsplit("-", 1)[1]) in fault.replicas if kind == "pod" else owner == fault.entity


# --- arms ---------------------------------------------------------------------------------------------------------


def told(gauge: Gauge, lines: Mapping[str, float]) -> dict[str, Told]:
    """What every arm said; lines: the fixed shares by arm."""
    outlook = foreseen(gauge)
    others = {arm: Told(gauge.t, warns) for arm, warns in warnings(gauge, lines).items()}
    return others | {OURS: Told(gauge.t, outlook.warns, outlook)}


def foreseen(gauge: Gauge) -> Outlook:
    """Ours, as it runs live: step after step of what is used, from nothing known."""
    watch = Exhaustion(step_ms=STEP_MS)
    watch.reserve(len(gauge.owners))
    return watch.update(gauge.t, np.where(gauge.has, gauge.used, np.nan))


def warnings(gauge: Gauge, lines: Mapping[str, float]) -> dict[str, Flags]:
    """(s, steps) where each of the others warns; lines: the fixed shares by arm."""
    will = gauge.has & (gauge.ahead >= 1)
    static = {arm: held(gauge.has & (gauge.used > line), HELD_MS // STEP_MS) for arm, line in lines.items()}
    held_for = MIXIN_HELD_MS // STEP_MS
    return static | {LINEAR: held(will, held_for), MIXIN: held(will & (gauge.used > MIXIN_USED), held_for)}


def held(holds: Flags, steps: int) -> Flags:
    """(s, n) where it has held at this step and the `steps` before it, as `for` has it."""
    column = np.arange(holds.shape[1])
    last_not = np.maximum.accumulate(np.where(holds, -1, column), axis=1)
    return np.asarray(holds & (column - last_not > steps))
