"""A block of steps gives what its steps give, whatever its size."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.app.rulewriter import RuleWriter
from airis_mon.query.engine import Bounds, Deadline, QueryEngine
from airis_mon.series.admit import Limits
from airis_mon.series.batch import STALE, Batch, empty_batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import Labels
from airis_mon.series.steps import Steps
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.commit import GroupCommit
from tests.app.memory import STEP, T0, Memory, Room, group_of, seen

# --- blocks ----------------------------------------------------------------------------------------------------------

MANY = """
- record: high
  expr: a > 2
- record: pairs
  expr: a + on() group_left() b
- alert: Wait
  expr: high > 3
  for: 30s
  keep_firing_for: 30s
  annotations: {summary: "{{ $labels.x }} {{ $value }}"}
- alert: Graded
  expr: a > 1
  labels: {grade: "{{ if gt $value 3.0 }}bad{{ else }}fair{{ end }}"}
- alert: Asked
  expr: a > 3
  annotations: {summary: "{{ range query \\"high\\" }}{{ .Value }} {{ end }}"}
- record: fired
  expr: count by (alertname) (ALERTS{alertstate="firing"})
"""
VALUES = st.one_of(st.none(), st.sampled_from([0.0, 2.5, 3.5, 4.0, STALE]))
ROWS = st.lists(VALUES, min_size=12, max_size=12)


@settings(max_examples=40)
@given(
    st.fixed_dictionaries({'a{x="1"}': ROWS, 'a{x="2"}': ROWS, 'b{x="1"}': ROWS, 'b{x="2"}': ROWS}),
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.sampled_from([0, 2]),
    st.sampled_from([0, STEP]),
)
def test_a_block_equals_its_steps_one_by_one(
    series: dict[str, list[float | None]], sizes: list[int], limit: int, offset: int
) -> None:
    # Templates ask without the offset: over a block they would see what is recorded for their moment only later.
    rules = MANY.replace('query \\"high', 'query \\"a') if offset else MANY
    block, steps = (Room(rules, limit=limit, query_offset_ms=offset) for _ in range(2))
    for room in (block, steps):
        for name, values in series.items():
            room.memory.put(name, *values)
        room.memory.engine = QueryEngine(room.memory, Bounds(lookback_ms=STEP))
    at = 0
    for size in sizes:
        block.go(at, size)
        for step in range(size):
            steps.go(at + step)
        at += size
        assert seen(block) == seen(steps)


# --- weeks -----------------------------------------------------------------------------------------------------------

WEEKS = """
- alert: Hot
  expr: a > 90
  for: 5m
  keep_firing_for: 2m
  annotations: {summary: "{{ $labels.i }} {{ $value }}"}
- record: job:a:avg
  expr: avg by (job) (avg_over_time(a[5m]))
- alert: Warm
  expr: job:a:avg > 82
  for: 10m
"""


def waves(series: int, steps: int) -> tuple[list[Labels], np.ndarray, np.ndarray]:
    """(labels, t, value) of gauges that swing about 80: (series,), (steps,), (series, steps)."""
    chance = np.random.default_rng(5)
    t = T0 + STEP * np.arange(steps, dtype=np.int64)
    swing = np.sin(np.arange(steps) / chance.uniform(20, 2000, (series, 1)))
    labels = [(("__name__", "a"), ("i", str(i)), ("job", "j")) for i in range(series)]
    return labels, t, np.round(80 + 12 * swing + chance.normal(0, 1, (series, steps)), 2)


class Kept:
    """What a group wrote and told, in columns: the same whatever the blocks were."""

    def __init__(self, rules: str, source: Any, steps: int, size: int) -> None:
        self.parts: dict[Labels, list[bytes]] = {}
        self.told: list[Any] = []
        self.engine = QueryEngine(source, Bounds(steps=size))
        self.run = group_of(rules, self.ask)
        for first in range(0, steps, size):
            block = Steps(T0 + first * STEP, STEP, min(size, steps - first))
            self.run.evaluate(block, self.ask, self.write, self.told.append)
        self.told.sort(key=lambda alert: (alert.name, alert.resolved_at or alert.fired_at, alert.labels))
        self.written = {labels: b"".join(parts) for labels, parts in self.parts.items()}

    def ask(self, text: str, steps: Steps) -> Any:
        return self.engine.query(text, steps, Deadline.after(600))

    def write(self, made: Any) -> list[Batch]:
        for one in made:
            for labels, value, has in zip(one.series.labels, one.series.value, one.series.has, strict=True):
                rows = np.column_stack([one.t[has].view(np.float64), value[has]])
                self.parts.setdefault(labels, []).append(rows.tobytes())
        return [empty_batch() for _ in made]


class Recorded(Memory):
    """Gauges in columns, since a dictionary of four million samples takes longer than the rules."""

    def __init__(self, series: int, steps: int) -> None:
        super().__init__()
        labels, self._t, value = waves(series, steps)
        self.fps = dict(enumerate(labels))
        self._rows = dict(zip(labels, value, strict=True))

    def _column(self, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
        return self._t, self._rows[labels]


@pytest.mark.slow
def test_a_week_of_a_hundred_series_is_the_same_in_blocks_of_any_size() -> None:
    steps = 40_000
    alert = WEEKS[: WEEKS.index("- record")]
    source = Recorded(100, steps)
    whole, parts = Kept(alert, source, steps, steps), Kept(alert, source, steps, 5_000)
    assert len(whole.told) > 1000
    assert whole.told == parts.told
    assert whole.written == parts.written
    assert whole.run.evaluations == parts.run.evaluations == steps


@pytest.mark.slow
def test_weeks_in_the_store_are_the_same_in_blocks_of_any_size(tmp_path: Path) -> None:
    """Rules that read others need what those gave: it is committed, as live."""
    steps, series = 20_000, 5
    labels, t, value = waves(series, steps)
    seen = []
    for database, size in (("rules1", 5_000), ("rules2", 20_000)):
        store = ClickHouse(url=f"chdb://{tmp_path}", database=database, retention_days=10_000)
        store.open()
        catalogue = Catalogue()
        commit = GroupCommit(store, catalogue, clock=time.monotonic, on_commit=catalogue.observe)
        try:
            sids = np.array([catalogue.intern(name) for name in labels], np.int32)
            commit.add(Batch(np.repeat(sids, steps), np.tile(t, series), value.ravel())).result(60)
            writer = RuleWriter(catalogue, commit, Limits(max_past_s=1e9, max_future_s=1e9), lambda: T0)
            kept = Stored(WEEKS, store, steps, size, writer)
        finally:
            commit.close()
            store.close()
        seen.append((kept.told, kept.written, [run.health for run in kept.run.rules]))
    assert {alert.name for alert in kept.told} == {"Hot", "Warm"}
    assert seen[0] == seen[1]


class Stored(Kept):
    def __init__(self, rules: str, source: Any, steps: int, size: int, writer: RuleWriter) -> None:
        self._writer = writer
        super().__init__(rules, source, steps, size)

    def write(self, made: Any) -> list[Batch]:
        super().write(made)
        return self._writer.write(made)
