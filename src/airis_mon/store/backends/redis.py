"""Redis: limits and answers that servers share. What it cannot do for a while is done in this process, and said."""

from __future__ import annotations

from collections.abc import Callable

import redis.asyncio as aioredis
import xxhash
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from airis_mon.errors import ConfigError, Transient
from airis_mon.resilience.ratelimit import Decision, LocalRateLimiter, Rate, SharedRateLimiter

# The algorithm of `resilience/ratelimit.py` in one atomic step with the server's clock. Times are microseconds since
# 2026: small enough for a double to be exact far below one. Lua's own number formatting keeps 14 digits, hence %.3f.
# The thousandth of a step forgives rounding when the limit does not divide the period.
TAKE = """
local clock = redis.call('TIME')
local now = (clock[1] - 1767225600) * 1000000 + clock[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local step = window / limit
local arrival = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or now), now), now + window)
local allowed = arrival + step - now <= window + step / 1000
if allowed then
  arrival = arrival + step
  redis.call('SET', KEYS[1], string.format('%.3f', arrival), 'PX', math.ceil((arrival - now) / 1000))
end
local ahead = arrival - now
local left = math.floor((window - ahead) / step + 0.001)
return {allowed and 1 or 0, left, math.ceil(ahead), allowed and 0 or math.ceil(ahead + step - window)}
"""
FAILURES = (RedisError, OSError, TimeoutError)
PAUSE_S = 5.0
"""So long a server that failed is left alone by a cache."""
MOST_BYTES = 4 << 20
"""A larger value is not kept: fetching it would take longer than most work."""
SUM_BYTES = 16


class RedisCache:
    """A `store.cache.Cache` on a Redis server. A failure is a miss, told to `note`, and said by `degraded`.

    A value stands behind a checksum of key and value: what was cut off, damaged or written by another program is a
    miss. That is no protection against who may write there and knows this. clock: seconds, monotonic.
    """

    def __init__(
        self, client: aioredis.Redis, prefix: str, *, clock: Callable[[], float], note: Callable[[Exception], None]
    ) -> None:
        self._client, self._prefix = client, prefix
        self._clock, self._note = clock, note
        self._again_at = float("-inf")

    @property
    def degraded(self) -> bool:
        """Whether the server failed lately and is left alone: nothing is found or kept."""
        return self._clock() < self._again_at

    async def get(self, key: str) -> tuple[bytes, float] | None:
        """What any of the servers has put under the key and is not too old, and the seconds that are left of it."""
        if self.degraded:
            return None
        try:
            async with self._client.pipeline(transaction=True) as both:
                both.get(self._prefix + key)
                both.pttl(self._prefix + key)
                kept, left_ms = await both.execute()
        except FAILURES as error:
            self._failed(error)
            return None
        value = self._opened(key, kept)
        return None if value is None or left_ms <= 0 else (value, left_ms / 1000)

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keeps the value for so long at most; one beyond `MOST_BYTES` is not kept."""
        if self.degraded or len(value) > MOST_BYTES:
            return
        try:
            await self._client.set(self._prefix + key, self._sum(key, value) + value, px=max(1, round(ttl_s * 1000)))
        except FAILURES as error:
            self._failed(error)

    def _opened(self, key: str, kept: object) -> bytes | None:
        if not isinstance(kept, bytes):
            return None
        value = kept[SUM_BYTES:]
        return value if kept[:SUM_BYTES] == self._sum(key, value) else None

    def _sum(self, key: str, value: bytes) -> bytes:
        digest = xxhash.xxh3_128((self._prefix + key).encode() + b"\0")
        digest.update(value)
        return digest.digest()

    def _failed(self, error: Exception) -> None:
        self._again_at = self._clock() + PAUSE_S
        self._note(error)


class Redis:
    """One connection pool. No failure of it stops a request: every part has its stand-in in this process.

    url: redis://, rediss:// or unix://. clock: seconds, monotonic. timeout_s: how long one question may take. note:
    told of each failure by the name of the part.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float],
        timeout_s: float = 0.25,
        note: Callable[[str, Exception], None] = lambda _part, _error: None,
    ) -> None:
        # Its own retries would hold a request for seconds; ours is the stand-in.
        never = Retry(NoBackoff(), 0)
        try:
            self._client = aioredis.Redis.from_url(
                url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=never
            )
        except ValueError:
            raise ConfigError("redis.url is not a Redis URL such as redis://host:6379/0") from None
        self._clock, self._note = clock, note
        self._take = self._client.register_script(TAKE)

    def limiter(self, name: str, rate: Rate) -> SharedRateLimiter:
        """A limiter whose counts all servers with this Redis share under `name`."""

        async def ask(key: str) -> Decision:
            found = await self._take(keys=[f"airis:limit:{name}:{key}"], args=[rate.limit, rate.period_s * 1_000_000])
            allowed, remaining, ahead_us, wait_us = (int(part) for part in found)
            return Decision(allowed == 1, rate.limit, remaining, ahead_us / 1e6, wait_us / 1e6)

        return SharedRateLimiter(
            ask,
            LocalRateLimiter(rate),
            failures=FAILURES,
            clock=self._clock,
            note=lambda error: self._note(f"limit.{name}", error),
        )

    def cache(self, name: str) -> RedisCache:
        """A cache that all servers with this Redis share under `name`."""

        def note(error: Exception) -> None:
            self._note(f"cache.{name}", error)

        return RedisCache(self._client, f"airis:cache:{name}:", clock=self._clock, note=note)

    async def ping(self) -> None:
        """Raises Transient when the server does not answer."""
        try:
            await self._client.ping()
        except FAILURES as error:
            raise Transient(f"Redis does not answer: {error}") from error

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.aclose()
