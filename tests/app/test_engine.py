"""The loop on a store in memory and a clock that the test moves."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from airis_mon.app import engine as engine_module
from airis_mon.app.bus import EventBus
from airis_mon.app.engine import Engine, Parts
from airis_mon.app.exposition import GROUPS_SHOWN
from airis_mon.app.history import SignalHistory
from airis_mon.app.insight import COMPUTED, Insight
from airis_mon.app.queries import Queries
from airis_mon.app.rules import Rules
from airis_mon.app.rulewriter import RuleWriter
from airis_mon.errors import AirisError, InputError, NotFound, StoreBusy, StoreError
from airis_mon.ingest.decoders.json import Json
from airis_mon.ingest.decoders.remote_write import RemoteWrite
from airis_mon.series.admit import Limits
from airis_mon.series.batch import Batch
from airis_mon.series.encode import label_block, write_request
from airis_mon.series.labels import canonical
from airis_mon.series.matchers import Matcher
from airis_mon.store.base import SeriesRow
from airis_mon.store.commit import GroupCommit
from airis_mon.store.cursors import Cursors

MINUTE = 60_000
JSON = "application/json"


@dataclass
class Kernels:
    """Says whether kernels were compiled before."""

    is_complete: bool = True

    def complete(self) -> None:
        self.is_complete = True


@dataclass
class House:
    """One machine; `engine()` is a process on it."""

    site: Any
    kernels: Kernels = field(default_factory=Kernels)
    engines: list[Engine] = field(default_factory=list)
    closed: int = 0

    def engine(self, *, store: Any = None, max_series: int = 1000, **given: Any) -> Engine:
        store = store or self.site.store
        store.close = self._close
        detection = self.site.detection()
        catalogue = detection.catalogue
        catalogue.__init__(max_series=max_series)  # the engine is to find out by itself what the store holds
        events = EventBus(self.site.clock)
        detection._publish = lambda found: [events.publish("anomaly_detected", a.payload) for a in found]

        def committed(batch: Batch) -> None:
            catalogue.observe(batch)
            detection.feed(batch)

        ticks = iter(range(10**9))
        commit = GroupCommit(store, catalogue, clock=lambda: float(next(ticks)), on_commit=committed)
        history = SignalHistory(detection, store, self.site.snapshots)
        queries = Queries(Insight(history, store, self.site.clock), catalogue, helps=COMPUTED)
        writer = RuleWriter(catalogue, commit, Limits(), self.site.clock)
        parts = Parts(
            catalogue=catalogue,
            store=store,
            commit=commit,
            detection=detection,
            history=history,
            queries=queries,
            rules=Rules(
                queries.engine,
                writer.write,
                lambda _: None,
                self.site.clock,
                patterns=[str(self.site.folder / "*.yml")],
            ),
            bus=events,
            decoders={"json": Json(catalogue), "remote_write": RemoteWrite(catalogue)},
            collectors=(),
            cursors=Cursors(self.site.folder / "cursors.json"),
            limits=Limits(),
            clock=self.site.clock,
            data_dir=self.site.folder,
            kernels=self.kernels,  # type: ignore[arg-type]
            **given,
        )
        self.engines.append(Engine(parts))
        return self.engines[-1]

    def _close(self) -> None:
        self.closed += 1


@pytest.fixture
async def house(site: Any) -> AsyncIterator[House]:
    house = House(site)
    yield house
    for engine in house.engines:
        if engine.started_at is not None and engine.not_ready_reason != "stopping":
            await engine.stop()


@pytest.fixture
async def engine(house: House) -> Engine:
    engine = house.engine()
    await engine.start()
    return engine


def metric(value: float, t: int | None = None, name: str = "load", **labels: str) -> dict[str, Any]:
    stamp = {} if t is None else {"timestamp": t}
    return {"metricName": name, "value": value, "labels": labels} | stamp


async def send(engine: Engine, *metrics: dict[str, Any]) -> Any:
    return await engine.ingest("json", json.dumps(list(metrics)).encode(), JSON)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):  # a first run compiles kernels
        while not condition():  # noqa: ASYNC110  what it waits for happens in threads
            await asyncio.sleep(0.005)


async def judged(engine: Engine, samples: int) -> None:
    """Waits until so many samples are judged: they are told to the detector after they are acknowledged."""
    await eventually(lambda: engine.parts.detection.counts.samples >= samples)
    assert await asyncio.to_thread(engine.parts.detection.settle, 60)


# --- in --------------------------------------------------------------------------------------------------------------


async def test_a_receipt_comes_when_the_samples_are_stored(engine: Engine, house: House) -> None:
    receipt = await send(engine, metric(1.5), metric(2.5, host="a"))
    assert (receipt.accepted, receipt.refused, receipt.samples) == (2, 0, 2)
    assert receipt.received_ms == house.site.clock.now
    assert sorted(house.site.store.rows.values()) == [1.5, 2.5]


async def test_remote_write_is_stored_as_json_is(engine: Engine, house: House) -> None:
    t = house.site.clock.now
    block = label_block(canonical([("__name__", "load"), ("job", "x")]))
    body = write_request([block], np.zeros(2, np.int32), np.array([t - 1000, t]), np.array([1.0, 2.0]))
    receipt = await engine.ingest("remote_write", body, "application/x-protobuf")
    assert receipt.samples == 2
    assert [k[1] for k in sorted(house.site.store.rows)] == [t - 1000, t]


async def test_good_items_are_kept_when_others_are_refused(engine: Engine) -> None:
    receipt = await send(engine, metric(1.0), {"metricName": "load", "value": "high"})
    assert (receipt.accepted, receipt.refused) == (1, 1)
    assert receipt.refusals[0].path.startswith("$[1].value")


async def test_a_body_that_cannot_be_read_is_an_input_error(engine: Engine) -> None:
    with pytest.raises(InputError):
        await engine.ingest("json", b"{broken", JSON)


async def test_times_beyond_the_limits_are_refused_and_late_ones_stored(engine: Engine, house: House) -> None:
    now = house.site.clock.now
    receipt = await send(engine, metric(1.0, now + 3_600_000), metric(2.0, now - 86_400_000 * 30), metric(3.0, now))
    assert (receipt.accepted, receipt.refused) == (1, 2)
    assert ["ahead" in r.reason for r in receipt.refusals] == [True, False]
    receipt = await send(engine, metric(2.5, now - MINUTE))
    assert receipt.samples == 1
    assert sorted(house.site.store.rows.values()) == [2.5, 3.0]


async def test_a_retry_is_accepted_and_not_stored_again_but_another_value_is_refused(engine: Engine) -> None:
    await send(engine, metric(1.0, 1_799_999_999_000))
    await judged(engine, 1)
    again = await send(engine, metric(1.0, 1_799_999_999_000))
    assert (again.accepted, again.refused, again.samples) == (1, 0, 0)
    other = await send(engine, metric(2.0, 1_799_999_999_000))
    assert (other.accepted, other.refused) == (0, 1)
    assert "another value (1)" in other.refusals[0].reason


async def test_nothing_is_acknowledged_while_the_store_is_away(engine: Engine, house: House) -> None:
    house.site.store.is_down = True
    with pytest.raises(StoreBusy):
        await send(engine, metric(1.0))
    house.site.store.is_down = False
    assert (await send(engine, metric(1.0))).samples == 1


async def test_the_loop_does_not_wait_for_a_large_body_that_is_being_decoded(engine: Engine) -> None:
    await eventually(engine._ingest_is_warm.is_set)
    taken, let_go = threading.Event(), threading.Event()

    def decode_long() -> None:
        with engine.parts.catalogue.lock:
            taken.set()
            let_go.wait(20)

    thread = threading.Thread(target=decode_long)
    thread.start()
    await asyncio.to_thread(taken.wait)
    sending = asyncio.create_task(send(engine, metric(1.0)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not sending.done()
    let_go.set()
    assert (await sending).samples == 1
    thread.join()


# --- life ------------------------------------------------------------------------------------------------------------


async def test_a_store_that_is_down_at_the_start_is_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "STORE_RETRY_S", 0.01)
    house.site.store.is_down = True
    engine = house.engine()
    await engine.start()
    assert not engine.is_ready
    assert engine.is_live
    assert "down" in engine.not_ready_reason
    with pytest.raises(StoreBusy, match="not ready"):
        await send(engine, metric(1.0))
    house.site.store.is_down = False
    await eventually(lambda: engine.is_ready)
    assert (await send(engine, metric(1.0))).samples == 1


async def test_what_goes_wrong_while_waiting_for_the_store_is_said_and_not_live(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "STORE_RETRY_S", 0.01)
    house.site.store.is_down = True
    engine = house.engine()
    await engine.start()
    engine.parts.store.load_series = lambda since: 1 / 0
    house.site.store.is_down = False
    await eventually(lambda: not engine.is_live)
    assert "ZeroDivisionError" in engine.not_ready_reason
    assert engine.health()["status"] == "unhealthy"
    assert house.closed == 1


async def test_a_start_that_fails_after_opening_closes_the_store(house: House) -> None:
    engine = house.engine()

    def refuse(_: int) -> None:
        raise StoreError("a column is missing")

    engine.parts.store.load_series = refuse
    with pytest.raises(StoreError, match="column"):
        await engine.start()
    assert house.closed == 1


async def test_series_that_the_limits_refuse_now_do_not_keep_it_from_starting(house: House) -> None:
    for i in range(5):
        labels = canonical([("__name__", "load"), ("i", str(i))])
        house.site.store.known[i] = SeriesRow(i, labels, house.site.clock.now)
    engine = house.engine(max_series=3)
    await engine.start()
    assert len(engine.parts.catalogue) == 3


async def test_kernels_that_cannot_be_compiled_end_the_start_with_words(house: House) -> None:
    house.kernels.is_complete = False
    engine = house.engine()
    engine.parts.store.warm = lambda *_: 1 / 0
    async with asyncio.timeout(60):
        with pytest.raises(AirisError, match="kernels cannot be compiled"):
            await engine.start()
    assert not engine.is_live
    assert "kernels" in engine.not_ready_reason
    assert house.closed == 1


async def test_a_start_that_is_given_up_while_compiling_ends_at_once(house: House) -> None:
    house.kernels.is_complete = False
    engine = house.engine()
    compiling, let_go = threading.Event(), threading.Event()
    engine.parts.store.warm = lambda *_: (compiling.set(), let_go.wait(60))
    starting = asyncio.create_task(engine.start())
    await asyncio.to_thread(compiling.wait, 60)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert house.closed == 1
    let_go.set()


async def test_a_stop_commits_and_judges_what_is_under_way(engine: Engine, house: House) -> None:
    await send(engine, metric(0.0))
    await judged(engine, 1)  # a stop while it still catches up leaves the rest to the next start
    waiting = [asyncio.create_task(send(engine, metric(float(i), i=str(i)))) for i in range(50)]
    await asyncio.gather(*waiting)
    await engine.stop()
    assert len(house.site.store.rows) == 51
    assert engine.parts.detection.counts.samples >= 51
    assert house.closed == 1
    assert house.site.snapshots.times()


async def test_a_restart_knows_the_series_and_continues(engine: Engine, house: House) -> None:
    await send(engine, metric(7.0))
    await engine.stop()
    house.site.clock.now += MINUTE
    later = house.engine()
    await later.start()
    (info,) = await later.series([], None, None, 10)
    assert (info.name, info.last_value) == ("load", 7.0)


async def test_what_fails_in_housekeeping_keeps_nothing_else_from_its_turn(engine: Engine, house: House) -> None:
    await send(engine, metric(1.0))
    await judged(engine, 1)
    engine.parts.store.maintain = lambda now: 1 / 0
    house.site.clock.now += 25 * 60 * MINUTE
    await engine.tidy()
    assert len(engine.parts.catalogue) == 0
    assert engine.store_size == (0, 1)


async def test_series_of_a_sender_with_a_wrong_clock_are_forgotten_too(engine: Engine, house: House) -> None:
    wrong = house.site.clock.now + 3_600_000
    assert (await send(engine, metric(1.0, wrong, pod="a"))).refused == 1
    house.site.clock.now += 12 * 60 * MINUTE
    await engine.tidy()
    await send(engine, metric(1.0, house.site.clock.now - 86_400_000, name="backfill"))
    await judged(engine, 1)
    house.site.clock.now += 13 * 60 * MINUTE
    await engine.tidy()
    catalogue = engine.parts.catalogue
    assert [catalogue.metrics[catalogue.metric[s]] for s in catalogue] == ["backfill"]


# --- out -------------------------------------------------------------------------------------------------------------


async def fed(engine: Engine, house: House, values: list[float], step: int = 15_000) -> int:
    """Sends a run of samples that ends now; answers the fingerprint of their series."""
    now = house.site.clock.now
    await send(engine, *(metric(v, now - (len(values) - 1 - i) * step, host="a") for i, v in enumerate(values)))
    await judged(engine, len(values))
    (row,) = house.site.store.known.values()
    return row.fp


WAVE = [10 + float(np.sin(i / 3)) for i in range(240)]


async def test_an_anomaly_is_found_stored_told_and_asked_for(engine: Engine, house: House) -> None:
    with engine.events.subscribe({"anomaly_detected"}) as heard:
        fp = await fed(engine, house, [*WAVE, 100.0])
        event = await anext(heard)
    now = house.site.clock.now
    (found,) = await engine.anomalies([], None, now - MINUTE, now, 0.0, 10)
    assert (found.fp, found.value) == (fp, 100.0)
    assert event.payload["score"] == found.score
    assert await engine.anomalies([Matcher("host", "=", "b")], None, now - MINUTE, now) == []
    assert len(await engine.anomalies([Matcher("host", "=", "a")], fp, now - MINUTE, now)) == 1


async def test_series_tell_their_latest_sample_and_what_is_watched(engine: Engine, house: House) -> None:
    fp = await fed(engine, house, [*WAVE, 100.0])
    (info,) = await engine.series([Matcher("__name__", "=", "load")], None, None, 10)
    assert info == await engine.series_one(fp)
    assert (info.last_t, info.last_value, info.signals) == (house.site.clock.now, 100.0, ("value",))
    assert info.score >= 0.8
    now = house.site.clock.now
    assert (await engine.samples(fp, now - MINUTE, now, 100)).value[-1] == 100.0
    bands = await engine.bands(fp, None, now - MINUTE, now)
    assert bands.upper[-1] < 100 == bands.value[-1]
    assert (await engine.coverage([], None, True, 0, 10)).watched == 1


async def test_a_series_that_was_silent_for_long_is_still_answered_from_the_store(engine: Engine, house: House) -> None:
    fp = await fed(engine, house, WAVE)
    then = house.site.clock.now
    house.site.clock.now += 25 * 60 * MINUTE
    await engine.tidy()
    assert engine.parts.catalogue.find(fp) is None
    info = await engine.series_one(fp)
    assert (info.fp, info.name, info.last_t, info.signals) == (fp, 'load{host="a"}', None, ())
    assert len((await engine.samples(fp, then - MINUTE, then, 100)).t) == 5
    with pytest.raises(NotFound, match="no watched signal"):
        await engine.bands(fp, None, then - MINUTE, then)
    with pytest.raises(NotFound, match="no series"):
        await engine.series_one(12345)


async def test_the_own_page_can_be_read_by_prometheus_and_shows_scores(engine: Engine, house: House) -> None:
    await fed(engine, house, [*WAVE, 100.0])
    await engine.tidy()
    page = (await engine.exposition()).decode()
    samples = {s.name: s for family in text_string_to_metric_families(page) for s in family.samples}
    score = samples["aiops_anomaly_score"]
    assert score.labels == {"for": "load", "signal": "value", "host": "a"}
    assert score.value >= 0.8
    assert samples["airis_store_samples"].value == 241
    assert samples["airis_detect_anomalies_total"].value == 1
    assert samples["airis_ready"].value == 1


async def test_only_the_highest_scores_are_answered_and_in_order(engine: Engine, house: House) -> None:
    now = house.site.clock.now
    t = [now - (39 - i) * 15_000 for i in range(40)]
    await send(engine, *(metric(float(i % 2), at, host=str(h)) for h in range(5) for i, at in enumerate(t)))
    detection = engine.parts.detection
    await judged(engine, 200)
    held = detection.watch.slots.held()
    assert len(held) == 5
    scores = np.array([0.1, 0.9, 0.3, 0.7, 0.5], np.float32)
    detection.peaks.forget(held)
    detection.peaks.add(held, np.full(5, now), scores, now)
    assert [round(s, 3) for _, _, s in engine.scores(3)] == [0.9, 0.7, 0.5]
    assert len(engine.scores(10)) == 5


class Source:
    """A source of nothing that says how it is."""

    kind = "test"
    cursor = ""

    async def batches(self) -> AsyncIterator[Batch]:
        await asyncio.Event().wait()
        yield Batch(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0))

    def health(self) -> dict[str, Any]:
        return {"degraded": ["http://target"]}


async def test_a_source_that_cannot_read_is_shown(house: House) -> None:
    engine = house.engine()
    engine.parts.collectors = [("scrape it", Source())]
    await engine.start()
    page = (await engine.exposition()).decode()
    assert 'airis_source_degraded{source="scrape it"} 1.0' in page
    assert 'airis_source_failures_total{source="scrape it"} 0.0' in page
    health = engine.health()
    assert (health["degraded"], health["catchingUp"], health["status"]) == (["scrape it"], False, "healthy")


RULES = """groups:
- name: g
  rules:
  - {record: twice, expr: 2 * load}
  - {record: both, expr: load + on() load}
