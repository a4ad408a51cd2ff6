"""Who may call and how often: the records database's keys and the limiters, opened when first needed."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from airis_mon.config.settings import Settings
from airis_mon.errors import ConfigError
from airis_mon.resilience.ratelimit import LocalRateLimiter, Rate, RateLimiter
from airis_mon.store.cache import Cache

if TYPE_CHECKING:
    from airis_mon.security.keys import ApiKeys, Caller
    from airis_mon.store.backends.sql import Sql

log = structlog.get_logger()

MINUTE_S, HOUR_S = 60, 3600
SAVE_USAGE_S = 60.0


class Access:
    """Keys and limits of one process. SQLAlchemy is imported with the first look at the records."""

    def __init__(self, settings: Settings, clock: Callable[[], int]) -> None:
        self.needs_key = settings.security.api_keys == "required" or (
            settings.security.api_keys == "auto" and not is_loopback(settings.server.host)
        )
        self._settings = settings
        self._clock = clock
        self._opening = asyncio.Lock()
        self._records: Sql | None = None
        self._keys: ApiKeys[Any] | None = None
        self._redis: Any = None
        self._saving: asyncio.Task[None] | None = None

    async def records(self) -> Sql:
        """The records database, brought to the newest schema. Raises StoreBusy or StoreError."""
        async with self._opening:
            if self._records is None:
                records = await asyncio.to_thread(records_of, self._settings, self._clock)
                try:
                    await records.migrate()
                except BaseException:
                    await records.close()
                    raise
                self._records = records
            return self._records

    async def keys(self) -> ApiKeys[Any]:
        """The keys in the records."""
        records = await self.records()
        if self._keys is None:  # from here on nobody else is let in between
            from airis_mon.security.keys import ApiKeys

            self._keys = ApiKeys(records, self._clock)
            self._saving = asyncio.create_task(self._save_usage(), name="key usage")
        return self._keys

    async def authenticate(self, secret: str) -> Caller | None:
        """Who holds the key; None when it is unknown or revoked."""
        return await (await self.keys()).authenticate(secret)

    async def demand_a_key(self) -> None:
        """Raises ConfigError when keys are demanded and none exists: nobody could call."""
        if self.needs_key and all(row.revoked_ms is not None for row in await (await self.keys()).rows()):
            raise ConfigError(
                f"server.host {self._settings.server.host!r} demands API keys and there is none yet; "
                "make one with: airis-mon keys create NAME"
            )

    def limiters(self) -> tuple[RateLimiter, RateLimiter, RateLimiter] | None:
        """For an address, for the holder of a key, for ingest; None when limits are off."""
        limit = self._settings.rate_limit
        if not limit.enabled:
            return None
        return (
            self._limiter("address", Rate(limit.per_address_per_minute, MINUTE_S)),
            self._limiter("key", Rate(limit.per_key_per_hour, HOUR_S)),
            self._limiter("ingest", Rate(limit.ingest_per_minute, MINUTE_S)),
        )

    async def close(self) -> None:
        """Saves when keys were used and lets the databases go."""
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)
        if self._keys is not None:
            await self._keys.save_usage()
        if self._records is not None:
            await self._records.close()
        if self._redis is not None:
            await self._redis.close()
        self._keys = self._records = self._redis = None

    def cache(self, name: str) -> Cache | None:
        """What several servers keep together under a name; None without Redis."""
        if not self._settings.redis.url:
            return None
        shared: Cache = self._connected().cache(name)
        return shared

    def _limiter(self, name: str, rate: Rate) -> RateLimiter:
        if not self._settings.redis.url:
            return LocalRateLimiter(rate)
        limiter: RateLimiter = self._connected().limiter(name, rate)
        return limiter

    def _connected(self) -> Any:
        if self._redis is None:
            from airis_mon.store.backends.redis import Redis

            self._redis = Redis(self._settings.redis.url, clock=time.monotonic, note=_failed)
        return self._redis

    async def _save_usage(self) -> None:
        while True:
            await asyncio.sleep(SAVE_USAGE_S)
            try:
                await (await self.keys()).save_usage()
            except Exception as error:  # noqa: BLE001 boundary: supervision; the next round saves it
                log.warning("keys.usage.delayed", error=str(error))


def records_of(settings: Settings, clock: Callable[[], int]) -> Sql:
    """The records database of the settings, SQLite under the data directory by default."""
    from airis_mon.store.backends.sql import Sql

    return Sql(settings.records.url or f"sqlite:///{Path(settings.data_dir).resolve() / 'records.db'}", clock)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _failed(part: str, error: Exception) -> None:
    log.warning("redis.failed", part=part, error=str(error))
