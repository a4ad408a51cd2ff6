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


def arrays(ends: list[int], nulls: list[int], values: list[float]) -> bytes:
    body = np.array(ends, "<u8").tobytes() + np.array(nulls, "<u1").tobytes() + np.array(values, "<f8").tobytes()
    return block(len(ends), [text("g") + text("Array(Nullable(Float64))") + body])


def test_arrays_of_one_length_are_rows_and_their_nulls_a_column_of_their_own() -> None:
    answer = arrays([], [], []) + arrays([2, 4], [0, 1, 0, 0], [1.0, 0.0, 3.0, 4.0]) + arrays([2], [1, 1], [0.0, 0.0])
    value, is_null = read(answer)
    assert value.tolist() == [[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]]
    assert is_null.tolist() == [[0, 1], [0, 0], [1, 1]]
    assert [column.shape for column in read(arrays([], [], []))] == [(0, 0), (0, 0)]


def test_arrays_of_different_lengths_and_cut_ones_are_errors() -> None:
    with pytest.raises(ValueError, match="'g' has arrays of different lengths"):
        read(arrays([1, 3], [0, 0, 0], [1.0, 2.0, 3.0]))
    whole = arrays([2, 4], [0, 0, 0, 0], [1.0, 2.0, 3.0, 4.0])
    for size in range(1, len(whole)):
        with pytest.raises((ValueError, IndexError)):
            read(whole[:size])


def test_plain_and_nullable_numbers_and_arrays_of_numbers_are_told_by_their_type() -> None:
    nullable = text("n") + text("Nullable(Int64)") + bytes([0, 1]) + np.array([5, 0], "<i8").tobytes()
    plain = text("a") + text("Array(UInt8)") + np.array([1, 2], "<u8").tobytes() + bytes([7, 8])
    value, is_null, array = read(block(2, [nullable, plain]))
    assert (value.tolist(), is_null.tolist(), array.tolist()) == ([5, 0], [0, 1], [[7], [8]])
    for kind in ("Array(Array(UInt8))", "Array(String)", "Map(String, UInt8)"):
        with pytest.raises(ValueError, match="not a number of fixed width"):
            read(block(1, [text("x") + text(kind) + bytes(8)]))


@pytest.mark.parametrize(("keys", "code", "width"), [(2, 0x600, 1), (300, 0x601, 2), (70_000, 0x602, 4)])
def test_the_width_of_dictionary_indexes_follows_the_number_of_keys(keys: int, code: int, width: int) -> None:
    raw = low_cardinality("m", [str(i) for i in range(keys)], np.array([1, 0, 1]))
    head = len(text("m") + text("LowCardinality(String)"))
    assert np.frombuffer(raw, "<u8", 3, head).tolist() == [1, code, keys]
    assert np.frombuffer(raw[-3 * width :], f"<u{width}").tolist() == [1, 0, 1]


def test_text_is_counted_in_bytes() -> None:
    assert text("é") == b"\x02\xc3\xa9"
    assert text_map([("a", "b")]) == b"\x01\x01a\x01b"
