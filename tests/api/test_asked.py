from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, Literal

import jsonschema_rs
import msgspec
import pytest

from airis_mon.api.asked import (
    INLINE_ITEMS,
    MOST_VALUES,
    AskedSeries,
    language_of,
    moment_of,
    schema_of,
    source_of,
    sources_from,
    struct_of,
)
from airis_mon.api.faults import MOST_BYTES
from airis_mon.errors import InputError
from airis_mon.series.batch import MAX_REFUSALS

T = 1_772_366_400_000


def read(body: str | bytes, **limits: int) -> Any:
    return source_of(struct_of(body.encode() if isinstance(body, str) else body, AskedSeries), **limits)


def refused(body: str | bytes, **limits: int) -> tuple[str, str, str]:
    with pytest.raises(InputError) as caught:
        read(body, **limits)
    first = caught.value.refusals[0]
    assert first.path in str(caught.value)
    return first.path, first.value, first.reason


def test_values_become_floats_in_their_order():
    source = read('{"metricName": "cpu", "values": [1, 2.5, -3e2]}')
    assert (source.name, source.value.tolist(), source.t, source.fp) == ("cpu", [1.0, 2.5, -300.0], None, None)


@pytest.mark.parametrize(
    "times",
    ['["2026-03-01T12:00:00Z", "2026-03-01T12:00:15Z"]', f"[{T}, {T + 15_000}]", f"[{T // 1000}, {T // 1000 + 15}]"],
)
def test_times_may_be_written_in_words_in_seconds_or_in_milliseconds(times):
    assert read(f'{{"values": [1, 2], "timestamps": {times}}}').t.tolist() == [T, T + 15_000]


def test_a_step_is_kept_in_milliseconds():
    assert read('{"values": [1, 2], "stepS": 0.25}').step_ms == 250


def test_a_stored_series_has_a_window():
    source = read('{"seriesId": "9f86d081884c7d65", "signal": "rate", "end": "2026-03-01T12:00:00Z", "windowS": 60}')
    assert (source.fp, source.signal, source.start, source.end) == (0x9F86D081884C7D65, "rate", T - 60_000, T)
    assert read(f'{{"seriesId": "9f86d081884c7d65", "end": {T}}}').start == T - 3_600_000
    assert read(f'{{"seriesId": "9f86d081884c7d65", "start": 5, "end": {T}}}').start == 5000


BAD = [
    ('{"values": []}', "$.values", "is empty; give 1 to 1,000,000"),
    ("{}", "$.values", "is missing"),
    ('{"values": [1, null]}', "$.values[1]", "is no number"),
    ('{"values": [1, "2"]}', "$.values[1]", "is no number"),
    ('{"values": [1, true]}', "$.values[1]", "is no number"),
    ('{"values": [1, [2]]}', "$.values[1]", "is no number"),
    ('{"values": [1, 1e999]}', "$.values[1]", "Number out of range"),
    ('{"values": [1, -1e101]}', "$.values[1]", "is beyond 1e+100"),
    ('{"values": ' + "[" * 100_000, "$.values[0]", "Expected `float`"),
    ('{"values": [' + "9" * 5000 + "]}", "$.values[0]", "Number out of range"),
    ('{"values": 5}', "$.values", "Expected `array`"),
    ('{"values": [1, NaN]}', "$", "neither NaN nor Infinity"),
    ('{"values": [1, -Infinity]}', "$", "neither NaN nor Infinity"),
    ('{"values": [1, 2}', "$", "is no JSON"),
    ("", "$", "is no JSON"),
    (b'{"metricName": "\xff"}', "$", "is no JSON"),
    ("[1, 2]", "$", "Expected `object`, got `array`"),
    ('{"value": [1]}', "$.value", "did you mean values?"),
    ('{"zzz": [1]}', "$.zzz", "it takes metricName, values"),
    ('{"values": [1, 2], "timestamps": [1]}', "$.timestamps", "are 1 for 2 values"),
    ('{"values": [1, 2], "timestamps": [2, 2]}', "$.timestamps[1]", "is not later than the one before"),
    ('{"values": [1, 2], "timestamps": [1, "noon"]}', "$.timestamps[1]", "is no time"),
    ('{"values": [1, 2], "timestamps": [1, 2], "stepS": 1}', "$.stepS", "is given beside timestamps"),
    ('{"values": [1], "stepS": 0}', "$.stepS", "is no step"),
    ('{"values": [1], "windowS": 60}', "$.windowS", "means a stored series"),
    ('{"values": [1], "signal": "rate"}', "$.signal", "means a stored series"),
    ('{"values": [1], "start": 5}', "$.start", "means a stored series"),
    ('{"values": [1], "seriesId": "9f86d081884c7d65"}', "$.values", "is given beside seriesId"),
    ('{"seriesId": "9F86"}', "$.seriesId", "16 hex digits"),
    ('{"seriesId": "9f86d081884c7d65", "stepS": 5}', "$.stepS", "is given beside seriesId"),
    ('{"seriesId": "9f86d081884c7d65", "start": 9, "end": 8}', "$.start", "is later than end"),
    ('{"seriesId": "9f86d081884c7d65", "start": 9, "windowS": 8}', "$.windowS", "is given beside start"),
    ('{"seriesId": "9f86d081884c7d65", "windowS": -1}', "$.windowS", "more than 0"),
    ('{"seriesId": "9f86d081884c7d65", "end": "noon"}', "$.end", "is no time"),
]


@pytest.mark.parametrize(("body", "path", "reason"), BAD)
def test_what_cannot_be_used_is_named_with_its_place(body, path, reason):
    where, _, why = refused(body)
    assert where == path
    assert reason in why


