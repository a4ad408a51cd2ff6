from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.errors import QueryError
from airis_mon.query.algebra import Algebra
from airis_mon.query.plan import Samples
from airis_mon.query.values import Runs
from airis_mon.series.batch import STALE
from airis_mon.series.labels import series_name
from airis_mon.series.steps import Steps
from tests.query.source import Memory, Points, ask, at, every, steps_of

SOURCE = Memory(
    {'x{a="1"}': every(60, *range(1, 11)), 'x{a="2"}': every(60, 5, 5, None, 7), "c": every(15, *range(60))}
)


def runs(text: str, moment: float, source: Memory = SOURCE) -> dict[str, list[tuple[float, float]]]:
    value = ask(source, text, moment).value
    assert isinstance(value, Runs)
    rows = zip(value.labels, value.bounds[:-1].tolist(), value.bounds[1:].tolist(), strict=True)
    return {
        series_name(labels): list(zip((value.t[i:j] / 1000).tolist(), value.value[i:j].tolist(), strict=True))
        for labels, i, j in rows
    }


def test_the_timestamp_of_a_sample_is_its_own_that_of_a_computed_value_the_moment() -> None:
    assert at(SOURCE, 'timestamp(x{a="1"})', 70) == {'{a="1"}': 60.0}
    assert at(SOURCE, 'timestamp(x{a="1"} offset 1m)', 130) == {'{a="1"}': 60.0}
    assert at(SOURCE, 'timestamp(abs(x{a="1"}))', 70) == {'{a="1"}': 70.0}


def test_a_bare_range_is_its_samples_without_the_one_at_its_beginning() -> None:
    assert runs('x{a="1"}[2m]', 180) == {'x{a="1"}': [(120.0, 3.0), (180.0, 4.0)]}
    assert runs('x{a="1"}[2m] offset 1m', 180) == {'x{a="1"}': [(60.0, 2.0), (120.0, 3.0)]}
    assert runs('x{a="1"}[1m] @ 0', 180) == {'x{a="1"}': [(0.0, 1.0)]}


def test_a_bare_range_has_no_staleness_markers() -> None:
    source = Memory({"y": {0: 1.0, 60: float(STALE), 120: 3.0, 180: math.inf}})
    assert runs("y[5m]", 180, source) == {"y": [(0.0, 1.0), (120.0, 3.0), (180.0, math.inf)]}


def test_a_bare_subquery_is_values_at_multiples_of_its_step_up_to_its_end() -> None:
    assert runs('x{a="1"}[2m:1m]', 190) == {'x{a="1"}': [(120.0, 3.0), (180.0, 4.0)]}
    assert runs('(-x{a="1"})[1m:40s]', 190) == {'{a="1"}': [(160.0, -3.0)]}
    assert not any(runs('x{a="1"}[1m:1h]', 190).values())  # its only step would lie after its end


def test_a_subquery_has_no_samples_where_its_expression_has_none() -> None:
    assert at(SOURCE, 'count_over_time((x{a="1"} > 3)[5m:1m])', 300) == {'{a="1"}': 3.0}
    assert at(SOURCE, "count_over_time((x > 100)[5m:1m])", 300) == {}


def test_a_held_expression_is_the_same_at_every_step() -> None:
    assert steps_of(SOURCE, 'x{a="1"} @ 120', 0, 180) == [{'x{a="1"}': 3.0}] * 4
    assert steps_of(SOURCE, 'max_over_time(x{a="1"}[2m] @ 120)', 0, 180) == [{'{a="1"}': 3.0}] * 4
    assert steps_of(SOURCE, 'changes(x{a="1"}[2m:1m] @ end())', 0, 180) == [{'{a="1"}': 1.0}] * 4
    assert steps_of(SOURCE, "x @ 1e6", 0, 60) == [{}, {}]


def test_arguments_may_change_from_step_to_step_while_the_window_is_held() -> None:
    found = steps_of(SOURCE, "quantile_over_time(time() / 180, c[1m] @ 60)", 0, 180)
    assert [step["{}"] for step in found] == pytest.approx([1.0, 2.0, 3.0, 4.0])


def test_a_prediction_is_read_from_the_moment_of_evaluation() -> None:
    for text in ("predict_linear(c[1m], 60)", "predict_linear(c[1m:15s], 60)", "predict_linear(c[1m] offset 5m, 60)"):
        assert at(SOURCE, text, 600)["{}"] == pytest.approx(44.0)
    assert [step["{}"] for step in steps_of(SOURCE, "predict_linear(c[1m] @ 120, 0)", 0, 120)] == pytest.approx(
        [0, 4, 8]
    )
    assert math.isnan(at(SOURCE, "predict_linear(c[1m], NaN)", 600)["{}"])


