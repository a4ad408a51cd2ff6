from __future__ import annotations

import re
from string import Formatter

import pytest

from airis_mon.explain.explore import ENGLISH, KOREAN, TABLES, Place, Related, Seen, Teller

HANGUL = re.compile(r"[가-힣]")
NOON = 1_772_366_400_000


def fields(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_sentences_with_the_same_values():
    assert ENGLISH.keys() == KOREAN.keys()
    for key, english in ENGLISH.items():
        assert fields(english) == fields(KOREAN[key]), key


def told(lang):
    teller = Teller(lang)
    here, there = Place(3, None), Place(7, NOON)
    return [
        teller.apart("m", 1000, 0.5, [(24, 86_400_000, 0.4), (7, None, 0.2)], 2),
        teller.apart("m", 10, None, [], 0),
        teller.apart("m", 10, None, [(4, None, 1.0)], 0),
        teller.changes("m", [(here, 1.0, 2.0), (there, 2.0, 1.0)], wanders=False, has_season=False),
        teller.changes("", [(here, 1.0, 2.0)] * 5, wanders=False, has_season=False),
        teller.changes("m", [], wanders=False, has_season=True),
        teller.changes("m", [], wanders=True, has_season=True),
        teller.correlations("m", [Related("x", 0.9, 5, 300_000), Related("y", -0.5, -2, None)], 10, "changes"),
        teller.correlations("m", [], 10, "values"),
        teller.correlations("m", [], 0, "values"),
        teller.similar([Seen("m", here, 0.9)], 0.7),
        teller.similar([], 0.7),
        teller.profile((here, there, 0.9), here),
        teller.total("sum", 4, 10.0, 14.2, 0.42),
        teller.total("mean", 4, 10.0, 10.0, 0.0),
        teller.total("sum", 4, 0.0, 10.0, None),
        teller.explained(["pod"], ["cart-3"], 0.91),
        teller.explained(["pod"], ["a", "b"], 1.5),
        teller.explained(["pod"], [], None),
        teller.series("m", 1.0, 2.0, 1.0),
        teller.series("m", None, 2.0, None),
        teller.series("m", 0.0, 2.0, None),
        teller.certainty(0.5, 0.001, is_found=True) + teller.certainty(0.1, 0.5, is_found=False),
        teller.tested(2, 10) + teller.tested(0, 10),
        teller.nothing(),
    ]


@pytest.mark.parametrize("lang", TABLES)
def test_every_sentence_is_whole_and_in_its_language(lang):
    for said in told(lang):
        assert "{" not in said
        assert "|" not in said
        assert said.strip().endswith(".")
        assert bool(HANGUL.search(said)) == (lang == "ko"), said


def test_english_tells_one_from_many_and_names_what_moves_first():
    teller = Teller("en")
    related = [Related("x", 0.9, 5, 300_000), Related("y", -0.5, -2, None), Related("z", 0.4, 0, None)]
    said = teller.correlations("m", related, 10, "changes")
    assert said.startswith(
        "3 of 10 series move with m: x (correlation 0.90, 5 min earlier); y (correlation -0.50, 2 points later); "
        "z (correlation 0.40, at the same time)."
    )
    assert teller.correlations("m", related[:1], 10, "changes").startswith("1 of 10 series moves with m: x")


def test_more_than_three_are_counted():
    said = Teller("en").similar([Seen("m", Place(i, None), 0.9) for i in range(5)], 0.7)
    assert said.endswith("point 2 in m (correlation 0.90), and 2 more.")


def test_of_many_changes_the_largest_are_told_and_that_a_season_may_be_missing():
    steps = [(Place(i, None), 100.0 - i, 99.0 - i) for i in range(20)] + [(Place(90, None), 80.0, 140.0)]
    said = Teller("en").changes("m", steps, wanders=False, has_season=False)
    assert said.startswith("The level of m changed 21 times, the largest first: at point 90 from 80 to 140, ")
    assert "No season of it is known" in said
    assert "season" not in Teller("en").changes("m", steps, wanders=False, has_season=True)
    few = Teller("en").changes("m", steps[-3:], wanders=False, has_season=False)
    assert few.startswith("The level of m changed 3 times: at point 18 from 82 to 81;")
    assert "season" not in few


@pytest.mark.parametrize(
    ("said", "begin"),
    [
        (Teller("en").apart("", 15, 0.5, [], 0), "The series over 15 points: "),
        (Teller("en").changes("", [], wanders=False, has_season=True), "The level of the series did not"),
        (
            Teller("en").similar([Seen("", Place(0, None), 1.0)], 0.7),
            "The shape is found again, most alike at point 0 in",
        ),
        (Teller("ko").apart("", 15, 0.5, [], 0), "이 시계열(15개 점): "),
    ],
)
def test_a_series_without_a_name_is_called_the_series(said, begin):
    assert said.startswith(begin)
    assert "-" not in said


def test_figures_have_the_digits_that_they_carry():
    teller = Teller("en")
    assert teller.total("sum", 1200, 1_234_567.0, 1_240_000.0, 0.0044) == (
        "The sum over 1,200 series rose by 0.44 %, from 1.23 M to 1.24 M."
    )
    assert teller.total("sum", 2, 10.0, 5.0, -0.5) == "The sum over 2 series fell by 50 %, from 10 to 5."
    assert Teller("ko").explained(["pod"], ["cart-3"], 0.91) == " 변화의 91%는 pod=cart-3에서 왔습니다."
