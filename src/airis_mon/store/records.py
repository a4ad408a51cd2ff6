"""The facts that must not be lost: jobs, leases, API keys, and who did what. Their nouns and protocols.

`store/tables.py` says how they lie in a database, `store/backends/sql.py` keeps them there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

Json = Mapping[str, Any]


class JobState(StrEnum):
    """Where a job stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Job:
    """One long-running task. Times are ms UTC; progress is 0..1.

    `holder` and `attempt` together fence it: who lost the job to a later attempt can no longer change it. note: what
    its holder said last; started_ms: when the last attempt began.
    """

    id: str
    kind: str
    payload: Json
    state: JobState
    run_at_ms: int
    lease_until_ms: int | None
    holder: str | None
    attempt: int
    max_attempts: int
    idempotency_key: str | None
    progress: float
    result: Json | None
    error: str | None
    created_ms: int
    updated_ms: int
    note: str = ""
    started_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act under a name until `expires_ms`. `fence` grows with every new holder.

    Write `fence` with every effect and refuse lower numbers: a paused process does not know that it lost the lease.
    """

    name: str
    holder: str
    fence: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """A stored API key: never the key, only its hash."""

    id: str
    name: str
    hash: str
    scopes: tuple[str, ...]
    created_ms: int
    last_used_ms: int | None = None
    revoked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what, and when; `seq` grows with every entry."""

    seq: int
    t: int
    actor: str
    action: str
    subject: str
    detail: Json = field(default_factory=dict)


class Jobs(Protocol):
    """The one queue of long-running tasks. At least once: whoever runs a job makes it harmless to run again.

    Methods that change a claimed job raise Conflict when another attempt has it or it was cancelled.
    """

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

    async def claim(self, holder: str, lease_ms: int, *, kinds: Sequence[str] = (), limit: int = 1) -> list[Job]:
        """Jobs that are due, or whose holder went silent, now running here; of no kinds given, any kind."""

    async def heartbeat(self, job: Job, lease_ms: int, progress: float | None = None, note: str = "") -> None:
        """Holds a claimed job for another `lease_ms`, and says how far it is and what it is at."""

    async def finish(self, job: Job, result: Json | None = None) -> None:
        """Ends a claimed job well."""

    async def fail(self, job: Job, error: str, *, retry: bool = True, retry_after_ms: int | None = None) -> JobState:
        """Ends an attempt badly: queued again with growing distance, or failed when attempts are used up."""

    async def give_back(self, job: Job) -> None:
        """Puts a claimed job back into the queue as if it had not been claimed: the attempt does not count."""

    async def cancel(self, job_id: str) -> None:
        """Ends a job that is not final. Raises NotFound, or Conflict when it is final."""

    async def job(self, job_id: str) -> Job:
        """One job. Raises NotFound."""

    async def jobs(
        self, *, kind: str | None = None, state: JobState | None = None, limit: int = 100, with_results: bool = True
    ) -> list[Job]:
        """Jobs, newest first."""

    async def forget_jobs(self, before_ms: int) -> int:
        """Deletes final jobs that have not changed since `before_ms`; answers how many."""


class Leases(Protocol):
    """Named rights that one process holds at a time.

    Renew at a third of the term, and stop work at once when that fails.
    """

    async def acquire(self, name: str, holder: str, term_ms: int) -> Lease | None:
        """The lease, or None while somebody else holds it. `holder` is unique to a process."""

    async def renew(self, lease: Lease, term_ms: int) -> Lease | None:
        """The lease with a new end, or None when it was lost."""

    async def release(self, lease: Lease) -> None:
        """Gives the lease back, if it is still held."""


class Keys(Protocol):
    """API keys and the record of what was done to them."""

    async def add_key(self, key_id: str, name: str, digest: str, scopes: Sequence[str], actor: str) -> ApiKeyRow:
        """Stores a key's hash and notes who made it. Raises Conflict when its id or hash is taken."""

    async def key_by_hash(self, digest: str) -> ApiKeyRow | None:
        """The key of a hash, revoked or not."""

    async def keys(self) -> list[ApiKeyRow]:
        """All keys, oldest first."""

    async def revoke_key(self, key_id: str, actor: str) -> None:
        """Ends a key for good and notes who did. Raises NotFound when no living key has this id."""

    async def touch_keys(self, used_ms: Mapping[str, int]) -> None:
        """Notes when keys were last used, by key id."""

    async def audit(self, actor: str, action: str, subject: str, detail: Json | None = None) -> None:
        """Appends who did what to what."""

    async def audit_log(self, *, before_seq: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """What was done, newest first."""
