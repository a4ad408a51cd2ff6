"""Sentences, counts and times in two languages."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.explain.speak import Speaker, at, from_to
from airis_mon.explain.words import ENGLISH, KOREAN

EN, KO = Speaker("en"), Speaker("ko")
PARTICLES = r"[은는이가을를과와](?= |$)"


def fields(template):
    return {name for _, name, _, _ in Formatter().parse(template.partition("|")[0]) if name}


def test_both_languages_have_every_sentence_with_the_same_values():
    assert ENGLISH.keys() == KOREAN.keys()
    for key in ENGLISH:
        assert fields(ENGLISH[key]) - {"n", "number"} == fields(KOREAN[key]) - {"n", "number"}, key


def test_no_sentence_is_empty_or_left_in_the_other_language():
    assert all(text.strip() for key, text in ENGLISH.items() if key != "between_units")
    letters = [k for k, text in KOREAN.items() if re.search("[a-z]{3}", re.sub(r"\{\w+\}", "", text))]
    assert [k for k in letters if not re.search("[가-힣]", KOREAN[k])] == []
    assert not [k for k, text in ENGLISH.items() if not text.isascii()]


def test_korean_sentences_are_formal():
    ended = [text for text in KOREAN.values() if text.endswith(".") and "}." not in text]
    assert ended
    assert [text for text in ended if not text.endswith("니다.")] == []


def test_korean_never_joins_a_particle_to_a_word_it_does_not_know():
    known = {"alerts", "notifications", "findings", "services", "time", "days", "n", "number"}
    joined = {f for text in KOREAN.values() for f in re.findall(r"\{(\w+)\}" + PARTICLES, text)}
    assert joined <= known, "these end in a counter, whose sound is known"


@pytest.mark.parametrize(
    ("n", "english", "korean"),
    [
        (0, "0", "0"),
        (1234, "1,234", "1,234"),
        (999_999, "999,999", "999,999"),
        (1_000_000, "1 M", "100만"),
        (1_290_000, "1.29 M", "129만"),
        (78_906_412, "78.9 M", "7,890만"),
        (999_999_999, "1 G", "10억"),
        (2.5e12, "2.5 T", "2.5조"),
    ],
)
def test_counts_are_written_for_people(n, english, korean):
    assert (EN.number(n), KO.number(n)) == (english, korean)


@pytest.mark.parametrize(
    ("ms", "english", "korean"),
    [
        (0, "a moment", "한순간"),
        (45_000, "45 s", "45초"),
        (4_800_000, "1 h 20 min", "1시간 20분"),
        (3 * 86_400_000 + 59_000, "3 d", "3일"),
        (90_000_000, "1 d 1 h", "1일 1시간"),
        (86_400_000 * 1200, "1,200 d", "1,200일"),
        (-5000, "a moment", "한순간"),
    ],
)
def test_durations_have_two_units_at_most(ms, english, korean):
    assert (EN.duration(ms), KO.duration(ms)) == (english, korean)


@pytest.mark.parametrize(
    ("days", "written"), [(1, "1 day"), (14.0, "14 days"), (0.5, "12 h"), (13.9998, "14 days"), (13.5, "13 d 12 h")]
)
def test_days_that_are_not_whole_are_durations(days, written):
    assert EN.days(days) == written


@pytest.mark.parametrize(
    ("x", "written"),
    [(0, "0"), (0.000123, "0.000123"), (56.789, "56.8"), (-1234.0, "-1.23 k"), (999_999, "1 M"), (1e300, "1e+300")],
)
def test_measured_values_have_three_digits(x, written):
    assert EN.value(x) == written


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_value_can_be_written(x):
    assert len(EN.value(x)) <= 12


def test_one_is_told_from_many():
    assert EN("n_alerts", 1) == "1 alert"
    assert EN("n_alerts", 0) == "0 alerts"
    assert KO("n_alerts", 1) == "경보 1건"


def test_lists_are_joined_as_people_do():
    assert [EN.listing(w) for w in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_a_phrase_of_the_engine_is_translated_and_any_other_is_left():
    assert KO.known("rule files") == "지정한 규칙 파일"
    assert KO.known("head_both") == "head_both"


def test_the_day_of_an_end_is_written_where_it_is_another():
    t = datetime(2026, 1, 5, 23, tzinfo=UTC)
    assert from_to(t, t.replace(minute=30)) == "2026-01-05 23:00 \N{EN DASH} 23:30"
    assert from_to(t, t.replace(day=6, hour=1)) == "2026-01-05 23:00 \N{EN DASH} 2026-01-06 01:00"


def test_times_beyond_the_calendar_end_with_it():
    assert at(1e18).year == 9999
    assert at(-1e18).year == 1
