"""What every route is given by the application."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from airis_mon.api.engine import Engine, Subscription
from airis_mon.api.openapi import Site
from airis_mon.events.event import Event

Req = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of requests: bytes hold for a body as it was sent and again once it is decompressed."""

    bulk_bytes: int
    json_bytes: int
    body_timeout_s: float
    heartbeat_s: float


class Streams:
    """The open event streams of one application: they would keep a server from stopping. Not for other threads."""

    def __init__(self) -> None:
        self.is_closing = False
        self._waits: set[asyncio.Timeout] = set()

    def close(self) -> None:
        """Ends every stream, now and from now on."""
        self.is_closing = True
        for wait in self._waits:
            wait.reschedule(0)

    async def next(self, subscription: Subscription, timeout_s: float) -> Event | None:
        """The next event; None after `timeout_s` without one, and when the streams close."""
        try:
            async with asyncio.timeout(0 if self.is_closing else timeout_s) as wait:
                self._waits.add(wait)
                try:
                    return await anext(subscription)
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            return None


@dataclass(frozen=True, slots=True)
class Given:
    """All of it in one: with several dependencies the framework would start a task for each."""

    engine: Engine
    bounds: Bounds
    streams: Streams
    site: Site


TheGiven = NamedDependency[SkipValidation[Given]]


def root_of(request: Req) -> str:
    """Where the request found the application: the path of its mount, empty at the root."""
    root: str = request.scope.get("airis_mon.root", "")  # type: ignore[assignment]
    return root
