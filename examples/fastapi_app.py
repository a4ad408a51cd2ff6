"""AIRIS-MON inside a FastAPI application.

    pip install fastapi uvicorn
    uvicorn examples.fastapi_app:app

Then: curl http://127.0.0.1:8000/api/v1/aiops/health

Whoever reaches this application reaches the mount: if that is more than this machine, ask for keys by adding
"security.api_keys": "required" to the config, or protect the path with your own authentication.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from airis_mon import AIOpsManager

manager = AIOpsManager(config={"data_dir": "./data"})


@manager.on("anomaly_detected")
async def tell(anomaly: dict[str, Any]) -> None:
    """Hears of every anomaly in this process."""
    print(f"{anomaly['name']} = {anomaly['value']}: score {anomaly['score']:.2f}")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """A mounted application gets no lifespan of its own, so this one starts and stops the engine."""
    async with manager:
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/api/v1/aiops", manager.asgi())


@app.get("/")
async def home() -> dict[str, str]:
    """A route of your own, beside."""
    return {"anomalies": "/api/v1/aiops/anomalies", "docs": "/api/v1/aiops/docs"}
