from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from airis_mon.api.asked import MOST_VALUES, AskedSeries, language_of, schema_of, source_of, struct_of
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
