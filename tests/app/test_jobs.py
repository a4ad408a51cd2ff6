"""The runner over a real SQLite database, on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airis_mon.app.jobs import MAX_RESULT_BYTES, UNFORESEEN, Handler, JobRunner, Report
from airis_mon.errors import InputError, Permanent, QueryCancelled, StoreBusy, StoreError, Transient
from airis_mon.store.backends.sql import Sql
from airis_mon.store.records import Job, JobState
from tests.app.jobs import BEAT_S, LEASE_S, LOOK_S, Time, ended, records_in, seen, until


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def records(tmp_path: Path, time: Time) -> AsyncIterator[Sql]:
    async with records_in(tmp_path, time) as sql:
        yield sql


Start = Callable[..., JobRunner]


@pytest.fixture
async def start(records: Sql, time: Time) -> AsyncIterator[Start]:
    """Starts runners, stops them after the test."""
    started: list[JobRunner] = []

    async def there() -> Sql:
        return records

    def run(opens: Callable[[], Awaitable[Any]] = there, is_there: bool = True, **handlers: Handler) -> JobRunner:
        runner = JobRunner(opens, handlers, has_records=lambda: is_there, clock=time, sleep=time.sleep, grace_s=0.1)
        runner.start()
        started.append(runner)
        return runner

    yield run
    for runner in started:
        await runner.stop()


class Work:
    """A handler that waits until it is told to end, or called off; it notes who came."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.jobs: list[Job] = []
        self.may_end = asyncio.Event()

    async def __call__(self, job: Job, report: Report) -> dict[str, Any]:
        self.jobs.append(job)
        self.reports.append(report)
        report.report(0.25, "a quarter")
        while not self.may_end.is_set():
            await asyncio.sleep(0.001)
            report.check()
        return {"n": len(self.jobs)}


async def count(job: Job, report: Report) -> dict[str, Any]:
    return {"asked": job.payload}


# -- doing


async def test_a_job_that_waits_is_done_at_the_start_and_keeps_its_result(records: Sql, start: Start):
    job = await records.enqueue("a", {"n": 1})
    start(a=count)
    done = await ended(records, job)
    assert (done.state, done.result, done.progress) == (JobState.DONE, {"asked": {"n": 1}}, 1.0)


async def test_a_poke_has_a_new_job_done_at_once_and_a_look_finds_it_later(records: Sql, start: Start, time: Time):
    runner = start(a=count)
    await until(lambda: time.sleepers)
    poked = await records.enqueue("a")
    runner.poke("a")
    await ended(records, poked)
    await until(lambda: time.sleepers)
    silent = await records.enqueue("a")
    time.pass_(LOOK_S - 1)
    await asyncio.sleep(0.02)
    assert (await records.job(silent.id)).state is JobState.QUEUED
    time.pass_(1)
    await ended(records, silent)


async def test_jobs_of_a_kind_are_done_one_after_another_and_kinds_beside_each_other(records: Sql, start: Start):
    first, second, other = Work(), await records.enqueue("a"), await records.enqueue("b")
    third = await records.enqueue("a")
    beside = Work()
    start(a=first, b=beside)
    await until(lambda: first.jobs and beside.jobs)
    assert [(await records.job(j.id)).state for j in (second, third, other)] == ["running", "queued", "running"]
    first.may_end.set()
    assert (await ended(records, third)).result == {"n": 2}
    assert (await records.job(other.id)).state is JobState.RUNNING


async def test_jobs_of_other_kinds_are_left_alone(records: Sql, start: Start):
    other, mine = await records.enqueue("b"), await records.enqueue("a")
    start(a=count)
    await ended(records, mine)
    assert (await records.job(other.id)).state is JobState.QUEUED


async def test_nothing_is_opened_as_long_as_there_are_no_records(start: Start, time: Time):
    opened = []

    async def opens() -> None:
        opened.append(1)
        raise StoreBusy("away")

    runner = start(opens, is_there=False, a=count)
    await until(lambda: time.sleepers)
    runner.poke("a")
    await until(lambda: time.sleepers == 1)
    assert opened == []


async def test_how_far_a_job_is_is_known_here_at_once_and_elsewhere_with_the_next_heartbeat(
    records: Sql, start: Start, time: Time
):
    job, work = await records.enqueue("a"), Work()
    runner = start(a=work)
    await until(lambda: work.reports)
    report = runner.report(job.id)
    assert report is not None
    assert (report.fraction, report.note) == (0.25, "a quarter")
    begun = await records.job(job.id)
    assert (begun.progress, begun.note, begun.started_ms) == (0.0, "", time.now)
    await until(lambda: time.sleepers)
    time.pass_(BEAT_S)
    await seen(records, job, lambda found: found.progress == 0.25)
    told = await records.job(job.id)
    assert (told.note, told.lease_until_ms) == ("a quarter", time.now + LEASE_S * 1000)
    work.may_end.set()
    await ended(records, job)
    await until(lambda: runner.report(job.id) is None)


