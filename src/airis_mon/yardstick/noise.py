"""How often people are told, of what really went wrong and of nothing: what is done today, on worlds with a truth.

Arms: fixed lines, the specification's z-score, and Prometheus rules, all grouped as Alertmanager does. A fault counts
if users felt it. It is found when a message within its time names an alert that began then, of what tells of it in all
of the yardstick (`episodes.asked`), or of what users see.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from airis_mon.correlate.group import Firing, Grouping, Notification, notifications
from airis_mon.series.batch import Values
from airis_mon.series.labels import Labels
from airis_mon.series.steps import Steps
from airis_mon.simulate.truth import Verdict as Truth
from airis_mon.simulate.truth import verdicts
from airis_mon.simulate.world import World
from airis_mon.yardstick.base import NOT_BUILT, Answer, Estimate, Row, Tell, resampled, untold
from airis_mon.yardstick.episodes import asked
from airis_mon.yardstick.redrawn import percentile, ratio
from airis_mon.yardstick.rulesarm import fired, metrics_read, rule_metrics
from airis_mon.yardstick.scraped import scraped
from airis_mon.yardstick.thresholds import SIGNALS, Level, Watched, above, far, lines_of, watched
from airis_mon.yardstick.worlds import LAST_MS, Spec, described, specs

LEVELS = (*(Level(share) for share in (0.99, 0.999, 0.9999, 1.0)), *(Level(1.0, room) for room in (1.25, 1.5, 2, 3)))
"""Where fixed lines are tried; each world's lines are drawn through its own history, as a team would for its system."""
DAY_MS, MINUTE_MS = 86_400_000, 60_000
BY_NAME, BY_SERVICE = Grouping(("alertname",)), Grouping(("service", "host"))
STATIC, Z_SCORE = "fixed lines", "rolling z-score 2.5"
RULES, RULES_BY_SERVICE, OURS = "Prometheus rules, by alertname", "Prometheus rules, by service and host", "ours"
_MESSAGES, _FAULTS, _ALERTS, _DAYS = range(4)
_NAMES = ("service", "host", "client", "server")
REMARKS = (
    "All arms are grouped as Alertmanager 0.25 does: wait 30 s, interval 5 min, repeat 4 h, by alertname unless said.",
    "Alertmanager has no virtual time, so weeks cannot be played to it: its grouping is a model, held to it by tests.",
    "A message counts when an alert fires in it, whatever it tells of; one that only tells of ends does not.",
    "Delays count from when users first felt the fault; what was told before counts as 0 minutes.",
    "Compression is 1 - messages / alerts; alerts are stretches of firing, each label set by itself, of the same arm.",
    "Found by chance: the same faults' times and places held against the messages of the same world without faults.",
    "Fixed lines and z-score see the signals of yardstick/thresholds.py; the rules are those of yardstick/rules.yml.",
)


@dataclass(frozen=True, slots=True)
class Event:
    """A fault that users felt: its time [start, end] ms, when they first felt it, and what it befell or reached."""

    start: int
    felt: int
    end: int
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tally:
    """What one arm told on one world. days: (messages, faults, alerts, 1) of each judged day.

    delays: minutes from when each fault was felt to its first message, NaN = missed. apt: of all messages, those that
    tell of a fault.
    """

    days: tuple[tuple[int, int, int, int], ...]
    delays: tuple[float, ...]
    apt: int

    @property
    def messages(self) -> int:
        """Of all judged days."""
        return sum(day[_MESSAGES] for day in self.days)


@dataclass(frozen=True, slots=True)
class Pair:
    """One arm on a world and on its twin without faults, whose `delays` say what is found by chance."""

    spec: Spec
    faulty: Tally
    quiet: Tally


def answer(*, quick: bool, tell: Tell) -> Answer:
    """Measures every arm on the test worlds; the lines are chosen on training worlds. Takes minutes."""
    began = time.perf_counter()
    train = [s for s in specs("train", quick=quick) if s.seed == specs("train")[0].seed]
    test = list(specs("test", quick=quick))
    level, tried = _chosen(train, lambda part, note: tell(0.12 * part, note))
    pairs = measured(test, level, lambda part, note: tell(0.12 + 0.85 * part, note))
    rows = []
    for part in ("", *dict.fromkeys(s.topology for s in test)):
        for arm, found in pairs.items():
            some = [p for p in found if part in {"", p.spec.topology}]
            rows.append(Row(arm, f"test {part}".strip(), figures(some)))
    rows.append(Row(OURS, "test", {}, NOT_BUILT))
    tell(1.0, "noise")
    return Answer(
        "noise",
        on=described([*train, *test]) | {"quiet": "the same worlds with no faults a day"},
        chosen={
            "fixedLines": _words(level),
            "on": "train, by the best F1 of messages and faults",
            "tried": {_words(one): round(f1, 3) for one, f1 in tried.items()},
        },
        rows=tuple(rows),
        not_built=("notifications of ours: they are sent of incidents, which do not exist yet",),
        seconds=time.perf_counter() - began,
        remarks=REMARKS,
    )


