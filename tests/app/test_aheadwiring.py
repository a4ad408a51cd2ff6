from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airis_mon import AIOpsManager
from airis_mon.errors import ConfigError


async def made(tmp_path: Path, **settings: Any) -> Any:
    given = {"data_dir": str(tmp_path), "ingest.host.enabled": False}
    manager = AIOpsManager(config={**given, **{name.replace("__", "."): value for name, value in settings.items()}})
    await manager.initialize()
    return manager.engine.parts


async def test_everything_that_looks_ahead_is_on_by_default(tmp_path: Path) -> None:
    parts = await made(tmp_path)
    assert parts.analytics is not None
    assert [part.name for part in parts.background] == ["forecasts", "predictions"]
    assert {parts.fleet, parts.predictions} == set(parts.background)


async def test_what_is_switched_off_is_not_made(tmp_path: Path) -> None:
    parts = await made(tmp_path, forecasts__enabled=False, predict__enabled=False)
    assert parts.fleet is None and parts.predictions is None
    assert parts.analytics.foreteller._worker is parts.worker  # what is asked is forecast all the same
    assert list(parts.background) == []


async def test_the_zone_tells_whose_holidays_are_known_unless_countries_are_named(tmp_path: Path) -> None:
    assert (await made(tmp_path, time__zone="Asia/Seoul")).fleet.plan.holidays == ("KR",)
    named = await made(tmp_path, time__zone="Asia/Seoul", forecasts__holidays=["US", "JP"])
    assert named.fleet.plan.holidays == ("US", "JP")


async def test_own_limits_come_beside_the_known_ones(tmp_path: Path) -> None:
    own = [{"name": "seats", "used": "seats_used", "limit": "seats"}]
    alone = await made(tmp_path, predict__limits=own, predict__known=False)
    assert [w.limit.kind for w in alone.predictions.watched()] == ["seats"]
    both = await made(tmp_path, predict__limits=own)
    assert len(both.predictions.watched()) > 10


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"forecasts__models": ["nonsense"]}, "forecasts.models: there is no forecaster 'nonsense'; take some of fast"),
        ({"forecasts__holidays": ["XX"]}, "forecasts.holidays: no holidays of the country 'XX'"),
        ({"forecasts__horizon_s": 600}, "`horizon_s` 600 is shorter than `step_s` 900"),
        ({"forecasts__step_s": 60, "forecasts__history_s": 3e8}, "5,000,000 points of `history_s` / `step_s` are more"),
        ({"predict__limits": [{"name": "x", "used": "sum("}]}, "predict.limits[0].used = 'sum(' is no PromQL"),
    ],
)
async def test_settings_that_could_never_work_are_refused_at_the_start(tmp_path: Path, settings, said) -> None:
    with pytest.raises(ConfigError) as refused:
        await made(tmp_path, **settings)
    assert said in str(refused.value)
