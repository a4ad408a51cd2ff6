from __future__ import annotations

import asyncio
import json
import math
import re
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient

from airis_mon.analyze.analysis import FINEST
from airis_mon.api.app import serve_app
from airis_mon.app.analytics import Analytics
from airis_mon.errors import NotFound
from tests.api.fake import FP, V1, FakeEngine, FakeStored, T, client_of

ANALYZE = f"{V1}/analytics/analyze"
STATISTICS = f"{V1}/analytics/statistics"
ID = f"{FP:016x}"
DOCUMENT = Path(__file__).parents[2] / "docs" / "analytics.md"
SAMPLES = [
    ([45.2, 67.8, 23.1, 89.5, 12.3, 78.9, 34.2, 156.7], 156.7),
    ([45, 67, 89, 95, 156], 156),
    ([45, 67, 89, 95, 12, 78, 156, 34], 156),
]


async def asked(client: Any, **body: Any) -> Any:
    answer = await client.post(ANALYZE, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


@pytest.mark.parametrize(("values", "anomaly"), SAMPLES)
async def test_the_documented_samples_report_their_anomaly(client, values, anomaly):
    result = await asked(client, metricName="cpu_usage", values=values)
    found = result["data"]["anomaly"]
    assert found["isAnomaly"] is True
    assert [p["value"] for p in found["points"]] == [anomaly]
    assert found["score"] > found["threshold"] == 2.5


async def test_the_questions_of_the_document_are_answered_as_it_says(client):
    asked_there = re.findall(r"-d '(.*?)'", DOCUMENT.read_text())
    assert [json.loads(body)["values"] for body in asked_there] == [values for values, _ in SAMPLES]
    for body, (_, anomaly) in zip(asked_there, SAMPLES, strict=True):
        answer = await client.post(ANALYZE, content=body, headers={"Content-Type": "application/json"})
        (point,) = answer.json()["result"]["data"]["anomaly"]["points"]
        assert point["value"] == anomaly
        assert 3 < point["score"] < 4


async def test_the_answer_has_every_field_of_the_contract_in_its_type(client):
    answer = (await client.post(ANALYZE, json={"metricName": "cpu_usage", "values": SAMPLES[2][0]})).json()
    assert answer["success"] is True
    result = answer["result"]
    assert result["id"].startswith("analysis_cpu_usage_1")
    assert result["type"] == "statistics"
    data = result["data"]
    numbers = [data["statistics"][k] for k in ("mean", "median", "stdDev", "min", "max", "q1", "q3", "count")]
    numbers += [data["anomaly"]["score"], data["anomaly"]["threshold"], result["confidence"]]
    numbers += [data["trend"][k] for k in ("slope", "r2", "confidence")]
    assert all(isinstance(x, int | float) and not isinstance(x, bool) for x in numbers)
    assert isinstance(data["anomaly"]["method"], str)
    assert isinstance(data["anomaly"]["explanation"], str)
    assert data["trend"]["trend"] in {"increasing", "decreasing", "stable"}
    assert result["metadata"] == {"metric": "cpu_usage", "dataPoints": 8}
    assert answer["metadata"] == {"cached": False}


async def test_the_numbers_are_those_of_numpy(client):
    value = np.array(SAMPLES[0][0])
    said = (await asked(client, metricName="x", values=value.tolist()))["data"]["statistics"]
    assert said["mean"] == pytest.approx(value.mean(), rel=1e-15)
    assert said["stdDev"] == pytest.approx(value.std(ddof=1), rel=1e-15)
    assert (said["q1"], said["median"], said["q3"]) == tuple(np.percentile(value, [25, 50, 75]))
    assert said["percentiles"]["90"] == np.percentile(value, 90)


async def test_the_explanation_is_in_the_language_asked_for(client):
    body = {"metricName": "cpu", "values": [1, 2, 3, 4]}
    korean = await client.post(ANALYZE, json=body, headers={"Accept-Language": "ko-KR,ko;q=0.9"})
    assert "평균" in korean.json()["result"]["explanation"]
    english = await client.post(ANALYZE, json={**body, "language": "en"}, headers={"Accept-Language": "ko"})
    assert "mean" in english.json()["result"]["explanation"]


async def test_a_window_of_a_stored_series_is_analysed_and_its_points_have_times(client, engine):
    result = await asked(client, seriesId=ID, end=T, windowS=600)
    assert result["metadata"] == {
        "metric": 'cpu_usage{host="web-1"}',
        "dataPoints": 41,
        "start": "2026-03-01T11:50:00.000Z",
        "end": "2026-03-01T12:00:00.000Z",
    }
    assert engine.calls == [("load", FP, None, T - 600_000, T, 1_000_000)]


async def test_flagged_points_carry_the_times_that_came_along(client):
    values = [5, 6, 5, 6, 5, 6, 50, 5, 6]
    result = await asked(client, metricName="x", values=values, timestamps=[T + i * 1000 for i in range(9)])
    (point,) = result["data"]["anomaly"]["points"]
    assert (point["index"], point["timestamp"]) == (6, "2026-03-01T12:00:06.000Z")


async def test_many_series_are_answered_in_their_order(client):
    series = [{"metricName": name, "values": values} for name, values in (("a", [1, 2, 3]), ("b", [7]), ("c", [4, 4]))]
    found = await asked(client, series=series)
    assert [r["metadata"]["metric"] for r in found] == ["a", "b", "c"]
    assert [r["data"]["statistics"]["count"] for r in found] == [3, 1, 2]


async def test_only_the_methods_asked_for_judge(client):
    result = await asked(client, metricName="x", values=SAMPLES[1][0], methods=["iqr", "zscore"], threshold=3.7)
    assert list(result["data"]["anomaly"]["thresholds"].items()) == [("zscore", 3.7), ("iqr", 1.5)]


async def test_what_could_not_be_computed_says_why_and_is_no_zero(client):
    one = await asked(client, metricName="x", values=[42])
    data = one["data"]
    assert (data["statistics"]["stdDev"], data["anomaly"]["score"], data["trend"]["slope"]) == (None, None, None)
    assert {"stdDev", "skew", "trend", "autocorrelation", "seasonality", "changePoints"} <= one["why"].keys()
    assert data["anomaly"]["why"].keys() == {"zscore", "iqr", "mad", "isolation_forest"}
    flat = await asked(client, metricName="x", values=[5.0] * 50)
    assert flat["data"]["anomaly"]["isAnomaly"] is False
    assert (flat["data"]["trend"]["r2"], flat["why"]["r2"]) == (None, "all values are equal")


async def test_a_value_beside_equal_ones_has_an_infinite_score_and_says_so(client):
    found = (await asked(client, metricName="x", values=[5, 5, 5, 5, 9]))["data"]["anomaly"]
    assert (found["isAnomaly"], found["score"], found["points"][0]["score"]) == (True, None, None)
    assert found["why"]["score"] == "infinite: the other values are all equal"


BAD = [
    ({"values": [1]}, "$.metricName", "is missing"),
    ({"metricName": "x"}, "$.values", "is missing"),
    ({"metricName": "x", "values": []}, "$.values", "is empty; give 1 to 10,000"),
    ({"metricName": "x", "values": [1] * 10_001}, "$.values", "has 10,001; give 1 to 10,000"),
    ({"metricName": "x", "values": [1, None]}, "$.values[1]", "is no number"),
    ({"metricName": "x", "values": [1], "threshold": 0}, "$.threshold", "> 0.0"),
    ({"metricName": "x", "values": [1], "methods": []}, "$.methods", "names none"),
    ({"metricName": "x", "values": [1], "methods": ["zzz"]}, "$.methods[0]", "is none of"),
    ({"metricName": "x", "values": [1], "language": "fr"}, "$.language", "is none of"),
    ({"metricName": "x", "values": [1], "treshold": 3}, "$.treshold", "did you mean threshold?"),
    ({"metricName": "x", "values": [1], "series": [{"values": [1]}]}, "$.series", "is given beside values"),
    ({"series": []}, "$.series", "has 0; give 1 to 100"),
    ({"series": [{"metricName": "x", "values": [1]}] * 101}, "$.series", "has 101; give 1 to 100"),
    ({"series": [{"metricName": "x", "values": [1]}, {"values": [1]}]}, "$.series[1].metricName", "is missing"),
    ({"seriesId": ID, "end": 5}, "$.windowS", "has 0 samples in this window"),
]


@pytest.mark.parametrize(("body", "path", "reason"), BAD)
async def test_what_cannot_be_used_is_named(client, body, path, reason):
    answer = await client.post(ANALYZE, json=body)
    assert answer.status_code == 400
    (detail, *_) = answer.json()["details"]
    assert detail["path"] == path
    assert reason in detail["reason"]


async def test_more_values_in_all_than_one_question_may_carry_are_refused():
    engine = FakeEngine(asked={"max_points": 1000})
    async with client_of(serve_app(engine, version="1")) as client:
        series = [{"metricName": "x", "values": [1.5] * 600}] * 2
        answer = await client.post(ANALYZE, json={"series": series})
    assert answer.status_code == 400
    assert "1,200 values in all; one question may carry 1,000 (analytics.max_points)" in answer.json()["message"]


async def test_an_unknown_series_is_not_found(client):
    assert (await client.post(ANALYZE, json={"seriesId": "0" * 16})).status_code == 404


async def test_an_equal_question_is_answered_from_the_cache_unless_forbidden(cached):
    body = {"metricName": "cpu", "values": [1, 2, 3, 4, 9]}
    first, again = [(await cached.post(ANALYZE, json=body)).json() for _ in range(2)]
    assert (first["metadata"]["cached"], again["metadata"]["cached"]) == (False, True)
    assert first["result"] == again["result"]
    fresh = (await cached.post(ANALYZE, json=body, headers={"Cache-Control": "no-cache"})).json()
    assert fresh["metadata"]["cached"] is False
    korean = (await cached.post(ANALYZE, json={**body, "language": "ko"})).json()
    assert korean["metadata"]["cached"] is False


@pytest.fixture
async def cached():
    from airis_mon.store.cache import LocalCache

    engine = FakeEngine(asked={"cache": LocalCache(1 << 20, lambda: 0.0)})
    async with client_of(serve_app(engine, version="1")) as it:
        yield it


class Held(FakeStored):
    """A store that reads on until nobody waits, and says when it was asked and when it gave up."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.gone = threading.Event(), threading.Event()

    def load_many(self, wanted: Any, most: int, check: Any) -> list[Any]:
        return [self.load(w.fp, w.signal, w.start, w.end, most, check) for w in wanted]

    def load(self, *given: Any) -> Any:
        self.begun.set()
        try:
            while True:
                given[-1]()
                threading.Event().wait(0.002)
        finally:
            self.gone.set()


async def test_the_work_ends_when_the_client_goes():
    held = Held()
    engine = FakeEngine()
    engine.__dict__["analytics"] = Analytics(held, lambda: T)
    app = serve_app(engine, version="1", hosts=None)
    body = json.dumps({"seriesId": ID}).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await asyncio.to_thread(held.begun.wait, 10)
        return {"type": "http.disconnect"}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": ANALYZE, "query_string": b"", "headers": [(b"host", b"h")]}
    await app({**scope, "client": None, "root_path": "", "scheme": "http", "http_version": "1.1"}, receive, send)
    assert sent[0]["status"] == 499
    assert await asyncio.to_thread(held.gone.wait, 10)


# -- windows --------------------------------------------------------------------------------------------------------


async def test_statistics_of_a_window_are_those_of_its_samples(client):
    answer = (await client.get(STATISTICS, params={"series": ID, "windowS": "600", "end": str(T)})).json()
    result = answer["result"]
    _, _, value = FakeStored().load(FP, None, T - 600_000, T, 10**6, lambda: None)
    assert result["statistics"]["count"] == len(value) == 41
    assert result["statistics"]["mean"] == pytest.approx(value.mean(), rel=1e-14)
    assert (result["metric"], result["windowS"]) == ('cpu_usage{host="web-1"}', 600.0)
    assert (result["start"], result["end"]) == ("2026-03-01T11:50:00.000Z", "2026-03-01T12:00:00.000Z")


async def test_a_window_without_samples_says_so(client):
    result = (await client.get(STATISTICS, params={"series": ID, "end": "5"})).json()["result"]
    assert (result["statistics"], result["start"]) == (None, None)
    assert result["why"] == {"statistics": "no sample within 300 s"}


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({}, "series"),
        ({"series": "x"}, "series"),
        ({"series": ID, "windowS": "0"}, "windowS"),
        ({"series": ID, "windowS": "nan"}, "windowS"),
        ({"series": ID, "windowS": "1e9"}, "windowS"),
        ({"series": ID, "signal": "zzz"}, "signal"),
        ({"series": ID, "window": "5"}, "window"),
    ],
)
async def test_a_wrong_parameter_is_named(client, params, path):
    answer = await client.get(STATISTICS, params=params)
    assert answer.status_code == 400
    assert answer.json()["details"][0]["path"] == path


class Growing(FakeStored):
    """A store whose series grows by a sample whenever it is looked for one."""

    def last_t(self, fp: int) -> int | None:
        self.n += 1
        return T + self.n - 1

    def load_many(self, wanted: Any, most: int, check: Any) -> list[Any]:
        return [self.load(w.fp, w.signal, w.start, w.end, most, check) for w in wanted]

    def load(self, fp: int, *given: Any) -> Any:
        if fp != FP:
            raise NotFound("no")
        t = T + np.arange(self.n, dtype=np.int64)
        new = t >= given[1]
        return "cpu", t[new], np.arange(float(self.n))[new]


async def test_a_stream_tells_the_window_at_once_and_whenever_there_is_a_new_sample():
    from airis_mon.api.app import BOUNDS
    from airis_mon.api.given import Given, Streams
    from airis_mon.api.openapi import Site
    from airis_mon.api.window import told
    from airis_mon.app.analytics import Source

    engine = FakeEngine()
    engine.__dict__["analytics"] = analytics = Analytics(Growing(n=2), lambda: T)
    given = Given(engine, BOUNDS, Streams(), Site("1", "", "", is_keyed=False))
    source = Source("", fp=FP, start=0, end=T)
    stream = told(given, source, await analytics.points(source), 300.0, 0.001)
    frames = [await anext(stream) for _ in range(3)]
    assert analytics.listeners == 1
    counts = [msgspec.json.decode(f.partition(b"data: ")[2])["statistics"]["count"] for f in frames]
    assert counts == [2, 3, 4]
    assert frames[1].startswith(b"event: statistics\ndata: {")
    given.streams.close()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert analytics.listeners == 0


async def test_what_is_wrong_with_a_stream_is_told_before_it_begins(client):
    for params, status in (({"series": "0" * 16}, 404), ({}, 400), ({"series": ID, "intervalS": "0"}, 400)):
        assert (await client.get(f"{V1}/analytics/stream", params=params)).status_code == status


# -- whatever is sent -----------------------------------------------------------------------------------------------

LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JUNK = st.recursive(LEAF, lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=8), x, max_size=4))
NUMBERS = st.lists(
    st.floats(-1e100, 1e100) | st.integers(-5, 5) | st.sampled_from([1e100, -1e100, 5e-324]),
    max_size=40,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "metricName": st.text(max_size=20) | JUNK,
    "values": NUMBERS | JUNK | st.lists(LEAF, max_size=5),
    "timestamps": st.lists(st.integers(0, 10**13) | st.text(max_size=30), max_size=5) | JUNK,
    "stepS": st.floats() | JUNK,
    "seriesId": st.sampled_from([ID, "0" * 16]) | JUNK,
    "signal": st.sampled_from(["value", "rate"]) | JUNK,
    "start": st.integers() | st.floats() | JUNK,
    "end": st.integers() | JUNK,
    "windowS": st.floats() | JUNK,
    "series": st.lists(st.fixed_dictionaries({"metricName": st.just("x"), "values": NUMBERS}), max_size=3) | JUNK,
    "threshold": st.floats() | JUNK,
    "methods": st.lists(st.sampled_from(["zscore", "iqr", "mad", "isolation_forest"])) | JUNK,
    "language": st.sampled_from(["en", "ko"]) | JUNK,
    "junk": JUNK,
}
BODY = st.lists(st.sampled_from(sorted(FIELDS)), unique=True, max_size=5).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)


@pytest.fixture(scope="module")
def served():
    with TestClient(serve_app(FakeEngine(), version="1", hosts=None)) as it:
        yield it


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=BODY)
def test_whatever_is_sent_is_answered_or_refused_by_name_never_by_a_failure(served, body):
    answer = served.post(ANALYZE, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code in {200, 400, 404}, answer.text
    if answer.status_code == 400:
        assert all(d["path"] and d["reason"] for d in answer.json()["details"])
        assert answer.json()["details"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=NUMBERS.filter(len), lang=st.sampled_from(["en", "ko"]))
def test_whatever_numbers_are_sent_the_answer_has_no_silent_zero(served, values, lang):
    answer = served.post(ANALYZE, json={"metricName": "x", "values": values, "language": lang})
    if 0 < max(values) - min(values) < FINEST:
        assert answer.status_code == 400
        assert answer.json()["details"][0]["reason"].endswith("send them in another unit")
        return
    assert answer.status_code == 200, answer.text
    result = answer.json()["result"]
    data = result["data"]
    for name in ("stdDev", "skew"):
        assert (data["statistics"][name] is None) == (name in result["why"])
    assert (data["anomaly"]["score"] is None) <= bool(data["anomaly"]["why"])
    assert 0 <= result["confidence"] <= 1
    assert "nan" not in result["explanation"]
    assert not any(math.isnan(x) for x in data["statistics"]["percentiles"].values() if x is not None)
