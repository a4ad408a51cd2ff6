"""The world as a whole: one seed, the same bytes, whatever piece is asked for."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import PAGE, World

SMALL = Settings(topology="random", services=8, days=0.25, step_s=30, faults_per_day=48, history_days=0)
HASH = """
import hashlib
from airis_mon.simulate.settings import Settings
from airis_mon.simulate.world import World
w = World(Settings(topology="random", services=8, days=0.25, step_s=30, faults_per_day=48, history_days=0), 5)
h = hashlib.sha256(repr((w.labels, w.edges, w.changes(w.settings.start_ms, w.settings.end_ms))).encode())
for b in w.blocks():
    for a in (b.t, b.value, b.present, b.skew_ms, b.late):
        h.update(a.tobytes())
    h.update(repr(b.labels).encode())
print(h.hexdigest())
"""


def joined(blocks):
    blocks = list(blocks)
    return [np.concatenate([getattr(b, n) for b in blocks]) for n in ("t", "value", "present")]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_in_two_processes():
    runs = [subprocess.run([sys.executable, "-c", HASH], capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.strip()) == len(hashlib.sha256().hexdigest())


def test_another_seed_is_another_world():
    one, two = (joined(World(SMALL, seed).blocks(steps=5))[1] for seed in (1, 2))
    assert one.shape != two.shape or not np.array_equal(one, two, equal_nan=True)


@pytest.mark.slow
@given(st.lists(st.integers(1, 300), min_size=1, max_size=6))
@settings(max_examples=15)
def test_block_after_block_gives_the_values_of_one_large_block(lengths):
    whole, pieces = World(SMALL, 3), World(SMALL, 3)
    t, parts = whole.settings.start_ms, []
    for n in lengths:
        parts += list(pieces.blocks(t, n))
        t += n * whole.settings.step_ms
    for a, b in zip(joined(whole.blocks(steps=sum(lengths))), joined(parts), strict=True):
        assert np.array_equal(a, b, equal_nan=a.dtype == float)


def test_a_stretch_asked_for_out_of_order_is_the_same():
    ahead, behind = World(SMALL, 3), World(SMALL, 3)
    late = SMALL.start_ms + 2 * PAGE * SMALL.step_ms
    first = joined(ahead.blocks(late, 40))
    list(behind.blocks())
    again = joined(behind.blocks(late, 40))
    assert np.array_equal(first[1], again[1], equal_nan=True)
    assert joined(behind.blocks(steps=10))[0][0] == SMALL.start_ms


def test_the_days_hold_as_many_scrapes_as_the_step_allows():
    t = joined(World(SMALL, 3).blocks())[0]
    assert len(t) == SMALL.steps == 0.25 * 86_400 / 30
    assert set(np.diff(t)) == {SMALL.step_ms}


def test_a_deploy_gives_its_pods_new_names_and_leaves_all_other_labels():
    world = World(Settings(topology="shop", days=2, step_s=300, faults_per_day=20), 1)
    blocks = list(world.blocks())
    assert any(b.labels is not blocks[0].labels for b in blocks)
    for b in blocks:
        stripped = [[p for p in labels if p[0] != "pod"] for labels in b.labels]
        assert stripped == [[p for p in labels if p[0] != "pod"] for labels in world.labels]
        assert len(set(b.labels)) == len(b.labels)


def test_version_2_is_frozen():
    """A change of these bytes is another world: it needs another `VERSION` and every result measured anew."""
    world = World(SMALL, 5)
    _, value, present = joined(world.blocks(steps=20))
    drawn = hashlib.sha256(repr((world.edges, world.plan.cases(SMALL.start_ms, SMALL.end_ms))).encode()).hexdigest()
    assert world.version == "2"
    assert drawn[:16] == "25ee7e53f378d996"
    assert np.log1p(np.abs(value[present & np.isfinite(value)])).sum() == pytest.approx(65798.35425611446, rel=1e-6)
