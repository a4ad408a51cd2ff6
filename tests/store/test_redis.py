from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest

from airis_mon.errors import ConfigError, Transient
from airis_mon.resilience.ratelimit import Rate
from airis_mon.store.backends.redis import Redis
from tools import servers


@pytest.fixture
async def shared(redis_server: servers.Server) -> AsyncIterator[Redis]:
    redis = Redis(redis_server.url, clock=time.monotonic, timeout_s=5)
    yield redis
    await redis.close()


def name() -> str:
    return uuid.uuid4().hex


@pytest.mark.live
@pytest.mark.parametrize("rate", [Rate(100, 3600), Rate(7, 3600), Rate(1, 3600), Rate(977, 86_400)])
async def test_a_window_is_counted_exactly(shared: Redis, rate: Rate):
    limiter = shared.limiter(name(), rate)
    taken = [await limiter.take("a", 0) for _ in range(rate.limit + 1)]
    assert [d.allowed for d in taken] == [True] * rate.limit + [False]
    assert taken[0].remaining == rate.limit - 1
    assert taken[-1].remaining == 0
    assert taken[-1].reset_s == pytest.approx(rate.period_s, abs=5)
    assert 0 < taken[-1].retry_after_s <= rate.period_s / rate.limit
    assert not limiter.degraded


@pytest.mark.live
async def test_servers_share_one_limit(redis_server: servers.Server):
    both = [Redis(redis_server.url, clock=time.monotonic, timeout_s=5) for _ in range(2)]
    limiters = [redis.limiter("shared", Rate(30, 3600)) for redis in both]
    key = name()
    taken = await asyncio.gather(*(limiters[i % 2].take(key, 0) for i in range(80)))
    assert sum(d.allowed for d in taken) == 30
    for redis in both:
        await redis.close()


@pytest.mark.live
async def test_a_key_goes_when_its_limit_is_whole_again(shared: Redis):
    limiter = shared.limiter("expiry", Rate(10, 60))
    key = name()
    await limiter.take(key, 0)
    left_ms = await shared._client.pttl(f"airis:limit:expiry:{key}")
    assert 0 < left_ms <= 6000


@pytest.mark.live
async def test_a_server_that_dies_is_replaced_by_limits_of_this_process_at_once():
    failures: list[str] = []
    with servers.redis() as server:
        redis = Redis(server.url, clock=time.monotonic, note=lambda part, _: failures.append(part))
        limiter = redis.limiter("address", Rate(3, 3600))
        assert (await limiter.take("a", 0)).allowed
        await redis.ping()
    begun = time.monotonic()
    assert [(await limiter.take("a", 0)).allowed for _ in range(4)] == [True, True, True, False]
    assert time.monotonic() - begun < 2  # one failed question, not four
    assert (limiter.degraded, failures) == (True, ["limit.address"])
    with pytest.raises(Transient, match="Redis does not answer"):
        await redis.ping()
    await redis.close()


def test_an_address_that_is_none_is_a_wrong_setting():
    with pytest.raises(ConfigError, match=r"redis\.url"):
        Redis("http://h", clock=time.monotonic)