# --- arms on worlds -----------------------------------------------------------------------------------------------


def _chosen(train: Sequence[Spec], tell: Tell) -> tuple[Level, dict[Level, float]]:
    """(the level of fixed lines with the best F1 on training worlds, the F1 of each that was tried)."""
    tallies: dict[Level, list[Tally]] = defaultdict(list)
    for k, spec in enumerate(train):
        tell(k / len(train), f"training world {spec.name}")
        world = spec.world()
        events, seen = _events(world, spec), _seen(world, rules=False)[0]
        for level in LEVELS:
            lines = lines_of(seen, _judged_ms(spec), level)
            tallies[level].append(tally(above(seen, lines), BY_NAME, events, spec))
    f1 = {level: _f1(some) for level, some in tallies.items()}
    best = max(LEVELS, key=lambda level: f1[level])
    return best, f1


def measured(test: Sequence[Spec], level: Level, tell: Tell = untold) -> dict[str, list[Pair]]:
    """Every arm on every world and its quiet twin."""
    found: dict[str, list[Pair]] = defaultdict(list)
    for k, spec in enumerate(test):
        tell(k / len(test), f"world {spec.name}")
        world = spec.world()
        events, (seen, rules) = _events(world, spec), _seen(world)
        lines = lines_of(seen, _judged_ms(spec), level)
        faulty = _arms(seen, rules, spec, events, lines)
        tell((k + 0.7) / len(test), f"world {spec.name} without faults")
        calm = _quiet(spec)
        quiet = _arms(*_seen(calm.world()), calm, events, lines)
        for arm in faulty:
            found[arm].append(Pair(spec, faulty[arm], quiet[arm]))
    return dict(found)


def _arms(
    seen: Watched, rules: Sequence[Firing], spec: Spec, events: Sequence[Event], lines: Mapping[str, float]
) -> dict[str, Tally]:
    """Every arm on a world."""
    return {
        STATIC: tally(above(seen, lines), BY_NAME, events, spec),
        Z_SCORE: tally(far(seen), BY_NAME, events, spec),
        RULES: tally(rules, BY_NAME, events, spec),
        RULES_BY_SERVICE: tally(rules, BY_SERVICE, events, spec),
    }


def _seen(world: World, *, rules: bool = True) -> tuple[Watched, list[Firing]]:
    """(the signals of a world, the alerts of the rules)."""
    source = scraped(world, rule_metrics() | metrics_read(tuple(SIGNALS.values())))
    settings = world.settings
    steps = Steps(settings.start_ms, settings.step_ms, settings.steps)
    return watched(source, steps), fired(source, steps) if rules else []


def _quiet(spec: Spec) -> Spec:
    return replace(spec, faults_per_day=0.0)


def _judged_ms(spec: Spec) -> int:
    return spec.settings.start_ms + round(spec.history_days * DAY_MS)


def _events(world: World, spec: Spec) -> list[Event]:
    """The faults that users felt, after the history and with time left to show."""
    last = world.settings.end_ms - LAST_MS
    truth = [v for v in verdicts(world, _judged_ms(spec), world.settings.end_ms) if not v.is_history]
    return [event_of(world, v) for v in truth if v.fault.onset_ms < last and v.is_valid]


def event_of(world: World, truth: Truth) -> Event:
    """A fault that users felt; found by what tells of it in all of the yardstick."""
    stretch = asked(world.topology, truth)
    return Event(stretch.begin, truth.impact_ms or truth.fault.full_ms, stretch.end, stretch.entities)


# --- one arm on one world -----------------------------------------------------------------------------------------


