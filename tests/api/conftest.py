from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from airis_mon.api.app import build, serve_app
from tests.api.fake import FakeEngine, client_of


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
