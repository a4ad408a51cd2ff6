"""Selectors and what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import InputError
from airis_mon.series.labels import canonical
from airis_mon.series.matchers import Matcher, compile_matchers, compile_selectors, parse_selector

UP = canonical([("__name__", "up"), ("job", "api"), ("instance", "a:9090")])


@pytest.mark.parametrize(
    ("text", "matchers"),
    [
        ("up", [("__name__", "=", "up")]),
        ("node:cpu:rate5m", [("__name__", "=", "node:cpu:rate5m")]),
        ('up{job="api"}', [("__name__", "=", "up"), ("job", "=", "api")]),
        ('{job!="api", instance=~"a.*",}', [("job", "!=", "api"), ("instance", "=~", "a.*")]),
        (" up { job !~ 'x|y' } ", [("__name__", "=", "up"), ("job", "!~", "x|y")]),
        ('{"disk.used", "k8s.pod"="a"}', [("__name__", "=", "disk.used"), ("k8s.pod", "=", "a")]),
        (r'{a="quote \" slash \\ line \n tab \t \x41 \u00e9"}', [("a", "=", 'quote " slash \\ line \n tab \t A é')]),
        (r"{a=`\d+`}", [("a", "=", r"\d+")]),
        ("up{}", [("__name__", "=", "up")]),
    ],
)
def test_a_selector_is_read_as_promql_reads_it(text, matchers):
    assert parse_selector(text) == tuple(Matcher(*m) for m in matchers)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no series"),
        ("{}", "names no series"),
        ("up{job}", "one of = != =~ !~ at position 7"),
        ("up{job=api}", "a quoted value at position 8"),
        ('up{job="api"', "'}' at position 13"),
        ('up{job="api"} x', "the end at position 15"),
        ('up{="api"}', "a label name"),
        ('up{job=~"("}', "RE2"),
        (r'up{job="\ud800"}', "surrogate"),
        (r'up{job="\U00110000"}', "U0010FFFF"),
        ('up{job=~"(?!x)"}', "RE2"),
        (r'{a=~"(x)\\1"}', "RE2"),
    ],
)
def test_a_broken_selector_says_what_was_expected_where(text, words):
    with pytest.raises(InputError) as error:
        parse_selector(text)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "means_it"),
    [
        ("up", True),
        ("down", False),
        ('up{job="api"}', True),
        ('{job=~"ap"}', False),  # anchored
        ('{job=~"ap.*|x"}', True),
        ('{job!~"ap.*"}', False),
        ('{zone=""}', True),  # absent is empty
        ('{zone!=""}', False),
        ('{zone=~".*"}', True),
        ('{zone=~".+"}', False),
    ],
)
def test_a_selector_means_the_series_that_meet_every_condition(text, means_it):
    assert compile_matchers(parse_selector(text))(UP) is means_it


def test_any_of_several_selectors_is_enough_and_none_means_none():
    assert compile_selectors(["down", 'up{job="api"}'])(UP)
    assert not compile_selectors([])(UP)


def test_an_unknown_operator_is_refused():
    with pytest.raises(InputError, match="none of"):
        compile_matchers([Matcher("a", "~", "b")])


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,6}", fullmatch=True), st.text(max_size=12), min_size=1))
def test_a_written_selector_is_read_back(labels):
    matchers = tuple(Matcher(n, "=", v) for n, v in labels.items())
    assert parse_selector("{" + ",".join(map(str, matchers)) + "}") == matchers


def test_a_pattern_that_would_backtrack_without_end_answers():
    matches = compile_matchers(parse_selector('up{x=~"(a|a)*b"}'))
    assert not matches((("__name__", "up"), ("x", "a" * 5000 + "!")))


def test_patterns_are_those_of_the_store():
    matches = compile_matchers(parse_selector(r'{x=~"[[:alpha:]]+\\p{L}.é"}'))
    assert matches((("__name__", "up"), ("x", "abcß\né")))


def test_a_pattern_of_very_many_instructions_is_refused() -> None:
    names = "|".join(f"service-{i:04d}.example" for i in range(1000))
    assert compile_selectors([f'{{a=~"{names}"}}'])((("a", "service-0007.example"),))
    with pytest.raises(InputError, match="instructions, at most 65,536"):
        compile_selectors([f'{{a=~"{"(a?){50}" * 400}"}}'])
