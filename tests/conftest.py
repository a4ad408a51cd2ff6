"""Fixtures for every test: free ports, and real servers that end with the session.

A live test whose server is not installed is skipped with the line that installs it; with CI set it fails instead.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from airis_mon.app.ground import keep_kernels
from tools import servers

# Before the first kernel is imported; servers that tests start find the same kernels.
keep_kernels(Path(__file__).parent.parent / ".kernels")

# A shared machine is slow at times; how fast something is, benchmarks say.
settings.register_profile("airis", deadline=None)
settings.load_profile("airis")


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A command that is run in this process sends all logs to the stream of its own test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(level)


def _serve(start: Callable[[], AbstractContextManager[servers.Server]]) -> Iterator[servers.Server]:
    try:
        with start() as it:
            yield it
    except servers.Missing as e:
        if os.environ.get("CI"):
            pytest.fail(str(e), pytrace=False)
        pytest.skip(str(e))


@pytest.fixture
def free_port() -> int:
    return servers.free_port()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Server]:
    yield from _serve(servers.redis)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.Server]:
    yield from _serve(servers.postgres)


@pytest.fixture(scope="session")
def prometheus_server() -> Iterator[servers.Server]:
    yield from _serve(servers.prometheus)


@pytest.fixture(scope="session")
def victoria_server() -> Iterator[servers.Server]:
    yield from _serve(servers.victoria)


@pytest.fixture(scope="session")
def node_exporter() -> Iterator[servers.Server]:
    yield from _serve(servers.node_exporter)
