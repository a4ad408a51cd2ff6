"""The splits, and what a run keeps of a world."""

import numpy as np
import pytest

from airis_mon.simulate.world import World
from airis_mon.yardstick import worlds

PARTS = ("train", "dev", "test")


@pytest.mark.parametrize("quick", [False, True])
def test_no_graph_and_no_seed_of_the_test_part_is_known_before(quick):
    known = [s for part in ("train", "dev") for s in worlds.specs(part, quick=quick)]
    asked = worlds.specs("test", quick=quick)
    assert not {s.topology for s in known} & {s.topology for s in asked}
    assert not {s.seed for s in known} & {s.seed for s in asked}
    assert len({s.seed for s in worlds.specs("train")} & {s.seed for s in worlds.specs("dev")}) == 0


def test_quick_worlds_are_fewer_and_shorter():
    for part in PARTS:
        full, quick = worlds.specs(part), worlds.specs(part, quick=True)
        assert len(quick) < len(full)
        assert all(s.days < full[0].days for s in quick)


def test_a_description_names_version_and_every_world():
    told = worlds.described([*worlds.specs("train"), *worlds.specs("test")])
    assert told["world"] == World.version
    assert "random-28 seed 302" in told["worlds"]["test"]
    assert len(told["worlds"]["train"]) == 6


def test_each_signal_keeps_its_rows_in_order_of_time(tiny):
    assert len(tiny.signals) == len(tiny.first) - 1
    assert tiny.first[-1] == len(tiny.offset) == len(tiny.value) == len(tiny.score)
    for i in range(len(tiny.signals)):
        assert (np.diff(tiny.times(i)) > 0).all()


def test_values_are_those_of_the_world(tiny):
    at = next(i for i, s in enumerate(tiny.signals) if s.kind == "value" and s.entity)
    column = tiny.world.labels.index(tiny.signals[at].labels)
    blocks = list(tiny.world.blocks())
    t = np.concatenate([b.t + b.skew_ms[column] for b in blocks])
    value = np.concatenate([b.value[:, column] for b in blocks])
    made = dict(zip(t.tolist(), value.astype(np.float32).tolist(), strict=True))
    rows = tiny.rows(at)
    assert rows.stop - rows.start > 100
    assert all(made[a] == b for a, b in zip(tiny.times(at).tolist(), tiny.value[rows].tolist(), strict=True))


def test_signals_know_what_they_tell_of(tiny):
    names = {*tiny.world.topology.names, *tiny.world.topology.hosts}
    assert {s.entity for s in tiny.signals} <= names
    assert {s.kind for s in tiny.signals} == {"value", "rate", "mean"}
    assert any(s.name.startswith("rate(") for s in tiny.signals)


def test_the_engine_raises_something_and_joins_it(tiny):
    assert (tiny.score >= 0.8).any()
    assert tiny.findings
    assert {f.entity for f in tiny.findings} <= {s.entity for s in tiny.signals}
    assert all(b.name in {s.name for s in tiny.signals} for f in tiny.findings for b in f.blamed)


def test_events_are_felt_and_come_after_the_history(tiny):
    assert tiny.events
    assert len(tiny.events) < len(tiny.truth)
    for v in tiny.events:
        assert v.is_valid
        assert v.fault.full_ms >= tiny.judged_ms
        assert v.fault.onset_ms < tiny.end_ms - worlds.LAST_MS
    assert all(not c.faults for c in tiny.controls)


def test_the_same_spec_is_run_once_and_another_one_is_told(tiny):
    heard = []
    again = list(worlds.runs([tiny.spec], lambda fraction, note: heard.append((fraction, note))))
    assert again == [tiny]
    assert not heard
    other = worlds.Spec("dev", "random", 8, services=8, days=0.25, history_days=0.0, faults_per_day=0)
    list(worlds.runs([tiny.spec, other], lambda fraction, note: heard.append((fraction, note))))
    assert [f for f, _ in heard] == sorted(f for f, _ in heard)
    assert heard[-1] == (1.0, "world random-8 seed 8")
