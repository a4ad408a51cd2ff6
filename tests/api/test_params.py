from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.api.params import END, MATCH, START, Query, read_id, read_time, whole
from airis_mon.api.schemas import stamp
from airis_mon.errors import InputError
from airis_mon.series.matchers import Matcher
from tests.api.fake import FP, V1, T

LIMIT = whole("limit", "", 10, 20, "narrow `match`")


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00",
        "2026-03-01 21:00+09:00",
        "2026-03-01T21:00:00 09:00",
        str(T),
        str(T // 1000),
        f"{T // 1000}.000",
    ],
)
def test_one_moment_may_be_written_in_many_ways(text):
    assert read_time(text) == T


@pytest.mark.parametrize("text", ["", "noon", "nan", "1e400", "0x10", "2026-13-01", "٣", "2026-03-01T12:00:00+99:00"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(InputError):
        read_time(text)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)))
def test_a_time_written_by_us_is_read_back(moment):
    t = int(moment.replace(tzinfo=UTC).timestamp()) * 1000
    assert read_time(stamp(t)) == t


@pytest.mark.parametrize(
    ("text", "t"),
    [("-1", 0), ("0001-01-01T00:00:00Z", 0), ("9" * 400, 253_402_300_799_999), ("0001-01-01T00:00:00+14:00", 0)],
)
def test_a_time_out_of_range_becomes_the_nearest_inside(text, t):
    assert read_time(text) == t


@given(st.text())
def test_any_text_is_a_time_or_an_input_error(text):
    with contextlib.suppress(InputError):
        assert 0 <= read_time(text) <= 253_402_300_799_999


@pytest.mark.parametrize("text", ["", "xyz", "9F86D081884C7D65", "9f86d081884c7d6", "9f86d081884c7d655", "-" * 16])
def test_an_id_has_exactly_sixteen_small_hex_digits(text):
    with pytest.raises(InputError, match="16 hex digits"):
        read_id(text)
    assert read_id(f"{FP:016x}") == FP


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=21", "limit is more than 20; narrow `match`"),
        ("limit=0", "limit is less than 1; give 1 to 20"),
        ("limit=-1", "limit is no whole number; give 1 to 20"),
        ("limit=ten", "limit is no whole number"),
        ("limit=٣", "limit is no whole number"),
        ("limit=" + "9" * 400, "limit is no whole number"),
        ("limt=5", "limt is no parameter here; did you mean limit?"),
        ("colour=red", "colour is no parameter here; this path takes limit, match"),
        ("limit=1&limit=2", "limit is given twice"),
        ("match=up{", "expected a label name"),
    ],
)
def test_a_bad_parameter_is_named_with_its_limit_and_a_remedy(query, message):
    with pytest.raises(InputError) as caught:
        asked = Query(query.encode(), (LIMIT, MATCH))
        assert asked[LIMIT] and asked[MATCH]
    assert message in str(caught.value)
    (refusal,) = caught.value.refusals
    assert refusal.path == query.partition("=")[0]


def test_an_absent_parameter_has_its_default():
    asked = Query(b"", (LIMIT, MATCH, START, END))
    assert (asked[LIMIT], asked[MATCH], asked[START], asked[END]) == (10, (), None, None)


async def test_a_selector_reaches_the_engine_as_matchers(client, engine):
    await client.get(f"{V1}/series", params={"match": 'cpu_usage{host=~"web-.*"}', "limit": 7})
    (call,) = engine.calls
    assert call == (
        "series",
        (Matcher("__name__", "=", "cpu_usage"), Matcher("host", "=~", "web-.*")),
        None,
        None,
        8,
    )


async def test_a_window_that_ends_before_it_begins_is_refused(client):
    answer = await client.get(f"{V1}/anomalies", params={"start": T + 1000, "end": T})
    assert answer.status_code == 400
    assert "later than end" in answer.json()["message"]


async def test_without_a_window_the_last_day_until_now_is_asked(client, engine):
    await client.get(f"{V1}/anomalies")
    _, _, _, start, end, *_ = engine.calls[0]
    assert end - start == 86_400_000


async def test_an_endless_pattern_is_refused(client):
    for size, status in ((1000, 200), (1001, 400)):
        answer = await client.get(f"{V1}/series", params={"match": '{a=~"%s"}' % ("a" * size)})
        assert answer.status_code == status
    assert "1000 are allowed" in answer.json()["message"]
