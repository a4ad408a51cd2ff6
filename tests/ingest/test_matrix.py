from __future__ import annotations

import json
import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import InputError
from airis_mon.ingest.matrix import decode_labels, decode_matrix

T = 1_700_000_000_217


def body(*values: str, metric: str = '{"__name__":"m"}', result: str = "matrix") -> bytes:
    series = ",".join(f'{{"metric":{metric},"values":{v}}}' for v in values)
    return f'{{"status":"success","data":{{"resultType":"{result}","result":[{series}]}}}}'.encode()


def values_of(*texts: str) -> list[float]:
    rows = ",".join(f'[{1000 + i},"{v}"]' for i, v in enumerate(texts))
    return decode_matrix(body(f"[{rows}]")).value.tolist()


def as_go_writes(value: float) -> str:
    """Go's 'f' format between 1e-6 and 1e21, its 'e' format beyond, always the shortest that reads back the same."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value and not 1e-6 <= abs(value) < 1e21:
        return repr(value)
    return np.format_float_positional(value, trim="-")


def test_samples_stand_series_after_series_with_their_labels():
    m = decode_matrix(body('[[1700000000.217,"1"],[1700000015.217,"2.5"]]', "[]", '[[1700000000,"-3"]]'))
    assert m.metric == [b'{"__name__":"m"}'] * 3
    assert m.counts.tolist() == [2, 0, 1]
    assert m.t.tolist() == [T, T + 15_000, T - 217]
    assert m.value.tolist() == [1.0, 2.5, -3.0]
    assert m.is_rising.all()


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30))
def test_every_value_comes_back_bit_for_bit(values: list[float]):
    found = np.array(values_of(*map(as_go_writes, values)))
    expected = np.array([np.nan if v != v else v for v in values])
    assert np.array_equal(found.view(np.int64), expected.view(np.int64))


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=12), min_size=1, max_size=20))
def test_numbers_of_any_length_are_rounded_as_python_rounds_them(numbers):
    assert values_of(*(f"{n:f}" for n in numbers)) == [float(n) for n in numbers]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NaN", math.nan), ("+Inf", math.inf), ("Inf", math.inf), ("-Inf", -math.inf), ("-0", -0.0), ("1e-07", 1e-07),
        ("1e+21", 1e21), ("9007199254740993", 9007199254740992.0), ("5e-324", 5e-324), ("+1.5", 1.5),
        ("1.7976931348623157e+308", 1.7976931348623157e308),
        ("0." + "0" * 30 + "12345678901234567890", 1.2345678901234568e-31),
        ("9999999999999999999999", 1e22), ("0.1", 0.1), ("123456789012345678", 123456789012345678.0),
    ],
)  # fmt: skip
def test_the_forms_of_numbers(text: str, value: float):
    found = values_of(text)[0]
    assert (found == value and math.copysign(1, found) == math.copysign(1, value)) or found != found != value


@pytest.mark.parametrize(
    ("text", "t"),
    [
        ("1700000000", T - 217), ("1700000000.2", T - 17), ("1700000000.2170001", T), ("1.700000000217e9", T),
        ("-1.5", -1500), ("0", 0), ("0.0004", 0), ("0.0005", 1), ("1e-30", 0), ("2251799813685.247", 2251799813685247),
    ],
)  # fmt: skip
def test_the_forms_of_times(text: str, t: int):
    assert decode_matrix(body(f'[[{text},"1"]]')).t.tolist() == [t]


@given(st.lists(st.integers(-(2**51) + 1, 2**51 - 1), min_size=1, max_size=30))
def test_every_millisecond_comes_back(times: list[int]):
    seconds = [f"{'-' * (t < 0)}{abs(t) // 1000}.{abs(t) % 1000:03}" for t in times]
    rows = ",".join(f'[{s},"1"]' for s in seconds)
    assert decode_matrix(body(f"[{rows}]")).t.tolist() == times


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6))
def test_rows_and_rising_times_are_told_series_by_series(series: list[list[int]]):
    m = decode_matrix(body(*("[" + ",".join(f'[{t},"{t}"]' for t in times) + "]" for times in series)))
    assert m.counts.tolist() == [len(times) for times in series]
    assert m.t.tolist() == [1000 * t for times in series for t in times]
    assert m.is_rising.tolist() == [times == sorted(set(times)) for times in series]


def test_white_space_changes_nothing():
    tight = body('[[1,"1"],[2,"2"]]', "[]")
    loose = json.dumps(json.loads(tight), indent=3).replace("[]", "[\t]").encode()
    assert decode_matrix(loose).t.tolist() == decode_matrix(tight).t.tolist() == [1000, 2000]


def test_times_that_do_not_rise_are_told_by_series():
    m = decode_matrix(body('[[1,"1"],[2,"2"]]', '[[2,"1"],[1,"2"]]', '[[1,"1"],[1,"2"]]', '[[1,"1"]]'))
    assert m.is_rising.tolist() == [True, False, False, True]


def test_native_histograms_are_counted_and_warnings_kept():
    data = b'{"resultType":"matrix","result":[{"metric":{},"histograms":[[1,{}]]}]}'
    m = decode_matrix(b'{"status":"success","warnings":["partial"],"data":' + data + b"}")
    assert (len(m), m.histograms, m.warnings, m.counts.tolist()) == (0, 1, ("partial",), [0])


@pytest.mark.parametrize(
    "values",
    [
        '[[1,"x"]]', '[[1,""]]', '[[1,"1e"]]', '[[1,"1.2.3"]]', '[[1,"--1"]]', '[[1,"1"', '[[1,1]]', '[["1","1"]]',
        '[[1,"1",2]]', '[[1,"1"][2,"2"]]', "[1]", "{}", '"x"', "null", '[[1e30,"1"]]', '[[12345678901234567890,"1"]]',
        '[[2251799813685.248,"1"]]', '[[1,"NaN",""]]', '[["","NaN"]]', '[[null,"1"]]', '[[[1],"1"]]', '[[1,"1",]]',
        '[[1,"1"],[]]', '[[1,"1"],null]', '[3,[1,"1"]]', '{"a":[1,"1"]}', '[[1,"1,"]]', '[[1,"1,,2"]]', '""',
        '[[1,"2,],[3,,4"]]', '[[1,"2],3,4"]]', '[[1,"1\\n"]]', '[[1,"1["]]', '[[1,"1"],2,"2"]', '[[[1,"1"]]]',
        '[[1,"1\\""]]',
        '[[1,"1 2"]]', '[[1,"0x10"]]', '[[1,"\\u0031"]]', '[[1,"N"]]', '[[1,"1"],]',
    ],
)  # fmt: skip
def test_what_is_no_sample_is_refused(values: str):
    with pytest.raises(InputError):
        decode_matrix(body(values, '[[1,"1"]]'))


def test_a_cut_answer_is_refused_wherever_it_ends():
    whole = body('[[1700000000.217,"1.5"],[1700000015.217,"NaN"]]', '[[1,"2"]]')
    for end in range(len(whole)):
        with pytest.raises(InputError):
            decode_matrix(whole[:end])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"[]",
        b"\xff",
        b'{"status":"error","error":"x"}',
        body('[[1,"1"]]', result="vector"),
        b"[" * 10_000,
    ],
)
def test_what_is_no_matrix_is_refused(text: bytes):
    with pytest.raises(InputError):
        decode_matrix(text)


@given(st.binary(max_size=60))
def test_no_bytes_between_the_brackets_do_harm(inner: bytes):
    with suppress(InputError):
        decode_matrix(body("[VALUES]").replace(b"VALUES", inner))


def test_labels_are_texts_by_name():
    assert decode_labels('{"a":"ü","b":"\\n"}'.encode()) == {"a": "ü", "b": "\n"}
    for wrong in (b'{"a":1}', b"[]", b'{"a":"\xff"}'):
        with pytest.raises(InputError):
            decode_labels(wrong)
