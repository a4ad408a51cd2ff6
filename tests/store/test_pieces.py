"""Spans of time are cut by how many samples they hold, and read in blocks that fit memory."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.store.base import Columns
from airis_mon.store.pieces import DAY_MS, blocks, cut

TIMES = st.lists(st.integers(-2 * DAY_MS, 2 * DAY_MS) | st.integers(0, 20_000), max_size=60)


def answering(times: list[int]) -> Any:
    """Answers the two questions as the engine would."""

    def numbers(sql: str, parameters: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
        found = [t for t in times if parameters["start"] <= t <= parameters["end"]]
        if "GROUP BY" not in sql:
            return [np.array([x]) for x in (min(found, default=0), max(found, default=0), len(found))]
        return [np.array(c) for c in zip(*sorted(Counter(t // 1000 for t in found).items()), strict=True)]

    return numbers


@given(TIMES, st.integers(1, 30))
def test_blocks_cover_every_sample_once_and_hold_about_as_many_as_asked(times: list[int], rows: int):
    low, high = -DAY_MS, DAY_MS
    spans = [span for block in blocks(answering(times), low, high, rows) for span in block]
    held = [[t for t in times if a <= t <= b] for a, b in spans]
    assert sorted(t for some in held for t in some) == sorted(t for t in times if low <= t <= high)
    assert all(b + 1 == c for (_, b), (c, _) in itertools.pairwise(spans))
    for some in held:
        assert sum(t // 1000 < max(some) // 1000 for t in some) < rows
    assert all(len(some) >= rows for some in held[:-1])


@pytest.mark.parametrize(("rows", "per_block"), [(1, 3), (2, 1), (5, 1)])
def test_a_block_holds_as_many_spans_as_fit_and_at_least_one(rows: int, per_block: int):
    found = list(blocks(answering(list(range(0, 60_000, 1000))), 0, DAY_MS, rows, most=3))
    assert {len(block) for block in found} == {per_block}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), unique=True), st.sets(st.integers(1, 29)))
def test_what_is_cut_keeps_its_order(rows: list[tuple[int, int]], bounds: set[int]):
    rows = sorted(rows)
    edges = [0, *sorted(bounds), 31]
    spans = [(a, b - 1) for a, b in itertools.pairwise(edges)]
    columns = Columns(
        np.array([fp for fp, _ in rows], np.uint64),
        np.array([t for _, t in rows], np.int64),
        np.arange(len(rows), dtype=float),
    )
    for (low, high), part in zip(spans, cut(columns, spans), strict=True):
        want = [(fp, t, float(i)) for i, (fp, t) in enumerate(rows) if low <= t <= high]
        assert list(zip(part.fp.tolist(), part.t.tolist(), part.value.tolist(), strict=True)) == want
