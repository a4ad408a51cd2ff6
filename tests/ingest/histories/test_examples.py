from __future__ import annotations

import doctest
import importlib

import pytest

from airis_mon import plugins


@pytest.mark.parametrize("kind", plugins.kinds("ingest.histories"))
def test_the_example_in_each_history_s_documentation_runs(kind: str):
    result = doctest.testmod(importlib.import_module(f"airis_mon.ingest.histories.{kind}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("kind", plugins.kinds("ingest.histories"))
def test_each_history_is_found_by_its_kind(kind: str):
    assert plugins.find("ingest.histories", kind).__name__.lower() == kind
