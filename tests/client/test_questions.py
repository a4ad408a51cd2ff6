from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any

import httpx2
import msgspec
import numpy as np
import pytest

from airis_mon.api.app import serve_app
from airis_mon.client import AIOpsClient, AsyncAIOpsClient
from airis_mon.errors import InputError, NotFound
from tests.api.fake import FP, FakeEngine, T
from tests.client.test_client import URL, Server

ID = f"{FP:016x}"
ANSWER = {
    "success": True,
    "result": {"id": "r"},
    "forecasts": [{"id": "f"}],
    "forecast": {"id": "f"},
    "accuracy": {"id": "a"},
    "predictions": [{"id": "p"}],
    "prediction": {"id": "p"},
}
R = ANSWER["result"]
POSTED = [
    (
        "analyze",
        ("cpu", [1, 2]),
        {"step_s": 5, "threshold": 3.0},
        "analyze",
        {"metricName": "cpu", "values": [1, 2], "stepS": 5, "threshold": 3},
    ),
    (
        "analyze",
        (),
        {"series_id": "ab", "end": datetime(2026, 3, 1, tzinfo=UTC), "window_s": 60},
        "analyze",
        {"seriesId": "ab", "end": "2026-03-01T00:00:00+00:00", "windowS": 60},
    ),
    (
        "analyze_many",
        ([{"metric_name": "a", "values": (1, 2)}],),
        {"language": "ko"},
        "analyze",
        {"series": [{"metricName": "a", "values": [1, 2]}], "language": "ko"},
    ),
    ("decompose", ([1, 2],), {"seasons": [24]}, "decompose", {"values": [1, 2], "seasons": [24]}),
    ("change_points", (), {"series_id": "ab"}, "changepoints", {"seriesId": "ab"}),
    (
        "correlations",
        ({"series_id": "ab"},),
        {"match": "up", "max_lag": 5},
        "correlations",
        {"target": {"seriesId": "ab"}, "match": "up", "maxLag": 5},
    ),
    ("similar", ([1, 2],), {"shape": [1.5]}, "similar", {"values": [1, 2], "shape": [1.5]}),
    ("compare", (), {"match": "up", "against": "day"}, "compare", {"match": "up", "against": "day"}),
    ("entities", ("up",), {"train_s": 60}, "entities", {"match": "up", "trainS": 60}),
    ("forecast", ([1, 2],), {"horizon": 3, "level": 0.9}, "forecast", {"values": [1, 2], "horizon": 3, "level": 0.9}),
]
GOT = [
    (
        "statistics",
        ("ab", "rate"),
        {"window_s": 60, "end": 5},
        "/analytics/statistics?series=ab&signal=rate&windowS=60&end=5",
        R,
    ),
    ("forecasts", ("up",), {}, "/forecasts?match=up&limit=100&offset=0", ANSWER["forecasts"]),
    ("forecast_of", ("a/b",), {"language": "ko"}, "/forecasts/a%2Fb?language=ko", ANSWER),
    ("forecast_accuracy", (), {}, "/forecasts/accuracy", ANSWER["accuracy"]),
    (
        "predictions",
        (),
        {"state": "all", "kind": ["disk", "memory"]},
        "/predictions?state=all&kind=disk%2Cmemory&limit=100",
        ANSWER["predictions"],
    ),
    ("prediction", ("ab",), {"language": "ko"}, "/predictions/ab?lang=ko", ANSWER["prediction"]),
]


@pytest.mark.parametrize(("method", "args", "given", "name", "sent"), POSTED)
async def test_a_question_is_sent_as_json_with_the_names_of_the_api(method, args, given, name, sent):
    server = Server(body=ANSWER)
    with server.client() as client:
        assert getattr(client, method)(*args, **given) == R
    async with server.async_client() as client:
        assert await getattr(client, method)(*args, **given) == R
    for request in server.requests:
        assert str(request.url) == f"{URL}/analytics/{name}"
        assert msgspec.json.decode(request.content) == sent


@pytest.mark.parametrize(("method", "args", "given", "path", "answer"), GOT)
async def test_each_question_has_its_path_and_answers_its_part(method, args, given, path, answer):
    server = Server(body=ANSWER)
    with server.client() as client:
        assert getattr(client, method)(*args, **given) == answer
    async with server.async_client() as client:
        assert await getattr(client, method)(*args, **given) == answer
    assert [str(r.url) for r in server.requests] == [URL + path] * 2


def test_values_may_be_an_array_and_labels_keep_their_names():
    server = Server(body=ANSWER)
    with server.client() as client:
        client.analyze("cpu", np.array([1.5, 2.5]))
        client.compare(series=[{"step_s": 5, "labels": {"job_name": "a_b"}}])
    one, other = (msgspec.json.decode(r.content) for r in server.requests)
    assert one["values"] == [1.5, 2.5]
    assert other["series"] == [{"stepS": 5, "labels": {"job_name": "a_b"}}]


def test_a_gap_is_refused_before_it_is_sent():
    server = Server(body=ANSWER)
    with server.client() as client, pytest.raises(InputError, match="nan cannot be written in JSON"):
        client.analyze("cpu", [1.0, float("nan")])
    assert server.requests == []


def test_both_clients_have_the_same_questions():
    def questions(kind: type) -> dict[str, Any]:
        return {
            name: inspect.signature(method).parameters
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert questions(AIOpsClient) == questions(AsyncAIOpsClient)


# -- against the application itself ---------------------------------------------------------------------------------


@pytest.fixture
async def client():
    app = serve_app(FakeEngine(), version="1", hosts=None)
    async with AsyncAIOpsClient(transport=httpx2.ASGITransport(app)) as it:
        yield it


WAVES = [float(x) for x in 10 + np.sin(np.arange(96) * 2 * np.pi / 24)]


async def test_the_application_takes_what_the_client_sends(client):
    found = await client.analyze("cpu", [45, 67, 89, 95, 156], language="ko")
    assert found["data"]["anomaly"]["isAnomaly"] is True
    many = await client.analyze_many([{"metric_name": "a", "values": [1, 2, 3]}, {"series_id": ID, "end": T}])
    assert [one["metadata"]["dataPoints"] for one in many] == [3, 241]
    assert (await client.statistics(ID, window_s=600, end=T))["statistics"]["count"] == 41
    await client.decompose(WAVES, seasons=[24])
    await client.change_points([1.0, 1.1, 0.9, 1.0] * 8 + [9.0, 9.1, 8.9, 9.0] * 8)
    await client.similar(WAVES, points=24)


async def test_what_the_application_refuses_comes_with_the_field(client):
    with pytest.raises(InputError) as caught:
        await client.analyze("cpu", [])
    assert caught.value.refusals[0].path == "$.values"
    with pytest.raises(NotFound):
        await client.statistics("0" * 16)
