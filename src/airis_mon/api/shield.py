"""Guards against what web pages could make a browser do: foreign Host and Origin headers, framing, sniffing."""

from __future__ import annotations

from urllib.parse import urlsplit

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from airis_mon.api.auth import Counting
from airis_mon.api.errors import Fault, send_fault

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names under which a server on the loopback address may be called."""
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_EXPOSED = b"X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After"


class Shield:
    """Middleware: checks Host and Origin, answers CORS preflights, sets security headers that a route left open.

    hosts: names the server may be called by, None = any (then keys or the embedding application must protect it).
    Without keys a page of any site could otherwise reach a loopback server by pointing its own name at 127.0.0.1.
    origins: web pages that may read answers and send data; "*" = any. is_origin_checked: whether pages of other
    origins, the server's own excepted, are refused: pointless with keys, which a browser does not send by itself.
    counting: counts what is answered here.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: tuple[str, ...] | None,
        origins: tuple[str, ...],
        *,
        is_origin_checked: bool,
        counting: Counting | None = None,
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.origins = origins
        self.is_origin_checked = is_origin_checked
        self.counting = counting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the connection on, or answers 403."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        origin = headers.get(b"origin", b"").decode("latin-1")
        method = scope.get("method")
        is_allowed = bool(origin) and ("*" in self.origins or origin in self.origins)
        cors = _cors(origin) if is_allowed else []

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *cors, *(h for h in _HEADERS if h[0] not in given)]
            await send(message)

        if self.hosts is not None and _name_of(host) not in self.hosts:
            message = f"this server is not called {host[:100]!r}; call it by {', '.join(self.hosts)} or set up API keys"
            await send_fault(Fault(403, message), scope, await self._counted(scope, send_guarded))
        elif is_allowed and method == "OPTIONS" and b"access-control-request-method" in headers:
            await _preflight(await self._counted(scope, send_guarded))
        elif self._is_foreign(origin, host, method) and not is_allowed:
            message = f"pages of {origin[:100]!r} may not send here; add it to server.cors_origins"
            await send_fault(Fault(403, message), scope, await self._counted(scope, send_guarded))
        else:
            await self.app(scope, receive, send_guarded)

    async def _counted(self, scope: Scope, send: Send) -> Send:
        return await self.counting.told(scope, send) if self.counting else send

    def _is_foreign(self, origin: str, host: str, method: object) -> bool:
        # A socket has no method: it is checked whatever it does.
        return self.is_origin_checked and bool(origin) and method not in _SAFE and _place_of(origin) != host


def _place_of(origin: str) -> str:
    return origin.partition("://")[2]


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _cors(origin: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    ]


async def _preflight(send: Send) -> None:
    allowed = [
        (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
        (b"access-control-allow-headers", b"Authorization, Content-Type, Last-Event-ID, X-API-Key"),
        (b"access-control-max-age", b"600"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": allowed})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
