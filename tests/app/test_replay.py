"""A replay: the stages of live over a past, in a scratch database that is gone afterwards."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airis_mon.app.replaywiring import SCRATCH, replay_of, scratch_of
from airis_mon.app.wiring import catalogue_of
from airis_mon.config.settings import Settings
from airis_mon.errors import InputError, QueryCancelled, Transient
from airis_mon.ingest.base import Missing, Slice
from airis_mon.query.rulefile import parse_rules
from airis_mon.query.rules import RuleGroup
from airis_mon.series.batch import Batch, empty_batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical

T0 = 1_767_571_200_000
STEP, HOUR = 15_000, 3_600_000
RULES = """
groups:
- name: shop
  interval: 30s
  rules:
  - record: service:load:max
    expr: max by (service) (load)
  - alert: LoadHigh
    expr: service:load:max > 50
    for: 2m
  - alert: Broken
    expr: load + on () group_left load
"""


class Past:
    """A history of a few services, in slices of so many steps; one that goes wrong at a step when told to."""

    name = "a past of the test"

    def __init__(
        self, catalogue: Catalogue, *, steps: int = 960, slice_steps: int = 240, breaks_at: int | None = None
    ) -> None:
        self._steps, self._slice, self._breaks_at = steps, slice_steps, breaks_at
        names = [("load", s, p) for s in ("cart", "search") for p in ("0", "1", "2")]
        self._sid = np.array(
            [
                catalogue.intern(canonical({"__name__": n, "service": s, "pod": p, "instance": "x"}.items()))
                for n, s, p in names
            ],
            np.int32,
        )
        rng = np.random.default_rng(3)
        self.value = 20 + rng.normal(size=(steps, len(names)))
        self.value[700:760, :3] += 60  # cart, all pods

    async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        for first in range(0, self._steps, self._slice):
            if self._breaks_at is not None and first >= self._breaks_at:
                raise Transient("the source went away")
            last = min(first + self._slice, self._steps)
            t = np.repeat(T0 + np.arange(first, last, dtype=np.int64) * STEP, len(self._sid))
            batch = Batch(np.tile(self._sid, last - first), t, self.value[first:last].ravel())
            missing = (Missing(T0 + first * STEP, T0 + first * STEP + 1, "disks", "too slow"),) if first == 240 else ()
            yield Slice(T0 + first * STEP, T0 + last * STEP, batch, last / self._steps, missing)


def replayed(folder: Path, groups: Sequence[RuleGroup] = (), **past: Any) -> dict[str, Any]:
    settings = Settings()
    catalogue = catalogue_of(settings)
    history = Past(catalogue, **past)
    replay = replay_of(settings, history, catalogue, scratch_of(settings, "test", folder), groups)
    return asyncio.run(replay.run())


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return replayed(tmp_path_factory.mktemp("replay"), parse_rules("rules.yml", RULES))


def test_an_outage_of_all_pods_is_one_finding_of_their_service(found: dict[str, Any]) -> None:
    outage = [f for f in found["findings"] if f["start"] >= "2026-01-05T02:55"]
    assert [f["entity"] for f in outage] == ["cart"]
    assert outage[0]["start"].startswith("2026-01-05T02:55:00")
    assert all('service="cart"' in m["name"] for m in outage[0]["metrics"])
    assert outage[0]["alerts"] == ["LoadHigh"]


def test_rules_are_evaluated_at_their_own_times_in_blocks(found: dict[str, Any]) -> None:
    (alert,) = found["alerts"]
    assert (alert["name"], alert["service"], alert["labels"]) == ("LoadHigh", "cart", {"service": "cart"})
    # From 02:55:00 to 03:10:00; `for` adds two minutes to the first evaluation that sees it.
    assert "2026-01-05T02:57:00" <= alert["start"] <= "2026-01-05T02:57:30"
    assert "2026-01-05T03:10:00" <= alert["end"] <= "2026-01-05T03:10:30"
    assert found["raw"]["from"] == "rule files"
    assert found["raw"]["alerts"] == found["raw"]["notifications"] == 1


def test_a_rule_that_fails_is_told(found: dict[str, Any]) -> None:
    (fault,) = found["raw"]["faults"]
    assert (fault["group"], fault["rule"]) == ("shop", "Broken")
    assert "many-to-many" in fault["error"] or "duplicate" in fault["error"]


def test_what_was_replayed_and_what_is_missing_is_said(found: dict[str, Any]) -> None:
    assert (found["source"], found["series"], found["samples"]) == ("a past of the test", 6, 960 * 6)
    assert (found["start"], found["end"], found["days"]) == ("2026-01-05T00:00:00Z", "2026-01-05T04:00:00Z", 0.1667)
    assert (
        found["missing"]
        == [{"start": "2026-01-05T01:00:00Z", "end": "2026-01-05T01:00:00.001000Z", "what": "disks", "why": "too slow"}]
        or found["missing"][0]["what"] == "disks"
    )
    assert found["ours"]["incidents"] is None
    assert found["ours"]["notBuilt"] == ["incidents", "causes"]


def test_days_and_services_add_up(found: dict[str, Any]) -> None:
    for of in ("perDay", "perService"):
        for what, whole in (("findings", found["ours"]["findings"]), ("anomalies", found["ours"]["anomalies"])):
            assert sum(row[what] for row in found[of]) == whole
        assert sum(row["alerts"] for row in found[of]) == 1


def test_the_highest_findings_are_drawn_around_their_span(found: dict[str, Any]) -> None:
    place = next(f["id"] for f in found["findings"] if f["alerts"])
    chart = next(c for c in found["charts"] if c["finding"] == place)
    inside = [
        v for t, v in zip(chart["t"], chart["value"], strict=True) if chart["from"] <= t <= chart["from"] + 600_000
    ]
    assert min(inside) > 70
    assert chart["t"] == sorted(chart["t"])


def test_how_the_past_is_cut_changes_nothing(found: dict[str, Any], tmp_path: Path) -> None:
    again = replayed(tmp_path, parse_rules("rules.yml", RULES), slice_steps=37)
    for changing in ("seconds", "samplesPerSecond", "missing"):
        again[changing] = found[changing]
    assert again == found


def test_alerts_of_the_source_are_read_when_no_rules_are_given(tmp_path: Path) -> None:
    settings = Settings()
    catalogue = catalogue_of(settings)
    labels = {"__name__": "ALERTS", "alertname": "DiskFull", "service": "db", "alertstate": "firing"}
    sid = [catalogue.intern(canonical((labels | {"alertstate": s}).items())) for s in ("firing", "pending")]

    class Alerts:
        name = "alerts"

        async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
            minutes = [*range(10), *range(30, 40), *range(50, 61)]  # pauses of 20 and 10 minutes
            t = np.array([T0 + m * 60_000 for m in minutes for _ in sid], np.int64)
            yield Slice(T0, T0 + HOUR + 60_000, Batch(np.array(sid * len(minutes), np.int32), t, np.ones(len(t))), 1.0)

    replay = replay_of(settings, Alerts(), catalogue, scratch_of(settings, "test", tmp_path))
    found = asyncio.run(replay.run())
    assert found["raw"]["from"] == "ALERTS history"
    spans = [(a["name"], a["service"], a["start"][11:16], a["end"] and a["end"][11:16]) for a in found["alerts"]]
    assert spans == [
        ("DiskFull", "db", "00:00", "00:09"),
        ("DiskFull", "db", "00:30", "00:39"),
        ("DiskFull", "db", "00:50", None),
    ]
    assert all(alert["labels"] == {"service": "db"} for alert in found["alerts"])


def played(folder: Path, *slices: Slice, catalogue: Catalogue, groups: Sequence[RuleGroup] = ()) -> dict[str, Any]:
    """A replay of slices of a test."""

    class Given:
        name = "given"

        async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
            for part in slices:
                yield part

    settings = Settings()
    return asyncio.run(replay_of(settings, Given(), catalogue, scratch_of(settings, "test", folder), groups).run())


def series(catalogue: Catalogue, count: int = 60, **labels: str) -> Slice:
    """One series, a value a minute."""
    sid = catalogue.intern(canonical({"__name__": "load", **labels}.items()))
    t = T0 + np.arange(count, dtype=np.int64) * 60_000
    batch = Batch(np.full(count, sid, np.int32), t, np.arange(count) * 1.0)
    return Slice(T0, T0 + count * 60_000, batch, 1.0)


def test_a_rule_that_failed_for_a_while_is_told_though_it_is_well_now(tmp_path: Path) -> None:
    catalogue = Catalogue()
    one, two = series(catalogue, a="1"), series(catalogue, 30, a="2")  # for half an hour there are two
    order = np.argsort(np.concatenate([one.batch.t, two.batch.t]), kind="stable")
    columns = (np.concatenate([getattr(b.batch, c) for b in (one, two)])[order] for c in ("sid", "t", "value"))
    rules = "groups: [{name: g, interval: 1m, rules: [{record: x, expr: load * on () load}]}]"
    found = played(
        tmp_path, Slice(T0, one.end, Batch(*columns), 1.0), catalogue=catalogue, groups=parse_rules("r", rules)
    )
    (fault,) = found["raw"]["faults"]
    failed, steps = (int(n) for n in re.search(r"at (\d+) of (\d+) steps", fault["error"]).groups())
    assert (steps, 30 <= failed <= 36) == (60, True)  # as long as the second one is looked back for


def test_a_past_of_the_demo_is_called_simulated(tmp_path: Path) -> None:
    catalogue = Catalogue()
    assert played(tmp_path, series(catalogue, demo="simulated"), catalogue=catalogue)["isSimulated"]


def test_rows_that_were_refused_are_counted(tmp_path: Path) -> None:
    catalogue = Catalogue()
    good = series(catalogue)
    b = good.batch
    bad = Batch(np.append(b.sid, b.sid[:1]), np.append(b.t, good.end + 1), np.append(b.value, 1.0), (), 3)
    found = played(tmp_path, Slice(good.start, good.end, bad, 1.0), catalogue=catalogue)
    assert (found["samples"], found["refused"]) == (60, 4)  # one lies beyond its slice's end


def test_a_past_without_samples_is_told_with_the_reason(tmp_path: Path) -> None:
    nothing = Slice(T0, T0, empty_batch(), 1.0, (Missing(T0, T0 + 1, "everything", "it did not answer"),))
    with pytest.raises(InputError, match="given: no samples were found: it did not answer"):
        played(tmp_path, nothing, catalogue=Catalogue())
    assert scratches(tmp_path) == []


def test_rules_are_not_evaluated_through_decades_of_silence(tmp_path: Path) -> None:
    catalogue = Catalogue()
    late, early = series(catalogue), T0 - 20 * 365 * 86_400_000
    b = late.batch
    whole = Batch(np.append(b.sid[:1], b.sid), np.append(early, b.t), np.append(1.0, b.value))
    rules = parse_rules("r", "groups: [{name: g, interval: 1m, rules: [{record: n, expr: vector(1)}]}]")
    told: list[int] = []

    class Given:
        name = "given"

        async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
            yield Slice(early, late.end, whole, 1.0)

    replay = replay_of(Settings(), Given(), catalogue, scratch_of(Settings(), "test", tmp_path), rules)
    found = asyncio.run(replay.run(tell=lambda *_: told.append(replay._groups[0].evaluations)))
    assert found["samples"] == 61  # the early one is not too old
    assert 1440 + 60 <= told[-1] <= 1440 + 62  # a day after the stray row, and the hour of the others


def test_days_of_centuries_are_not_listed_one_by_one(tmp_path: Path) -> None:
    catalogue = Catalogue()
    late, early = series(catalogue), T0 - 40 * 365 * 86_400_000
    b = late.batch
    whole = Batch(np.append(b.sid[:1], b.sid), np.append(early, b.t), np.append(1.0, b.value))
    found = played(tmp_path, Slice(early, late.end, whole, 1.0), catalogue=catalogue)
    assert len(found["perDay"]) < 5


def scratches(folder: Path) -> list[str]:
    store = scratch_of(Settings(), "look", folder)
    store.open()
    try:
        store.drop()
        return store.databases(SCRATCH)
    finally:
        store.close()


def test_nothing_of_the_scratch_database_stays(tmp_path: Path) -> None:
    replayed(tmp_path, steps=24)
    assert scratches(tmp_path) == []


def test_nothing_stays_when_the_source_fails(tmp_path: Path) -> None:
    with pytest.raises(Transient, match="went away"):
        replayed(tmp_path, breaks_at=480)
    assert scratches(tmp_path) == []


def test_a_cancelled_replay_ends_and_leaves_nothing(tmp_path: Path) -> None:
    settings, cancelled = Settings(), threading.Event()
    catalogue = catalogue_of(settings)
    replay = replay_of(settings, Past(catalogue), catalogue, scratch_of(settings, "test", tmp_path))
    heard: list[float] = []

    def tell(fraction: float, note: str) -> None:
        heard.append(fraction)
        cancelled.set()

    with pytest.raises(QueryCancelled):
        asyncio.run(replay.run(tell=tell, cancelled=cancelled))
    assert len(heard) == 1  # before the first slice
    assert scratches(tmp_path) == []


def test_a_replay_whose_task_is_cancelled_leaves_when_its_threads_have(tmp_path: Path) -> None:
    settings = Settings()
    catalogue = catalogue_of(settings)
    replay = replay_of(settings, Past(catalogue), catalogue, scratch_of(settings, "test", tmp_path))
    ended: list[str] = []
    judge, clean = replay._judged, replay._clean

    async def cancelled() -> None:
        begun, loop = asyncio.Event(), asyncio.get_running_loop()

        def slowly(batch: Batch) -> Any:
            loop.call_soon_threadsafe(begun.set)
            replay._cancelled.wait(60)  # what is cancelled is told so, else this would last
            judged = judge(batch)
            ended.append("judged")
            return judged

        def cleaned() -> None:
            clean()
            ended.append("cleaned")

        replay._judged, replay._clean = slowly, cleaned  # type: ignore[method-assign]
        run = asyncio.create_task(replay.run())
        await begun.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    asyncio.run(cancelled())
    assert ended == ["judged", "cleaned"]
    assert scratches(tmp_path) == []
