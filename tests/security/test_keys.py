from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from airis_mon.errors import InputError, NotFound, StoreBusy
from airis_mon.security import keys as module
from airis_mon.security.keys import ApiKeys, Caller, digest_of
from airis_mon.security.redact import mask_text


@dataclass(frozen=True)
class Row:
    id: str
    name: str
    hash: str
    scopes: Sequence[str]
    revoked_ms: int | None = None


class Memory:
    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.used: dict[str, int] = {}
        self.asked = 0
        self.is_down = False

    async def add_key(self, key_id: str, name: str, digest: str, scopes: Sequence[str], actor: str) -> Row:
        self.rows[key_id] = Row(key_id, name, digest, scopes)
        return self.rows[key_id]

    async def key_by_hash(self, digest: str) -> Row | None:
        self._answer()
        self.asked += 1
        return next((r for r in self.rows.values() if r.hash == digest), None)

    async def keys(self) -> list[Row]:
        return list(self.rows.values())

    async def revoke_key(self, key_id: str, actor: str) -> None:
        if key_id not in self.rows:
            raise NotFound(key_id)
        self.rows[key_id] = replace(self.rows[key_id], revoked_ms=1)

    async def touch_keys(self, used_ms: Mapping[str, int]) -> None:
        self._answer()
        self.used |= used_ms

    def _answer(self) -> None:
        if self.is_down:
            raise StoreBusy("down")


class Clock:
    now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(memory: Memory, clock: Clock) -> ApiKeys[Row]:
    return ApiKeys(memory, clock, cache_s=10, grace_s=300)


async def test_a_key_opens_what_its_scopes_say_and_is_stored_as_a_hash(keys, memory):
    secret, row = await keys.create(" ci ", ["write", "read"], "root")
    assert await keys.authenticate(secret) == Caller(row.id, "ci", frozenset({"read", "write"}))
    assert secret.startswith("airis_")
    assert secret not in repr(memory.rows)
    assert row.hash == digest_of(secret)


async def test_two_keys_are_never_alike(keys):
    secrets = {(await keys.create("a", ["read"], "root"))[0] for _ in range(100)}
    assert len(secrets) == 100


@pytest.mark.parametrize(
    "secret", ["", "airis_", "airis_" + "a" * 42, "x" * 49, "airis_" + "a" * 44, "airis_" + "é" * 43]
)
async def test_what_is_no_key_of_ours_is_not_even_looked_up(keys, memory, secret):
    assert await keys.authenticate(secret) is None
    assert memory.asked == 0


async def test_a_look_up_is_kept_for_a_while(keys, memory, clock):
    secret, _ = await keys.create("a", ["read"], "root")
    for _ in range(3):
        await keys.authenticate(secret)
    assert memory.asked == 1
    clock.now += 10_000
    await keys.authenticate(secret)
    assert memory.asked == 2


async def test_a_key_revoked_here_ends_at_once(keys):
    secret, row = await keys.create("a", ["read"], "root")
    assert await keys.authenticate(secret)
    await keys.revoke(row.id, "root")
    assert await keys.authenticate(secret) is None
    with pytest.raises(NotFound):
        await keys.revoke("none", "root")


async def test_a_key_revoked_elsewhere_ends_when_the_cache_does(keys, memory, clock):
    secret, row = await keys.create("a", ["read"], "root")
    assert await keys.authenticate(secret)
    await memory.revoke_key(row.id, "other")
    clock.now += 10_000
    assert await keys.authenticate(secret) is None


async def test_known_keys_work_while_the_store_is_down_but_not_for_ever(keys, memory, clock):
    secret, _ = await keys.create("a", ["read"], "root")
    stranger, _ = await keys.create("b", ["read"], "root")
    await keys.authenticate(secret)
    memory.is_down = True
    clock.now += 60_000
    assert await keys.authenticate(secret)
    assert keys.degraded
    with pytest.raises(StoreBusy):
        await keys.authenticate(stranger)
    clock.now += 300_000
    with pytest.raises(StoreBusy):
        await keys.authenticate(secret)
    memory.is_down = False
    assert await keys.authenticate(secret)
    assert not keys.degraded


async def test_use_is_noted_and_kept_until_it_is_stored(keys, memory, clock):
    secret, row = await keys.create("a", ["read"], "root")
    await keys.authenticate(secret)
    memory.is_down = True
    assert not await keys.save_usage()
    memory.is_down = False
    assert await keys.save_usage()
    assert memory.used == {row.id: clock.now}


async def test_strangers_do_not_fill_the_memory(keys):
    for i in range(module.MAX_CACHED + 50):
        await keys.authenticate(f"airis_{i:043d}")
    assert len(keys._known) == module.MAX_CACHED


@pytest.mark.parametrize(("name", "scopes"), [("", ["read"]), ("a", []), ("a", ["root"])])
async def test_a_key_without_name_or_known_scope_is_refused(keys, name, scopes):
    with pytest.raises(InputError, match="read, write, admin"):
        await keys.create(name, scopes, "root")


def test_admin_includes_the_other_scopes():
    assert Caller("i", "n", frozenset({"admin"})).may("write")
    assert not Caller("i", "n", frozenset({"read"})).may("write")


async def test_a_key_is_masked_wherever_it_is_written(keys):
    secret, _ = await keys.create("a", ["read"], "root")
    assert mask_text(f"got {secret}!") == "got airis_***!"
