"""API keys: made here, shown once, kept as a hash, checked on every request.

The hash is plain SHA-256 on purpose: a key is 256 random bits, so no dictionary and no number of guesses a second
finds it; a slow, salted hash protects chosen passwords and would only slow every request here.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from airis_mon.errors import InputError, StoreBusy

PREFIX = "airis_"
SCOPES = ("read", "write", "admin")
SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
MAX_CACHED = 10_000


class KeyRow(Protocol):
    """What is stored of a key."""

    @property
    def id(self) -> str:
        """Its public name, for lists and logs."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def hash(self) -> str:
        """SHA-256 of the key, hexadecimal."""

    @property
    def scopes(self) -> Sequence[str]:
        """What its holder may."""

    @property
    def revoked_ms(self) -> int | None:
        """When it ended, if it did."""


Row = TypeVar("Row", bound=KeyRow)


class KeyStore(Protocol[Row]):
    """Where keys are kept; raises StoreBusy when it does not answer."""

    async def add_key(self, key_id: str, name: str, digest: str, scopes: Sequence[str], actor: str) -> Row:
        """Stores a key's hash."""

    async def key_by_hash(self, digest: str) -> Row | None:
        """The key of a hash, revoked or not."""

    async def keys(self) -> list[Row]:
        """All keys."""

    async def revoke_key(self, key_id: str, actor: str) -> None:
        """Ends a key. Raises NotFound."""

    async def touch_keys(self, used_ms: Mapping[str, int]) -> None:
        """Notes when keys were last used."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key."""

    id: str
    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether the holder has a scope; admin includes the others."""
        return scope in self.scopes or "admin" in self.scopes


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller | None
    seen_ms: int


def digest_of(secret: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiKeys(Generic[Row]):
    """Makes, checks and ends keys.

    clock: ms UTC. A key revoked here ends at once, one revoked by another process within `cache_s`. While the store
    does not answer, keys seen within `grace_s` go on working and `degraded` is true; unknown ones raise StoreBusy.
    """

    def __init__(
        self, store: KeyStore[Row], clock: Callable[[], int], *, cache_s: float = 10, grace_s: float = 300
    ) -> None:
        self._store, self._clock = store, clock
        self._cache_ms, self._grace_ms = int(cache_s * 1000), int(grace_s * 1000)
        self._known: dict[str, _Known] = {}  # by hash, in the order of their last look-up
        self._used_ms: dict[str, int] = {}
        self.degraded = False

    async def create(self, name: str, scopes: Collection[str], actor: str) -> tuple[str, Row]:
        """A new key and its row; the key itself is not kept and cannot be shown again.

        Raises InputError for an empty name and for scopes that are none.
        """
        if not name.strip() or not scopes or set(scopes) - set(SCOPES):
            raise InputError(f"a key needs a name and scopes of {', '.join(SCOPES)}; got {name!r}, {sorted(scopes)}")
        secret = PREFIX + secrets.token_urlsafe(32)
        key_id = "key_" + secrets.token_hex(6)
        return secret, await self._store.add_key(key_id, name.strip(), digest_of(secret), sorted(set(scopes)), actor)

    async def authenticate(self, secret: str) -> Caller | None:
        """Who holds the key; None when it is unknown, revoked or not of our making."""
        if not SHAPE.fullmatch(secret):
            return None
        digest, now = digest_of(secret), self._clock()
        known = self._known.get(digest)
        if known is None or not 0 <= now - known.seen_ms < self._cache_ms:
            known = await self._look_up(digest, now, known)
        if known.caller:
            self._used_ms[known.caller.id] = now
        return known.caller

    async def revoke(self, key_id: str, actor: str) -> None:
        """Ends a key. Raises NotFound."""
        await self._store.revoke_key(key_id, actor)
        self._known = {d: k for d, k in self._known.items() if k.caller is None or k.caller.id != key_id}

    async def rows(self) -> list[Row]:
        """All keys, revoked ones too."""
        return await self._store.keys()

    async def save_usage(self) -> bool:
        """Stores when keys were last used; to be called now and then, and at the end.

        False while the store does not answer: what was to be stored is kept for the next call.
        """
        used, self._used_ms = self._used_ms, {}
        try:
            await self._store.touch_keys(used)
        except StoreBusy:
            self._used_ms = used | self._used_ms
            return False
        return True

    async def _look_up(self, digest: str, now: int, last: _Known | None) -> _Known:
        try:
            row = await self._store.key_by_hash(digest)
        except StoreBusy:
            self.degraded = True
            if last is None or last.caller is None or now - last.seen_ms > self._grace_ms:
                raise
            return last
        self.degraded = False
        is_living = row is not None and row.revoked_ms is None and hmac.compare_digest(row.hash, digest)
        caller = Caller(row.id, row.name, frozenset(row.scopes)) if row and is_living else None
        self._known.pop(digest, None)
        while len(self._known) >= MAX_CACHED:
            del self._known[next(iter(self._known))]
        self._known[digest] = known = _Known(caller, now)
        return known
