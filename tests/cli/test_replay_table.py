"""The result of a replay in a terminal."""

from __future__ import annotations

import re

import pytest

from airis_mon.cli.replay_table import table
from airis_mon.cli.table import width
from airis_mon.errors import InputError
from tests.explain.replay_sample import empty, gaps, sample


def hostile(name):
    return f"\x1b[31m{name}\r\u202e서울\x9b" + "x" * 500


def rows_below(text, title):
    """The rows of a part under its heads, as the words between wide blanks."""
    part = next(p for p in text.split("\n\n") if p.startswith(title)).splitlines()
    return [re.split(r" {2,}", line.strip()) for line in part[2:]]


def test_the_headline_and_the_run_come_first():
    result = sample()
    top = table(result, 120, has_unicode=True).splitlines()
    assert top[0].startswith("In 14 days your rules fired 143 alerts in ")
    assert top[2] == "78,906,412 samples of 970 series in 61.2 s (1.29 M per second)"


def test_counts_per_day_and_service_are_those_of_the_result():
    result = sample()
    text = table(result, 120, has_unicode=True)
    for title, key, name, columns in (
        ("Day by day", "perDay", "day", ("notifications", "findings", "anomalies")),
        ("By service", "perService", "service", ("alerts", "findings", "anomalies")),
    ):
        told = {row[0]: [int(c.replace(",", "")) for c in row[1:] if "█" not in c] for row in rows_below(text, title)}
        assert told == {row[name]: [row[c] for c in columns] for row in result[key]}


def test_bars_are_as_long_as_their_counts():
    text = table(sample(), 120, has_unicode=True)
    most = max(int(row[1]) for row in rows_below(text, "By service"))
    for row in rows_below(text, "By service"):
        bars = [cell for cell in row if "█" in cell]
        assert len(bars[0]) == max(1, round(16 * int(row[1]) / most))


def test_the_fifteen_highest_findings_are_listed_and_the_rest_counted():
    result = sample()
    rows = rows_below(table(result, 120, has_unicode=True), "The highest findings")
    peaks = sorted((f["peak"] for f in result["findings"]), reverse=True)[:15]
    assert [row[1] for row in rows[:15]] == [f"{p:.2f}" for p in peaks]
    assert rows[15] == ["and 42 more."]
    assert "nothing" in {row[4] for row in rows[:15]}


def test_what_is_missing_simulated_or_not_built_is_said_before_any_table():
    text = table({**sample(simulated=True), "missing": gaps()}, 120, has_unicode=True)
    assert text.startswith("SIMULATED DATA")
    assert text.index("THE HISTORY IS INCOMPLETE: 2 parts") < text.index("Day by day")
    assert "the source answered 503 for 10 min" in text
    assert text.index("Not built yet: incidents and causes.") < text.index("Day by day")


def test_without_rules_their_columns_are_gone_and_the_reason_is_given():
    text = table(sample(rules=False), 120, has_unicode=True)
    assert "no rule files were given and the source holds no ALERTS that fire" in text
    assert "notifications  " not in text
    assert "your rules  " not in text


def test_a_terminal_without_letters_beyond_ascii_gets_none():
    text = table({**sample(rename=lambda s: s + "서울…"), "missing": gaps()}, 100, has_unicode=False)
    assert text.isascii()
    assert "###" in text


@pytest.mark.parametrize("has_unicode", [True, False])
def test_nothing_in_a_name_steers_the_terminal(has_unicode):
    text = table({**sample(rename=hostile), "missing": gaps(hostile)}, 100, has_unicode=has_unicode)
    assert all(line.isprintable() for line in text.splitlines())


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("rules", [True, False])
def test_lines_fit_the_terminal(columns, rules):
    text = table({**sample(rules=rules, days=90), "missing": gaps()}, columns, has_unicode=True)
    assert max(map(width, text.splitlines())) <= columns


def test_many_days_stand_together():
    rows = rows_below(table(sample(days=90), 120, has_unicode=True), "Day by day")
    assert len(rows) == 13


@pytest.mark.parametrize("rules", [True, False])
def test_an_empty_history_reads_well(rules):
    text = table(empty(rules=rules), 80, has_unicode=True)
    assert text.startswith("The history is empty: there was nothing to judge.")
    assert "No service was unusual as a whole." in text
    assert "Day by day" not in text


def test_korean_is_written_where_the_terminal_can_show_it():
    text = table({**sample(simulated=True), "missing": gaps()}, 80, "ko", has_unicode=True)
    assert text.startswith("시뮬레이션 데이터입니다.")
    assert "이상 징후 57건을 찾았습니다." in " ".join(text.split())
    assert max(map(width, text.splitlines())) <= 80
    assert table(sample(), 80, "ko", has_unicode=False).startswith("In 14 days")


def test_the_page_with_charts_is_pointed_to():
    assert table(sample(), 80).splitlines()[-1].startswith("--html FILE")


def test_what_is_no_result_is_refused():
    with pytest.raises(InputError, match="no result of a replay"):
        table({"days": 1}, 80)
