"""How often one client may call: the limits themselves are given, this counts requests and tells what is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send, WebSocketScope

from airis_mon.api.auth import CALLER
from airis_mon.api.errors import Fault, is_prometheus, retry_after, send_fault
from airis_mon.resilience.ratelimit import Decision, RateLimiter
from airis_mon.security.keys import Caller

GUESS = "airis_mon.guess"
"""Where the decision on a key that was never seen before stands in the connection's scope."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limiters: of an address without a key, of the holder of a key, and of ingest."""

    address: RateLimiter
    caller: RateLimiter
    ingest: RateLimiter


class RateLimit:
    """Middleware: counts, refuses with 429, and puts `X-RateLimit-*` on every answer.

    Requests to `ingest_paths` (by POST) and Prometheus' queries, of which one dashboard asks thousands an hour, are
    counted by the limiter of ingest, each under a name of their own. So are those to `free_paths`, which are never
    refused: a probe must not fail because of a busy sender.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        *,
        ingest_paths: frozenset[str],
        free_paths: frozenset[str],
        clock: Callable[[], float],
    ) -> None:
        self.app = app
        self.limits = limits
        self.ingest_paths = ingest_paths
        self.free_paths = free_paths
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the connection on, or answers 429."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        is_free = scope["path"] in self.free_paths
        now = self.clock()
        decision = await self._count(scope, now, is_free=is_free)
        send = _with_headers(send, decision, now)
        if decision.allowed or is_free:
            await self.app(scope, receive, send)
            return
        message = f"more than {decision.limit} requests; try again in {max(1, math.ceil(decision.retry_after_s))} s"
        refusal = Fault(429, message, headers=retry_after(decision.retry_after_s))
        await send_fault(refusal, scope, send)

    async def may_guess(self, scope: Scope) -> bool:
        """Counts a key that was never seen before, by address, and says whether it may be looked up.

        When the key has no holder this counts as the request.
        """
        decision = await self.limits.address.take(f"guess:{_address(scope)}", self.clock())
        scope[GUESS] = decision  # type: ignore[literal-required]
        return decision.allowed

    async def told(self, scope: Scope, send: Send) -> Send:
        """Counts a request that is answered before its route, by address; a `send` that tells what is left."""
        now = self.clock()
        guess: Decision | None = scope.get(GUESS)  # type: ignore[assignment]
        return _with_headers(send, guess or await self.limits.address.take(f"address:{_address(scope)}", now), now)

    async def _count(self, scope: HTTPScope | WebSocketScope, now: float, *, is_free: bool) -> Decision:
        caller: Caller | None = scope.get(CALLER)  # type: ignore[assignment]
        guess: Decision | None = scope.get(GUESS)  # type: ignore[assignment]
        who = f"key:{caller.id}" if caller else f"address:{_address(scope)}"
        if is_free:
            return await self.limits.ingest.take(f"free:{who}", now)
        if guess and not caller:
            return guess
        if scope.get("method") == "POST" and scope["path"] in self.ingest_paths:
            return await self.limits.ingest.take(f"ingest:{who}", now)
        if is_prometheus(scope["path"]):
            return await self.limits.ingest.take(f"query:{who}", now)
        return await (self.limits.caller if caller else self.limits.address).take(who, now)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unknown"


def _with_headers(send: Send, decision: Decision, now: float) -> Send:
    headers = _headers(decision, now)

    async def send_with_limits(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return send_with_limits


def _headers(decision: Decision, now: float) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-ratelimit-limit", str(decision.limit).encode()),
        (b"x-ratelimit-remaining", str(max(0, decision.remaining)).encode()),
        (b"x-ratelimit-reset", str(math.ceil(now + decision.reset_s)).encode()),
    ]