def test_every_bad_number_is_told_as_far_as_they_are_described():
    with pytest.raises(InputError) as caught:
        read('{"values": [1, null, 2, "x"]}')
    assert [(r.path, r.value) for r in caught.value.refusals] == [("$.values[1]", "null"), ("$.values[3]", '"x"')]
    with pytest.raises(InputError) as caught:
        read('{"values": [' + ",".join(["null"] * 500) + "]}")
    assert len(caught.value.refusals) == MAX_REFUSALS


def test_a_large_body_is_not_read_again_for_what_is_wrong_with_it():
    bad = b"[]," * (MOST_BYTES // 3 + 1)
    with pytest.raises(InputError) as caught:
        read(b'{"values": [' + bad + b"1]}")
    (only,) = caught.value.refusals
    assert (only.path, only.value, only.reason) == ("$.values[0]", "", "Expected `float`, got `array`")


def test_a_field_as_long_as_the_body_is_told_by_its_beginning():
    path, value, _ = refused(b'{"' + b"a" * 1_000_000 + b'": 1}')
    assert (path, value) == ("$." + "a" * 80, "")


class Asked(AskedSeries, forbid_unknown_fields=True, kw_only=True):
    horizon: int
    methods: list[Literal["zscore", "iqr"]] | msgspec.UnsetType = msgspec.UNSET


def test_each_fault_of_a_body_has_its_entry():
    with pytest.raises(InputError) as caught:
        struct_of(b'{"horizon": 1, "values": [1, null, "x"], "treshold": 3, "metrc": 1}', Asked)
    told = {r.path: r.reason.partition(";")[0] for r in caught.value.refusals}
    assert told == {
        "$.values[1]": "is no number",
        "$.values[2]": "is no number",
        "$.treshold": "is no field here",
        "$.metrc": "is no field here",
    }
    with pytest.raises(InputError) as caught:
        struct_of(b'{"horizn": 1, "values": [null]}', Asked)
    assert [r.path for r in caught.value.refusals] == ["$.horizn", "$.values[0]"]


def test_a_wrong_choice_gets_those_there_are_and_the_nearest():
    with pytest.raises(InputError) as caught:
        struct_of(b'{"horizon": 1, "methods": ["zscor"]}', Asked)
    (only,) = caught.value.refusals
    assert only.path == "$.methods[0]"
    assert only.reason.startswith("is none of ")
    assert only.reason.endswith("; did you mean zscore?")
    assert "iqr" in only.reason


def test_a_missing_field_is_named_in_the_path():
    with pytest.raises(InputError, match=r"\$\.horizon: is missing"):
        struct_of(b"{}", Asked)


@pytest.mark.parametrize("given", ["1900-01-01T00:00:00Z", "-5", -5.0, -3e12, 1e30, "300000000000000"])
def test_times_that_cannot_be_written_are_refused_and_never_moved(given):
    with pytest.raises(InputError, match=r"\$\.start: lies outside the years 1970 to 9999"):
        moment_of(given, "$.start")


def test_the_first_and_the_last_time_are_taken():
    assert moment_of(0.0, "$.start") == moment_of("1970-01-01T00:00:00Z", "$.start") == 0
    assert moment_of("9999-12-31T23:59:59Z", "$.start") == 253_402_300_799_000


@pytest.mark.parametrize(("count", "is_beside"), [(INLINE_ITEMS // 2, False), (INLINE_ITEMS // 2 + 1, True)])
async def test_long_series_are_read_beside_the_event_loop(count, is_beside):
    one = AskedSeries(values=[1.0] * count, timestamps=[float(i) for i in range(count)])
    asked = Many(series=[one])

    def make() -> tuple[int, Any]:
        return threading.get_ident(), source_of(one)

    thread, source = await sources_from(asked, make)
    assert (thread != threading.get_ident()) == is_beside
    assert source.t[-1] == 1000 * (count - 1)


def test_the_limits_of_a_question_are_named():
    assert refused('{"values": [1]}', least=2, most=10)[2] == "has 1; give 2 to 10 values"
    assert refused('{"values": [1, 2, 3]}', most=2)[1:] == ("3 values", "has 3; give 1 to 2 values")
    assert MOST_VALUES == 1_000_000


def test_the_place_of_one_of_many_series_is_part_of_the_path():
    with pytest.raises(InputError) as caught:
        source_of(AskedSeries(values=[]), "$.series[3]")
    assert caught.value.refusals[0].path == "$.series[3].values"


class Many(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    series: list[AskedSeries]


def test_a_wrong_field_deeper_inside_gets_the_nearest_name_too():
    with pytest.raises(InputError, match=r"\$\.series\[1\]\.serieId: is no field here; did you mean seriesId\?"):
        struct_of(b'{"series": [{"values": [1]}, {"serieId": "x"}]}', Many)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("ko", "ko"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8", "ko"),
        ("en-GB,ko;q=0.9", "en"),
        ("fr,ko;q=0.5,en;q=0.4", "ko"),
        ("de", "en"),
        ("ko;q=0", "en"),
        ("ko;q=nonsense", "ko"),
        (";;,,=", "en"),
    ],
)
def test_the_language_is_the_one_the_client_prefers(header, language):
    request: Any = SimpleNamespace(headers={"accept-language": header})
    assert language_of(request) == language


def test_the_schema_of_a_body_is_whole_and_closed():
    schema = schema_of(Many)
    assert "$ref" not in repr(schema)
    assert jsonschema_rs.is_valid(schema, {"series": [{"values": [1, 2.5]}]})
    assert not jsonschema_rs.is_valid(schema, {"series": [{"vals": [1]}]})
    assert not jsonschema_rs.is_valid(schema, {"series": [{"values": ["1"]}]})
