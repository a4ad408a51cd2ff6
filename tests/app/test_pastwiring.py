"""What the settings make of the past of sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airis_mon.app.engine import Engine
from airis_mon.app.pastwiring import add_pasts
from airis_mon.app.wiring import engine_of
from airis_mon.config.settings import load

HERE, THERE = {"url": "http://prom:9090/"}, {"url": "http://other:9090/", "backfill_days": 0}


def made(folder: Path, *sources: dict[str, Any], collect: bool = True) -> Engine:
    tree = load(Path("/dev/null"), {}, {"data_dir": str(folder), "ingest.prometheus": list(sources)}).settings
    engine = engine_of(tree, collect=collect)
    add_pasts(engine, tree)
    return engine


def live_and_past(engine: Engine) -> tuple[list[Any], list[Any]]:
    assert engine.parts.backfill is not None
    collectors = dict(engine.parts.collectors)
    pasts = engine.parts.backfill.parts.pasts
    return [c for name, c in collectors.items() if name.startswith("prometheus")], [p.history for p in pasts]


def test_all_that_ask_one_server_share_its_gate_and_the_past_goes_behind(tmp_path: Path) -> None:
    live, past = live_and_past(made(tmp_path, HERE, {**HERE, "match": ["up"]}, THERE))
    assert live[0].gate is live[1].gate is not live[2].gate
    assert past[0].gate is past[1].gate
    assert past[0].gate.gate is live[0].gate


def test_a_past_whose_source_is_not_followed_has_a_gate_of_its_own(tmp_path: Path) -> None:
    live, (past,) = live_and_past(made(tmp_path, HERE, collect=False))
    assert (live, past.gate) == ([], None)
