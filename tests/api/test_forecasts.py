"""POST /analytics/forecast over the fake engine, which forecasts in a thread."""

from __future__ import annotations

from typing import Any

import pytest

from airis_mon.api.forecasts_out import _group
from airis_mon.app.fleetaccuracy import Accuracy
from tests.api.fake import V1

pytestmark = pytest.mark.usefixtures("kernels")

VALUES = [10.0, 30, 50, 20] * 10


async def ask(client: Any, **body: Any) -> Any:
    return await client.post(f"{V1}/analytics/forecast", json={"metricName": "visits", "values": VALUES} | body)


async def test_what_repeats_goes_on_and_all_that_was_used_is_said(client: Any) -> None:
    answer = await ask(client, horizon=4, seasons=[4], start="2026-03-01T00:00:00Z", stepS=3600, level=0.9)
    assert answer.status_code == 200, answer.text
    found = answer.json()["result"]
    assert found["mean"] == pytest.approx([10, 30, 50, 20])
    assert found["lower"] == found["upper"] == pytest.approx(found["mean"])  # it was never wrong
    assert found["t"][0] == 1_772_323_200_000 + 40 * 3_600_000
    assert (found["horizon"], found["level"], found["stepS"], found["seasons"]) == (4, 0.9, 3600.0, [4])
    assert found["backtest"]["baselineError"] == 0
    assert found["why"] == {}
    assert "visits is expected to lie between 10 and 50" in found["explanation"]


async def test_what_could_not_be_computed_says_why_in_the_language_asked_for(client: Any) -> None:
    found = (await ask(client, values=[5, 5, 5, 5], horizon=2, language="ko")).json()["result"]
    assert found["mean"] == [5, 5]
    assert found["t"] is None
    assert found["stepS"] is None
    assert found["why"] == {"seasons": "nothing repeats twice in 4 points"}
    assert "예상 값: 5." in found["explanation"]


@pytest.mark.parametrize(
    ("body", "path", "said"),
    [
        ({"horizon": 21}, "$.horizon", "more than 20, half of the 40 points"),
        ({"horizon": 0}, "$.horizon", ">= 1"),
        ({"horizon": 4, "level": 1}, "$.level", "< 1"),
        ({"horizon": 4, "values": [1, 2, 3]}, "$.values", "4 to 10,000"),
        ({"horizon": 4, "seasons": [21]}, "$.seasons[0]", "2 to 20"),
        ({"horizon": 4, "models": ["oracle"]}, "$.models", "oracle"),
        ({"horizon": 4, "models": ["../fleet"]}, "$.models", "no forecaster"),
        ({"horizon": 4, "models": ["__init__"]}, "$.models", "no forecaster"),
        ({"horizon": 4, "holidays": ["HolidayBase"], "start": 5, "stepS": 3600}, "$.holidays", "no holidays"),
        ({"horizon": 4, "start": 5}, "$.start", "needs stepS"),
        ({"horizon": 4, "holidays": ["QQ"], "start": 5, "stepS": 3600}, "$.holidays", "QQ"),
    ],
)
async def test_a_bad_field_is_named_with_its_limit(client: Any, body: dict[str, Any], path: str, said: str) -> None:
    answer = await ask(client, **body)
    assert answer.status_code == 400, answer.text
    assert said in answer.text
    assert answer.json()["details"][0]["path"] == path


async def test_values_are_forecast_also_where_nothing_that_is_watched_is(client: Any, engine: Any) -> None:
    engine.fleet_of = None
    answer = await ask(client, horizon=4, seasons=[4])
    assert answer.status_code == 200, answer.text
    assert answer.json()["result"]["mean"] == pytest.approx([10, 30, 50, 20])


async def test_an_empty_list_says_why_it_is_empty(client: Any, engine: Any) -> None:
    async def why(path: str) -> Any:
        return (await client.get(f"{V1}{path}")).json()["metadata"]["why"]

    assert await why("/forecasts") is None
    assert await why("/forecasts/accuracy") is None
    assert await why("/forecasts?match=nobody") == "no signal of the newest round matches"
    engine.fleet_of.is_new, engine.fleet_of.why = True, "no signal is watched yet"
    for path in ("/forecasts", "/forecasts/accuracy"):
        assert await why(path) == "no signal is watched yet"
    assert "no signal is watched yet" in (await client.get(f"{V1}/forecasts/9f86d081884c7d65")).json()["message"]
    engine.fleet_of.why = None
    assert "held against what happened" in await why("/forecasts/accuracy")


async def test_errors_of_several_signals_are_not_added(client: Any) -> None:
    one = (await client.get(f"{V1}/forecasts/accuracy")).json()["accuracy"]["all"]
    assert (one["error"], one["baselineError"], one["why"]) == (1.0, 1.25, {})
    several = _group("all", Accuracy(2, 8, 7.0, 9.0, 0.8, 1.0, None, 0.95))
    assert (several.error, several.baseline_error, several.scaled_error) == (None, None, 0.8)
    assert sorted(several.why) == ["baselineError", "coverage", "error"]


async def test_without_a_fleet_nothing_is_listed(client: Any, engine: Any) -> None:
    engine.fleet_of = None
    for path in ("/forecasts", "/forecasts/accuracy", "/forecasts/9f86d081884c7d65"):
        answer = await client.get(f"{V1}{path}")
        assert answer.status_code == 409
        assert "forecasts.enabled is false" in answer.json()["message"]
