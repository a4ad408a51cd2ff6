"""The records database: SQLite under the data directory, or PostgreSQL; one set of statements for both."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from airis_mon.errors import ConfigError, Conflict, NotFound, StoreBusy, StoreError
from airis_mon.store.records import FINAL, ApiKeyRow, AuditEntry, Job, JobState, Json, Lease
from airis_mon.store.tables import API_KEY, AUDIT, JOB, LEASE, REVISION

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
MIGRATIONS = Path(__file__).parent.parent / "migrations" / "records"
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000", "foreign_keys=ON")
PASSING = {"08", "40", "53", "57"}  # SQLSTATE classes: connection, conflict, no resources, starting or stopping
BACKOFF_MS = 5_000
MAX_BACKOFF_MS = 3_600_000
_ALEMBIC = threading.Lock()  # alembic keeps its context in globals: one migration at a time in a process

# One statement takes a free or expired lease, keeps one's own, and leaves somebody else's alone (no row comes back).
ACQUIRE = """
insert into lease(name, holder, fence, expires_ms) values (:name, :holder, 1, {now} + :term)
on conflict (name) do update set holder = excluded.holder, expires_ms = excluded.expires_ms,
  fence = lease.fence + case when lease.holder = excluded.holder then 0 else 1 end
where lease.holder = excluded.holder or lease.expires_ms <= {now}
returning name, holder, fence, expires_ms
"""
# Leases compare times of several hosts, so PostgreSQL's clock rules there; on SQLite there is one host only.
DATABASE_NOW = "cast(floor(extract(epoch from statement_timestamp()) * 1000) as bigint)"


class Sql:
    """Jobs, leases, keys and audit in one database; offers `Jobs`, `Leases` and `Keys` of `store/records.py`.

    url: `sqlite:////folder/records.db` or `postgresql://user:password@host/database`. clock: ms UTC. time_from: whose
    clock rules, by default the database's on PostgreSQL and ours on SQLite. Every method raises StoreBusy when the
    database does not answer and StoreError when it refuses.
    """

    def __init__(
        self,
        url: str | URL,
        clock: Callable[[], int],
        *,
        time_from: Literal["host", "database"] | None = None,
        pool: int = 5,
    ) -> None:
        self._url = _parsed(url)
        self._clock = clock
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        self._database_time = not self._is_sqlite and time_from != "host"
        self._engine = _engine(self._url, pool)

    # -- life ---------------------------------------------------------------------------------------------------

    async def migrate(self) -> None:
        """Brings the schema to the newest form; alembic is imported only when it is not there yet.

        Raises StoreError when a later version of AIRIS-MON has changed the schema.
        """
        self._make_file()
        if await self._revision() == REVISION:
            return
        # In a thread, with a loop and connection of its own: alembic imports for a second.
        await asyncio.to_thread(_migrate, self._url)

    async def ping(self) -> None:
        """Raises StoreBusy when the database does not answer."""
        async with self._transaction() as c:
            await c.execute(sa.select(1))

    async def close(self) -> None:
        """Ends all connections."""
        await self._engine.dispose()

    def _make_file(self) -> None:
        """Makes SQLite's file before SQLite does: it holds the hashes of keys, so nobody else may read it."""
        if self._is_sqlite:
            file = Path(self._url.database or "")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)

    async def _revision(self) -> str | None:
        async with self._transaction() as c:
            if not await c.run_sync(lambda sync: sa.inspect(sync).has_table("alembic_version")):
                return None
            found: str | None = (await c.execute(sa.text("select version_num from alembic_version"))).scalar()
            return found

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        """One short transaction; the driver's errors become ours.

        Its first statement must be the write, if any: SQLite cannot turn a reader into a writer when another has
        written meanwhile.
        """
        try:
            async with self._engine.begin() as connection:
                yield connection
        except IntegrityError as error:
            raise Conflict(f"the records database has this already: {error.orig}") from None
        except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
            raise StoreBusy(f"the records database does not answer: {_cause(error)}") from error
        except DBAPIError as error:
            if (getattr(error.orig, "sqlstate", None) or "")[:2] in PASSING:
                raise StoreBusy(f"the records database does not answer: {_cause(error)}") from error
            raise StoreError(f"the records database refused: {_cause(error)}") from error

    def _now(self) -> sa.ColumnElement[int]:
        return sa.literal_column(DATABASE_NOW, sa.BigInteger) if self._database_time else sa.literal(self._clock())

    # -- jobs ---------------------------------------------------------------------------------------------------

    async def enqueue(
        self,
        kind: str,
        payload: Json | None = None,
        *,
        idempotency_key: str | None = None,
        run_at_ms: int | None = None,
        max_attempts: int = 3,
    ) -> Job:
        """A new job, or the one that has the idempotency key. Raises Conflict when that one is another task."""
        now = self._now()
        values = {
            "id": uuid.uuid4().hex,
            "kind": kind,
            "payload": dict(payload or {}),
            "state": JobState.QUEUED,
            "run_at_ms": now if run_at_ms is None else run_at_ms,
            "attempt": 0,
            "max_attempts": max_attempts,
            "idempotency_key": idempotency_key,
            "progress": 0.0,
            "created_ms": now,
            "updated_ms": now,
        }
        insert = self._insert(JOB).values(values).on_conflict_do_nothing(index_elements=["idempotency_key"])
        same = sa.select(JOB).where(JOB.c.idempotency_key == idempotency_key)
        async with self._transaction() as c:
            row = (await c.execute(insert.returning(*JOB.c))).mappings().one_or_none()
            job = _job(row or (await c.execute(same)).mappings().one())
        if row is None and (job.kind, dict(job.payload)) != (kind, values["payload"]):
            raise Conflict(
                f"the idempotency key {idempotency_key!r} belongs to the job {job.id}, which is another task"
            )
        return job

    async def claim(self, holder: str, lease_ms: int, *, kinds: Sequence[str] = (), limit: int = 1) -> list[Job]:
        """Jobs that are due, or whose holder went silent, now running here; of no kinds given, any kind."""
        now = self._now()
        silent = (JOB.c.state == JobState.RUNNING) & (JOB.c.lease_until_ms <= now)
        due = (JOB.c.state == JobState.QUEUED) & (JOB.c.run_at_ms <= now)
        used_up = sa.update(JOB).where(silent, JOB.c.attempt >= JOB.c.max_attempts)
        used_up = used_up.values(state=JobState.FAILED, error=_SILENT, updated_ms=now, **_RELEASED)
        # The lock stands in a CTE of its own: PostgreSQL evaluates it once, so `limit` holds; SQLite ignores the lock
        # because its one writer is lock enough.
        pick = sa.select(JOB.c.id).where(due | silent).order_by(JOB.c.run_at_ms, JOB.c.created_ms).limit(limit)
        pick = pick.where(JOB.c.kind.in_(kinds)) if kinds else pick
        picked = pick.with_for_update(skip_locked=True).cte("picked")
        take = sa.update(JOB).where(JOB.c.id.in_(sa.select(picked.c.id))).returning(*JOB.c)
        take = take.values(
            state=JobState.RUNNING,
            holder=holder,
            attempt=JOB.c.attempt + 1,
            lease_until_ms=now + lease_ms,
            progress=0.0,
            note="",
            started_ms=now,
            updated_ms=now,
        )
        async with self._transaction() as c:
            await c.execute(used_up)
            rows = (await c.execute(take)).mappings().all()
        return sorted(map(_job, rows), key=lambda j: (j.run_at_ms, j.created_ms))

    async def heartbeat(self, job: Job, lease_ms: int, progress: float | None = None, note: str = "") -> None:
        """Holds a claimed job for another `lease_ms`, and says how far it is and what it is at.

        Raises Conflict when it was lost.
        """
        values: dict[str, Any] = {"lease_until_ms": self._now() + lease_ms, "note": note}
        if progress is not None:
            values["progress"] = min(max(progress, 0.0), 1.0)
        await self._change(job, values)

    async def finish(self, job: Job, result: Json | None = None) -> None:
        """Ends a claimed job well. Raises Conflict when it was lost or cancelled."""
        done = {"state": JobState.DONE, "result": result and dict(result), "progress": 1.0, "error": None, "note": ""}
        await self._change(job, done | _RELEASED)

    async def fail(self, job: Job, error: str, *, retry: bool = True, retry_after_ms: int | None = None) -> JobState:
        """Ends an attempt badly: queued again with growing distance, or failed when attempts are used up.

        Raises Conflict when the job was lost or cancelled.
        """
        values: dict[str, Any] = {"error": error, **_RELEASED, "state": JobState.FAILED}
        if retry and job.attempt < job.max_attempts:
            wait = (
                min(BACKOFF_MS * 2 ** (job.attempt - 1), MAX_BACKOFF_MS) if retry_after_ms is None else retry_after_ms
            )
            values |= {"state": JobState.QUEUED, "run_at_ms": self._now() + wait}
        await self._change(job, values)
        return JobState(values["state"])

    async def give_back(self, job: Job) -> None:
        """Puts a claimed job back into the queue, with one attempt more: `attempt` itself must grow, it is the fence.

        Raises Conflict when the job was lost or cancelled.
        """
        again = {"state": JobState.QUEUED, "run_at_ms": self._now(), "max_attempts": JOB.c.max_attempts + 1}
        await self._change(job, again | _RELEASED)

    async def cancel(self, job_id: str) -> None:
        """Ends a job that is not final; who runs it learns so at its next heartbeat. Raises NotFound or Conflict."""
        end = sa.update(JOB).where(JOB.c.id == job_id, JOB.c.state.not_in(FINAL))
        end = end.values(state=JobState.CANCELLED, updated_ms=self._now(), **_RELEASED)
        async with self._transaction() as c:
            changed = (await c.execute(end)).rowcount
        if not changed:
            raise Conflict(f"the job {job_id} is {(await self.job(job_id)).state} already")

    async def job(self, job_id: str) -> Job:
        """One job. Raises NotFound."""
        async with self._transaction() as c:
            row = (await c.execute(sa.select(JOB).where(JOB.c.id == job_id))).mappings().one_or_none()
        if row is None:
            raise NotFound(f"no job has the id {job_id!r}")
        return _job(row)

    async def jobs(
        self, *, kind: str | None = None, state: JobState | None = None, limit: int = 100, with_results: bool = True
    ) -> list[Job]:
        """Jobs, newest first; without results, which may be large, `result` is None."""
        columns = [c if with_results or c is not JOB.c.result else sa.null().label("result") for c in JOB.c]
        query = sa.select(*columns).order_by(JOB.c.created_ms.desc(), JOB.c.id).limit(limit)
        query = query.where(JOB.c.kind == kind) if kind is not None else query
        query = query.where(JOB.c.state == state) if state is not None else query
        async with self._transaction() as c:
            return [_job(row) for row in (await c.execute(query)).mappings().all()]

    async def forget_jobs(self, before_ms: int) -> int:
        """Deletes final jobs that have not changed since `before_ms`; answers how many."""
        async with self._transaction() as c:
            old = sa.delete(JOB).where(JOB.c.state.in_(FINAL), JOB.c.updated_ms < before_ms)
            return int((await c.execute(old)).rowcount)

    async def _change(self, job: Job, values: Mapping[str, Any]) -> None:
        """Changes a job that is still this attempt's. The attempt is the fence: every claim raises it."""
        mine = (JOB.c.id == job.id) & (JOB.c.holder == job.holder) & (JOB.c.attempt == job.attempt)
        change = sa.update(JOB).where(mine, JOB.c.state == JobState.RUNNING).values(**values, updated_ms=self._now())
        async with self._transaction() as c:
            changed = (await c.execute(change)).rowcount
        if not changed:
            raise Conflict(f"attempt {job.attempt} of the job {job.id} was cancelled or taken over; stop working on it")

    # -- leases -------------------------------------------------------------------------------------------------

    async def acquire(self, name: str, holder: str, term_ms: int) -> Lease | None:
        """The lease, or None while somebody else holds it. `holder` is unique to a process."""
        values: dict[str, Any] = {"name": name, "holder": holder, "term": term_ms}
        if not self._database_time:
            values["now"] = self._clock()
        now = DATABASE_NOW if self._database_time else "cast(:now as bigint)"
        statement = sa.text(ACQUIRE.format(now=now)).bindparams(sa.bindparam("term", type_=sa.BigInteger))
        async with self._transaction() as c:
            row = (await c.execute(statement, values)).one_or_none()
        return None if row is None else Lease(*row)

    async def renew(self, lease: Lease, term_ms: int) -> Lease | None:
        """The lease with a new end, or None when it was lost."""
        mine = (LEASE.c.name == lease.name) & (LEASE.c.holder == lease.holder) & (LEASE.c.fence == lease.fence)
        change = sa.update(LEASE).where(mine, LEASE.c.expires_ms > 0).values(expires_ms=self._now() + term_ms)
        async with self._transaction() as c:
            row = (await c.execute(change.returning(*LEASE.c))).one_or_none()
        return None if row is None else Lease(*row)

    async def release(self, lease: Lease) -> None:
        """Gives the lease back, if it is still held. The row stays: its fence must go on growing."""
        mine = (LEASE.c.name == lease.name) & (LEASE.c.holder == lease.holder) & (LEASE.c.fence == lease.fence)
        async with self._transaction() as c:
            await c.execute(sa.update(LEASE).where(mine).values(expires_ms=0))

    # -- keys and audit -----------------------------------------------------------------------------------------

    async def add_key(self, key_id: str, name: str, digest: str, scopes: Sequence[str], actor: str) -> ApiKeyRow:
        """Stores a key's hash and notes who made it. Raises Conflict when its id or hash is taken."""
        values = {"id": key_id, "name": name, "hash": digest, "scopes": list(scopes), "created_ms": self._now()}
        async with self._transaction() as c:
            row = (await c.execute(sa.insert(API_KEY).values(values).returning(*API_KEY.c))).mappings().one()
            await self._note(c, actor, "key.created", key_id, {"name": name, "scopes": list(scopes)})
        return _key(row)

    async def key_by_hash(self, digest: str) -> ApiKeyRow | None:
        """The key of a hash, revoked or not."""
        async with self._transaction() as c:
            row = (await c.execute(sa.select(API_KEY).where(API_KEY.c.hash == digest))).mappings().one_or_none()
        return None if row is None else _key(row)

    async def keys(self) -> list[ApiKeyRow]:
        """All keys, oldest first."""
        async with self._transaction() as c:
            rows = (await c.execute(sa.select(API_KEY).order_by(API_KEY.c.created_ms, API_KEY.c.id))).mappings().all()
        return [_key(row) for row in rows]

    async def revoke_key(self, key_id: str, actor: str) -> None:
        """Ends a key for good and notes who did. Raises NotFound when no living key has this id."""
        living = sa.update(API_KEY).where(API_KEY.c.id == key_id, API_KEY.c.revoked_ms.is_(None))
        async with self._transaction() as c:
            if not (await c.execute(living.values(revoked_ms=self._now()))).rowcount:
                raise NotFound(f"no living key has the id {key_id!r}")
            await self._note(c, actor, "key.revoked", key_id, {})

    async def touch_keys(self, used_ms: Mapping[str, int]) -> None:
        """Notes when keys were last used, by key id; a time only moves forward."""
        if not used_ms:
            return
        key, t = sa.bindparam("key", type_=sa.Text), sa.bindparam("t", type_=sa.BigInteger)
        newer = sa.or_(API_KEY.c.last_used_ms.is_(None), API_KEY.c.last_used_ms < t)
        async with self._transaction() as c:
            change = sa.update(API_KEY).where(API_KEY.c.id == key, newer).values(last_used_ms=t)
            await c.execute(change, [{"key": k, "t": v} for k, v in sorted(used_ms.items())])

    async def audit(self, actor: str, action: str, subject: str, detail: Json | None = None) -> None:
        """Appends who did what to what."""
        async with self._transaction() as c:
            await self._note(c, actor, action, subject, dict(detail or {}))

    async def audit_log(self, *, before_seq: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """What was done, newest first."""
        query = sa.select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(limit)
        query = query.where(AUDIT.c.seq < before_seq) if before_seq is not None else query
        async with self._transaction() as c:
            return [AuditEntry(**row) for row in (await c.execute(query)).mappings().all()]

    async def _note(self, c: AsyncConnection, actor: str, action: str, subject: str, detail: Json) -> None:
        entry = {"t": self._now(), "actor": actor, "action": action, "subject": subject, "detail": detail}
        await c.execute(sa.insert(AUDIT).values(entry))

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)


