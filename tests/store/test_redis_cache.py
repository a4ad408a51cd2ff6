from __future__ import annotations

import time
import uuid

import pytest
import redis.asyncio as aioredis

from airis_mon.store.backends.redis import MOST_BYTES, Redis
from tools import servers


def name() -> str:
    return uuid.uuid4().hex


@pytest.mark.live
async def test_what_one_server_keeps_the_other_finds(redis_server: servers.Server):
    both = [Redis(redis_server.url, clock=time.monotonic, timeout_s=5) for _ in range(2)]
    one, other = (redis.cache("answers") for redis in both)
    key = name()
    assert await other.get(key) is None
    await one.put(key, b"\x00\xff answer", 60)
    found = await other.get(key)
    assert found is not None
    assert found[0] == b"\x00\xff answer"
    assert 59 < found[1] <= 60
    assert await both[0].cache("others").get(key) is None
    assert not one.degraded
    for redis in both:
        await redis.close()


@pytest.mark.live
async def test_what_is_not_as_it_was_put_or_stands_for_ever_is_a_miss(redis_server: servers.Server):
    redis = Redis(redis_server.url, clock=time.monotonic, timeout_s=5)
    cache, key, other = redis.cache("answers"), name(), name()
    await cache.put(key, b'{"whole": true}', 60)
    async with aioredis.Redis.from_url(redis_server.url) as raw:
        at = f"airis:cache:answers:{key}"
        kept = await raw.get(at)
        for changed in (b'{"garbage', b"", kept[:-1], kept[:20] + b"X" + kept[21:]):
            await raw.set(at, changed, px=60_000)
            assert await cache.get(key) is None
        await raw.set(f"airis:cache:answers:{other}", kept, px=60_000)
        assert await cache.get(other) is None
        await raw.set(at, kept)
        assert await cache.get(key) is None
        await raw.set(at, kept, px=60_000)
        assert await cache.get(key) is not None
    assert not cache.degraded
    await redis.close()


@pytest.mark.live
async def test_a_value_goes_when_its_time_is_over_and_a_huge_one_is_not_kept(redis_server: servers.Server):
    redis = Redis(redis_server.url, clock=time.monotonic, timeout_s=5)
    cache = redis.cache("answers")
    short, huge = name(), name()
    await cache.put(short, b"1", 5)
    await cache.put(huge, bytes(MOST_BYTES + 1), 60)
    assert await cache.get(huge) is None
    found = await cache.get(short)
    assert found is not None
    assert 0 < found[1] <= 5
    async with aioredis.Redis.from_url(redis_server.url) as raw:
        await raw.pexpire(f"airis:cache:answers:{short}", 0)
    assert await cache.get(short) is None
    assert not cache.degraded
    await redis.close()


@pytest.mark.live
async def test_a_server_that_dies_is_a_miss_that_is_told_once_and_then_left_alone():
    told: list[str] = []
    now = [0.0]
    with servers.redis() as server:
        redis = Redis(server.url, clock=lambda: now[0], note=lambda part, _: told.append(part))
        cache = redis.cache("answers")
        await cache.put("a", b"1", 60)
        found = await cache.get("a")
        assert found is not None
        assert found[0] == b"1"
    assert [await cache.get("a") for _ in range(3)] == [None] * 3
    await cache.put("a", b"2", 60)
    assert (cache.degraded, told) == (True, ["cache.answers"])
    now[0] += 5
    assert not cache.degraded
    await cache.put("a", b"2", 60)
    assert told == ["cache.answers"] * 2
    await redis.close()