def test_only_functions_that_pick_a_sample_keep_the_name() -> None:
    assert at(SOURCE, "last_over_time(c[1m])", 60) == {"c": 4.0}
    assert at(SOURCE, "last_over_time(c[1m:15s])", 60) == {"c": 4.0}
    assert at(SOURCE, "max_over_time(c[1m])", 60) == at(SOURCE, "max_over_time(c[1m:15s])", 60) == {"{}": 4.0}


def test_absent_is_one_at_the_steps_at_which_nothing_is() -> None:
    source = Memory({"y": every(300, 1, start=300)})
    assert steps_of(source, 'absent(y{a=""})', 0, 600, 300) == [{"{}": 1.0}, {}, {"{}": 1.0}]
    assert steps_of(source, 'absent(nothing{a="1"})', 0, 60) == [{'{a="1"}': 1.0}] * 2
    assert steps_of(source, "absent(y > 5)", 300, 360) == [{"{}": 1.0}] * 2


def test_absent_over_time_is_one_where_a_window_is_empty() -> None:
    source = Memory({'y{a="1"}': every(60, 1, 2)})
    assert steps_of(source, 'absent_over_time(y{a="1"}[2m])', 60, 240) == [{}, {}, {'{a="1"}': 1.0}, {'{a="1"}': 1.0}]
    assert at(source, 'absent_over_time(y{a="1"}[2m:1m])', 600) == {"{}": 1.0}
    assert at(source, 'absent_over_time(nothing{a="1"}[2m])', 600) == {'{a="1"}': 1.0}


def test_a_range_of_samples_is_no_value() -> None:
    leaf = Samples((), Steps.at(0), 60_000)
    with pytest.raises(QueryError, match="a range of samples is no value here"):
        Algebra({}, lambda: None, 0).evaluate(leaf, Steps.at(0))


_TIMES = st.integers(0, 60).map(lambda i: i * 17)
_NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 2.0, 5.0, -3.0, 1e9, math.nan, math.inf, float(STALE)])
_DATA = st.dictionaries(
    st.sampled_from(['x{a="1"}', 'x{a="2"}', 'y{a="1"}', 'y{a="2",b="1"}']),
    st.dictionaries(_TIMES, _NUMBERS, max_size=9),
)


@settings(max_examples=60, deadline=None)
@given(_DATA, st.integers(0, 1000), st.integers(1, 300))
def test_a_range_query_is_an_instant_query_at_every_step(data: dict[str, Points], start: int, step: int) -> None:
    source = Memory(data)
    end = start + 4 * step
    for text in (
        "x",
        "rate(x[3m])",
        "changes(x[3m] offset 1m)",
        "max_over_time((-x)[5m:40s])",
        "sum by (a) (x) / on (a) count by (a) (y)",
        "x and on (a) y or y unless x",
        "absent(x > 1)",
        "last_over_time(x[1m] @ 500) + scalar(y)",
        "timestamp(x) - time()",
        "predict_linear(x[5m] offset 1m, 60)",
        "topk(1, x)",
        "count_over_time((x > 1)[5m:50s])",
    ):
        many = outcome(source, text, start, end, step)
        single = [outcome(source, text, moment)[0] for moment in range(start, end + 1, step)]
        if "error" in (*many, *single):  # an error at one step is the error of the query
            assert set(many) == {"error"}
            assert "error" in single
        else:
            assert many == single


def outcome(source: Memory, text: str, start: float, end: float | None = None, step: float = 60) -> list[object]:
    """What a vector has at each step as text, so that NaN equals itself, in no order; or an error."""
    try:
        found = steps_of(source, text, start, end, step)
    except QueryError:
        return ["error"]
    return [sorted((name, f"{value:.9g}") for name, value in row.items()) for row in found]


@settings(max_examples=60, deadline=None)
@given(_DATA, st.integers(0, 1500), st.integers(1, 400), st.integers(1, 200))
def test_a_subquery_is_its_expression_at_each_of_its_steps(
    data: dict[str, Points], moment: int, window: int, step: int
) -> None:
    source = Memory(data)
    counts: dict[str, float] = {}
    for t in range(-2000 // step * step, moment + 1, step):
        if moment - window < t:
            for name in at(source, "x", t):
                counts[name] = counts.get(name, 0) + 1
    found = at(source, f"count_over_time(x[{window}s:{step}s])", moment)
    assert sorted(found.values()) == sorted(counts.values())