def tally(alerts: Sequence[Firing], grouping: Grouping, events: Sequence[Event], spec: Spec) -> Tally:
    """What an arm's alerts come to, once they are grouped."""
    begin, end = _judged_ms(spec), spec.settings.end_ms
    told = [n for n in notifications(alerts, grouping, end) if n.t >= begin and n.firing]
    messages = _per_day((n.t for n in told), begin, end)
    faults = _per_day((e.start for e in events), begin, end)
    raised = _per_day((a.start for a in alerts), begin, end)
    delays = _delays(alerts, told, events)
    apt = sum(any(e.start <= n.t <= e.end and _names_any(n.firing, e) for e in events) for n in told)
    return Tally(tuple(zip(messages, faults, raised, [1] * len(messages), strict=True)), tuple(delays), apt)


def _per_day(times: Iterator[int], begin: int, end: int) -> list[int]:
    """How many on each day."""
    days = max(1, round((end - begin) / DAY_MS))
    at = np.array(list(times), np.int64)
    at = at[(at < end) & (at >= begin)]
    counts: list[int] = np.bincount(np.minimum((at - begin) // DAY_MS, days - 1), minlength=days).tolist()
    return counts


def _delays(alerts: Sequence[Firing], told: Sequence[Notification], events: Sequence[Event]) -> Iterator[float]:
    """Minutes from when each fault was felt until somebody was told of it, NaN = nobody ever was."""
    times: dict[Labels, list[int]] = defaultdict(list)
    for one in told:
        for labels in one.firing:
            times[labels].append(one.t)
    ordered = sorted(alerts, key=lambda a: a.start)
    starts = [a.start for a in ordered]
    for event in events:
        during = ordered[bisect_left(starts, event.start) : bisect_left(starts, event.end + 1)]
        firsts = (
            _first(times[a.labels], a.start) for a in during if a.labels in times and _names_any([a.labels], event)
        )
        first = min((t for t in firsts if t is not None and t <= event.end), default=None)
        yield np.nan if first is None else max(0, first - event.felt) / MINUTE_MS


def _first(times: Sequence[int], since: int) -> int | None:
    at = bisect_left(times, since)
    return times[at] if at < len(times) else None


def _names_any(some: Sequence[Labels], event: Event) -> bool:
    """Whether one of the alerts is of what the fault befell or reached; what users see always is."""
    return any(
        (name in _NAMES and value in event.names) or name == "handler" for labels in some for name, value in labels
    )


def _f1(some: Sequence[Tally]) -> float:
    """Of the share of messages that tell of a fault, and the share of faults that are told."""
    messages = sum(t.messages for t in some)
    delays = [d for t in some for d in t.delays]
    precision = sum(t.apt for t in some) / max(messages, 1)
    recall = sum(not np.isnan(d) for d in delays) / max(len(delays), 1)
    return 2 * precision * recall / max(precision + recall, 1e-9)


# --- figures ------------------------------------------------------------------------------------------------------


def figures(pairs: Sequence[Pair]) -> dict[str, Estimate]:
    """The measures of one arm on some worlds, with their intervals."""
    days = resampled([np.array(p.faulty.days) for p in pairs])
    quiet = resampled([np.array(p.quiet.days) for p in pairs])
    faults = resampled([_missed(p.faulty) for p in pairs])
    chance = resampled([_missed(p.quiet) for p in pairs])
    return {
        "messagesPerFault": days.estimate(lambda x: ratio(x[..., _MESSAGES], x[..., _FAULTS])),
        "missed": faults.estimate(lambda x: ratio(x[..., 0], x[..., 1])),
        "foundByChance": chance.estimate(lambda x: 1 - ratio(x[..., 0], x[..., 1])),
        "messagesPerQuietWeek": quiet.estimate(lambda x: 7 * ratio(x[..., _MESSAGES], x[..., _DAYS])),
        "delayMinutesP50": _delay(pairs, 50),
        "delayMinutesP95": _delay(pairs, 95),
        "compression": days.estimate(lambda x: 1 - ratio(x[..., _MESSAGES], x[..., _ALERTS])),
    }


def _missed(tally: Tally) -> Values:
    """(fault, 2): 1 where it was missed, and 1."""
    return np.array([(float(np.isnan(d)), 1.0) for d in tally.delays]).reshape(-1, 2)


def _delay(pairs: Sequence[Pair], percent: float) -> Estimate:
    """Over the faults that were found."""
    return percentile([[d for d in p.faulty.delays if not np.isnan(d)] for p in pairs], percent)


def _words(level: Level) -> str:
    return f"{level.room:g} x the {level.share:g} quantile of the history"
