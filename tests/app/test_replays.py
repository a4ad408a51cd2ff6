"""Replays as jobs, over a real SQLite database: what may be asked, what becomes of it, and how many may wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airis_mon.app.jobs import JobRunner, Report
from airis_mon.app.replays import DAY_MS, KIND, MOST_QUEUED, Replays, Request, address_of, handler_of
from airis_mon.errors import Conflict, InputError, NotFound, StoreBusy
from airis_mon.store.backends.sql import Sql
from airis_mon.store.records import JobState
from tests.app.jobs import T, Time, ended, records_in, until

RULES = 'groups: [{name: g, rules: [{alert: Down, expr: "up == 0"}]}]'
SOURCES = {"prometheus": ["http://prom:9090", "https://other/thanos"], "clickhouse": ["orders"]}


@dataclass
class Work:
    """Replays that last until they may end; it notes what was asked of it."""

    asked: list[Mapping[str, Any]] = field(default_factory=list)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, asked: Mapping[str, Any], report: Report) -> dict[str, Any]:
        self.asked.append(asked)
        report.report(0.5, "1,000 samples")
        while not self.may_end.is_set():
            await asyncio.sleep(0.001)
            report.check()
        return {"days": (asked["end"] - asked["start"]) / DAY_MS}


@dataclass
class Site:
    replays: Replays
    runner: JobRunner
    records: Sql
    work: Work
    time: Time


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    time, work = Time(), Work()
    async with records_in(tmp_path, time) as records:

        async def there() -> Sql:
            return records

        runner = JobRunner(
            there, {KIND: handler_of(work)}, has_records=lambda: True, clock=time, sleep=time.sleep, grace_s=1
        )
        yield Site(Replays(there, runner, SOURCES, time), runner, records, work, time)
        await runner.stop()


# -- the life of a replay


async def test_a_replay_is_queued_runs_and_keeps_its_result(site: Site):
    queued = await site.replays.start(Request(days=3, match=('{job="a"}',)))
    assert (queued.state, queued.progress, queued.created_ms) == (JobState.QUEUED, 0.0, T)
    assert (queued.started_ms, queued.ended_ms, queued.result, queued.error) == (None, None, None, None)
    site.runner.start()
    await until(lambda: site.work.asked)
    running = await site.replays.one(queued.id)
    assert (running.state, running.progress, running.note, running.started_ms) == ("running", 0.5, "1,000 samples", T)
    site.work.may_end.set()
    await ended(site.records, await site.records.job(queued.id))
    done = await site.replays.one(queued.id)
    assert (done.state, done.progress, done.started_ms, done.ended_ms) == ("done", 1.0, T, T)
    assert (done.note, done.result) == ("", {"days": 3.0})
    assert [r.result for r in await site.replays.latest(1)] == [None]


async def test_a_new_replay_begins_at_once(site: Site):
    site.runner.start()
    await until(lambda: site.time.sleepers)
    replay = await site.replays.start(Request())
    await until(lambda: site.work.asked)
    assert [asked["id"] for asked in site.work.asked] == [replay.id]
    assert site.time.now == T  # nobody waited for the next look


async def test_the_work_is_told_all_that_was_asked(site: Site):
    site.runner.start()
    start, end = T - 5 * DAY_MS, T - DAY_MS
    asked = Request("prometheus", "http://prom:9090", start, end, match=("up",), rules="text", rules_text=RULES)
    replay = await site.replays.start(asked)
    await until(lambda: site.work.asked)
    shown = {"source": "prometheus", "name": "http://prom:9090", "start": start, "end": end, "match": ["up"]}
    assert site.work.asked == [{"id": replay.id, **shown, "rules": "text", "rulesText": RULES}]
    assert replay.asked == {**shown, "rules": "text"}


async def test_an_open_end_is_the_moment_of_asking_however_late_it_is_done(site: Site):
    await site.replays.start(Request(days=0.5))
    site.time.pass_(3600)
    site.runner.start()
    await until(lambda: site.work.asked)
    assert (site.work.asked[0]["start"], site.work.asked[0]["end"]) == (T - DAY_MS // 2, T)


async def test_a_fortnight_is_replayed_when_nothing_is_said(site: Site):
    asked = (await site.replays.start(Request())).asked
    assert asked == {
        "source": "store",
        "name": "",
        "start": T - 14 * DAY_MS,
        "end": T,
        "match": [],
        "rules": "server",
    }


async def test_replays_are_listed_newest_first_and_other_jobs_are_not_replays(site: Site):
    first = await site.replays.start(Request(days=1))
    site.time.pass_(1)
    second = await site.replays.start(Request(days=2))
    other = await site.records.enqueue("train")
    assert [r.id for r in await site.replays.latest(10)] == [second.id, first.id]
    assert [r.id for r in await site.replays.latest(1)] == [second.id]
    for missing in (other.id, "nothing"):
        with pytest.raises(NotFound, match="no replay"):
            await site.replays.one(missing)
        with pytest.raises(NotFound, match="no replay"):
            await site.replays.cancel(missing)
    assert (await site.records.job(other.id)).state is JobState.QUEUED


async def test_a_waiting_and_a_running_replay_can_be_cancelled_and_an_ended_one_cannot(site: Site):
    running, waiting = await site.replays.start(Request(days=1)), await site.replays.start(Request(days=2))
    site.runner.start()
    await until(lambda: site.work.asked)
    assert (await site.replays.cancel(waiting.id)).state is JobState.CANCELLED
    assert (await site.replays.cancel(running.id)).state is JobState.CANCELLED
    await until(lambda: site.runner.report(running.id) is None)  # without a heartbeat: no time has passed
    with pytest.raises(Conflict, match="cancelled already"):
        await site.replays.cancel(running.id)
    assert len(site.work.asked) == 1


# -- how often


async def test_so_many_wait_and_no_more(site: Site):
    keyed = Request(days=1, idempotency_key="mine")
    first = await site.replays.start(keyed)
    for _ in range(MOST_QUEUED - 1):
        await site.replays.start(Request())
    with pytest.raises(StoreBusy, match="cancel one or try again later") as caught:
        await site.replays.start(Request())
    assert caught.value.retry_after_s == 60
    assert (await site.replays.start(keyed)).id == first.id
    await site.replays.cancel(first.id)
    await site.replays.start(Request())


async def test_requests_that_come_together_do_not_pass_the_limit(site: Site):
    answers = await asyncio.gather(
        *(site.replays.start(Request()) for _ in range(MOST_QUEUED + 5)), return_exceptions=True
    )
    assert sum(isinstance(a, StoreBusy) for a in answers) == 5
    assert len(await site.replays.latest(100)) == MOST_QUEUED


async def test_the_same_key_is_the_same_replay_and_another_question_under_it_a_conflict(site: Site):
    first = await site.replays.start(Request(days=1, idempotency_key="k"))
    site.time.pass_(60)
    assert (await site.replays.start(Request(days=1, idempotency_key="k"))).id == first.id
    with pytest.raises(Conflict, match="another task"):
        await site.replays.start(Request(days=2, idempotency_key="k"))
    assert len(await site.replays.latest(10)) == 1


# -- what cannot be asked

REFUSED = [
    (Request(name="x"), "$.name", "there is one store"),
    (Request("prometheus"), "$.name", "choose one of http://prom:9090, https://other/thanos"),
    (Request("prometheus", "http://prom:9091"), "$.name", "did you mean http://prom:9090?"),
    (Request("prometheus", "file:///etc/passwd"), "$.name", "is no prometheus that is configured"),
    (Request("clickhouse", "http://169.254.169.254/"), "$.name", "choose one of orders"),
    (Request(days=1, start=T - 1), "$.days", "is given beside start"),
    (Request(days=0), "$.days", "is not 0.001 to 366"),
    (Request(days=366.5), "$.days", "is not 0.001 to 366"),
    (Request(days=float("nan")), "$.days", "is not 0.001 to 366"),
    (Request(start=T), "$.start", r"0.001 days before end \(now\)"),
    (Request(start=T - 1, end=T - 1), "$.start", "0.001 days before end"),
    (Request(start=0), "$.start", "days before end; 366 are allowed"),
    (Request(match=("up", "{")), "$.match[1]", "selector '{'"),
    (Request(match=("{}",)), "$.match[0]", "names no series"),
    (Request(match=('{a="\0"}',)), "$.match[0]", r"U\+0000"),
    (Request(match=('{a=~"' + "x" * 1001 + '"}',)), "$.match[0]", "1001 characters"),
    (Request(match=("up",) * 51), "$.match", "50 are allowed"),
    (Request(rules="text", rules_text="#" * 1_000_001), "$.rulesText", "1000001 characters"),
    (Request(rules="text", rules_text="# nothing"), "$.rulesText", "holds no group"),
    (Request(rules="text", rules_text="groups: [{name: g, nam: 1}]"), "$.rulesText:1:20", "field nam not found"),
    (Request(rules="text", rules_text="\0"), "$.rulesText:1:1", "rulesText"),
]


@pytest.mark.parametrize(("request_", "path", "reason"), REFUSED)
async def test_what_cannot_be_asked_is_refused_by_field(site: Site, request_: Request, path: str, reason: str):
    with pytest.raises(InputError, match=reason) as caught:
        await site.replays.start(request_)
    assert caught.value.refusals[0].path == path
    assert await site.replays.latest(1) == []


async def test_a_source_that_is_the_only_one_needs_no_name_and_one_that_is_not_configured_says_where(site: Site):
    assert (await site.replays.start(Request("clickhouse"))).asked["name"] == "orders"
    bare = Replays(lambda: asyncio.sleep(0, site.records), site.runner, {}, site.time)
    with pytest.raises(InputError, match=r"add one under \[\[ingest.prometheus\]\]"):
        await bare.start(Request("prometheus"))


async def test_rules_with_many_faults_list_them_all_up_to_a_hundred(site: Site):
    rules = "groups:\n" + "".join(f"- {{name: g{i}, wrong: 1}}\n" for i in range(120))
    with pytest.raises(InputError, match="and 119 more") as caught:
        await site.replays.start(Request(rules="text", rules_text=rules))
    assert len(caught.value.refusals) == 100


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://prom:9090/", "http://prom:9090"),
        ("https://user:secret@host/thanos/?tenant=1", "https://host/thanos"),
        ("http://[::1]:9090", "http://[::1]:9090"),
    ],
)
def test_a_source_is_named_by_its_address_without_secrets(url: str, name: str):
    assert address_of(url) == name
