from __future__ import annotations

import promql_parser as pp
import pytest

from airis_mon.errors import InputError
from airis_mon.query.dialect import matcher_of
from airis_mon.query.parse import MOST_DEPTH, formatted, parse
from airis_mon.series.matchers import Matcher


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(text)
    return str(caught.value)


def value(text: str) -> str:
    literal = parse(text)
    assert isinstance(literal, pp.StringLiteral)
    return literal.val


def conditions(text: str) -> list[str]:
    selector = parse(text)
    assert isinstance(selector, pp.VectorSelector)
    return [str(matcher_of(each)) for each in selector.matchers.matchers]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("`a`", "a"),
        ("`\\d\"'+\n`", "\\d\"'+\n"),
        ("`#`", "#"),
        (r'"\\"', "\\"),
        (r"'it\'s'", "it's"),
        ('"`#`"', "`#`"),
        ('"12345678901ms"', "12345678901ms"),
    ],
)
def test_strings_are_read_as_prometheus_reads_them(text: str, meant: str) -> None:
    assert value(text) == meant
    assert conditions(f"x{{a={text}}}") == [str(Matcher("a", "=", meant))]


def test_comments_end_with_their_line() -> None:
    assert parse("x # + y").prettify() == "x"
    assert parse("x # it's\n+ y").prettify() == parse("x # it's\r+ y").prettify() == "x + y"
    assert "operations" in refused("x # a\r" + "+ x" * (MOST_DEPTH + 1))


@pytest.mark.parametrize("pattern", [r"\d+", r"a|b", "{{.*}}", r"\Q.\E", r"[a&&b]", ".*", "", "it's", "x=~y"])
@pytest.mark.parametrize("op", ["=~", "!~"])
def test_patterns_are_re2_s_and_reach_the_selector_as_they_stand(pattern: str, op: str) -> None:
    assert conditions(f"{{m='1',a {op}\n `{pattern}`}}")[1:] == [f'a{op}"{pattern}"'.replace("\\", "\\\\")]


def test_a_pattern_that_re2_refuses_is_refused_in_its_words() -> None:
    assert refused('x{job=~"("}') == "parse error: pattern '(' of label 'job' is refused by RE2: missing ): ("
    assert "'(' of label ''" in refused('x{"a job"=~"("}')


def test_patterns_that_would_take_rust_minutes_to_compile_take_none() -> None:
    selectors = ",".join([r'a=~"((\\pL{3}){10})"'] * 1000)  # minutes, if Rust compiled each
    assert len(conditions(f"x{{{selectors}}}")) == 1000
    different = ",".join(f'a=~"b{i}"' for i in range(101))
    assert refused(f"x{{{different}}}") == "parse error: the expression has more than 100 different patterns"


@pytest.mark.parametrize("selector", ["{}", '{a=""}', '{a=~".*"}', '{a!="x"}', '{a!~"x"}', '{a!~".+",b=~"y?"}'])
def test_a_selector_needs_a_condition_that_asks_for_a_label(selector: str) -> None:
    assert refused(selector) == "parse error: vector selector must contain at least one non-empty matcher"


@pytest.mark.parametrize("selector", ['{a=~".+"}', '{a!~".*"}', '{a!=""}', '{a=~".*",b="1"}', 'x{a=~".*"}'])
def test_one_such_condition_is_enough(selector: str) -> None:
    assert conditions(selector)


def test_more_milliseconds_than_32_bits_hold_are_a_duration() -> None:
    assert formatted("rate(x[5184000000ms])") == "rate(x[60d])"
    assert formatted("a12345678901ms + a:12345678901ms") == "a12345678901ms + a:12345678901ms"


@pytest.mark.parametrize("text", ["x[1e300]", "x offset NaN", "x offset -Inf", "x offset 1e19", "x[1m:1e300]"])
def test_panics_of_the_parser_are_input_errors(text: str) -> None:
    assert refused(text).startswith("parse error: ")


@pytest.mark.parametrize("written", ["-5", "- 5.0", "-0x5", "-.5e1", "-5.00"])
def test_a_time_before_1970_is_laid_out_as_it_is(written: str) -> None:
    assert formatted(f"x @ {written}") == "x @ -5.000"


@pytest.mark.parametrize("text", ['x{a="@ -5"}', 'x{a="@ 1125899906837.624",b=~"@ -5"} @ 0.000', "x @ 1000.000"])
def test_what_looks_like_a_time_of_another_era_is_left_alone(text: str) -> None:
    assert formatted(text) == text


@pytest.mark.parametrize(
    "text", ["x @ -", "x @ -y", "x @ -5s", "x @ -Inf", "x @ 5.5.5", "x @ -0x", "x @ NaN", "x @ 0x11111111111111111"]
)
def test_only_a_number_is_a_time(text: str) -> None:
    assert refused(text).startswith("parse error: ")
