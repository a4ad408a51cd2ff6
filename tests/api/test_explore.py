from __future__ import annotations

import jsonschema_rs
import numpy as np
import pytest

from airis_mon.app.analytics import Analytics
from airis_mon.series.labels import canonical, fingerprint
from tests.api.fake import FP, V1, MemorySource, T

pytestmark = pytest.mark.usefixtures("kernels")

A = f"{V1}/analytics"
ID = f"{FP:016x}"
VALUES = [10.0, 14.0, 18.0, 14.0] * 10
PATHS = ("decompose", "changepoints", "correlations", "similar", "compare")


async def post(client, path, body, status=200, **options):
    answer = await client.post(f"{A}/{path}", json=body, **options)
    assert answer.status_code == status, answer.text
    return answer.json()


async def result(client, path, **body):
    return (await post(client, path, body))["result"]


async def refused(client, path, **body):
    error = await post(client, path, body, 400)
    assert error["error"] == "Validation Error"
    return error["details"][0]


def stored_every(step, **series):
    """A source whose series are given by name -> values, the last one at T."""
    known = {}
    for name, values in series.items():
        labels = canonical({"__name__": "cpu", "pod": name}.items())
        known[labels] = [(T - (len(values) - 1 - i) * step, float(v)) for i, v in enumerate(values)]
    return MemorySource(known)


async def test_a_series_is_taken_apart_in_the_envelope(client):
    body = await post(client, "decompose", {"metricName": "m", "values": VALUES, "stepS": 3600, "seasons": [4]})
    assert body["success"] is True
    assert body["metadata"] == {"cached": False}
    found = body["result"]
    assert found["grid"] == {"start": None, "stepS": 3600.0, "points": 40, "gaps": 0}
    assert [s["periodS"] for s in found["seasons"]] == [14_400.0]
    assert len(found["trend"]) == len(found["residual"]) == 40


async def test_a_stored_series_is_taken_apart_with_its_times(client, engine):
    found = await result(client, "decompose", seriesId=ID, start=T - 7_200_000, end=T, seasonsS=[3600])
    assert found["grid"]["start"] == "2026-03-01T10:00:00.000Z"
    assert found["grid"]["stepS"] == 15.0
    assert found["seasons"][0]["period"] == 240
    assert engine.calls[0][:4] == ("load", FP, None, T - 7_200_000)


