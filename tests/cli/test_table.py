"""Texts of others on a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.cli.table import aligned, folded, tame, width


def test_nothing_that_steers_a_terminal_gets_through():
    assert tame("a\x1b[31mb\rc\x00\x9b1m\u202ed\u200be") == r"a\x1b[31mb\rc\x00\x9b1m\u202ed\u200be"
    assert tame("한국 ünï ━ ok") == "한국 ünï ━ ok"


@given(st.text())
def test_a_tame_text_can_be_printed(text):
    assert tame(text).isprintable()


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("서울", 4), ("e\u0301", 1), ("", 0)])
def test_a_text_takes_the_columns_that_a_terminal_gives_it(text, columns):
    assert width(text) == columns


def test_a_long_text_is_folded_behind_commas():
    assert folded('up{a="1",b="2",c="3"}', 16) == ['up{a="1",b="2",', '  c="3"}']
    assert folded("x" * 10, 4) == ["xxxx", "  xx", "  xx", "  xx"]
    assert folded("서울부산", 4) == ["서울", "  부", "  산"]
    assert folded("", 4) == [""]


@given(st.text(), st.integers(6, 40))
def test_folded_lines_fit_and_lose_nothing(text, columns):
    text = tame(text)
    lines = folded(text, columns)
    assert all(width(line) <= columns for line in lines)
    assert lines[0] + "".join(line[2:] for line in lines[1:]) == text


def test_columns_stand_under_each_other_whatever_the_letters():
    rows = [("name", "value", "end"), ("서울", "1", "x"), ("b\n", "100", "y")]
    assert [line for lines in aligned(rows, frozenset({1})) for line in lines] == [
        "name  value  end",
        "서울      1  x",
        "b\\n     100  y",
    ]


def test_the_first_column_is_folded_where_the_terminal_ends():
    rows = [("series", "v"), ('metric{host="aaaaaaaaaa",zone="bbbbbbbb"}', "1")]
    (_, (top, more)) = aligned(rows, frozenset({1}), 34)
    assert top == 'metric{host="aaaaaaaaaa",        1'
    assert more == '  zone="bbbbbbbb"}'
