"""What a demo tells: the truth in time, what was seen of it, and no flood."""

from __future__ import annotations

from typing import Any

import pytest

from airis_mon.cli.story import AFTER_MS, LINES, REST_MS, Story, entity_of
from airis_mon.cli.storywords import KINDS_KO, WORDS
from airis_mon.ingest.simulated import Scene
from airis_mon.simulate.faults import Fault
from airis_mon.simulate.kinds import KINDS
from airis_mon.simulate.truth import Indicator, Reached, Verdict

T = 1_800_000_000_000
SCENE = Scene(seed=1, start_ms=T - 86_400_000, lively_ms=T)


def verdict(entity: str = "cart", *, onset: int = T + 10_000, is_felt: bool = True, **of: Any) -> Verdict:
    fault = Fault("case-0-a", "cpu_hog", entity, 0, "all", (0,), onset, 1000, onset + 60_000, 1.0)
    felt = (Indicator("latency of /buy", onset + 20_000, 1.7),) if is_felt else ()
    given: dict[str, Any] = {"edge": None, "path": (Reached(entity, onset),), **of}
    return Verdict(fault, "case-0", given["edge"], felt, given["path"], False)


def anomaly(entity: str, score: float = 0.9, n: int = 0) -> dict[str, Any]:
    name = f'cpu{{demo="simulated",service="{entity}"}}'
    labels = {"service": entity, "demo": "simulated"}
    return {"id": f"{entity}-{n}", "labels": labels, "name": name, "score": score, "value": 3.0, "expected": 1.0}


class Told:
    """A story on a clock that is moved."""

    def __init__(self, *coming: Verdict, lang: str = "en") -> None:
        self.now = T
        self.lines: list[str] = []
        self.story = Story(SCENE, lang, lambda: self.now, self.lines.append)
        self.story._coming = list(coming)

    def at(self, seconds: float, *seen: dict[str, Any]) -> list[str]:
        """Moves on, sees anomalies, answers what is told."""
        self.now, told = T + round(seconds * 1000), len(self.lines)
        for one in seen:
            self.story.saw(one)
        self.story.turn()
        return self.lines[told:]


def test_the_truth_is_told_when_it_happens_and_not_before():
    told = Told(verdict())
    assert told.at(9) == []
    (line,) = told.at(10)
    assert "TRUTH   cpu hog: cart, until" in line
    assert "users feel it at" in line
    assert "latency of /buy" in line
    assert told.at(11) == []


def test_what_was_seen_of_a_fault_is_told_with_it_and_summed_up_at_its_end():
    told = Told(verdict())
    told.at(10)
    (line,) = told.at(25, anomaly("cart", 0.85), anomaly("cart", 0.97, 1))
    assert "ENGINE  0.97  cart  cpu{service=" in line
    assert "= 3, expected 1" in line
    (end,) = told.at(70 + AFTER_MS / 1000)
    assert "first seen after 15 s, 1 entities unusual, itself among them" in end


def test_of_a_flood_few_lines_are_told_the_highest_first():
    told = Told(verdict())
    told.at(10)
    lines = told.at(20, *(anomaly(f"s{i}", 0.8 + i / 1000) for i in range(100)))
    assert len(lines) == LINES
    assert ["s99" in lines[0], "s98" in lines[1]] == [True, True]
    assert told.at(21, anomaly("more", 0.99)) == []


def test_a_fault_of_which_nothing_was_seen_is_said_to_be_missed():
    told = Told(verdict())
    told.at(10)
    told.at(20, anomaly("elsewhere"))
    (end,) = told.at(70 + AFTER_MS / 1000)
    assert "cart is over: the engine saw nothing of it" in end


def test_a_fault_that_nobody_felt_and_nobody_saw_is_no_miss():
    told = Told(verdict(is_felt=False))
    assert "too weak" in told.at(10)[0]
    assert "nobody felt it" in told.at(70 + AFTER_MS / 1000)[0]


def test_an_edge_between_two_services_is_seen_by_either_name():
    told = Told(verdict("db", edge=("cart", "db")))
    assert "cart -> db" in told.at(10)[0]
    edge = anomaly("x") | {"labels": {"client": "cart", "server": "db"}}
    told.at(20, edge)
    assert "itself among them" in told.at(70 + AFTER_MS / 1000)[0]
    assert entity_of({"client": "a", "server": "b", "service": "c"}) == "a -> b"
    assert entity_of({"host": "h", "zone": "z"}) == "h"


