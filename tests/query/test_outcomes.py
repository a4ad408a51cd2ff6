"""What rules give for the values of their expressions."""

import numpy as np
import pytest

from airis_mon.errors import QueryError
from airis_mon.query.outcomes import Alerter, Recorder
from airis_mon.query.rules import AlertingRule, RecordingRule
from airis_mon.query.templates import Expander
from airis_mon.query.values import Runs, Scalar, Text, Vector, vector

T = np.array([1000, 2000, 3000])
RULE = RecordingRule("r", "e", (("kind", "x"),))


def ask(text, at):
    return Scalar(np.array([at / 1000]))


EXPANDER = Expander(ask, {"region": "eu"}, "http://mon")


def rows(*given):
    value = np.array([v for _, v in given], float).reshape(len(given), -1)
    return vector([tuple(sorted(labels.items())) for labels, _ in given], value, ~np.isnan(value))


def of(outcome):
    return [
        (dict(labels), value.tolist())
        for labels, value in zip(outcome.vector.labels, outcome.vector.value, strict=True)
    ]


def alerted(rule, value, t, expander):
    return Alerter(rule, expander).outcome(value, t)


def alert(**labels):
    return AlertingRule("A", "e", labels=tuple(labels.items()))


def test_a_recording_rule_gives_its_name_and_labels_to_each_series():
    outcome = Recorder(RULE).outcome(rows(({"__name__": "up", "a": "1"}, [1, 2, 3]), ({"a": "2"}, [4, np.nan, 6])))
    assert outcome.vector.labels == [
        (("__name__", "r"), ("a", "1"), ("kind", "x")),
        (("__name__", "r"), ("a", "2"), ("kind", "x")),
    ]
    assert outcome.source.tolist() == [[0, 0, 0], [1, -1, 1]]
    assert not outcome.failed.any()


def test_a_scalar_is_one_series_without_labels_and_other_values_are_refused():
    assert of(Recorder(RULE).outcome(Scalar(np.array([1.0, np.nan, 3.0]))))[0][0] == {"__name__": "r", "kind": "x"}
    for value in (Text("a"), Runs([], np.zeros(1, np.intp), np.zeros(0, np.int64), np.zeros(0))):
        with pytest.raises(QueryError, match="rule result is not a vector or scalar"):
            Recorder(RULE).outcome(value)


def test_series_that_come_to_have_equal_labels_fail_only_at_the_steps_where_both_are():
    both = rows(({"a": "1", "kind": "y"}, [1, np.nan, 3]), ({"a": "1", "kind": "z"}, [4, 5, np.nan]))
    outcome = Recorder(RULE).outcome(both)
    assert outcome.failed.tolist() == [True, False, False]
    assert outcome.why == "vector contains metrics with the same labelset after applying rule labels"
    assert np.array_equal(outcome.vector.value, [[np.nan, 5, 3]], equal_nan=True)
    assert outcome.source.tolist() == [[-1, 1, 0]]


def test_a_step_with_more_series_than_the_limit_fails():
    outcome = Recorder(RULE, limit=1).outcome(rows(({"a": "1"}, [1, 1, 1]), ({"a": "2"}, [np.nan, 2, np.nan])))
    assert outcome.failed.tolist() == [False, True, False]
    assert outcome.why == "exceeded limit of 1 with 2 series"
    assert outcome.vector.has.tolist() == [[True, False, True], [False, False, False]]


def test_an_alert_has_the_labels_of_its_series_and_those_that_the_rule_makes_of_them():
    outcome = alerted(
        alert(sev="{{ $labels.a }}-{{ $externalLabels.region }}", b=""),
        rows(({"__name__": "m", "a": "1", "b": "2"}, [1, 2, 3])),
        T,
        EXPANDER,
    )
    assert outcome.vector.labels == [(("a", "1"), ("alertname", "A"), ("sev", "1-eu"))]


def test_a_label_made_of_the_value_makes_another_alert_when_the_value_changes():
    outcome = alerted(
        alert(sev="{{ if gt $value 2.0 }}high{{ else }}low{{ end }}"),
        rows(({"a": "1"}, [1, 2, 3]), ({"a": "2"}, [5, np.nan, 1])),
        T,
        EXPANDER,
    )
    found = {(labels["a"], labels["sev"]): value for labels, value in of(outcome)}
    assert {key: [None if np.isnan(v) else v for v in value] for key, value in found.items()} == {
        ("1", "low"): [1, 2, None],
        ("1", "high"): [None, None, 3],
        ("2", "high"): [5, None, None],
        ("2", "low"): [None, None, 1],
    }


def test_a_label_made_of_a_query_is_asked_for_at_each_step():
    outcome = alerted(alert(at='{{ query "time()" | first | value }}'), rows(({"a": "1"}, [1, 1, 1])), T, EXPANDER)
    assert [labels["at"] for labels, _ in of(outcome)] == ["1", "2", "3"]


def test_alerts_with_equal_labels_fail_the_step():
    outcome = alerted(alert(a=""), rows(({"a": "1"}, [1, np.nan, 1]), ({"a": "2"}, [1, 1, np.nan])), T, EXPANDER)
    assert outcome.failed.tolist() == [True, False, False]
    assert outcome.why == "vector contains metrics with the same labelset after applying alert labels"
    assert outcome.source.tolist() == [[-1, 1, 0]]


def test_annotations_are_texts_of_the_series_and_a_broken_one_says_why():
    rule = AlertingRule("A", "e", annotations=(("bad", "{{ first nil }}"), ("s", "{{ $labels.a }} at {{ $value }}")))
    (_, bad), (_, text) = Alerter(rule, EXPANDER).annotations((("a", "1"),), 2.5, 1000)
    assert text == "1 at 2.5"
    assert bad.startswith("<error expanding template: error executing template __alert_A: ")


def test_nothing_gives_nothing():
    nothing = Vector([], np.empty((0, 3)), np.empty((0, 3), bool))
    assert (
        len(Recorder(RULE, limit=1).outcome(nothing).vector)
        == len(alerted(alert(x="{{ $value }}"), nothing, T, EXPANDER).vector)
        == 0
    )


def test_labels_of_a_series_are_made_once_and_forgotten_when_there_are_very_many():
    recorder = Recorder(RULE, remembered=2)
    alerter = Alerter(alert(sev="{{ $labels.a }}"), EXPANDER, remembered=2)
    for _ in range(2):
        for name in "123":
            [(labels, _)] = of(recorder.outcome(rows(({"a": name}, [1, 1, 1]))))
            assert labels["a"] == name
            [(labels, _)] = of(alerter.outcome(rows(({"a": name}, [1, 1, 1])), T))
            assert labels["sev"] == name
