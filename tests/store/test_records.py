"""What every records database does; SQLite always, PostgreSQL as a live test."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from airis_mon.errors import ConfigError, Conflict, NotFound, StoreBusy, StoreError
from airis_mon.store.backends.sql import Sql
from airis_mon.store.records import ApiKeyRow, JobState, Lease
from airis_mon.store.tables import METADATA, REVISION
from tools import servers

MINUTE = 60_000


class Clock:
    def __init__(self, now: int = 1_800_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


BACKENDS = ["sqlite", pytest.param("postgresql", marks=[pytest.mark.live])]


def empty_database(backend: str, folder: Path, request: pytest.FixtureRequest) -> str:
    if backend == "sqlite":
        return f"sqlite:///{folder}/sub/records.db"
    server = make_url(request.getfixturevalue("postgres_server").url)
    name = f"records_{uuid.uuid4().hex}"

    async def create() -> None:
        engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
        async with engine.connect() as c:
            await c.execute(sa.text(f"create database {name}"))
        await engine.dispose()

    asyncio.run(create())
    return server.set(drivername="postgresql", database=name).render_as_string(hide_password=False)


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    return empty_database(request.param, tmp_path, request)


@pytest.fixture(scope="session", params=BACKENDS)
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with the newest schema, for all tests in turn."""
    url = empty_database(request.param, tmp_path_factory.mktemp("records"), request)

    async def migrate() -> None:
        sql = Sql(url, Clock())
        await sql.migrate()
        await sql.close()

    asyncio.run(migrate())
    return url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def records(migrated: str, clock: Clock) -> AsyncIterator[Sql]:
    sql = Sql(migrated, clock, time_from="host")
    async with sql._engine.begin() as c:
        for table in METADATA.sorted_tables:
            await c.execute(sa.delete(table))
    yield sql
    await sql.close()


# -- schema


async def test_the_migrations_make_exactly_the_tables(records: Sql):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    async with records._engine.connect() as c:
        found = await c.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), METADATA))
        revision = (await c.execute(sa.text("select version_num from alembic_version"))).scalar()
    assert (found, revision) == ([], REVISION)


async def test_migrating_again_changes_nothing(records: Sql):
    await records.enqueue("a")
    await records.migrate()
    assert len(await records.jobs()) == 1


async def test_two_servers_may_migrate_at_once(url: str, clock: Clock):
    both = [Sql(url, clock), Sql(url, clock)]
    await asyncio.gather(*(sql.migrate() for sql in both))
    assert [await sql.jobs() for sql in both] == [[], []]
    for sql in both:
        await sql.close()


async def test_a_migration_that_fails_leaves_nothing_behind(url: str, clock: Clock):
    sql = Sql(url, clock)
    sql._make_file()
    async with sql._engine.begin() as c:
        await c.execute(sa.text("create table audit (x int)"))  # stands in the way of the last table
    with pytest.raises((StoreError, StoreBusy)):
        await sql.migrate()
    async with sql._engine.begin() as c:
        assert await c.run_sync(lambda sync: sa.inspect(sync).get_table_names()) == ["audit"]
        await c.execute(sa.text("drop table audit"))
    await sql.migrate()
    assert await sql.jobs() == []
    await sql.close()


async def test_a_schema_of_a_later_version_is_refused_in_words(url: str, clock: Clock):
    sql = Sql(url, clock)
    await sql.migrate()
    async with sql._engine.begin() as c:
        await c.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StoreError, match="later version of AIRIS-MON"):
        await sql.migrate()
    await sql.close()


@pytest.mark.slow
async def test_a_current_schema_is_opened_without_alembic(migrated: str):
    code = (
        "import asyncio, sys; from airis_mon.store.backends.sql import Sql\n"
        "async def main():\n"
        f"    sql = Sql({migrated!r}, lambda: 0); await sql.migrate(); await sql.close()\n"
        "asyncio.run(main()); print('alembic' in sys.modules)"
    )
    out = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "False"


# -- jobs


async def test_a_job_is_claimed_with_what_was_asked_and_ends_with_its_result(records: Sql, clock: Clock):
    queued = await records.enqueue("train", {"model": "a", "ids": [1, 2]}, max_attempts=2)
    [job] = await records.claim("me", MINUTE)
    assert (job.id, job.payload, job.attempt, job.holder) == (queued.id, {"model": "a", "ids": [1, 2]}, 1, "me")
    assert job.lease_until_ms == clock.now + MINUTE
    await records.heartbeat(job, MINUTE, progress=0.5)
    assert (await records.job(job.id)).progress == 0.5
    await records.finish(job, {"loss": 0.25})
    done = await records.job(job.id)
    assert (done.state, done.result, done.progress, done.holder) == (JobState.DONE, {"loss": 0.25}, 1.0, None)
    assert await records.claim("me", MINUTE) == []