@pytest.mark.parametrize(("said", "kept"), [(-1.0, 0.0), (0.5, 0.5), (7.0, 1.0)])
def test_a_fraction_stays_between_nothing_and_everything(said: float, kept: float):
    report = Report()
    report.report(said)
    assert report.fraction == kept


async def test_jobs_that_ended_long_ago_are_forgotten(records: Sql, start: Start, time: Time):
    runner = start(a=count)
    old = await records.enqueue("a")
    runner.poke("a")
    await ended(records, old)
    time.pass_(31 * 86_400)
    new = await records.enqueue("a")
    runner.poke("a")
    await ended(records, new)
    await until(lambda: time.sleepers)
    assert [job.id for job in await records.jobs()] == [new.id]


# -- failing


def failing(error: Exception, times: int = 99) -> tuple[Handler, list[int]]:
    attempts: list[int] = []

    async def fail(job: Job, report: Report) -> dict[str, Any]:
        attempts.append(job.attempt)
        if len(attempts) <= times:
            raise error
        return {}

    return fail, attempts


@pytest.mark.parametrize("error", [InputError("no such source"), Permanent("it said no")])
async def test_what_trying_again_will_not_help_fails_at_once_in_its_words(records: Sql, start: Start, error: Exception):
    job = await records.enqueue("a")
    fail, attempts = failing(error)
    start(a=fail)
    failed = await ended(records, job)
    assert (failed.state, failed.error, attempts) == (JobState.FAILED, str(error), [1])


async def test_what_may_pass_is_tried_again_when_it_says_and_the_words_are_seen_meanwhile(
    records: Sql, start: Start, time: Time
):
    job = await records.enqueue("a")
    fail, attempts = failing(Transient("it is busy", retry_after_s=7.5), times=1)
    start(a=fail)
    waiting = await seen(records, job, lambda found: found.error)
    assert (waiting.error, waiting.run_at_ms) == ("it is busy", time.now + 7500)
    await until(lambda: time.sleepers)
    time.pass_(LOOK_S)
    assert (await ended(records, job)).state is JobState.DONE
    assert attempts == [1, 2]


async def test_an_unforeseen_error_fails_the_job_and_tells_no_client_why(records: Sql, start: Start):
    first, second = await records.enqueue("a"), await records.enqueue("a")
    fail, _ = failing(RuntimeError("secret path"), times=1)
    start(a=fail)
    failed = await ended(records, first)
    assert (failed.state, failed.error) == (JobState.FAILED, UNFORESEEN)
    assert (await ended(records, second)).state is JobState.DONE


async def test_a_handler_that_is_cancelled_from_within_fails_its_job(records: Sql, start: Start):
    async def give_up(job: Job, report: Report) -> dict[str, Any]:
        raise asyncio.CancelledError

    job = await records.enqueue("a")
    start(a=give_up)
    assert (await ended(records, job)).error == UNFORESEEN


async def test_a_result_that_is_no_json_fails_the_job(records: Sql, start: Start):
    async def odd(job: Job, report: Report) -> dict[str, Any]:
        return {"n": np.int64(1)}

    job = await records.enqueue("a")
    start(a=odd)
    assert (await ended(records, job)).error == UNFORESEEN


async def test_a_result_is_kept_as_json_has_it_and_a_huge_one_is_refused_in_words(records: Sql, start: Start):
    async def odd(job: Job, report: Report) -> dict[str, Any]:
        return {"value": [1.5, float("nan"), float("inf")], "more": "x" * job.payload.get("more", 0)}

    small, huge = await records.enqueue("a"), await records.enqueue("a", {"more": MAX_RESULT_BYTES})
    start(a=odd)
    assert (await ended(records, small)).result == {"value": [1.5, None, None], "more": ""}
    assert "ask for a shorter time" in str((await ended(records, huge)).error)


# -- cancelled, lost, stopped


async def test_a_cancelled_job_hears_of_it_with_the_next_heartbeat(records: Sql, start: Start, time: Time):
    job, work = await records.enqueue("a"), Work()
    next_one = await records.enqueue("a")
    start(a=work)
    await until(lambda: work.reports and time.sleepers)
    await records.cancel(job.id)
    assert not work.reports[0].cancelled.is_set()
    time.pass_(BEAT_S)
    await until(lambda: len(work.jobs) == 2)
    assert work.reports[0].cancelled.is_set()
    assert work.jobs[1].id == next_one.id
    assert (await records.job(job.id)).state is JobState.CANCELLED


async def test_a_job_called_off_in_this_process_hears_of_it_at_once(records: Sql, start: Start, time: Time):
    job, work = await records.enqueue("a"), Work()
    runner = start(a=work)
    await until(lambda: work.reports)
    await records.cancel(job.id)
    runner.call_off(job.id)
    await until(lambda: runner.report(job.id) is None)
    assert (await records.job(job.id)).state is JobState.CANCELLED


