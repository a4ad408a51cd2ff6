"""Rows with the same codes are found, in order of appearance."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.ingest.combinations import combinations


@given(st.integers(0, 5), st.lists(st.integers(0, 3**5 - 1), max_size=60))
def test_every_row_gets_the_number_of_the_first_row_like_it(columns: int, drawn: list[int]):
    rows = [tuple(n // 3**c % 3 for c in range(columns)) for n in drawn]
    codes = np.array([list(column) for column in zip(*rows, strict=True)], np.int32).reshape(columns, len(rows))
    first, group = combinations(codes)
    known = list(dict.fromkeys(rows))
    assert [rows[i] for i in first] == known
    assert first.tolist() == [rows.index(k) for k in known]
    assert group.tolist() == [known.index(r) for r in rows]


def test_many_combinations_of_large_codes_are_told_apart():
    a, b = np.meshgrid(np.arange(300, dtype=np.int32) * 7_000_003, np.arange(300, dtype=np.int32) * 65_536)
    codes = np.tile(np.stack([a.ravel(), b.ravel()]), 2)
    first, group = combinations(codes)
    assert first.tolist() == list(range(90_000))
    assert group.tolist() == [*range(90_000), *range(90_000)]
