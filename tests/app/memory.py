"""What rules are tested on: series in memory that are asked as a store is, into which rules write, and a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from airis_mon.app.evaluate import Ask, GroupRun
from airis_mon.app.rulerun import Made
from airis_mon.query.engine import Answer, Bounds, Deadline, QueryEngine
from airis_mon.query.rulefile import parse_rules
from airis_mon.query.templates import Expander
from airis_mon.series.batch import STALE, Batch, empty_batch, is_stale
from airis_mon.series.labels import METRIC, Labels, canonical, fingerprint, without
from airis_mon.series.matchers import Matcher, compile_matchers, parse_selector
from airis_mon.series.steps import Steps
from airis_mon.store.base import Columns, Grid, SeriesRow

T0 = 1_800_000_000_000
STEP = 15_000


def labels_of(series: str) -> Labels:
    """`a{x="1"}` as labels."""
    return canonical((m.name, m.value) for m in parse_selector(series))


class Memory:
    """A source of queries: samples by series and time; of two at one time a number stays, not a marker."""

    grid_functions = frozenset({"last", "timestamp"})

    def __init__(self) -> None:
        self.rows: dict[Labels, dict[int, float]] = {}
        self.fps: dict[int, Labels] = {}
        self.writes: list[list[Labels]] = []
        self.engine = QueryEngine(self, Bounds(steps=100_000))
        self._columns: dict[Labels, tuple[int, np.ndarray, np.ndarray]] = {}

    def put(self, series: str, *values: float | None, start: int = T0, step: int = STEP) -> None:
        """Samples of a series such as `a{x="1"}`, one a step; None = there is none."""
        samples = {start + i * step: v for i, v in enumerate(values) if v is not None}
        self._add(labels_of(series), samples)

    def remove(self, series: str) -> None:
        """As if it had never been."""
        labels = labels_of(series)
        del self.rows[labels], self.fps[fingerprint(labels)]

    def _add(self, labels: Labels, samples: dict[int, float]) -> None:
        self.fps[fingerprint(labels)] = labels
        have = self.rows.setdefault(labels, {})
        for t, value in samples.items():
            if not np.isnan(value) or t not in have:
                have[t] = value

    def write(self, made: Sequence[Made]) -> list[Batch]:
        """As rules write."""
        self.writes.append([labels for one in made for labels in one.series.labels])
        for one in made:
            for labels, value, has in zip(one.series.labels, one.series.value, one.series.has, strict=True):
                self._add(labels, dict(zip(one.t[has].tolist(), value[has].tolist(), strict=True)))
        return [empty_batch() for _ in made]

    def ask(self, text: str, steps: Steps) -> Answer:
        return self.engine.query(text, steps, Deadline.after(60))

    def stored(self, metric: str, **wanted: str) -> dict[str, dict[int, float | str]]:
        """The samples of a metric by its other labels, as text; `end` where a marker is."""
        found = {}
        for labels, samples in sorted(self.rows.items()):
            have = dict(labels)
            if have[METRIC] == metric and wanted.items() <= have.items():
                name = ",".join(f"{k}={v}" for k, v in without(labels, METRIC, *wanted))
                ends = {t: bool(is_stale(np.array([v]))[0]) for t, v in samples.items()}
                found[name] = {t: "end" if ends[t] else v for t, v in sorted(samples.items())}
        return found

    def series(
        self,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> list[SeriesRow]:
        matches = compile_matchers(matchers)
        return [SeriesRow(fp, labels, 0) for fp, labels in sorted(self.fps.items()) if matches(labels)][:limit]

    def grid(
        self,
        fps: Sequence[int],
        function: str,
        steps: Steps,
        window: int,
        args: Sequence[float] = (),
        timeout_s: float | None = None,
        check: Any = None,
    ) -> Grid:
        value = np.full((len(fps), steps.count), np.nan)
        has = np.zeros(value.shape, np.bool_)
        for row, fp in enumerate(fps):
            t, v = self._column(self.fps[fp])
            at = np.searchsorted(t, steps.t, side="right") - 1
            has[row] = (at >= 0) & (t[at] > steps.t - window) & ~is_stale(v[at])
            value[row, has[row]] = (v if function == "last" else t / 1000)[at[has[row]]]
        keep = has.any(axis=1)
        return Grid(np.array(fps, np.uint64)[keep], value[keep], has[keep])

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = None,
        timeout_s: float | None = None,
        check: Any = None,
    ) -> Columns:
        parts = [(fp, *self._column(self.fps[fp])) for fp in sorted(fps)]
        within = [(fp, t, v, (t >= start) & (t <= end)) for fp, t, v in parts]
        fp = np.array([fp for fp, _, _, keep in within for _ in range(int(keep.sum()))], np.uint64)
        t = np.concatenate([np.empty(0, np.int64), *(t[keep] for _, t, _, keep in within)])
        return Columns(fp, t, np.concatenate([np.empty(0), *(v[keep] for _, _, v, keep in within)]))

    def _column(self, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
        samples = self.rows[labels] or {-1: STALE}
        size, t, v = self._columns.get(labels, (-1, np.empty(0), np.empty(0)))
        if size != len(samples):  # a value that changes without a time more is not seen: rules write none
            t = np.array(sorted(samples), np.int64)
            v = np.array([samples[at] for at in t.tolist()])
            self._columns[labels] = len(samples), t, v
        return t, v


class Room:
    """A group of rules on a memory; told: (name, state, summary) of every alert that was told."""

    def __init__(self, rules: str, *, memory: Memory | None = None, is_saving: bool = True, **of_group: Any) -> None:
        self.memory = memory or Memory()
        self.asked: list[tuple[str, Steps]] = []
        self.alerts: list[Any] = []
        self.fails: dict[str, Exception] = {}
        self.run = group_of(rules, self.ask, is_saving=is_saving, **of_group)

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(a.name, a.state, dict(a.annotations).get("summary", "")) for a in self.alerts]

    def ask(self, text: str, steps: Steps) -> Any:
        self.asked.append((text, steps))
        for part, error in self.fails.items():
            if part in text:
                raise error
        return self.memory.ask(text, steps)

    def go(self, first: int, count: int = 1) -> None:
        """Evaluates a block of steps, counted from T0."""
        steps = Steps(T0 + first * STEP, STEP if count > 1 else 1, count)
        self.run.evaluate(steps, self.ask, self.memory.write, self.alerts.append)

    def stored(self, metric: str, **wanted: str) -> dict[str, dict[int, Any]]:
        """As `Memory.stored`, times as steps."""
        found = self.memory.stored(metric, **wanted)
        return {name: {(t - T0) // STEP: v for t, v in samples.items()} for name, samples in found.items()}

    def active(self, name: str) -> list[Any]:
        return sorted(self.rule(name).alerts, key=lambda alert: alert.labels)

    def rule(self, name: str) -> Any:
        return next(run for run in self.run.rules if run.name == name)


def group_of(rules: str, ask: Ask, *, is_saving: bool = True, **of_group: Any) -> GroupRun:
    """A group of rules, written as the items of a list."""
    lines = "".join(f"    {line}\n" for line in rules.strip("\n").splitlines())
    (group,) = parse_rules("r.yml", f"groups:\n- name: g\n  rules:\n{lines}")
    expander = Expander(lambda text, t: ask(text, Steps.at(t)).value, {"region": "eu"}, "http://mon")
    return GroupRun(replace(group, **of_group), expander, interval_ms=STEP, is_saving=is_saving)


def seen(room: Room) -> Any:
    rows = {
        labels: sorted((t, np.float64(v).tobytes()) for t, v in samples.items())
        for labels, samples in room.memory.rows.items()
    }
    told: dict[Any, list[Any]] = {}
    for alert in room.alerts:
        told.setdefault(alert.labels, []).append(alert)
    rules = [(run.health, sorted(map(repr, run.alerts)), sorted(run.shown)) for run in room.run.rules]
    run = room.run
    return rows, told, rules, (run.evaluations, run.failures, run.rounds, run.last_evaluation)
