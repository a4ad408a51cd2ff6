"""AIRIS-MON inside a Starlette application.

    pip install starlette uvicorn
    uvicorn examples.starlette_app:app

Then: curl http://127.0.0.1:8000/api/v1/aiops/health

Whoever reaches this application reaches the mount: if that is more than this machine, ask for keys by adding
"security.api_keys": "required" to the config, or protect the path with your own authentication.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from airis_mon import AIOpsManager

manager = AIOpsManager(config={"data_dir": "./data"})


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """A mounted application gets no lifespan of its own, so this one starts and stops the engine."""
    async with manager:
        yield


async def home(_: Request) -> JSONResponse:
    """A route of your own, beside."""
    return JSONResponse({"anomalies": "/api/v1/aiops/anomalies", "docs": "/api/v1/aiops/docs"})


app = Starlette(lifespan=lifespan, routes=[Route("/", home), Mount("/api/v1/aiops", manager.asgi())])
