from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from airis_mon.app.entities import STEP_MS, EntityStage
from airis_mon.app.judge import judge
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.watch import Watch
from airis_mon.events.finding import Finding
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical

T0 = 1_767_571_200_000
CALM, WILD = 600, 40


class Site:
    """Two services of four pods, and a series of nobody; each pod is scraped at a moment of its own."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        pods = [{"service": s, "pod": f"{s}-{i}"} for s in ("cart", "search") for i in range(4)]
        labels = [canonical({"__name__": "load", **p}.items()) for p in pods]
        self.sid = np.array([self.catalogue.intern(x) for x in (*labels, (("__name__", "load"),))], np.int32)
        self.bank = Record()
        self.watch = Watch(self.catalogue, self.bank)
        self.stage = EntityStage(self.catalogue, self.watch, ("service",))

    def feed(self, steps: range, *, together: int = 1, until: int | None = None) -> list[Finding]:
        rng = np.random.default_rng(1)
        noise = rng.normal(size=(CALM + WILD, len(self.sid)))
        noise[CALM:, 4:8] += 50  # search, after the calm
        offset = np.arange(len(self.sid)) * 1_700 - STEP_MS + 1  # all within the step that ends at T0
        ended = []
        for first in range(steps.start, steps.stop, together):
            rows = range(first, min(first + together, steps.stop))
            t = np.concatenate([T0 + k * STEP_MS + offset for k in rows])
            value = np.concatenate([noise[k] for k in rows])
            batch = Batch(np.tile(self.sid, len(rows)), t, value)
            self.stage.take(judge(batch, self.catalogue, self.bank, self.watch))
            ended += self.stage.advance(T0 + (rows[-1] if until is None else until) * STEP_MS)
        return ended


def test_a_service_out_of_line_is_one_finding_with_its_pods_to_blame() -> None:
    site = Site()
    site.feed(range(CALM + WILD))
    (finding,) = site.stage.open
    assert (finding.entity, finding.start) == ("search", T0 + CALM * STEP_MS)
    assert len(finding.blamed) == 4
    assert all('service="search"' in b.name for b in finding.blamed)
    assert sum(b.share for b in finding.blamed) == pytest.approx(1, abs=0.01)


def test_what_was_blamed_can_be_looked_up() -> None:
    site = Site()
    site.feed(range(CALM + WILD))
    (finding,) = site.stage.open
    slots = [site.stage.slots[b.name] for b in finding.blamed]
    assert {dict(site.catalogue.labels(site.watch.signal(s).sid))["service"] for s in slots} == {"search"}


def test_how_samples_come_together_changes_nothing() -> None:
    one, many = Site(), Site()
    one.feed(range(CALM + WILD))
    many.feed(range(CALM + WILD), together=7)
    assert [(f.entity, f.start) for f in one.stage.open] == [(f.entity, f.start) for f in many.stage.open]


def test_a_time_is_judged_only_when_it_is_due() -> None:
    site = Site()
    site.feed(range(CALM + WILD), until=CALM - 1)
    assert site.stage.open == []
    site.stage.advance(T0 + (CALM + WILD) * STEP_MS)
    assert [f.entity for f in site.stage.open] == ["search"]


def test_a_slot_that_changes_hands_belongs_to_its_new_entity() -> None:
    site = Site()
    site.feed(range(CALM))
    gone = site.sid[4:8]
    old = [site.watch.slots_of(int(site.catalogue.fp[s])) for s in gone]
    site.catalogue.heard[gone] = 0
    site.watch.evict(site.catalogue.evict(1))
    new = [
        site.catalogue.intern(canonical({"__name__": "load", "service": "pay", "pod": str(i)}.items()))
        for i in range(4)
    ]
    site.sid = np.array([*site.sid[:4], *new, site.sid[8]], np.int32)
    site.feed(range(CALM, CALM + 20))
    site.stage.advance(T0 + (CALM + WILD) * STEP_MS)
    assert sorted(s for x in new for s in site.watch.slots_of(int(site.catalogue.fp[x]))) == sorted(chain(*old))
    assert "search" not in {f.entity for f in site.stage.open}


def test_open_findings_and_entities_go_on_over_another_watch() -> None:
    site = Site()
    site.feed(range(CALM + 10))
    (before,) = site.stage.open
    assert len(site.stage.series_of(before)) == 4
    bank, catalogue = Record.from_state(site.bank.state()), site.catalogue
    site.watch = Watch.from_state(site.watch.state(), catalogue, bank)
    site.bank = bank
    site.stage.follow(site.watch)
    site.feed(range(CALM + 10, CALM + WILD))
    (after,) = site.stage.open
    assert (after.entity, after.start) == (before.entity, before.start)