"""


async def test_rules_have_metrics_of_their_own_and_health_names_them_when_one_fails(house: House) -> None:
    engine, file, now = house.engine(), house.site.folder / "r.yml", house.site.clock.now
    file.write_text(RULES)
    await engine.start()
    await send(engine, metric(1.0, now - 1000, host="a"), metric(2.0, now - 1000, host="b"))
    assert engine.health()["degraded"] == []
    rules = engine.parts.rules
    await asyncio.to_thread(rules._evaluate, rules.groups[0], now, now)
    assert engine.health()["degraded"] == ["rules"]
    page = (await engine.exposition()).decode()
    of = f'file="{file}",group="g"'
    for line in (
        "airis_rules_loaded 2.0",
        "airis_rules_reload_ok 1.0",
        f"airis_rule_evaluations_total{{{of}}} 2.0",
        f"airis_rule_failures_total{{{of}}} 1.0",
        f"airis_rule_missed_evaluations_total{{{of}}} 0.0",
        f"airis_rule_refused_total{{{of}}} 0.0",
        f"airis_rule_group_last_evaluation_timestamp_seconds{{{of}}} 1.8e+09",
    ):
        assert line in page.splitlines()
    assert f"airis_rule_group_last_duration_seconds{{{of}}}" in page


async def test_health_names_rules_while_their_files_are_faulty(house: House) -> None:
    engine, file = house.engine(), house.site.folder / "r.yml"
    await engine.start()
    for text, degraded, is_ok in ((RULES.replace("2 *", "2 * *"), ["rules"], 0.0), (RULES, [], 1.0)):
        file.write_text(text)
        assert await engine.parts.rules.reload()
        assert engine.health()["degraded"] == degraded
        assert f"airis_rules_reload_ok {is_ok}" in (await engine.exposition()).decode()


async def test_no_more_than_so_many_groups_of_rules_have_metrics(house: House) -> None:
    engine, file = house.engine(), house.site.folder / "r.yml"
    group = "\n- {{name: g{i}, rules: [{{record: r, expr: '1'}}]}}"
    file.write_text("groups:" + "".join(group.format(i=i) for i in range(GROUPS_SHOWN + 5)))
    engine.parts.rules.load()
    page = (await engine.exposition()).decode()
    assert page.count("airis_rule_evaluations_total{") == GROUPS_SHOWN
    assert f"airis_rules_loaded {GROUPS_SHOWN + 5}.0" in page