async def test_changes_are_told_with_their_times(client):
    value = [1.0, 1.1, 0.9, 1.05, 0.95] * 4 + [5.0, 5.1, 4.9, 5.05, 4.95] * 4
    times = [T // 1000 + 60 * i for i in range(40)]
    found = await result(client, "changepoints", values=value, timestamps=times, seasons=[])
    assert [(c["index"], c["timestamp"]) for c in found["changes"]] == [(20, "2026-03-01T12:20:00.000Z")]


@pytest.mark.parametrize(
    ("language", "header", "said"),
    [(None, "ko-KR,en;q=0.5", "추세"), ("en", "ko", "the trend accounts for"), (None, "fr", "the trend accounts for")],
)
async def test_words_come_in_the_language_asked_for(client, language, header, said):
    body = {"values": VALUES, "seasons": [4]} | ({"language": language} if language else {})
    value = np.array(VALUES) + np.arange(40)
    body["values"] = value.tolist()
    answer = await post(client, "decompose", body, headers={"Accept-Language": header})
    assert said in answer["result"]["explanation"]


def moving(n=120):
    dice = np.random.default_rng(0)
    lead = dice.normal(size=n).cumsum()
    target = np.roll(lead, 3) + dice.normal(scale=0.1, size=n)
    return target.tolist(), lead.tolist(), dice.normal(size=n).tolist()


async def test_sent_series_are_held_against_the_target(client):
    target, lead, noise = moving()
    others = [{"metricName": "noise", "values": noise}, {"metricName": "lead", "values": lead}]
    found = await result(client, "correlations", target={"metricName": "t", "values": target}, series=others)
    first = found["correlations"][0]
    assert (first["metric"], first["lag"], first["found"], found["found"]) == ("lead", 3, True, 1)
    assert found["compared"] == found["tested"] == 2


async def test_an_expression_gives_the_series_of_the_target_s_time(client, engine):
    target, lead, noise = moving()
    engine.source = stored_every(60_000, lead=lead, noise=noise)
    times = [(T - (119 - i) * 60_000) / 1000 for i in range(120)]
    body = {"target": {"values": target, "timestamps": times}, "query": "cpu", "stepS": 60, "maxLag": 10}
    found = (await post(client, "correlations", body))["result"]
    first = found["correlations"][0]
    assert (first["metric"], first["labels"], first["lag"]) == ('cpu{pod="lead"}', {"pod": "lead"}, 3)
    assert first["lagS"] == 180.0


class OneStored:
    """A stored series of any id: an hour of samples."""

    def load_many(self, wanted, most, check):
        return [self.load(w.fp, w.signal, w.start, w.end, most, check) for w in wanted]

    def load(self, fp, signal, start, end, most, check):
        return "cpu", T - 15_000 * np.arange(240)[::-1], np.arange(240) % 5.0


async def test_an_expression_does_not_give_the_target_itself(client, engine):
    labels = canonical({"__name__": "cpu_usage", "host": "web-2"}.items())
    engine.source.known[labels] = [(T - 15_000 * i, float(i % 7)) for i in range(240)]
    engine.analytics = Analytics(OneStored(), lambda: T)
    target = {"seriesId": f"{fingerprint(labels):016x}", "start": T - 3_600_000, "end": T}
    found = await result(client, "correlations", target=target, query="cpu_usage", stepS=15)
    assert found["compared"] == 1


@pytest.mark.parametrize(("window_s", "step_s"), [(600, 15.0), (3585, 15.0), (28_800, 40.0)])
async def test_a_target_is_its_own_twin_in_an_expression(client, engine, window_s, step_s):
    noise = np.random.default_rng(0).normal(size=2000).cumsum()
    labels = canonical({"__name__": "load", "host": "web-1"}.items())
    times = T - 7_000 - 15_000 * np.arange(2000)[::-1]
    engine.source.known[labels] = list(zip(times.tolist(), noise.tolist(), strict=True))
    since = np.searchsorted(times, T - 1000 * window_s)
    values = {"values": noise[since:].tolist(), "timestamps": times[since:].tolist()}
    found = await result(client, "correlations", target=values, query="load * 2", maxLag=5)
    (twin,) = found["correlations"]
    assert (twin["lag"], twin["r"], found["grid"]["stepS"]) == (0, pytest.approx(1, abs=1e-9), step_s)


async def test_a_selector_gives_stored_series_but_not_the_target_itself(client):
    target = {"seriesId": ID, "start": T - 3_600_000, "end": T}
    found = await result(client, "correlations", target=target, match="cpu_usage")
    assert (found["compared"], found["correlations"]) == (0, [])
    assert found["explanation"].startswith("No series could be held against cpu_usage")


async def test_a_shape_is_found_in_a_stored_series(client):
    found = await result(
        client, "similar", seriesId=ID, start=T - 14_400_000, end=T, points=60, limit=2, minCorrelation=0.5
    )
    assert found["shape"]["end"] == "2026-03-01T12:00:00.000Z"
    assert [m["metric"] for m in found["matches"]] == ['cpu_usage{host="web-1"}'] * 2
    assert found["motifs"] is None


async def test_a_shape_sent_along_is_looked_for(client):
    value = [0.0, 0.1, 0.0, 0.1, 5.0, 9.0, 5.0, 0.1, 0.0, 0.1, 0.0, 0.1, 50.0, 90.0, 51.0, 0.1]
    found = await result(client, "similar", values=value, shape=[0, 1, 2, 1, 0], profile=True)
    assert sorted(m["index"] for m in found["matches"]) == [3, 11]
    assert found["shape"]["index"] is None
    assert found["motifs"]


def cart(n=120, rise=20.0):
    """Three pods over two hours of minutes; the last one rises in the second."""
    dice = np.random.default_rng(1)
    value = 10 + dice.normal(scale=0.5, size=(3, n))
    value[2, n // 2 :] += rise
    return {f"cart-{i}": row for i, row in enumerate(value)}


async def test_the_time_since_a_deploy_is_compared_with_the_time_before(client, engine):
    engine.source = stored_every(60_000, **cart())
    found = await result(client, "compare", query="cpu", at=(T - 3_540_000) / 1000, windowS=3540, stepS=60)
    assert found["before"]["end"] == "2026-03-01T11:00:59.999Z"
    assert found["after"] == {"start": "2026-03-01T11:01:00.000Z", "end": "2026-03-01T12:00:00.000Z"}
    assert found["labels"][0]["labels"] == ["pod"]
    assert found["labels"][0]["explaining"] == ["cart-2"]
    assert [c["found"] for c in found["changes"]] == [True, False, False]
    assert "of the change comes from pod=cart-2" in found["explanation"]


async def test_a_series_that_an_expression_gives_in_one_window_only_has_appeared(client, engine):
    values = cart()
    values["cart-9"] = np.full(30, 40.0) + np.arange(30) % 3
    engine.source = stored_every(60_000, **values)
    found = await result(client, "compare", query="cpu", end=T / 1000, windowS=1740, stepS=60)
    (appeared,) = (c for c in found["changes"] if c["labels"]["pod"] == "cart-9")
    assert (appeared["why"], appeared["before"]) == ("appeared", None)


async def test_a_stored_series_is_compared_with_the_day_before(client, engine):
    found = await result(client, "compare", match="cpu_usage", end=T / 1000, windowS=600, against="day")
    loads = [call[3:5] for call in engine.calls if call[0] == "load"]
    day = 86_400_000
    assert loads == [(T - 600_000 - day, T - day), (T - 600_000, T)]
    assert found["changes"][0]["why"] == "appeared"
    assert "has no value before" in found["explanation"]


async def test_values_without_times_are_cut_at_a_point(client):
    value = [1.0, 1.2, 0.9, 1.1, 1.0, 1.05, 3.0, 3.2, 2.9, 3.1, 3.0, 3.05]
    found = await result(client, "compare", series=[{"metricName": "m", "values": value}], splitAt=6)
    assert found["before"] == {"start": None, "end": None}
    assert (found["changes"][0]["pointsBefore"], found["changes"][0]["effect"]) == (6, 1.0)
    assert found["labels"] is None


async def test_values_with_times_are_cut_by_them(client):
    times = [(T - 60_000 * i) / 1000 for i in reversed(range(20))]
    body = {"series": [{"values": list(range(20)), "timestamps": times}], "at": (T - 600_000) / 1000, "windowS": 601}
    found = (await post(client, "compare", body))["result"]
    assert (found["changes"][0]["pointsBefore"], found["changes"][0]["pointsAfter"]) == (9, 11)


SERIES = [{"values": VALUES}]


@pytest.mark.parametrize(
    ("path", "body", "at", "said"),
    [
        ("decompose", {"values": []}, "$.values", "is empty"),
        ("decompose", {"values": [1.0, 2.0]}, "$.values", "there are 2 values; this needs 8"),
        ("decompose", {"values": VALUES, "seasons": [1]}, "$.seasons[0]", "`int` >= 2"),
        ("decompose", {"values": VALUES, "seasons": [4], "seasonsS": [4]}, "$.seasonsS", "beside seasons"),
        ("decompose", {"values": VALUES, "seasonsS": [4]}, "$.seasonsS", "neither timestamps nor a step"),
        ("decompose", {"values": [1, "x", None]}, "$.values[1]", "is no number"),
        ("changepoints", {"values": VALUES, "penalty": 0}, "$.penalty", ">= 0.1"),
        ("changepoints", {"values": VALUES, "penalti": 1}, "$.penalti", "did you mean penalty?"),
        ("correlations", {"target": {"values": VALUES}}, "$.series", "give series, match, query: one of them"),
        ("correlations", {"target": {"values": VALUES}, "series": []}, "$.series", "is empty"),
        (
            "correlations",
            {"target": {"values": VALUES}, "series": SERIES, "match": "up"},
            "$.match",
            "is given beside series",
        ),
        ("correlations", {"target": {"values": VALUES}, "match": "up"}, "$.target.timestamps", "values with times"),
        ("correlations", {"target": {"seriesId": ID}, "match": "up{"}, "$.match", "expected"),
        ("correlations", {"target": {"seriesId": ID}, "match": "nothing"}, "$.match", "means no series"),
        ("correlations", {"target": {"values": VALUES}, "series": [{"values": [1]}]}, "$.series[0].values", "need as"),
        ("correlations", {"target": {"values": [1.0] * 20}, "series": SERIES}, "$.target.values", "all the"),
        ("correlations", {"target": {"values": [1, 2]}, "series": SERIES}, "$.target.values", "needs 12, so send more"),
        ("decompose", {"values": VALUES[:5], "timestamps": [1, 2, 3, 4, 9e9]}, "$.values", "cells, at most"),
        ("similar", {"values": VALUES}, "$.points", "is missing"),
        ("similar", {"values": VALUES, "points": 4, "shape": [1, 2, 3, 4]}, "$.points", "is given beside shape"),
        ("similar", {"values": VALUES, "points": 41}, "$.points", "does not lie within the 40"),
        ("similar", {"values": [1.0] * 40, "points": 4}, "$.points", "is flat"),
        ("similar", {"values": VALUES, "points": 4, "shapeStart": 5}, "$.shapeStart", "give shapeIndex"),
        ("compare", {}, "$.match", "one of them"),
        ("compare", {"match": "up", "at": 5, "start": 4}, "$.start", "is given beside at"),
        ("compare", {"match": "up", "at": 5, "end": 60, "windowS": 9}, "$.windowS", "is given beside at and end"),
        ("compare", {"match": "up", "start": 5, "end": 4}, "$.start", "is not before the end"),
        ("compare", {"match": "up", "end": 7200, "against": "week"}, "$.against", "before 1970"),
        ("compare", {"series": SERIES}, "$.series[0].timestamps", "splitAt"),
        ("compare", {"series": []}, "$.series", "is empty"),
        ("compare", {"series": SERIES, "splitAt": 10**15}, "$.splitAt", "give 1 to 39"),
        ("compare", {"series": SERIES, "splitAt": 0}, "$.splitAt", "give 1 to 39"),
        (
            "compare",
            {"match": "up", "against": "weak"},
            "$.against",
            "is none of before, day, week; did you mean week?",
        ),
        ("compare", {"series": [{"seriesId": ID}], "splitAt": 3}, "$.series[0].seriesId", "give at instead"),
        ("compare", {"series": [{"seriesId": ID, "start": 5}]}, "$.series[0].start", "once for all series"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_its_place_and_a_remedy(client, path, body, at, said):
    detail = await refused(client, path, **body)
    assert detail["path"] == at
    assert said in detail["reason"]


async def test_an_expression_that_is_none_or_gives_no_series_says_so(client):
    assert "$.query" in (await refused(client, "compare", query="cpu_usage{x='y'}"))["path"]
    assert (await client.post(f"{A}/compare", json={"query": "sum("})).status_code == 400
    scalar = await client.post(f"{A}/compare", json={"query": "1"})
    assert scalar.status_code == 422
    assert "gives no series but a scalar" in scalar.text


async def test_a_series_with_which_nothing_can_be_computed_is_left_out_of_what_an_expression_gives(client, engine):
    wave = np.sin(np.arange(240) / 9) + np.random.default_rng(0).normal(size=240)
    huge = np.where(np.arange(240) == 200, 1.8e302, wave)
    engine.source = stored_every(15_000, a=wave, b=wave, huge=huge)
    found = await result(client, "compare", query="cpu", end=T / 1000, windowS=1700)
    assert {c["metric"]: c["why"] for c in found["changes"]}['cpu{pod="huge"}'] == "huge"
    assert (found["series"], found["tested"]) == (3, 2)
    assert found["why"]["huge"] == "1 of 3 have values beyond 1e+100 and are left out"
    target = {"seriesId": ID, "end": T / 1000, "windowS": 3500}
    found = await result(client, "correlations", target=target, query="cpu", stepS=15)
    assert (found["compared"], found["tested"], found["leftOut"]) == (3, 2, {"huge": 1})


async def test_more_series_than_are_taken_are_refused_not_cut(client, engine):
    engine.source = stored_every(60_000, **{f"p{i}": [1.0, 2.0] for i in range(1001)})
    detail = await refused(client, "compare", query="cpu", end=T / 1000, windowS=60)
    assert detail["reason"] == "means more than 1,000 series; add label conditions to it"


async def test_a_series_that_is_not_there_is_404(client):
    for path, body in (("decompose", {}), ("changepoints", {}), ("similar", {"points": 10})):
        answer = await client.post(f"{A}/{path}", json={"seriesId": "0" * 16, **body})
        assert answer.status_code == 404, path


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_no_json_is_refused(client, path):
    answer = await client.post(f"{A}/{path}", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    answer = await client.post(f"{A}/{path}", content=b"a=1", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


async def test_the_documented_questions_are_answered_in_the_documented_form(client):
    spec = (await client.get("/openapi.json")).json()
    for path in PATHS:
        operation = spec["paths"][f"{A}/{path}"]["post"]
        asked = operation["requestBody"]["content"]["application/json"]["example"]
        answer = operation["responses"]["200"]["content"]["application/json"]
        schema = {**answer["schema"], "components": spec["components"]}
        for told in (answer["example"], await post(client, path, asked)):
            jsonschema_rs.validate(schema, told)