def test_two_faults_at_once_tell_an_anomaly_once():
    told = Told(verdict(), verdict("search"))
    told.at(10)
    assert len(told.at(20, anomaly("cart"))) == 1


def test_while_nothing_is_broken_little_is_told():
    told = Told()
    lines = told.at(REST_MS / 1000, anomaly("a", 0.9), anomaly("b", 0.95), anomaly("c", 0.85))
    assert len(lines) == 2
    assert "b" in lines[0]
    assert "2 more" in lines[1]
    assert told.at(REST_MS / 1000 + 1, anomaly("d")) == []


def test_alerts_of_rules_are_told_when_they_fire():
    told = Told()
    alert = {"name": "ManyErrors", "state": "pending", "annotations": {"summary": "cart fails"}}
    told.story.warned(alert)
    told.story.warned(alert | {"state": "firing"})
    assert [line[10:] for line in told.lines] == ["RULES   ManyErrors: cart fails"]


def health(stage: str, fetched: float, learned: str | None) -> dict[str, Any]:
    source = {"start": "2026-01-01T00:00:00Z", "fetched": fetched, "samples": 1234567, "learnedFrom": learned}
    return {"started": True, "backfill": {"stage": stage, "sources": [source]}}


@pytest.mark.parametrize(("lang", "begin"), [("en", "AHEAD   the disk of"), ("ko", "예측    ")])
def test_a_limit_that_will_be_hit_is_told_in_the_language_of_the_story(lang: str, begin: str):
    told = Told(lang=lang)
    sentences = {"en": 'the disk of db{demo="simulated"} fills up in 2 h', "ko": "db의 디스크가 2시간 안에 찹니다"}
    told.story.foresaw({"sentence": sentences["en"], "sentences": sentences})
    (line,) = told.lines
    assert begin in line and "simulated" not in line


def test_the_way_through_the_past_is_told_step_by_step_once():
    told = Told()
    told.story.follow({})
    steps = [
        health("fetching", 0.1, None),
        health("fetching", 0.3, None),
        health("learning", 0.6, None),
        health("fetching", 0.7, "2026-01-02T00:00:00Z"),
        health("done", 1.0, "2026-01-01T00:00:00Z"),
    ]
    for step in steps:
        told.story.follow(step)
        told.story.follow(step)
    assert [line[10:] for line in told.lines] == [
        "ready; reading its past since 2026-01-01 00:00 UTC",
        "past: 30% read (1,234,567 samples)",
        "past: 70% read (1,234,567 samples)",
        "learned the past since 2026-01-02 00:00 UTC: out of warm-up",
        "learned all of its past, since 2026-01-01 00:00 UTC",
    ]


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_head_says_that_it_is_simulated_and_where_to_look(lang: str):
    told = Told(lang=lang)
    told.story.began("http://127.0.0.1:1")
    (head,) = told.lines
    assert 'demo="simulated"' in head
    assert "http://127.0.0.1:1/docs" in head
    assert "airis-mon query --server http://127.0.0.1:1 'sum by (service)" in head


def test_both_languages_say_the_same_things():
    fields = [{k: sorted(_fields(v)) for k, v in words.items()} for words in WORDS.values()]
    assert fields[0] == fields[1]
    assert set(KINDS_KO) == set(KINDS)


def _fields(text: str) -> set[str]:
    from string import Formatter

    return {name for _, name, _, _ in Formatter().parse(text) if name}


async def test_faults_are_known_ahead_each_once():
    told = Told()
    world = SCENE.world()
    for minutes in range(0, 60, 3):
        told.now = T + minutes * 60_000
        told.story._look_ahead(world)
    ids = [v.fault.id for v in told.story._coming]
    assert ids
    assert len(set(ids)) == len(ids)
    want = {f.id for c in world.plan.cases(T, T + 57 * 60_000) for f in c.faults}
    assert want <= set(ids)


def test_too_many_users_are_seen_by_whom_they_ask():
    told = Told(verdict("load", path=(Reached("storefront", T + 10_000),)))
    told.at(10)
    told.at(20, anomaly("storefront"))
    assert "itself among them" in told.at(70 + AFTER_MS / 1000)[0]