async def test_jobs_are_claimed_when_due_in_order_and_by_kind(records: Sql, clock: Clock):
    late = await records.enqueue("a", run_at_ms=clock.now + 10)
    first = await records.enqueue("a", run_at_ms=clock.now - 10)
    other = await records.enqueue("b", run_at_ms=clock.now - 20)
    assert [j.id for j in await records.claim("me", MINUTE, kinds=["a"], limit=5)] == [first.id]
    assert [j.id for j in await records.claim("me", MINUTE, limit=5)] == [other.id]
    clock.now += 10
    assert [j.id for j in await records.claim("me", MINUTE, limit=5)] == [late.id]


async def test_a_limit_is_kept(records: Sql):
    for _ in range(5):
        await records.enqueue("a")
    assert len(await records.claim("me", MINUTE, limit=3)) == 3
    assert len(await records.claim("me", MINUTE, limit=3)) == 2


async def test_the_same_idempotency_key_is_the_same_job(records: Sql):
    a, b = await asyncio.gather(*(records.enqueue("train", {"m": 1}, idempotency_key="k") for _ in range(2)))
    assert a.id == b.id
    with pytest.raises(Conflict, match="another task"):
        await records.enqueue("train", {"m": 2}, idempotency_key="k")
    assert len(await records.jobs()) == 1


async def test_a_failed_attempt_comes_back_later_and_later_and_then_fails(records: Sql, clock: Clock):
    await records.enqueue("a", max_attempts=3)
    waits = []
    for _ in range(2):
        [job] = await records.claim("me", MINUTE)
        assert await records.fail(job, "boom") is JobState.QUEUED
        assert await records.claim("me", MINUTE) == []
        waits.append((await records.job(job.id)).run_at_ms - clock.now)
        clock.now += waits[-1]
    assert waits == [5_000, 10_000]
    [job] = await records.claim("me", MINUTE)
    assert await records.fail(job, "boom") is JobState.FAILED
    assert (await records.job(job.id)).error == "boom"


async def test_a_failure_may_say_when_to_come_back_or_never(records: Sql, clock: Clock):
    for _ in range(2):
        await records.enqueue("a")
    one, two = await records.claim("me", MINUTE, limit=2)
    assert await records.fail(one, "later", retry_after_ms=7) is JobState.QUEUED
    assert (await records.job(one.id)).run_at_ms == clock.now + 7
    assert await records.fail(two, "never", retry=False) is JobState.FAILED


async def test_a_job_that_is_given_back_has_lost_no_attempt_and_its_giver_no_say(records: Sql, clock: Clock):
    await records.enqueue("a", max_attempts=1)
    for n in range(1, 4):
        [job] = await records.claim("me", MINUTE)
        assert job.attempt == n
        await records.give_back(job)
        assert (await records.job(job.id)).state is JobState.QUEUED
        with pytest.raises(Conflict):
            await records.finish(job)
        with pytest.raises(Conflict):
            await records.give_back(job)
    [job] = await records.claim("me", MINUTE)
    assert await records.fail(job, "boom") is JobState.FAILED


async def test_what_a_job_is_at_and_since_when_is_known_while_and_after_it_runs(records: Sql, clock: Clock):
    queued = await records.enqueue("a")
    assert (queued.note, queued.started_ms) == ("", None)
    clock.now += 10
    [job] = await records.claim("me", MINUTE)
    await records.heartbeat(job, MINUTE, 0.5, "half of it")
    clock.now += 10
    running = await records.job(job.id)
    assert (running.note, running.started_ms) == ("half of it", clock.now - 10)
    await records.finish(job, {"n": 1})
    done = await records.job(job.id)
    assert (done.note, done.started_ms, done.updated_ms) == ("", clock.now - 10, clock.now)
    assert [j.result for j in await records.jobs()] == [{"n": 1}]
    assert [j.result for j in await records.jobs(with_results=False)] == [None]


async def test_jobs_of_the_first_schema_are_kept_by_the_next(url: str, clock: Clock):
    sql = Sql(url, clock)
    await sql.migrate()
    job = await sql.enqueue("a")
    async with sql._engine.begin() as c:
        for change in ("drop column note", "drop column started_ms"):
            await c.execute(sa.text(f"alter table job {change}"))
        await c.execute(sa.text("update alembic_version set version_num = '0001'"))
    await sql.migrate()
    assert await sql.job(job.id) == job
    await sql.close()


