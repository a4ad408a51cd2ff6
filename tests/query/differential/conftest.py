"""Both servers, each holding the dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.query.differential import dataset
from tests.query.differential.oracle import Pair, Server
from tools import servers

SETTINGS = {
    "AIRIS_STORE__RETENTION_DAYS": "10000",  # the dataset's two hours lie in 2024
    "AIRIS_RATE_LIMIT__ENABLED": "false",
    "AIRIS_INGEST__HOST__ENABLED": "false",
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Ours and a Prometheus of its own, after the same remote writes."""
    with ExitStack() as stack:
        theirs = _started(stack)
        data: Path = tmp_path_factory.mktemp("differential")
        ours = stack.enter_context(servers.airis_mon(data, env=SETTINGS))
        both = Pair(Server(ours.url), Server(theirs.url))
        for body in dataset.bodies():
            both.write(body)
        yield both


def _started(stack: ExitStack) -> servers.Server:
    try:
        return stack.enter_context(servers.prometheus(flags=["--storage.tsdb.retention.time=100y"]))
    except servers.Missing as e:
        if os.environ.get("CI"):
            pytest.fail(str(e), pytrace=False)
        pytest.skip(str(e))
