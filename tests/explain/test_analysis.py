from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.analyze.analysis import analyze
from airis_mon.analyze.base import ChangePoint
from airis_mon.explain.analysis import ENGLISH, KOREAN, METHOD_WORDS, number, told

WORKFLOW = [45, 67, 89, 95, 12, 78, 156, 34]
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def numbers_of(noun: Any) -> set[str]:
    """Every number in an analysis, as it would be written."""
    if is_dataclass(noun) and not isinstance(noun, type):
        return {n for f in fields(noun) for n in numbers_of(getattr(noun, f.name))}
    if isinstance(noun, dict):
        return {n for part in noun.values() for n in numbers_of(part)}
    if isinstance(noun, tuple | list):
        return {str(len(noun))} | {n for part in noun for n in numbers_of(part)}
    if isinstance(noun, int | float) and not isinstance(noun, bool):
        return {str(noun), number(noun), number(abs(noun))}
    return set()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60) | st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.sampled_from(["en", "ko"]),
)
def test_no_number_is_told_that_is_not_in_the_analysis(values, lang):
    found = analyze(np.array(values, float))
    said = told(found, lang)
    assert said.verdict in said.whole
    known = numbers_of(found)
    assert {n.rstrip(",") for n in NUMBER.findall(said.whole)} <= known


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize(
    ("values", "index", "value"),
    [([45, 67, 89, 95, 156], 4, "156"), (WORKFLOW, 6, "156")],
)
def test_the_value_that_is_unlike_the_others_is_named(lang, values, index, value):
    verdict = told(analyze(np.array(values, float)), lang).verdict
    assert re.search(rf"\b{index}\b" if lang == "en" else rf"인덱스 {index}의", verdict)
    assert f"({value})" in verdict


def test_it_reads_as_sentences():
    said = told(analyze(np.array(WORKFLOW, float)), "en")
    assert said.whole.startswith(
        "8 values between 12 and 156: mean 72, median 72.5, standard deviation 44.25. The value at index 6 (156) is "
        "unlike the others: it lies 3.13 of their standard deviations from their mean, and the threshold is 2.5. "
        "No trend stands out from chance (Mann-Kendall's p is 0.7105)."
    )
    assert told(analyze(np.array(WORKFLOW, float)), "ko").verdict == (
        "인덱스 6의 값(156)은 나머지 값들과 다릅니다. 나머지 값들의 평균에서 그 표준편차의 3.13배 떨어져 있으며, "
        "기준은 2.5배입니다."
    )


@pytest.mark.parametrize(
    ("values", "english", "korean"),
    [
        ([42], "A single value: 42.", "값이 하나뿐입니다: 42."),
        ([7, 7, 7, 7], "4 values, all of them 7.", "4개의 값이 모두 7입니다."),
        ([7, 7, 7, 9], "which are all equal.", "나머지 값들은 모두 같습니다."),
        ([7, 7, 7, 7], "All values are equal, so none is unlike the others.", "값이 모두 같아 나머지와 다른 값이"),
        ([1, 2], "cannot say", "판단할 수 없습니다"),
        (list(range(20)), "They rise: 1 per point", "값이 커지고 있습니다."),
        (list(range(20, 0, -1)), "They fall: -1 per point", "값이 작아지고 있습니다."),
        ([5, 6, 5, 7, 6, 5, 7, 6], "No value is unlike the others: the furthest", "나머지와 다른 값은 없습니다."),
    ],
)
def test_each_case_has_its_sentence(values, english, korean):
    found = analyze(np.array(values, float))
    assert english in told(found, "en").whole
    assert korean in told(found, "ko").whole


def test_many_outliers_are_counted_and_the_first_of_them_named():
    rng = np.random.default_rng(1)
    value = rng.normal(50, 1, 200)
    value[[20, 60, 100, 140, 180]] = [90, 95, 99, 97, 96]
    found = analyze(value)
    assert len(found.anomaly.points) == 5
    assert "5 values are flagged in all; the others include index 20, 60 and 140." in told(found, "en").verdict
    assert "이상값은 모두 5개이며, 인덱스 20, 60, 140 등에도 있습니다." in told(found, "ko").verdict


def test_a_vote_without_the_z_score_names_the_methods_that_found_it():
    found = analyze(np.array(WORKFLOW, float))
    (point,) = found.anomaly.points
    voted = replace(found.anomaly, points=(replace(point, methods=("iqr", "mad")),))
    assert (
        "as the interquartile range and the median absolute deviation find"
        in told(replace(found, anomaly=voted), "en").verdict
    )


def test_changes_beyond_three_are_counted():
    found = replace(
        analyze(np.array(WORKFLOW, float)), changes=tuple(ChangePoint(i * 10, 1.0, 2.0, 5.0) for i in range(1, 6))
    )
    assert (
        "Their level changes at index 30: 1 on average before, 2 after. There are 5 changes of level in all."
        in told(found, "en").whole
    )
    assert "수준 변화는 모두 5번입니다." in told(found, "ko").whole


@pytest.mark.parametrize(
    ("x", "written"),
    [
        (0, "0"),
        (63.4625, "63.46"),
        (-0.0, "0"),
        (0.012344, "0.01234"),
        (1234.56, "1,235"),
        (156.7, "156.7"),
        (999.96, "1,000"),
        (2.5, "2.5"),
        (1e15, "1e+15"),
        (0.00001234, "1.234e-05"),
        (-46.3, "-46.3"),
        (10, "10"),
        (5000.0, "5,000"),
    ],
)
def test_numbers_have_four_digits(x, written):
    assert number(x) == written


def test_both_languages_say_the_same_things_with_the_same_values():
    assert ENGLISH.keys() == KOREAN.keys()
    assert METHOD_WORDS["en"].keys() == METHOD_WORDS["ko"].keys()
    for key in ENGLISH:
        assert set(re.findall(r"\{(\w+)\}", ENGLISH[key])) == set(re.findall(r"\{(\w+)\}", KOREAN[key])), key


def test_no_korean_particle_depends_on_a_number():
    for key, sentence in KOREAN.items():
        assert not re.search(r"\}(이|가|은|는|을|를|과|와|으로|로)(?=[\s.,])", sentence), key
