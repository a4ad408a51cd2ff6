from __future__ import annotations

import pytest

from airis_mon.ingest.base import Missing
from airis_mon.ingest.promplan import ALERTS, FIRING, MOST_NAMES, Part, in_words, is_golden, make_plan, merged
from airis_mon.series.matchers import parse_selector

JOB = parse_selector('{job="a"}')


@pytest.mark.parametrize(
    "name",
    [
        "up",
        "http_requests_total",
        "request_duration_seconds_bucket",
        "job:errors:rate5m",
        "node_cpu_seconds_total",
        "disk",
    ],
)
def test_names_of_load_errors_latency_and_saturation_are_golden(name: str):
    assert is_golden(name)


@pytest.mark.parametrize("name", ["backup_groups", "uptime_days", "terrors", "go_info", "cpuset_x"])
def test_names_that_only_contain_such_letters_are_not(name: str):
    assert not is_golden(name)


def test_a_part_of_one_metric_is_an_equation_and_of_several_a_pattern():
    assert Part(JOB, ("up",)).selector == '{__name__="up",job="a"}'
    assert Part(JOB, ("a.b", "c")).selector == '{__name__=~"a\\\\.b|c",job="a"}'
    assert Part(parse_selector('up{job="a"}'), ("up",)).selector == '{__name__="up",job="a"}'


def test_halves_hold_every_metric_once_and_a_single_one_has_none():
    assert [p.names for p in Part(JOB, ("a", "b", "c")).halves()] == [("a",), ("b", "c")]
    assert Part(JOB, ("a",)).halves() == ()


def test_room_goes_to_golden_metrics_then_to_small_ones_and_what_does_not_fit_is_left_out():
    counts = {"cpu": 5, "errors": 2, "big": 9, "small": 1, "middle": 3}
    plan = make_plan([((), [*counts, "unseen", ALERTS])], counts, 12, firing=False)
    assert plan.chosen == (((), ("cpu", "errors", "middle", "small", "unseen")), ((), (ALERTS,)))
    assert plan.left_out == ("big",)


def test_firing_alerts_are_asked_for_first_and_need_no_room():
    plan = make_plan([(JOB, ["up"])], {"up": 1}, 1)
    assert plan.chosen == ((FIRING, (ALERTS,)), (JOB, ("up",)))


def test_questions_hold_about_as_many_samples_as_may_be_and_so_many_names():
    names = [f"m{i}" for i in range(1000)]
    plan = make_plan([((), names)], {}, 10_000, firing=False)
    parts = list(plan.parts(1000, dict.fromkeys(names, 1.0), 50_000.0))
    assert [n for p in parts for n in p.names] == sorted(names)
    assert max(len(p.names) for p in parts) == 50
    assert max(len(p.names) for p in plan.parts(1000, {}, 50_000.0)) == MOST_NAMES
    alone = list(plan.parts(1000, dict.fromkeys(names, 99.0), 50_000.0))
    assert {len(p.names) for p in alone} == {1}


def test_a_few_names_are_told_and_the_rest_counted():
    assert in_words(["b", "a"]) == "a, b"
    assert in_words(list("edcba")) == "a, b, c and 2 more"


def test_what_is_missing_one_after_another_or_for_one_reason_is_told_once():
    told = [
        Missing(0, 5, "a", "why"),
        Missing(5, 9, "a", "why"),
        Missing(0, 9, "b", "why"),
        Missing(0, 9, "c", "other"),
    ]
    assert merged([*told, Missing(20, 30, "a", "why")]) == (
        Missing(0, 9, "c", "other"),
        Missing(0, 9, "a, b", "why"),
        Missing(20, 30, "a", "why"),
    )