async def test_the_job_of_a_silent_holder_is_taken_over_and_the_first_is_fenced_off(records: Sql, clock: Clock):
    await records.enqueue("a", max_attempts=2)
    [lost] = await records.claim("me", MINUTE)
    assert await records.claim("you", MINUTE) == []
    clock.now += MINUTE
    [taken] = await records.claim("me", MINUTE)  # even under the same name
    assert (taken.id, taken.attempt) == (lost.id, 2)
    for late in (records.heartbeat(lost, MINUTE), records.finish(lost), records.fail(lost, "x")):
        with pytest.raises(Conflict, match="stop working on it"):
            await late
    await records.finish(taken)
    assert (await records.job(taken.id)).state is JobState.DONE


async def test_a_job_whose_every_holder_went_silent_fails(records: Sql, clock: Clock):
    job = await records.enqueue("a", max_attempts=1)
    await records.claim("me", MINUTE)
    clock.now += MINUTE
    assert await records.claim("you", MINUTE) == []
    failed = await records.job(job.id)
    assert (failed.state, failed.error, failed.holder) == (JobState.FAILED, "its last attempt went silent", None)


async def test_cancelling_ends_a_job_once_and_stops_who_runs_it(records: Sql):
    await records.enqueue("a")
    [job] = await records.claim("me", MINUTE)
    await records.cancel(job.id)
    with pytest.raises(Conflict):
        await records.heartbeat(job, MINUTE)
    with pytest.raises(Conflict, match="cancelled already"):
        await records.cancel(job.id)
    with pytest.raises(NotFound):
        await records.cancel("none")


async def test_jobs_are_listed_newest_first_and_old_final_ones_are_forgotten(records: Sql, clock: Clock):
    old = await records.enqueue("a")
    await records.cancel(old.id)
    clock.now += 1
    new = await records.enqueue("b")
    assert [j.id for j in await records.jobs()] == [new.id, old.id]
    assert [j.id for j in await records.jobs(kind="a")] == [old.id]
    assert [j.id for j in await records.jobs(state=JobState.QUEUED)] == [new.id]
    assert await records.forget_jobs(clock.now) == 1
    assert [j.id for j in await records.jobs()] == [new.id]


async def test_concurrent_claimers_never_share_a_job(records: Sql, migrated: str, clock: Clock):
    makers = [Sql(migrated, clock) for _ in range(4)]
    for _ in range(60):
        await makers[0].enqueue("a")
    taken: list[str] = []

    async def work(sql: Sql, name: str) -> None:
        while got := await sql.claim(name, MINUTE, limit=2):
            taken.extend(job.id for job in got)

    # A claimer that finds every row locked may stop early, so one goes on alone at the end.
    await asyncio.gather(*(work(sql, f"w{i}") for i, sql in enumerate(makers)))
    await work(makers[0], "last")
    assert (len(taken), len(set(taken))) == (60, 60)
    assert {j.attempt for j in await makers[0].jobs()} == {1}
    for sql in makers:
        await sql.close()


# -- leases


async def test_a_lease_is_one_holder_s_until_its_term_ends(records: Sql, clock: Clock):
    mine = await records.acquire("leader", "me", 1000)
    assert mine == Lease("leader", "me", 1, clock.now + 1000)
    assert await records.acquire("leader", "you", 1000) is None
    clock.now += 500
    assert await records.renew(mine, 1000) == Lease("leader", "me", 1, clock.now + 1000)
    clock.now += 1000
    yours = await records.acquire("leader", "you", 1000)
    assert yours is not None
    assert yours.fence == 2
    assert await records.renew(mine, 1000) is None
    await records.release(mine)  # no longer mine to give
    assert await records.acquire("leader", "me", 1000) is None


async def test_a_released_lease_is_free_and_its_fence_goes_on(records: Sql):
    mine = await records.acquire("leader", "me", 1000)
    assert mine is not None
    await records.release(mine)
    assert await records.renew(mine, 1000) is None
    yours = await records.acquire("leader", "you", 1000)
    assert yours is not None
    assert yours.fence == 2


async def test_two_holders_never_share_a_lease(records: Sql, migrated: str, clock: Clock):
    sides = [Sql(migrated, clock) for _ in range(4)]
    fences = []
    for _ in range(25):
        got = await asyncio.gather(*(sql.acquire("leader", f"h{i}", MINUTE) for i, sql in enumerate(sides)))
        [held] = [lease for lease in got if lease]
        fences.append(held.fence)
        await sides[0].release(held)
    assert fences == sorted(fences)
    for sql in sides:
        await sql.close()


