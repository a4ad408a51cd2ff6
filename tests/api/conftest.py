from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from litestar.testing import TestClient

from airis_mon.api.app import build, serve_app
from tests.api.fake import V1, FakeEngine, client_of


class Seat:
    """Whichever engine sits in it: to build an application takes a tenth of a second, so tests share one."""

    engine: FakeEngine

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="session")
def _served() -> tuple[Seat, Any]:
    seat: Any = Seat()
    return seat, serve_app(seat, version="1.2.3")


@pytest.fixture(scope="session")
def _built() -> tuple[Seat, Any]:
    seat: Any = Seat()
    return seat, build(seat, version="1.2.3")


@pytest.fixture
async def client(_served: tuple[Seat, Any], engine: FakeEngine) -> AsyncIterator[httpx2.AsyncClient]:
    seat, app = _served
    seat.engine = engine
    async with client_of(app) as it:
        yield it


@pytest.fixture
async def mounted(_built: tuple[Seat, Any], engine: FakeEngine) -> AsyncIterator[httpx2.AsyncClient]:
    seat, app = _built
    seat.engine = engine
    async with client_of(app) as it:
        yield it


@pytest.fixture(scope="session")
def kernels() -> None:
    """Compiles what questions about series need, without a limit of time: compilers take longer than a request may."""
    patient: Any = FakeEngine(asked={"timeout_s": 600.0})
    with TestClient(serve_app(patient, version="1", hosts=None)) as client:
        for path, item in client.get("/openapi.json").json()["paths"].items():
            if "/analytics/" in path and "post" in item:
                (content,) = item["post"]["requestBody"]["content"].values()
                methods = ({"method": m} for m in ("bank", "pca", "isolation_forest"))
                for change in methods if path.endswith("/entities") else ({},):
                    answer = client.post(path, json=content["example"] | change)
                    assert answer.status_code == 200, (path, answer.text)
        answer = client.get(f"{V1}/analytics/statistics", params={"series": "9f86d081884c7d65"})
        assert answer.status_code == 200, answer.text