async def test_work_that_does_not_listen_is_cancelled_after_its_grace(records: Sql, start: Start, time: Time):
    ends: list[str] = []

    async def deaf(job: Job, report: Report) -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append(job.id)
        return {}

    job = await records.enqueue("a")
    start(a=deaf)
    await until(lambda: time.sleepers)
    await records.cancel(job.id)
    time.pass_(BEAT_S)
    await until(lambda: ends == [job.id])
    assert (await records.job(job.id)).state is JobState.CANCELLED


async def test_a_stopped_runner_gives_its_job_back_and_another_does_it_anew(records: Sql, start: Start):
    job, work = await records.enqueue("a"), Work()
    runner = start(a=work)
    await until(lambda: work.reports)
    await runner.stop()
    given_back = await records.job(job.id)
    assert (given_back.state, given_back.holder) == (JobState.QUEUED, None)
    assert work.reports[0].cancelled.is_set()
    start(a=count)
    assert (await ended(records, job)).state is JobState.DONE


async def test_however_often_a_server_stops_its_job_loses_no_attempt(records: Sql, start: Start):
    job = await records.enqueue("a", max_attempts=1)
    for n in range(1, 4):
        work = Work()
        runner = start(a=work)
        await until(lambda work=work: work.jobs)
        assert work.jobs[0].attempt == n
        await runner.stop()
    start(a=count)
    assert (await ended(records, job)).state is JobState.DONE


async def test_work_that_ends_while_the_runner_stops_is_not_lost(records: Sql, start: Start):
    async def last_breath(job: Job, report: Report) -> dict[str, Any]:
        await asyncio.to_thread(report.cancelled.wait, 10)
        return {"all": True}

    job = await records.enqueue("a")
    runner = start(a=last_breath)
    await until(lambda: runner.report(job.id))
    await runner.stop()
    assert (await records.job(job.id)).result == {"all": True}


async def test_a_job_whose_process_died_is_taken_over_when_its_lease_has_run_out(
    records: Sql, start: Start, time: Time
):
    job = await records.enqueue("a")
    [dead] = await records.claim("a process that died", LEASE_S * 1000)
    start(a=count)
    await until(lambda: time.sleepers)
    assert (await records.job(job.id)).holder == dead.holder
    time.pass_(LOOK_S)
    done = await ended(records, job)
    assert (done.state, done.attempt) == (JobState.DONE, 2)


async def test_who_lost_a_job_while_it_slept_cannot_change_it(records: Sql, start: Start, time: Time):
    job, asleep = await records.enqueue("a"), Work()
    first = start(a=asleep)
    await until(lambda: asleep.reports)
    time.now += LEASE_S * 1000  # nobody wakes: the process was paused
    awake = Work()
    start(a=awake)
    await until(lambda: awake.jobs)
    asleep.may_end.set()
    await until(lambda: first.report(job.id) is None)
    taken = await records.job(job.id)
    assert (taken.state, taken.attempt, taken.result) == (JobState.RUNNING, 2, None)
    awake.may_end.set()
    assert (await ended(records, job)).result == {"n": 1}


# -- a database that is away


class Flaky:
    """The records database, out of order while `error` is set."""

    def __init__(self, records: Sql) -> None:
        self.records, self.error, self.asked = records, None, 0

    def __getattr__(self, name: str) -> Any:
        async def ask(*args: Any, **given: Any) -> Any:
            if self.error:
                self.asked += 1
                raise self.error
            return await getattr(self.records, name)(*args, **given)

        return ask

    async def __call__(self) -> Flaky:
        return self


async def test_a_database_that_does_not_open_is_waited_for_and_said(records: Sql, start: Start, time: Time):
    job = await records.enqueue("a")
    flaky = Flaky(records)
    flaky.error = StoreBusy("no connection")
    runner = start(flaky, a=count)
    await until(lambda: time.sleepers)
    assert runner.degraded() == ["no connection"]
    flaky.error = None
    time.pass_(LOOK_S)
    await ended(records, job)
    assert runner.degraded() == []


async def test_work_goes_on_while_the_database_is_away_and_its_result_waits(records: Sql, start: Start, time: Time):
    job, work = await records.enqueue("a"), Work()
    flaky = Flaky(records)
    start(flaky, a=work)
    await until(lambda: work.reports and time.sleepers)
    flaky.error = StoreBusy("no connection")
    time.pass_(BEAT_S)
    await until(lambda: flaky.asked == 1 and time.sleepers)
    assert not work.reports[0].cancelled.is_set()
    work.may_end.set()
    await until(lambda: flaky.asked == 2 and time.sleepers == 2)
    flaky.error = None
    time.pass_(BEAT_S)
    assert (await ended(records, job)).result == {"n": 1}


async def test_a_result_that_the_database_refuses_fails_the_job(records: Sql, start: Start):
    class Refusing(Flaky):
        async def finish(self, job: Job, result: Any) -> None:
            raise StoreError("a character it does not know")

    job = await records.enqueue("a")
    start(Refusing(records), a=count)
    assert (await ended(records, job)).error == "the result cannot be kept: a character it does not know"


def test_work_that_is_called_off_ends_as_a_query_does():
    report = Report()
    report.check()
    report.cancelled.set()
    with pytest.raises(QueryCancelled):
        report.check()
