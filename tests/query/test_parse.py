from __future__ import annotations

import subprocess
import sys
from typing import Any

import promql_parser as pp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.errors import InputError
from airis_mon.query.parse import MOST_CHARACTERS, MOST_DEPTH, depth, formatted, parse
from airis_mon.query.plan import Planner
from airis_mon.series.steps import Steps
from tests.query.hostile import SHAPES


def refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "  ", "# nothing", "x +", "rate(x)", "foo(x)", "x[5m", '"a', "x{a=`b}", "sum(1)", "\ud800", "x\x00"]
)
def test_malformed_text_is_an_input_error(text: str) -> None:
    assert refused(text).startswith("parse error: ")


def test_a_text_that_is_too_long_is_refused() -> None:
    assert parse("a" * MOST_CHARACTERS)
    assert refused("a" * (MOST_CHARACTERS + 1)) == (
        "parse error: the expression has 50001 characters, at most 50000 are taken"
    )


@pytest.mark.parametrize(("before", "middle", "after"), SHAPES)
def test_depth_is_bounded(before: str, middle: str, after: str) -> None:
    deep = before * (MOST_DEPTH + 1) + middle + after * (MOST_DEPTH + 1)
    assert refused(deep).startswith("parse error: up to ")
    assert "at most 150 are taken" in refused(deep)


def test_a_wide_expression_is_taken() -> None:
    wide = "topk(1, sum by (a) (rate(x{a!='1',b!='2'}[5m])))"
    for _ in range(6):
        wide = f"({wide} or {wide})"
    assert parse(wide)


_LEAVES = st.sampled_from(["x", "1", 'x{a!="(((",b=~"[+"}', "time()", '{"(("}', "x offset -5m", "x @ -5", "x # (((\n"])
_FORMS = st.sampled_from(
    [
        "({0})",
        "-{0}",
        "{0} + {1}",
        "{0} ^ {1}",
        "{0}==bool{1}",
        "{0} >= {1}",
        "{0} atan2 {1}",
        "{0} AND {1}",
        "{0} unless on(a) {1}",
        "abs({0})",
        "sum({0}) without (a, b)",
        "topk by (a) ({0}, {1})",
        "max_over_time({0}[5m:1m] offset -1m)",
        'label_replace({0}, "a", \'$(\', `((`, "-")',
    ]
)
_EXPRESSIONS = st.recursive(
    _LEAVES, lambda inner: st.builds(lambda form, a, b: form.format(a, b), _FORMS, inner, inner), max_leaves=25
)


def levels(expr: pp.Expr | None) -> int:
    """How deep operations stand in each other."""
    match expr:
        case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
            return 1 + levels(expr.expr)
        case pp.BinaryExpr():
            return 1 + max(levels(expr.lhs), levels(expr.rhs))
        case pp.AggregateExpr():
            return 1 + max(levels(expr.expr), levels(expr.param))
        case pp.Call():
            return 1 + max(map(levels, expr.args), default=0)
    return 0


@given(_EXPRESSIONS)
def test_depth_is_never_reckoned_too_small(text: str) -> None:
    try:
        expr = parse(text)
    except InputError:  # most have types that don't go together
        return
    assert levels(expr) <= depth(text)


@pytest.mark.parametrize(
    ("text", "laid_out"),
    [
        ("sum by(job)(rate(x[5m]))", "sum by (job) (rate(x[5m]))"),
        ("x{a=~'b',c!~`\\d`}", 'x{a=~"b",c!~"\\\\d"}'),
        ("x@5 offset 1h", "x @ 5.000 offset 1h"),
        ('{"m",a!=""}', '{__name__="m",a!=""}'),
    ],
)
def test_expressions_are_laid_out(text: str, laid_out: str) -> None:
    assert formatted(text) == laid_out
    assert formatted(laid_out) == laid_out


@pytest.mark.slow
def test_nothing_but_errors_for_callers_escapes_in_a_thread_of_little_stack() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "tests.query.hostile"], capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout.split() == ["the", "end"], found.stdout


@pytest.mark.parametrize(
    "text",
    [
        "x offset 1e300",
        "x offset -Inf",
        "x[NaN]",
        "x[5m:1e300]",
        "x[1e10]",
        "x offset 99999999y",
        "rate(x[5m:99999999y])",
    ],
)
def test_times_that_no_duration_holds_are_out_of_range_and_nothing_panics(text: str, capfd: Any) -> None:
    with pytest.raises(InputError, match="duration out of range"):
        Planner(Steps.at(0), 0, 300_000, 60_000, frozenset()).plan(parse(text))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'x{a="\xc3\xa9"}', "é"),
        (r'x{a="\303\251\U0001F600"}', "é😀"),
        (r'x{a="\\xc3"}', r"\xc3"),
        (r"x{a='\x27'}", "'"),
    ],
)
def test_escaped_bytes_are_utf_8(text: str, value: str) -> None:
    assert [matcher.value for matcher in parse(text).matchers.matchers] == [value]


def test_bytes_that_are_no_text_are_refused() -> None:
    for text in (r'x{a="\xff"}', r"'bad \400'"):
        with pytest.raises(InputError, match="are not UTF-8"):
            parse(text)


def test_a_selector_has_so_many_matchers_and_no_more() -> None:
    many = "{" + ",".join(f'a{i}="b"' for i in range(201)) + "}"
    with pytest.raises(InputError, match="201 matchers, at most 200 are taken"):
        Planner(Steps.at(0), 0, 300_000, 60_000, frozenset()).plan(parse(many))


@pytest.mark.parametrize("name", ["a:1e300", "a:nan", "offset:1e300", "job:x:inf"])
def test_a_name_with_a_colon_is_no_range(name: str) -> None:
    assert formatted(name) == name
    assert refused(f"{name}[5m:1e300]") == refused(f"{name}[5m : NaN]") == "parse error: duration out of range"
