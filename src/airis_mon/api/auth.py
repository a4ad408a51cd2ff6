"""Who is calling, and whether that one may: API keys in `Authorization: Bearer` or `X-API-Key`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from airis_mon.api.errors import fault, send_fault
from airis_mon.errors import AirisError, AuthError
from airis_mon.security.keys import Caller

CALLER = "airis_mon.caller"
"""Where the caller stands in the connection's scope."""
READ, WRITE = "read", "write"


Authenticate = Callable[[str], Awaitable[Caller | None]]
"""The holder of a key, None for a key that is unknown, expired or revoked."""


class Identify:
    """Middleware: notes who is calling. With `authenticate=None` everybody is and may everything.

    A key that is given and wrong is refused by `demand`, after the rate limit has counted the attempt.
    """

    def __init__(self, app: ASGIApp, authenticate: Authenticate | None) -> None:
        self.app = app
        self.authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the connection on with `CALLER` in its scope."""
        if self.authenticate is not None and scope["type"] in {"http", "websocket"}:
            secret = secret_of(scope)
            try:
                caller = await self.authenticate(secret) if secret else None
            except AirisError as error:  # the keys' own store does not answer
                await send_fault(fault(error), scope["type"], send)
                return
            scope[CALLER] = caller  # type: ignore[literal-required]
        await self.app(scope, receive, send)


def secret_of(scope: Scope) -> str:
    """The key as it was sent; empty when there is none."""
    headers = dict(scope["headers"])
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get(b"x-api-key", b"").decode("latin-1").strip()


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
