"""The ASGI application: routes under a base path, the ecosystem's own paths beside them, guards around both.

`build` is for somebody else's application: all its paths are relative to the mount. `serve_app` is for our own
server. Neither needs an ASGI lifespan: whoever owns the engine starts and stops it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.types import ASGIApp, Receive, Scope, Send

from airis_mon.api import (
    analytics,
    anomalies,
    events,
    explore,
    forecasts,
    health,
    metrics,
    pages,
    predictions,
    promql,
    replays,
    series,
    together,
    write,
)
from airis_mon.api.auth import Authenticate, Identify, demand
from airis_mon.api.engine import Engine
from airis_mon.api.errors import handle
from airis_mon.api.given import Bounds, Given, Streams
from airis_mon.api.openapi import Site
from airis_mon.api.ratelimit import Limits, RateLimit
from airis_mon.api.shield import LOOPBACK, Shield
from airis_mon.errors import ConfigError

BASE = "/api/v1/aiops"
PROMETHEUS = "/api/v1"
MIB = 1 << 20
BOUNDS = Bounds(bulk_bytes=64 * MIB, json_bytes=10 * MIB, body_timeout_s=30.0, heartbeat_s=15.0)

_NOUNS = (
    health.health,
    health.status,
    metrics.add_metrics,
    metrics.exposition,
    series.list_series,
    series.get_coverage,
    series.get_series,
    series.get_samples,
    series.get_bands,
    anomalies.list_anomalies,
    *analytics.ROUTES,
    *explore.ROUTES,
    *forecasts.ROUTES,
    *predictions.ROUTES,
    *together.ROUTES,
    *replays.ROUTES,
    events.stream_events,
    events.event_socket,
)
_ECOSYSTEM = (write.remote_write, write.otlp, metrics.exposition, *promql.ROUTES)
_ROOT = (pages.index, pages.docs, pages.openapi, health.live, health.ready)


def build(
    engine: Engine,
    *,
    version: str,
    bounds: Bounds = BOUNDS,
    authenticate: Authenticate | None = None,
    limits: Limits | None = None,
    origins: tuple[str, ...] = (),
) -> App:
    """The application for a mount: `/health`, `/metrics` ... and the ecosystem's paths under `/prom`.

    Hosts and origins are the business of the application that it is mounted in.
    """
    site = Site(version, base="", beside="/prom", is_keyed=authenticate is not None)
    given = Given(engine, bounds, Streams(), site)
    return _guarded(given, authenticate, limits, None, origins, is_origin_checked=False)


def serve_app(
    engine: Engine,
    *,
    version: str,
    base: str = BASE,
    bounds: Bounds = BOUNDS,
    authenticate: Authenticate | None = None,
    limits: Limits | None = None,
    hosts: tuple[str, ...] | None = LOOPBACK,
    origins: tuple[str, ...] = (),
) -> App:
    """The application of our own server: ours under `base`, the ecosystem's paths at the root.

    With `authenticate` every route but the open ones demands a key; then `hosts` is best None. Without it the server
    must listen on the loopback address only, and answers only to the names in `hosts`. Raises ConfigError for a base
    that is taken.
    """
    if base == PROMETHEUS:
        raise ConfigError(
            f"server.base_path {base!r} is where Prometheus' query API stands; take one below or beside it"
        )
    site = Site(version, base=base, beside="", is_keyed=authenticate is not None)
    given = Given(engine, bounds, Streams(), site)
    return _guarded(given, authenticate, limits, hosts, origins, is_origin_checked=not site.is_keyed)


class App:
    """Outermost: takes the mount's path off, so that everything inside sees paths relative to it.

    Hosts differ: some leave the mount's path in `path` and name it in `root_path`, some take it off themselves.
    """

    def __init__(self, app: ASGIApp, streams: Streams) -> None:
        self.app = app
        self._streams = streams

    def close_streams(self) -> None:
        """Ends open event streams, in the event loop's thread; a server that waits for its requests calls it first."""
        self._streams.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the connection on; the mount's path is kept in its scope as `airis_mon.root`."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        root = scope.get("root_path", "").rstrip("/")
        path = scope["path"]
        if root and (path == root or path.startswith(f"{root}/")):
            path = path[len(root) :]
        inner: Any = {**scope, "path": path.rstrip("/") or "/", "root_path": "", "airis_mon.root": root}
        inner.pop("raw_path", None)
        # A server leaves the body of an answer to HEAD away by itself; the stream alone would never end.
        if inner.get("method") == "HEAD" and not path.endswith(("/events", "/analytics/stream")):
            inner["method"] = "GET"
        await self.app(inner, receive, send)


def _application(given: Given) -> ASGIApp:
    site = given.site
    return Litestar(
        [
            Router(site.base or "/", route_handlers=_NOUNS),
            Router(site.beside or "/", route_handlers=_ECOSYSTEM),
            Router("/", route_handlers=_ROOT),
        ],
        dependencies={"given": Provide(lambda: given, sync_to_thread=False)},
        exception_handlers={Exception: handle},
        before_request=demand,
        logging_config=None,
        openapi_config=None,
    )


def _guarded(
    given: Given,
    authenticate: Authenticate | None,
    limits: Limits | None,
    hosts: tuple[str, ...] | None,
    origins: tuple[str, ...],
    *,
    is_origin_checked: bool,
) -> App:
    app = _application(given)
    counting = _counting(app, limits, given.site) if limits else None
    identified = Identify(counting or app, authenticate, counting)
    shield = Shield(identified, hosts, origins, is_origin_checked=is_origin_checked, counting=counting)
    return App(shield, given.streams)


def _counting(app: ASGIApp, limits: Limits, site: Site) -> RateLimit:
    ingest = {f"{site.base}/metrics", f"{site.beside}/api/v1/write", f"{site.beside}/v1/metrics"}
    free = {f"{site.base}/health", "/live", "/ready"}
    clock: Callable[[], float] = time.time
    return RateLimit(app, limits, ingest_paths=frozenset(ingest), free_paths=frozenset(free), clock=clock)
