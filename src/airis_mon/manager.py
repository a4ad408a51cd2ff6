"""AIOpsManager: what an embedding application holds, engine and HTTP surface as one object."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airis_mon import __version__
from airis_mon.app.access import Access, is_loopback
from airis_mon.app.ground import now_ms, prepare
from airis_mon.config.settings import Settings, load
from airis_mon.errors import ConfigError, Conflict, StoreError
from airis_mon.events.event import NAMES, Event

if TYPE_CHECKING:
    from airis_mon.app.engine import Engine
    from airis_mon.ingest.simulated import Scene

Handler = Callable[[dict[str, Any]], Awaitable[None] | None]
H = TypeVar("H", bound=Handler)
SERVICES = ("analytics", "monitoring")
"""Services that can be enabled in this version."""


class AIOpsManager:
    """One engine in this process.

    config: a Settings tree; a mapping of dotted setting names to values (`{"server.port": 9000}`) over the defaults
    and nothing else; or the path of a TOML file, over which the environment stands as it does for `serve`.
    enabled_services: "monitoring" collects from this host and the configured sources; without it only what is pushed
    comes in. scene: a simulated world to watch, as a demo does; then `/health` says `"demo": true`.

        manager = AIOpsManager(config={"data_dir": "/var/lib/airis"})

        @manager.on("anomaly_detected")
        async def tell(payload): ...

        await manager.initialize()
        await manager.start()
        app.mount("/api/v1/aiops", manager.asgi())
        ...
        await manager.stop()
    """

    def __init__(
        self,
        config: Settings | Mapping[str, Any] | Path | str | None = None,
        enabled_services: Collection[str] = SERVICES,
        scene: Scene | None = None,
    ) -> None:
        if unknown := set(enabled_services) - set(SERVICES):
            raise ConfigError(
                f"enabled_services: {', '.join(sorted(unknown))} not built; choose from {', '.join(SERVICES)}"
            )
        self.settings = _settings(config)
        self._services = frozenset(enabled_services)
        self._scene = scene
        self.access = Access(self.settings, now_ms)
        self._engine: Engine | None = None
        self._mounted: Any = None
        self._handlers: dict[str, list[Handler]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @property
    def engine(self) -> Engine:
        """The engine. Raises Conflict before `initialize()`."""
        if self._engine is None:
            raise Conflict("the manager is not initialized; await manager.initialize() first")
        return self._engine

    def on(self, name: str) -> Callable[[H], H]:
        """Registers a function, plain or async, for an event; it gets the payload that sockets get.

        Raises ConfigError for a name that is no event.
        """
        if name not in NAMES:
            raise ConfigError(f"no event {name!r}; events: {', '.join(NAMES)}")

        def register(handler: H) -> H:
            self._handlers.setdefault(name, []).append(handler)
            return handler

        return register

    async def initialize(self) -> None:
        """Makes every object of the engine; opens nothing yet."""
        if self._engine is None:
            prepare(Path(self.settings.data_dir))
            self._engine = await asyncio.to_thread(self._made)

    async def start(self) -> None:
        """Opens the store, restores what was known, begins to work. A second call changes nothing."""
        async with self._starting:
            await self.initialize()
            if self.engine.started_at is None:
                self._listening = asyncio.create_task(self._listen(), name="manager events")
                await self.engine.start()
                await self._open_records()

    async def stop(self) -> None:
        """Commits and judges what is under way, saves the detector's state, closes the store."""
        if self._engine is None or self._engine.started_at is None:
            return
        if self._mounted is not None:
            self._mounted.close_streams()
        await self._engine.stop()
        await self.access.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self._engine = self._mounted = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def asgi(self) -> Any:
        """The ASGI application; paths are relative to where it is mounted, the ecosystem's lie under `/prom`.

        Starts the engine with the first request when `start()` was not called: a mounted application gets no
        lifespan from its host.
        """

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] not in ("http", "websocket"):
                return
            if self._mounted is None:
                await self.start()
                self._mounted = self._surface(is_mounted=True)
            await self._mounted(scope, receive, send)

        return app

    def serve_app(self) -> Any:
        """The ASGI application of our own server: our paths under the base, the ecosystem's at the root."""
        return self._surface(is_mounted=False)

    async def _open_records(self) -> None:
        """Makes the records database ready; while it is away everything that needs no record goes on."""
        import structlog

        try:
            await self.access.records()
        except StoreError as error:
            structlog.get_logger().warning("records.unavailable", error=str(error))

    def _made(self) -> Engine:
        from airis_mon.app.aheadwiring import add_ahead
        from airis_mon.app.jobwiring import add_jobs
        from airis_mon.app.pastwiring import add_pasts, add_scene
        from airis_mon.app.wiring import engine_of

        engine = engine_of(self.settings, collect="monitoring" in self._services)
        if "monitoring" in self._services:
            add_pasts(engine, self.settings)
        if self._scene is not None:
            add_scene(engine, self.settings, self._scene)
        add_jobs(engine, self.settings, self.access)
        add_ahead(engine, self.settings, self.access, __version__)
        return engine

    def _surface(self, *, is_mounted: bool) -> Any:
        from airis_mon.api import app as api
        from airis_mon.api.ratelimit import Limits
        from airis_mon.api.shield import LOOPBACK

        server, limiters = self.settings.server, self.access.limiters()
        given: dict[str, Any] = {
            "version": __version__,
            "bounds": replace(api.BOUNDS, bulk_bytes=server.max_body_bytes, json_bytes=server.max_json_bytes),
            "authenticate": self.access.authenticate if self.access.needs_key else None,
            "limits": limiters and Limits(*limiters),
            "origins": tuple(server.cors_origins),
        }
        if is_mounted:
            return api.build(self.engine, **given)
        is_open = self.access.needs_key or not is_loopback(server.host)
        hosts = None if is_open else (*LOOPBACK, *server.allowed_hosts)
        return api.serve_app(self.engine, base=server.base_path, hosts=hosts, **given)

    async def _listen(self) -> None:
        import structlog

        with self.engine.events.subscribe() as events:
            async for event in events:
                for handler in self._handlers.get(event.name, ()):
                    try:
                        await _told(handler, event)
                    except Exception:  # noqa: BLE001 boundary: one call into the embedding application
                        structlog.get_logger().exception("handler.failed", event_name=event.name)


async def _told(handler: Handler, event: Event) -> None:
    answer = handler(event.payload)
    if answer is not None:
        await answer


def _settings(config: Settings | Mapping[str, Any] | Path | str | None) -> Settings:
    if isinstance(config, Settings):
        return config
    if isinstance(config, Mapping):
        return load(Path(os.devnull), {}, config).settings  # not the airis.toml of whoever embeds us
    return load(None if config is None else Path(config), os.environ, {}).settings
