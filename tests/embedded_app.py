"""One of three applications with AIRIS-MON inside, served on loopback; run by test_embedding.py in its own process.

Arguments: fastapi, starlette or django; the data directory. Standard output, after "> ": the port, then a line of JSON
for each anomaly that the handler is told. The end of standard input stops it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvicorn

from airis_mon import AIOpsManager

MOUNT = "/tools/aiops"
kind, data_dir = sys.argv[1:]
urlpatterns: list[Any] = []  # Django's root URL configuration is this module

manager = AIOpsManager(config={"data_dir": data_dir, "ingest.host.enabled": False})


@manager.on("anomaly_detected")
async def tell(anomaly: dict[str, Any]) -> None:
    say(json.dumps(anomaly))


def say(text: str) -> None:
    sys.stdout.write(f"> {text}\n")
    sys.stdout.flush()


def in_fastapi() -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    app.mount(MOUNT, manager.asgi())
    return app


def in_starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount(MOUNT, manager.asgi())])


def in_django() -> Any:
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])
    aiops, django = manager.asgi(), get_asgi_application()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith(f"{MOUNT}/"):
            await aiops({**scope, "root_path": MOUNT}, receive, send)
        else:
            await django(scope, receive, send)

    return app


async def main() -> None:
    app = {"fastapi": in_fastapi, "starlette": in_starlette, "django": in_django}[kind]()
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - the server tells nobody
        await asyncio.sleep(0.01)
    say(str(server.servers[0].sockets[0].getsockname()[1]))
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving
    await manager.stop()
    say("stopped")


if __name__ == "__main__":
    asyncio.run(main())