_RELEASED = {"holder": None, "lease_until_ms": None}
_SILENT = "its last attempt went silent"


def _parsed(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError("records.url is not a database URL such as postgresql://user@host/database") from None
    driver = DRIVERS.get(parsed.drivername.partition("+")[0])
    if driver is None:
        raise ConfigError(f"records.url begins with {parsed.drivername}; known: {', '.join(DRIVERS)}")
    if driver == DRIVERS["sqlite"] and parsed.database in {None, "", ":memory:"}:
        raise ConfigError("records.url names no file; write sqlite:////folder/records.db")
    # What libpq, and so everybody's URL, calls sslmode is ssl in asyncpg; the words are the same.
    query = {"ssl" if name == "sslmode" else name: value for name, value in parsed.query.items()}
    return parsed.set(drivername=driver, query=query)


def _engine(url: URL, pool: int) -> AsyncEngine:
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_size=pool, max_overflow=0, pool_pre_ping=True)
    engine = create_async_engine(url, pool_size=pool, max_overflow=0)

    @sa.event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def _migrate(url: URL) -> None:
    async def run() -> None:
        sql = Sql(url, lambda: 0, pool=1)
        try:
            async with sql._transaction() as c:  # noqa: SLF001  our own class
                await c.run_sync(_upgrade)
        finally:
            await sql.close()

    with _ALEMBIC:
        asyncio.run(run())


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(f"the records database was made by a later version of AIRIS-MON: {error}") from error


def _cause(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error)


def _job(row: sa.RowMapping) -> Job:
    return Job(**{**row, "state": JobState(row["state"])})


def _key(row: sa.RowMapping) -> ApiKeyRow:
    return ApiKeyRow(**{**row, "scopes": tuple(row["scopes"])})
