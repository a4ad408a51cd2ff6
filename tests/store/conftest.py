"""Stores for tests: the embedded engine in this process, and the same over HTTP through the front in another one.

chDB allows one folder per process at a time, so every test opens the session's folder with a database of its own and
closes it again.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airis_mon.store.backends.clickhouse import ClickHouse

FRONT = Path(__file__).parents[1] / "clickhouse_front.py"
PASSWORD = "geheim%/@"
Open = Callable[..., ClickHouse]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def embedded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chdb")


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of the front."""
    folder = tmp_path_factory.mktemp("front")
    command = [sys.executable, str(FRONT), str(folder), PASSWORD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@pytest.fixture
def open_store(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens stores on this test's database, closed at its end; embedded unless the test is parametrized with "http"."""
    if getattr(request, "param", "embedded") == "http":
        url = f"http://default:geheim%25%2F%40@{request.getfixturevalue('front')}"
    else:
        url = f"chdb://{request.getfixturevalue('embedded_folder')}"
    database = f"t{next(_numbers)}"
    opened = []

    def open_one(**settings: object) -> ClickHouse:
        store = ClickHouse(
            **{"url": url, "database": database, "retention_days": 10_000, "history_days": 10_000} | settings
        )  # type: ignore[arg-type]
        store.open()
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()