@pytest.mark.live
async def test_on_postgresql_the_database_s_clock_rules(postgres_server):
    sql = Sql(postgres_server.url, lambda: 0)  # this host's clock is far behind
    await sql.migrate()
    lease = await sql.acquire("clocks", "me", MINUTE)
    assert lease is not None
    assert lease.expires_ms > 1_700_000_000_000
    assert await sql.acquire("clocks", "you", MINUTE) is None
    await sql.acquire("clocks", "me", 0)
    assert await sql.acquire("clocks", "you", MINUTE) is not None
    job = await sql.enqueue("clocks")
    [taken] = await sql.claim("me", MINUTE, kinds=["clocks"])
    assert taken.id == job.id
    assert (taken.lease_until_ms or 0) - taken.updated_ms == MINUTE
    await sql.close()


# -- keys and audit


async def test_a_key_is_found_by_its_hash_until_and_after_it_is_revoked(records: Sql, clock: Clock):
    row = await records.add_key("id-a", "a", "h", ["read", "write"], "root")
    assert row == ApiKeyRow("id-a", "a", "h", ("read", "write"), clock.now)
    assert await records.key_by_hash("h") == row
    assert await records.key_by_hash("other") is None
    await records.touch_keys({"id-a": 9, "gone": 1})
    await records.touch_keys({"id-a": 7})
    await records.revoke_key("id-a", "root")
    [row] = await records.keys()
    assert (row.last_used_ms, row.revoked_ms) == (9, clock.now)
    with pytest.raises(NotFound):
        await records.revoke_key("id-a", "root")


async def test_a_hash_belongs_to_one_key(records: Sql):
    await records.add_key("id-a", "a", "h", [], "root")
    with pytest.raises(Conflict):
        await records.add_key("id-b", "b", "h", [], "root")
    assert [k.name for k in await records.keys()] == ["a"]
    assert len(await records.audit_log()) == 1  # what failed was not done


async def test_what_is_done_to_keys_is_in_the_audit_log(records: Sql):
    await records.add_key("id-a", "a", "h", ["read"], "root")
    await records.revoke_key("id-a", "ops")
    await records.audit("ops", "settings.changed", "log.level", {"to": "debug"})
    log = await records.audit_log()
    assert [(e.actor, e.action, e.subject) for e in log] == [
        ("ops", "settings.changed", "log.level"),
        ("ops", "key.revoked", "id-a"),
        ("root", "key.created", "id-a"),
    ]
    assert log[0].detail == {"to": "debug"}
    assert log[2].detail == {"name": "a", "scopes": ["read"]}
    assert [e.seq for e in await records.audit_log(before_seq=log[0].seq, limit=1)] == [log[1].seq]


# -- errors


async def test_a_database_that_does_not_answer_is_busy(free_port: int):
    sql = Sql(f"postgresql://u@127.0.0.1:{free_port}/d", Clock())
    with pytest.raises(StoreBusy, match="does not answer"):
        await sql.ping()
    await sql.close()


@pytest.mark.live
async def test_a_database_that_is_not_there_is_refused_in_words(postgres_server):
    sql = Sql(make_url(postgres_server.url).set(database="nowhere").render_as_string(hide_password=False), Clock())
    with pytest.raises(StoreError, match="nowhere"):
        await sql.ping()
    await sql.close()


@pytest.mark.live
@pytest.mark.slow
async def test_a_server_that_ends_is_busy():
    with servers.postgres() as server:
        sql = Sql(server.url, Clock())
        await sql.migrate()
    with pytest.raises(StoreBusy):
        await sql.jobs()
    await sql.close()


@pytest.mark.live
async def test_a_connection_that_was_cut_is_replaced(postgres_server):
    sql, other = Sql(postgres_server.url, Clock()), Sql(postgres_server.url, Clock())
    await sql.ping()
    async with other._engine.connect() as c:
        await c.execute(sa.text("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"))
    await sql.ping()
    await asyncio.gather(sql.close(), other.close())


def test_the_sslmode_of_everybody_s_url_is_understood():
    assert Sql("postgres://u@h/d?sslmode=require", Clock())._url.query == {"ssl": "require"}


@pytest.mark.parametrize("bad", ["mysql://h/d", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_database_we_do_not_know_is_a_wrong_setting(bad):
    with pytest.raises(ConfigError, match=r"records\.url"):
        Sql(bad, Clock())


async def test_the_file_of_sqlite_is_readable_by_its_owner_only(tmp_path: Path):
    sql = Sql(f"sqlite:///{tmp_path}/records.db", Clock())
    await sql.migrate()
    await sql.ping()
    assert (tmp_path / "records.db").stat().st_mode & 0o077 == 0
    await sql.close()
