"""What is asked of a Prometheus: which metrics, in which order, how many of them in one question. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from airis_mon.ingest.base import Missing
from airis_mon.series.labels import METRIC
from airis_mon.series.matchers import Matcher, parse_selector

Matchers = tuple[Matcher, ...]

ALERTS = "ALERTS"
FIRING = parse_selector('ALERTS{alertstate="firing"}')
"""What the rules of the server raised: always taken, whatever `match` means."""
GUESSED_INTERVAL_MS = 15_000
"""Time between two samples of a series before any was seen."""
MOST_NAMES = 300
"""Metrics of one question: its pattern stays a few kB."""
_GOLDEN = re.compile(
    r"(?:^|[_:.])(?:duration|latency|requests?|errors?|cpu|memory|filesystem|disk|network|queue|up)(?:$|[_:.])"
)
_SPECIAL = re.compile(r"[^\w:]", re.ASCII)
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One question: some metrics under the conditions of one selector."""

    matchers: Matchers
    names: tuple[str, ...]

    @property
    def selector(self) -> str:
        """The part in PromQL."""
        if len(self.names) == 1:
            name = Matcher(METRIC, "=", self.names[0])
        else:
            name = Matcher(METRIC, "=~", "|".join(_SPECIAL.sub(lambda c: f"\\{c[0]}", n) for n in self.names))
        return selector([name, *(m for m in self.matchers if m != name)])

    def halves(self) -> tuple[Part, ...]:
        """Two parts of half the metrics each; nothing when there is one."""
        at = len(self.names) // 2
        return (Part(self.matchers, self.names[:at]), Part(self.matchers, self.names[at:])) if at else ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The metrics to take, by selector and most important first, and those for which there is no room.

    chosen: ALERTS come first. left_out: names; series: how many series are expected of each metric.
    """

    chosen: tuple[tuple[Matchers, tuple[str, ...]], ...]
    left_out: tuple[str, ...]
    series: Mapping[str, int]

    def parts(self, span_ms: int, rates: Mapping[str, float], most_samples: float) -> Iterator[Part]:
        """The questions about a window of `span_ms`, each of about `most_samples`; rates: samples per ms, by name."""
        for matchers, names in self.chosen:
            taken: list[str] = []
            size = 0.0
            for name in names:
                more = rates.get(name, 0.0) * span_ms
                if taken and (size + more > most_samples or len(taken) >= MOST_NAMES):
                    yield Part(matchers, tuple(taken))
                    taken, size = [], 0.0
                taken.append(name)
                size += more
            if taken:
                yield Part(matchers, tuple(taken))


def selector(matchers: Iterable[Matcher]) -> str:
    """The selector of some conditions, as PromQL writes it."""
    return "{" + ",".join(map(str, matchers)) + "}"


def make_plan(
    found: Sequence[tuple[Matchers, Sequence[str]]], series: Mapping[str, int], max_series: int, *, firing: bool = True
) -> Plan:
    """Chooses from the metrics that each selector found; those with golden signals first, then by number of series.

    series: of each metric; a metric that it does not name had none when they were counted, and counts as one.
    firing: whether firing alerts are asked for, too, whatever the selectors mean.
    """
    names = {name for _, every in found for name in every if name != ALERTS}
    room = max_series
    kept, left_out = set(), []
    for name in sorted(names, key=lambda n: (not is_golden(n), series.get(n, 1), n)):
        if (size := series.get(name, 1)) <= room:
            room -= size
            kept.add(name)
        else:
            left_out.append(name)
    order = {name: i for i, name in enumerate(sorted(kept, key=lambda n: (not is_golden(n), n)))}
    chosen: list[tuple[Matchers, tuple[str, ...]]] = [(FIRING, (ALERTS,))] if firing else []
    for matchers, every in found:
        if mine := sorted(kept & set(every), key=order.__getitem__):
            chosen.append((matchers, tuple(mine)))
        if ALERTS in every:
            chosen.append((matchers, (ALERTS,)))
    return Plan(tuple(chosen), tuple(left_out), {n: series.get(n, 1) for n in [*kept, *left_out]})


def is_golden(name: str) -> bool:
    """Whether a metric's name speaks of load, errors, latency or saturation."""
    return _GOLDEN.search(name) is not None


def in_words(names: Sequence[str]) -> str:
    """Some names, as a person is told of them."""
    shown = ", ".join(sorted(names)[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def merged(missing: Iterable[Missing]) -> tuple[Missing, ...]:
    """What is missing, in fewer words: neighbours in time become one, metrics with one fate too."""
    lasting: dict[tuple[str, str], list[Missing]] = {}
    for m in sorted(missing, key=lambda m: m.start):
        known = lasting.setdefault((m.what, m.why), [])
        if known and known[-1].end >= m.start:
            known[-1] = Missing(known[-1].start, max(known[-1].end, m.end), m.what, m.why)
        else:
            known.append(m)
    alike: dict[tuple[int, int, str], list[str]] = {}
    for m in (m for every in lasting.values() for m in every):
        alike.setdefault((m.start, m.end, m.why), []).append(m.what)
    return tuple(Missing(start, end, in_words(what), why) for (start, end, why), what in sorted(alike.items()))
