from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from airis_mon import analyze, forecast
from airis_mon.forecast import models

HEAVY = ("lightgbm", "auto_ets", "auto_theta", "mstl")
"""Their libraries take seconds to import."""
OTHERS = [
    m.name for p in (analyze, forecast) for m in pkgutil.iter_modules(p.__path__, f"{p.__name__}.") if not m.ispkg
]
KINDS = [
    pytest.param(m.name, marks=pytest.mark.slow) if m.name in HEAVY else m.name
    for m in pkgutil.iter_modules(models.__path__)
]


@pytest.mark.parametrize("name", OTHERS)
def test_the_examples_in_the_documentation_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_forecaster_has_an_example_that_runs(kind: str) -> None:
    found = doctest.testmod(importlib.import_module(f"airis_mon.forecast.models.{kind}"))
    assert found.attempted > 0
    assert found.failed == 0
