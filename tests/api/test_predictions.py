"""Predictions over HTTP: what is asked reaches them, what they say is shown whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import jsonschema_rs
import pytest

from airis_mon.app.predictions import Asked
from airis_mon.series.matchers import Matcher
from tests.api.fake import V1, FakeEngine
from tests.api.predicting import DISK, ENDED, HOUR_MS, NOW, FakePredictions

PATH = f"{V1}/predictions"


@pytest.fixture
def predictions(engine: FakeEngine) -> FakePredictions:
    engine.predictions_of = fake = FakePredictions()
    return fake


async def get(client: httpx2.AsyncClient, path: str = PATH, **params: Any) -> dict[str, Any]:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_prediction_is_shown_with_figures_interval_queries_and_its_sentence(
    client: httpx2.AsyncClient, predictions: FakePredictions
) -> None:
    body = await get(client)
    first, second = body["predictions"]
    assert first == {
        "id": "b49e0e7bfd325e7e",
        "state": "open",
        "kind": "disk",
        "name": "/var on web-1",
        "sentence": "/var on web-1 fills up in 9 h 20 min (± 2 h) at the rate of the last day: "
        "43 GiB of 50 GiB (86 %) used, 770 MiB more each hour.",
        "labels": {"instance": "web-1:9100", "mountpoint": "/var"},
        "used": 43 * 2.0**30,
        "limit": 50 * 2.0**30,
        "unit": "bytes",
        "share": 0.86,
        "eta": "2026-03-01T21:19:48.000Z",
        "earliest": "2026-03-01T19:30:00.000Z",
        "latest": "2026-03-01T23:18:00.000Z",
        "leadTimeS": 33_588.0,
        "ratePerHour": 0.75 * 2.0**30,
        "basis": "day",
        "recurring": False,
        "falls": 0,
        "everyS": None,
        "startedAt": "2026-03-01T11:00:00.000Z",
        "updatedAt": "2026-03-01T12:00:00.000Z",
        "endedAt": None,
        "whyEnded": None,
        "queries": {
            "used": 'used{instance="web-1:9100",mountpoint="/var"}',
            "limit": 'size{instance="web-1:9100",mountpoint="/var"}',
        },
    }
    assert (second["recurring"], second["falls"], second["everyS"], second["latest"]) == (True, 3, 21_600.0, None)


async def test_the_metadata_says_what_is_watched_and_what_is_not_and_why(
    client: httpx2.AsyncClient, predictions: FakePredictions
) -> None:
    assert (await get(client, limit=1))["metadata"] == {
        "count": 1,
        "limit": 1,
        "truncated": True,
        "lookedAt": "2026-03-01T12:00:00.000Z",
        "watched": [{"kind": "disk", "series": 15, "leftOut": 2, "withoutLimit": 1}],
        "notWatched": [{"kind": "memory", "used": "ram", "limit": "ram_max", "why": "no metric ram"}],
    }
    predictions.looked_ms = None
    assert (await get(client))["metadata"]["lookedAt"] is None


async def test_a_kind_narrows_what_is_watched_and_one_that_is_watched_no_more_is_still_found(
    client: httpx2.AsyncClient, predictions: FakePredictions
) -> None:
    page = (await get(client, kind="disk"))["metadata"]
    assert ([w["kind"] for w in page["watched"]], page["notWatched"]) == (["disk"], [])
    predictions.rows = (replace(ENDED, kind="licence"),)
    assert (await get(client, kind="licence", state="ended"))["metadata"]["count"] == 1


async def test_what_is_asked_reaches_the_predictions(client: httpx2.AsyncClient, predictions: FakePredictions) -> None:
    await get(client)
    await get(client, state="ended", start=NOW - HOUR_MS, end=NOW)
    await get(client, state="all", end=NOW, kind="disk,memory", match='{instance="web-1"}', limit=7)
    matcher = Matcher("instance", "=", "web-1")
    assert predictions.asked == [
        Asked(),
        Asked(is_open=False, start=NOW - HOUR_MS, end=NOW),
        Asked(None, frozenset({"disk", "memory"}), (matcher,), NOW - 7 * 24 * HOUR_MS, NOW, 7),
    ]


async def test_the_sentence_is_korean_when_it_is_asked_for(
    client: httpx2.AsyncClient, predictions: FakePredictions
) -> None:
    for asked in ({"lang": "ko"}, {"language": "ko"}):
        assert (await get(client, **asked))["predictions"][0]["sentence"].startswith("web-1 /var: 최근 하루의 ")
    answer = await client.get(PATH, headers={"Accept-Language": "ko"})
    assert answer.json()["predictions"][0]["sentence"].startswith("web-1 /var: 최근 하루의 ")
    answer = await client.get(PATH, params={"language": "en"}, headers={"Accept-Language": "ko"})
    assert answer.json()["predictions"][0]["sentence"].startswith("/var on web-1 ")
    assert (await get(client, f"{PATH}/{DISK.id}", lang="ko"))["prediction"]["sentence"].startswith("web-1 /var: ")


async def test_one_is_found_by_its_id(client: httpx2.AsyncClient, predictions: FakePredictions) -> None:
    body = await get(client, f"{PATH}/{DISK.id}")
    assert (body["success"], body["prediction"]["id"]) == (True, DISK.id)
    assert (await client.get(f"{PATH}/{'0' * 16}")).status_code == 404


async def test_an_ended_one_says_why(client: httpx2.AsyncClient, predictions: FakePredictions) -> None:
    predictions.rows = (ENDED,)
    (found,) = (await get(client, state="ended"))["predictions"]
    assert (found["state"], found["whyEnded"], found["endedAt"]) == ("ended", "fell", "2026-03-01T12:00:00.000Z")
    assert "fell by itself or was cleared" in found["sentence"]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"state": "closed"}, "is none of open, ended, all"),
        ({"kind": "disk,,"}, "has an empty kind"),
        (
            {"kind": "disk,memroy"},
            "kind 'memroy' is watched by no limit and has no predictions then; did you mean memory?",
        ),
        ({"kind": "zzz"}, "there are disk, memory"),
        ({"match": "up"}, "names a metric; predictions have labels alone"),
        ({"limit": 1001}, "is more than 1000; narrow kind, match, start and end"),
        ({"lang": "de"}, "is none of en, ko"),
        ({"kinds": "disk"}, "did you mean kind?"),
        ({"start": 2, "end": 1}, "is later than end"),
    ],
)
async def test_a_faulty_parameter_is_refused_by_its_name(
    client: httpx2.AsyncClient, predictions: FakePredictions, params: dict[str, Any], reason: str
) -> None:
    answer = await client.get(PATH, params=params)
    assert answer.status_code == 400
    assert reason in answer.json()["message"]
    assert answer.json()["details"][0]["path"] == next(iter(params))


async def test_an_id_of_another_form_is_refused(client: httpx2.AsyncClient, predictions: FakePredictions) -> None:
    answer = await client.get(f"{PATH}/../predictions/X")
    assert answer.status_code == 400
    assert "is no prediction id" in answer.json()["message"]


@pytest.mark.parametrize("path", ["/predictions", "/predictions/{prediction_id}"])
async def test_the_documented_example_and_the_real_answer_fit_the_documented_schema(
    client: httpx2.AsyncClient, predictions: FakePredictions, path: str
) -> None:
    spec = (await client.get("/openapi.json")).json()
    operation = spec["paths"][f"{V1}{path}"]["get"]
    content = operation["responses"]["200"]["content"]["application/json"]
    given = {p["name"]: p["example"] for p in operation["parameters"]}
    real = await get(
        client, f"{V1}{path.format(**given)}", **{k: v for k, v in given.items() if f"{{{k}}}" not in path}
    )
    for answer in (content["example"], real):
        jsonschema_rs.validate({**content["schema"], "components": spec["components"]}, answer)
    assert set(real) == set(content["example"])
    (example, *_), (shown, *_) = (_shown(answer) for answer in (content["example"], real))
    assert set(example) == set(shown)


def _shown(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return answer["predictions"] if "predictions" in answer else [answer["prediction"]]


async def test_without_predictions_the_answer_is_a_conflict(client: httpx2.AsyncClient, engine: FakeEngine) -> None:
    engine.predictions_of = None
    assert (await client.get(PATH)).status_code == 409
