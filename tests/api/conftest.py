from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from airis_mon.api.app import build, serve_app
from tests.api.fake import FakeEngine, client_of


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def client(engine: FakeEngine) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(serve_app(engine, version="1.2.3")) as it:
        yield it


@pytest.fixture
async def mounted(engine: FakeEngine) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(build(engine, version="1.2.3")) as it:
        yield it
