"""Who is calling, and whether that one may: API keys in `Authorization: Bearer` or `X-API-Key`.

Prometheus' query API also takes the key as the password of basic authentication, which its clients can all send. No
other path does: a browser that knows such a password sends it by itself, also for the pages of others.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from airis_mon.api.errors import fault, is_prometheus, send_fault
from airis_mon.errors import AirisError, AuthError
from airis_mon.security.keys import Caller

CALLER = "airis_mon.caller"
"""Where the caller stands in the connection's scope."""
READ, WRITE = "read", "write"
MAX_RECOGNISED = 10_000
"""So many keys are known to have a holder; one that was forgotten is looked up at the cost of its address."""

Authenticate = Callable[[str], Awaitable[Caller | None]]
"""The holder of a key, None for a key that is unknown, expired or revoked."""


class Counting(Protocol):
    """What counts requests; `ratelimit.py` has it."""

    async def may_guess(self, scope: Scope) -> bool:
        """Counts a key that was never seen before, by address, and says whether it may be looked up."""

    async def told(self, scope: Scope, send: Send) -> Send:
        """Counts a request that is answered before its route, by address; a `send` that tells what is left."""


class Identify:
    """Middleware: notes who is calling. With `authenticate=None` everybody is and may everything.

    A key that is given and wrong is refused by `demand`, after the rate limit has counted the attempt. counting: is
    asked before a key is looked up that was not recognised before: random keys would cost the database a query each.
    """

    def __init__(self, app: ASGIApp, authenticate: Authenticate | None, counting: Counting | None = None) -> None:
        self.app = app
        self.authenticate = authenticate
        self.counting = counting
        self._recognised: dict[bytes, None] = {}  # hashes of keys that had a holder, the latest last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the connection on with `CALLER` in its scope."""
        if self.authenticate is not None and scope["type"] in {"http", "websocket"}:
            try:
                caller = await self._caller(self.authenticate, secret_of(scope), scope)
            except AirisError as error:  # the keys' own store does not answer
                send = await self.counting.told(scope, send) if self.counting else send
                await send_fault(fault(error), scope, send)
                return
            scope[CALLER] = caller  # type: ignore[literal-required]
        await self.app(scope, receive, send)

    async def _caller(self, authenticate: Authenticate, secret: str, scope: Scope) -> Caller | None:
        if not secret:
            return None
        digest = hashlib.sha256(secret.encode()).digest()
        if digest not in self._recognised and self.counting and not await self.counting.may_guess(scope):
            return None
        caller = await authenticate(secret)
        self._recognised.pop(digest, None)
        if caller:
            while len(self._recognised) >= MAX_RECOGNISED:
                del self._recognised[next(iter(self._recognised))]
            self._recognised[digest] = None
        return caller


def secret_of(scope: Scope) -> str:
    """The key as it was sent; empty when there is none."""
    headers = dict(scope["headers"])
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if scheme.lower() == "basic" and is_prometheus(scope["path"]):
        return _password(token)
    return headers.get(b"x-api-key", b"").decode("latin-1").strip()


def _password(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


async def demand(request: Request[Any, Any, Any]) -> None:
    """Before every route: reading needs `read`, all else `write`, unless the route's `opt` names a scope.

    A route with `opt={"scope": None}` is open to everybody. Raises AuthError. A guard of the framework would do the
    same, but is given a copy of the whole route at each request: a fifth of its time.
    """
    _check(request.scope, request.route_handler, READ if request.method in {"GET", "HEAD", "OPTIONS"} else WRITE)


async def demand_socket(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every socket, which has no hook before it: listening needs `read`. Raises AuthError."""
    _check(connection.scope, handler, READ)


def _check(scope: Scope, handler: BaseRouteHandler, usual: str) -> None:
    needed = handler.opt.get("scope", usual)
    if CALLER not in scope or needed is None:
        return
    caller: Caller | None = scope[CALLER]  # type: ignore[literal-required]
    if caller is None:
        raise AuthError(
            "the API key is unknown or expired"
            if secret_of(scope)
            else "an API key is needed: send the header `Authorization: Bearer <key>` or `X-API-Key: <key>`"
        )
    if not caller.may(needed):
        raise AuthError(f"this key lacks the scope {needed!r}", forbidden=True)
