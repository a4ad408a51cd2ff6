from __future__ import annotations

from typing import Any

import pytest

from tests.api.fake import V1, T

pytestmark = pytest.mark.usefixtures("kernels")

PATH = f"{V1}/analytics/entities"
HOUR_MS = 3_600_000
ASKED = {"match": '{host="web-1"}', "start": T - HOUR_MS, "end": T, "trainS": 7200, "stepS": 15}


async def post(client: Any, status: int = 200, **changes: Any) -> Any:
    answer = await client.post(PATH, json={**ASKED, **changes})
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize("method", ["bank", "pca", "isolation_forest"])
async def test_the_series_of_an_entity_are_judged_after_a_time_of_training(client, method):
    body = await post(client, method=method)
    found = body["result"]
    assert body["success"] is True and body["metadata"] == {"cached": False}
    assert found["method"] == method and found["entity"] == '{host="web-1"}'
    assert (
        found["trained"] == 480 and found["judged"] == len(found["curve"]["t"]) == len(found["curve"]["score"]) == 240
    )
    assert found["stepS"] == 15.0 and found["curve"]["t"][-1] == T
    assert (found["p"] is None) is (method == "bank")
    assert max(found["curve"]["score"]) == pytest.approx(found["score"])
    assert found["isAnomaly"] is (found["score"] >= found["alarmLine"]) is bool(found["episodes"])
    assert found["alarmLine"] == 0.8 and "line" not in found and found["rawLine"] > 0
    assert f"the line of {found['alarmLine']}" in found["explanation"]


async def test_signals_are_read_from_the_begin_of_training_on(client, engine):
    await post(client)
    series, load = engine.calls[0], next(c for c in engine.calls if c[0] == "load")
    assert series[0] == "series" and series[2:4] == (T - 3 * HOUR_MS, T)
    assert load[3:5] == (T - 3 * HOUR_MS, T)


async def test_it_is_told_in_korean_when_the_client_prefers_it(client):
    answer = await client.post(PATH, json=ASKED, headers={"accept-language": "ko-KR,ko;q=0.9,en;q=0.5"})
    assert "판정 방법" in answer.json()["result"]["explanation"]
    assert "Judged by" in (await post(client, language="en"))["result"]["explanation"]


@pytest.mark.parametrize(
    ("changes", "path", "reason"),
    [
        ({"match": "{"}, "$.match", ""),
        ({"match": '{host="none"}'}, "$.match", "means no series"),
        ({"start": T}, "$.start", "is not before end"),
        ({"trainS": 10}, "$.trainS", ">= 60"),
        ({"stepS": 0}, "$.stepS", ">= 1"),
        ({"method": "magic"}, "$.method", "is none of bank"),
        ({"mehtod": "pca"}, "$.mehtod", "did you mean method?"),
        ({"start": "yesterday"}, "$.start", ""),
    ],
)
async def test_what_cannot_be_judged_is_refused_with_the_field(client, changes, path, reason):
    error = await post(client, 400, **changes)
    assert error["error"] == "Validation Error"
    assert error["details"][0]["path"] == path
    assert reason in error["details"][0]["reason"] + error["message"]


async def test_too_little_to_learn_from_is_said_with_the_remedy(client):
    error = await post(client, 400, trainS=600)
    assert "only 40 steps" in error["message"] and "raise trainS" in error["message"]
