"""Who is calling, and whether that one may: API keys in `Authorization: Bearer` or `X-API-Key`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from airis_mon.api.errors import fault, send_fault
from airis_mon.errors import AirisError, AuthError

CALLER = "airis_mon.caller"
"""Where the caller stands in the connection's scope."""
READ, WRITE, ADMIN = "read", "write", "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of an API key; `scopes` are of read, write and admin, and admin includes the others."""

    id: str
    scopes: frozenset[str]


Authenticate = Callable[[str], Awaitable[Principal | None]]
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


def demand(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every route: reading needs `read`, all else `write`, unless the route's `opt` names a scope.

    Raises AuthError. A route with `opt={"scope": None}` is open to everybody.
    """
    scope = connection.scope
    if CALLER not in scope:
        return
    method = scope.get("method", "GET")
    needed = handler.opt.get("scope", READ if method in {"GET", "HEAD", "OPTIONS"} else WRITE)
    if needed is None:
        return
    caller: Principal | None = scope[CALLER]  # type: ignore[literal-required]
    if caller is None:
        raise AuthError(
            "the API key is unknown or expired"
            if secret_of(scope)
            else "an API key is needed: send the header `Authorization: Bearer <key>` or `X-API-Key: <key>`"
        )
    if needed not in caller.scopes and ADMIN not in caller.scopes:
        raise AuthError(f"this key lacks the scope {needed!r}", forbidden=True)
