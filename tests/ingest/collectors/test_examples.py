from __future__ import annotations

import doctest
import importlib

import pytest

from airis_mon import plugins


@pytest.mark.parametrize("kind", plugins.kinds("ingest.collectors"))
def test_the_example_in_each_collector_s_documentation_runs(kind: str):
    module = importlib.import_module(f"airis_mon.ingest.collectors.{kind}")
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
