from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.store.native import block, fixed, low_cardinality, read, text, text_map, varint


@given(st.integers(0, 2**63))
def test_a_varint_is_seven_bits_a_byte(n: int) -> None:
    raw = varint(n)
    assert sum((b & 127) << 7 * i for i, b in enumerate(raw)) == n
    assert all(b & 128 for b in raw[:-1])
    assert not raw[-1] & 128


def test_columns_of_several_blocks_are_joined() -> None:
    def piece(values: list[float]) -> bytes:
        return block(
            len(values),
            [fixed("n", "UInt64", np.arange(len(values), dtype="<u8")), fixed("v", "Float64", np.array(values))],
        )

    n, v = read(piece([1.0, 2.0]) + piece([3.0]))
    assert n.tolist() == [0, 1, 0]
    assert v.tolist() == [1.0, 2.0, 3.0]
    assert n.dtype == np.uint64


def test_an_answer_without_rows_has_no_columns() -> None:
    assert read(b"") == []


def test_a_cut_answer_is_an_error_wherever_it_is_cut() -> None:
    whole = block(2, [fixed("n", "UInt64", np.arange(2, dtype="<u8")), fixed("v", "Float64", np.ones(2))])
    for size in range(1, len(whole)):
        with pytest.raises((ValueError, IndexError)):
            read(whole[:size])


def test_a_column_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="'s' is of type String"):
        read(varint(1) + varint(1) + text("s") + text("String") + text("x"))


@pytest.mark.parametrize(("keys", "code", "width"), [(2, 0x600, 1), (300, 0x601, 2), (70_000, 0x602, 4)])
def test_the_width_of_dictionary_indexes_follows_the_number_of_keys(keys: int, code: int, width: int) -> None:
    raw = low_cardinality("m", [str(i) for i in range(keys)], np.array([1, 0, 1]))
    head = len(text("m") + text("LowCardinality(String)"))
    assert np.frombuffer(raw, "<u8", 3, head).tolist() == [1, code, keys]
    assert np.frombuffer(raw[-3 * width :], f"<u{width}").tolist() == [1, 0, 1]


def test_text_is_counted_in_bytes() -> None:
    assert text("é") == b"\x02\xc3\xa9"
    assert text_map([("a", "b")]) == b"\x01\x01a\x01b"
