from __future__ import annotations

import math

import pytest

from benchmarks.__main__ import rounded, short, table, with_table
from benchmarks.bars import Bar

MORE = Bar("load", "a.b", "more", bar=10, aim=20)
LESS = Bar("load", "a.b", "less", bar=2, aim=1, is_more_better=False)


@pytest.mark.parametrize(
    "bar, value, verdict",
    [
        (MORE, 20, "aim met"),
        (MORE, 10, "bar met"),
        (MORE, 9, "MISSED by 10%"),
        (LESS, 1, "aim met"),
        (LESS, 2, "bar met"),
        (LESS, 3, "MISSED by 50%"),
        (Bar("load", "bytes", "no bar"), 7, ""),
        (Bar("kill9", "lost", "none", 0, 0, is_more_better=False), 7, "MISSED by 7"),
    ],
)
def test_a_verdict_says_which_line_is_reached_or_by_how_much_it_is_missed(bar, value, verdict):
    assert bar.verdict(value) == verdict


def test_a_figure_is_found_by_its_path_or_is_absent():
    assert MORE.value({"a": {"b": 3}}) == 3
    assert MORE.value({"a": 3}) is None


def test_the_table_has_only_parts_that_ran():
    assert "server ready" in table({"ready": {"ready_s": 1.5}})
    assert "kill" not in table({"ready": {"ready_s": 1.5}})


def test_results_keep_five_digits():
    assert rounded({"x": [math.pi], "n": 3}) == {"x": [3.1416], "n": 3}


@pytest.mark.parametrize("value, shown", [(1_234_567, "1.23 M"), (45_600, "45.6k"), (2048, "2048"), (0.789, "0.789")])
def test_figures_are_short(value, shown):
    assert short(value) == shown


def test_a_table_takes_the_place_of_the_one_before():
    page = "before\n\n<!-- bench -->\n\nafter ```code```\n"
    once = with_table(page, "one")
    assert once == "before\n\n<!-- bench -->\n```\none\n```\n\nafter ```code```\n"
    assert with_table(once, "two") == once.replace("one", "two")
