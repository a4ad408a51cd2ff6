"""`airis-mon serve`: the engine and its HTTP surface until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airis_mon.errors import ConfigError

if TYPE_CHECKING:
    from airis_mon.config.settings import Settings
    from airis_mon.manager import AIOpsManager

KEEP_ALIVE_S = 75
"""An idle connection is kept so long: at uvicorn's 5 s a sender of every 5 s wrote into one that was being closed."""
DRAIN_S = 15
"""Requests under way get so long after SIGTERM."""


def add_parser(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser("serve", help="watch this host and whatever is sent here, and serve the API")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); default ./airis.toml if there")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1; any other demands API keys)")
    parser.add_argument("--port", type=int, help="port (default 8765)")
    parser.add_argument("--data-dir", metavar="DIR", help="where everything is kept (default ./data)")
    parser.add_argument(
        "--prometheus",
        metavar="URL",
        action="append",
        help="follow a Prometheus and learn from its past (further settings: [[ingest.prometheus]]); may be repeated",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serves until SIGINT or SIGTERM; then drains, commits and ends with 0."""
    from msgspec.structs import asdict

    from airis_mon.app.ground import prepare
    from airis_mon.app.logging import configure
    from airis_mon.config.settings import load

    flags: dict[str, Any] = {"server.host": args.host, "server.port": args.port, "data_dir": args.data_dir}
    settings = load(args.config, os.environ, flags).settings
    if args.prometheus:
        sources = [*map(asdict, settings.ingest.prometheus), *({"url": url} for url in args.prometheus)]
        settings = load(args.config, os.environ, flags | {"ingest.prometheus": sources}).settings
    configure(settings.log.level, settings.log.format)
    prepare(Path(settings.data_dir))
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(_serve(settings))


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop of a server; None = Python's own."""
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return None
    return uvloop.new_event_loop


async def _serve(settings: Settings) -> int:
    from airis_mon.manager import AIOpsManager

    return await serve(AIOpsManager(settings), lambda url: say(f"AIRIS-MON: {url}/  (stop with Ctrl-C)"))


async def serve(manager: AIOpsManager, told: Callable[[str], None]) -> int:
    """Serves a manager's engine until a signal ends it; `told` hears the address as soon as it is taken.

    Answers the exit code. Raises ConfigError when the address cannot be had.
    """
    settings = manager.settings
    await manager.access.demand_a_key()
    listener = _listener(settings.server.host, settings.server.port)
    told(address(settings.server.host, listener.getsockname()[1]))
    await manager.initialize()
    starting = asyncio.create_task(manager.start(), name="start")
    try:
        server = _server(await asyncio.to_thread(manager.serve_app), manager, settings)  # imports while the store opens
        starting.add_done_callback(lambda task: setattr(server, "should_exit", server.should_exit or _has_failed(task)))
        await server.serve([listener])
        if not starting.done():  # told to stop while it was still starting
            starting.cancel()
        await asyncio.gather(starting, return_exceptions=not _has_ended(starting))
    finally:
        starting.cancel()
        await manager.stop()
    return 0 if server.started else 1


def _has_ended(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled()


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.cancelled() or task.exception() is not None


def _listener(host: str, port: int) -> socket.socket:
    """The bound socket. Raises ConfigError in words when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(
            f"cannot listen on {host}:{port} ({why}); stop what uses it, or choose another: --port N"
        ) from None


def _server(app: Any, manager: AIOpsManager, settings: Settings) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        """Ends open event streams and queries first: they would hold the drain up to its end.

        Signals are ours: uvicorn would raise them again after its own drain, before the engine has committed.
        """

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.handle_exit, number, None)
            yield

        async def shutdown(self, sockets: Any = None) -> None:
            app.close_streams()
            manager.engine.parts.queries.close()
            if manager.engine.parts.analytics:
                manager.engine.parts.analytics.close()
            await super().shutdown(sockets)

    return Server(
        uvicorn.Config(
            app,
            http="httptools",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=DRAIN_S,
            timeout_keep_alive=KEEP_ALIVE_S,
            server_header=False,
            forwarded_allow_ips=settings.security.trusted_proxies,  # unset, uvicorn believes every local client
        )
    )


def address(host: str, port: int) -> str:
    """Where people find the server."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def say(text: str) -> None:
    """One line for a person who looks on; logs go to standard output."""
    print(text, file=sys.stderr, flush=True)
