"""Prometheus' query API over HTTP: what Grafana and others send, and what they must get."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import threading
from typing import Any

import httpx2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airis_mon.api.app import build, serve_app
from airis_mon.api.ratelimit import Limits
from airis_mon.errors import (
    ConfigError,
    NotFound,
    QueryCancelled,
    QueryError,
    QueryTimeout,
    StoreBusy,
    StoreError,
)
from airis_mon.resilience.ratelimit import LocalRateLimiter, Rate
from airis_mon.security.keys import Caller
from tests.api.fake import LABELS, FakeEngine, MemorySource, T, client_of

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GRAFANA = {
    **FORM,
    "User-Agent": "Grafana/12.0.0",
    "Accept-Encoding": "gzip",
    "X-Dashboard-Uid": "a1b2",
    "X-Panel-Id": "2",
    "X-Datasource-Uid": "airis",
    "X-Grafana-Org-Id": "1",
}
START, END = str(T / 1000 - 60), str(T / 1000)
RANGE = {"query": "cpu_usage", "start": START, "end": END, "step": "15"}
ERROR_KEYS = ["status", "errorType", "error"]


def failed(answer: Any, status: int, kind: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ERROR_KEYS
    assert (body["status"], body["errorType"]) == ("error", kind)
    return body["error"]


def data(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["status"] == "success"
    return body["data"]


# --- as Grafana's data source asks (pkg/promlib and packages/grafana-prometheus of Grafana 12) -----------------------


async def test_grafanas_health_check_adds_one_and_one_at_the_beginning_of_time(client):
    answer = await client.post("/api/v1/query", content="query=1%2B1&time=4", headers=GRAFANA)
    assert data(answer) == {"resultType": "scalar", "result": [4, "2"]}


async def test_grafana_takes_us_for_a_prometheus_and_for_no_mimir(client):
    found = data(await client.get("/api/v1/status/buildinfo", headers=GRAFANA))
    major, minor, patch = (int(n) for n in found["version"].split("."))
    assert (major, minor, patch) >= (2, 24, 0)
    assert "features" not in found
    assert set(found) == {"version", "revision", "branch", "buildUser", "buildDate", "goVersion"}


async def test_grafanas_panel_asks_for_a_range_in_a_form(client):
    content = f"end={END}&query=cpu_usage%7Bhost%3D~%22web-1%7Cweb-2%22%7D&start={START}&step=15&timeout=60s"
    answer = await client.post("/api/v1/query_range", content=content, headers=GRAFANA)
    assert data(answer) == {
        "resultType": "matrix",
        "result": [
            {
                "metric": {"__name__": "cpu_usage", "host": "web-1"},
                "values": [[T // 1000 - 60 + 15 * i, str(91.5 + i)] for i in range(5)],
            }
        ],
    }


async def test_grafanas_editor_lists_metrics_labels_values_and_series(client):
    span = f"limit=40000&start={START}&end={END}"
    name = "/api/v1/label/__name__/values"
    assert data(await client.get(f"{name}?{span}", headers=GRAFANA)) == ["build_info", "cpu_usage"]
    match = "match%5B%5D=%7B__name__%3D%22cpu_usage%22%7D"
    labels = await client.post("/api/v1/labels", content=f"{span}&{match}", headers=GRAFANA)
    assert data(labels) == ["__name__", "host"]
    assert data(await client.get(f"/api/v1/label/host/values?{span}&{match}", headers=GRAFANA)) == ["web-1"]
    everything = "match%5B%5D=%7B__name__%21%3D%22%22%7D"
    series = await client.post("/api/v1/series", content=f"{span}&{everything}", headers=GRAFANA)
    assert data(series) == [{"__name__": "build_info", "version": "1"}, dict(LABELS)]


async def test_grafana_loads_types_of_metrics_and_rules(client):
    assert data(await client.get("/api/v1/metadata", headers=GRAFANA)) == {
        "cpu_usage": [{"type": "gauge", "help": "", "unit": ""}],
        "sizes": [{"type": "gaugehistogram", "help": "", "unit": ""}],
    }
    assert data(await client.get("/api/v1/rules", headers=GRAFANA)) == {"groups": []}


async def test_grafana_tries_exemplars_with_milliseconds_for_seconds(client):
    asked = f"query=test&start={T - 1_800_000}&end={T}"
    assert data(await client.get(f"/api/v1/query_exemplars?{asked}", headers=GRAFANA)) == []


async def test_names_of_labels_that_a_path_cannot_hold_come_escaped(client, engine):
    engine.source.known[(("__name__", "m"), ("k8s.pod", "p1"))] = [(T, 1.0)]
    assert data(await client.get("/api/v1/label/U__k8s_2e_pod/values")) == ["p1"]


async def test_everything_lies_under_prom_when_mounted(mounted):
    assert data(await mounted.get("/prom/api/v1/query?query=1"))["resultType"] == "scalar"
    assert failed(await mounted.get("/prom/api/v1/query"), 400, "bad_data")
    assert (await mounted.get("/api/v1/query?query=1")).status_code == 404


def test_our_own_paths_cannot_stand_where_prometheus_paths_do(engine):
    with pytest.raises(ConfigError, match=r"server\.base_path '/api/v1' is where Prometheus' query API stands"):
        serve_app(engine, version="1", base="/api/v1")


# --- parameters ------------------------------------------------------------------------------------------------------


async def test_an_instant_query_is_about_now_unless_it_names_a_time(client, engine):
    now = data(await client.get("/api/v1/query?query=1"))["result"][0]
    assert now > 1_700_000_000
    assert data(await client.get("/api/v1/query?query=cpu_usage&time=2026-03-01T11:59:45.000Z"))["result"] == [
        {"metric": dict(LABELS), "value": [T // 1000 - 15, "94.5"]}
    ]


async def test_a_selector_with_a_range_gives_its_samples(client):
    answer = await client.get("/api/v1/query", params={"query": "cpu_usage[30s]", "time": END})
    assert data(answer) == {
        "resultType": "matrix",
        "result": [{"metric": dict(LABELS), "values": [[T // 1000 - 15, "94.5"], [T // 1000, "95.5"]]}],
    }


async def test_a_string_is_a_string(client):
    assert data(await client.get('/api/v1/query?query="a"&time=1.5')) == {"resultType": "string", "result": [1.5, "a"]}


async def test_a_form_wins_over_the_query_string_and_both_are_read(client):
    answer = await client.post("/api/v1/query?query=2&time=5&unknown=x", content="query=1&query=3", headers=FORM)
    assert data(answer)["result"] == [5, "1"]


async def test_a_form_may_be_compressed(client):
    headers = {**FORM, "Content-Encoding": "gzip"}
    answer = await client.post("/api/v1/query", content=gzip.compress(b"query=1&time=5"), headers=headers)
    assert data(answer)["result"] == [5, "1"]


async def test_absent_points_are_left_out(client, engine):
    engine.source.known = {LABELS: [(T - 600_000, 1.0), (T, 2.0)]}
    asked = {"query": "cpu_usage", "start": T / 1000 - 600, "end": T / 1000, "step": "5m"}
    (found,) = data(await client.get("/api/v1/query_range", params=asked))["result"]
    assert found["values"] == [[T // 1000 - 600, "1"], [T // 1000, "2"]]


async def test_the_lookback_can_be_changed(client):
    late = {"query": "cpu_usage", "time": T / 1000 + 400}
    assert data(await client.get("/api/v1/query", params=late))["result"] == []
    found = await client.get("/api/v1/query", params={**late, "lookback_delta": "10m"})
    assert len(data(found)["result"]) == 1


async def test_a_limit_cuts_and_warns(client):
    everything = '{__name__!=""}'
    for path, params in (
        ("query", {"query": everything, "time": END}),
        ("query_range", {**RANGE, "query": everything}),
        ("series", {"match[]": everything}),
        ("labels", {}),
        ("label/__name__/values", {}),
    ):
        answer = (await client.get(f"/api/v1/{path}", params={**params, "limit": "1"})).json()
        assert answer["warnings"] == ["results truncated due to limit"], path
        found = answer["data"]
        assert len(found["result"] if isinstance(found, dict) else found) == 1
        assert "warnings" not in (await client.get(f"/api/v1/{path}", params={**params, "limit": "0"})).json()


async def test_metadata_of_one_metric_or_of_a_few(client):
    assert list(data(await client.get("/api/v1/metadata?metric=cpu_usage"))) == ["cpu_usage"]
    assert data(await client.get("/api/v1/metadata?metric=nothing")) == {}
    assert len(data(await client.get("/api/v1/metadata?limit=1"))) == 1


# --- errors ----------------------------------------------------------------------------------------------------------

ASKED = [
    ("query", "", 'invalid parameter "query": parse error: no expression found in input'),
    ("query", "query=up%5B", 'invalid parameter "query": parse error: '),
    ("query", "query=1&time=x", 'invalid parameter "time": invalid time value for \'time\': cannot parse "x" to a va'),
    ("query", "query=1&timeout=x", 'invalid parameter "timeout": cannot parse "x" to a valid duration'),
    (
        "query",
        "query=1&lookback_delta=x",
        'error parsing lookback delta duration: cannot parse "x" to a valid duration',
    ),
    ("query", "query=1&limit=-1", 'invalid parameter "limit": limit must be non-negative'),
    ("query", "query=nothing(1)", 'invalid parameter "query": parse error: unknown function'),
    ("query", 'query=up{a=~"("}', 'invalid parameter "query": parse error: pattern'),
    ("query_range", "query=up", 'invalid parameter "start": cannot parse "" to a valid timestamp'),
    ("query_range", "query=up&start=2&end=x", 'invalid parameter "end": cannot parse "x" to a valid timestamp'),
    ("query_range", "query=up&start=2&end=1", 'invalid parameter "end": end timestamp must not be before start time'),
    ("query_range", "query=up&start=1&end=2", 'invalid parameter "step": cannot parse "" to a valid duration'),
    (
        "query_range",
        "query=up&start=1&end=2&step=-1",
        'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive ',
    ),
    (
        "query_range",
        "query=up[5m]&start=1&end=2&step=1",
        'invalid parameter "query": invalid expression type "range vector" for range query, must be Scalar or ',
    ),
    ("series", "", "no match[] parameter provided"),
    ("series", "match[]=up{", 'invalid parameter "match[]": '),
    ("series", "match[]={a=~'.*'}", 'invalid parameter "match[]": match[] must contain at least one non-empty matcher'),
    ("labels", "start=x", 'invalid parameter "start": invalid time value for \'start\': cannot parse "x" to a valid'),
    ("label/a/values", "limit=x", 'invalid parameter "limit": '),
    ("metadata", "limit=x", 'invalid parameter "limit": limit must be a number'),
    ("format_query", "query=", 'invalid parameter "query": parse error: no expression found in input'),
    ("query_exemplars", "query=up&start=2&end=1", "end timestamp must not be before start timestamp"),
    ("query_exemplars", "query=up{", "parse error: "),
]


@pytest.mark.parametrize(("path", "asked", "message"), ASKED)
async def test_bad_data_is_400_in_prometheus_words(client, path, asked, message):
    assert failed(await client.get(f"/api/v1/{path}?{asked}"), 400, "bad_data").startswith(message)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (QueryError("many-to-many matching not allowed"), 422, "execution"),
        (QueryTimeout("query timed out in expression evaluation"), 503, "timeout"),
        (QueryCancelled("the query was cancelled"), 499, "canceled"),
        (StoreBusy("the store is down", 2.5), 503, "unavailable"),
        (NotFound("gone"), 404, "not_found"),
    ],
)
async def test_each_error_has_prometheus_status_and_type(client, engine, error, status, kind):
    engine.source.fails_with = error
    assert failed(await client.get("/api/v1/query?query=up"), status, kind) == str(error)


async def test_a_busy_store_says_when_to_come_back(client, engine):
    engine.source.fails_with = StoreBusy("the store is down", 2.5)
    assert (await client.get("/api/v1/labels")).headers["retry-after"] == "3"


async def test_of_an_unforeseen_error_nothing_is_told(client, engine):
    engine.source.fails_with = StoreError("secret")
    assert "secret" not in failed(await client.get("/api/v1/query?query=up"), 500, "internal")


async def test_a_range_of_too_many_steps_is_422_with_the_remedy(client):
    asked = {"query": "cpu_usage", "start": "0", "end": "11001", "step": "1"}
    assert failed(await client.get("/api/v1/query_range", params=asked), 422, "execution") == (
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
    )
    assert data(await client.get("/api/v1/query_range", params={**asked, "end": "11000"}))["resultType"] == "matrix"


async def test_a_million_steps_are_refused_at_once(client, engine):
    asked = {"query": "cpu_usage", "start": "0", "end": "4e9", "step": "0.001"}
    failed(await client.get("/api/v1/query_range", params=asked), 422, "execution")
    assert not engine.source.asked.is_set()


async def test_no_time_is_a_timeout(client):
    assert "timed out" in failed(await client.get("/api/v1/query?query=up&timeout=0"), 503, "timeout")


async def test_another_method_or_path_below_is_refused_in_prometheus_shape(client):
    answer = await client.put("/api/v1/query")
    failed(answer, 405, "bad_data")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "POST", "OPTIONS"}
    failed(await client.post("/api/v1/label/a/values"), 405, "bad_data")
    failed(await client.get("/api/v1/status/nothing"), 404, "not_found")


@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        (b"query=%ff", FORM, 400, "error parsing form values: they are no UTF-8"),
        (b"query=\xff", FORM, 400, "error parsing form values: they are no UTF-8"),
        (b"a&" * 1001, FORM, 400, "error parsing form values: more than 1000 of them"),
        (b"query=" + b"1" * (1 << 20), FORM, 413, "a body of 1048582 bytes or more exceeds the limit"),
        (b"query=" + b"1" * 50_001, FORM, 400, 'invalid parameter "query": parse error: the expression has 50001'),
        (b'{"query":"1"}', {"Content-Type": "application/json"}, 415, "the body is 'application/json'; send a form"),
        (b"query=1", {**FORM, "Content-Encoding": "br"}, 415, "Content-Encoding 'br' is not understood"),
        (b"query=1", {**FORM, "Content-Encoding": "gzip"}, 400, "the body is no valid gzip"),
        (gzip.compress(b"q" * (1 << 21)), {**FORM, "Content-Encoding": "gzip"}, 413, "the body exceeds the limit"),
        (b"", {}, 400, 'invalid parameter "query": parse error: no expression found in input'),
    ],
    ids=range(10),
)
async def test_a_malformed_form_is_refused_in_prometheus_shape(client, content, headers, status, message):
    answer = await client.post("/api/v1/query", content=content, headers=headers)
    assert failed(answer, status, "bad_data").startswith(message)


async def test_the_rest_of_our_api_keeps_its_own_errors(client):
    assert set((await client.get("/api/v1/aiops/series?x=1")).json()) == {"error", "message", "details", "timestamp"}
    assert set((await client.post("/api/v1/write")).json()) == {"error", "message", "details", "timestamp"}


# --- keys, limits, hosts ---------------------------------------------------------------------------------------------


async def authenticate(secret: str) -> Caller | None:
    return {"r": Caller("key_r", "r", frozenset({"read"})), "w": Caller("key_w", "w", frozenset({"write"}))}.get(secret)


@pytest.fixture
async def keyed(engine):
    async with client_of(serve_app(engine, version="1", authenticate=authenticate, hosts=None)) as it:
        yield it


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer r"}, {"X-API-Key": "r"}, basic("anyone", "r")])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_key_that_may_read_may_query_by_either_method(keyed, method, headers):
    answer = await keyed.request(method, "/api/v1/query?query=1", headers=headers)
    assert data(answer)["resultType"] == "scalar"


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Key": "nope"}, basic("r", "nope"), {"Authorization": "Basic ???"}, {"Authorization": "Basic"}],
)
async def test_without_a_known_key_the_answer_is_401_in_prometheus_shape(keyed, headers):
    assert "API key" in failed(await keyed.post("/api/v1/query?query=1", headers=headers), 401, "unauthorized")


async def test_a_key_that_may_only_write_may_not_query(keyed):
    answer = await keyed.get("/api/v1/labels", headers={"X-API-Key": "w"})
    assert failed(answer, 403, "forbidden") == "this key lacks the scope 'read'"


async def test_basic_authentication_is_for_prometheus_paths_alone(keyed):
    assert (await keyed.get("/api/v1/aiops/series", headers=basic("anyone", "r"))).status_code == 401


async def test_queries_are_counted_by_the_limit_of_ingest_whatever_their_method(engine):
    limits = Limits(*(LocalRateLimiter(Rate(n, 60)) for n in (2, 2, 3)))
    async with client_of(serve_app(engine, version="1", limits=limits)) as client:
        seen = [await client.request(m, "/api/v1/query?query=1") for m in ("GET", "POST", "GET")]
        refused = await client.post("/api/v1/query_range", content="query=1", headers=FORM)
    assert [a.headers["x-ratelimit-remaining"] for a in seen] == ["2", "1", "0"]
    assert "try again in" in failed(refused, 429, "unavailable")
    assert int(refused.headers["retry-after"]) >= 1


async def test_a_foreign_host_is_refused_in_prometheus_shape(client):
    answer = await client.get("/api/v1/query?query=1", headers={"Host": "evil.example"})
    assert "evil.example" in failed(answer, 403, "forbidden")


# --- large answers, clients that leave --------------------------------------------------------------------------------


async def test_a_large_answer_is_streamed_whole(client, engine):
    rng = np.random.default_rng(1)
    known = {(("__name__", "m"), ("i", f"{i:03}")): [(T - 60_000, float(v))] for i, v in enumerate(rng.random(300))}
    engine.source.known = known
    asked = {"query": "m", "start": T / 1000 - 60, "end": T / 1000 + 240, "step": "1"}
    answer = await client.get("/api/v1/query_range", params=asked)
    assert "content-length" not in answer.headers
    result = data(answer)["result"]
    assert [s["metric"]["i"] for s in result] == [f"{i:03}" for i in range(300)]
    assert all(len(s["values"]) == 300 for s in result)
    assert [float(s["values"][0][1]) for s in result] == [samples[0][1] for samples in known.values()]


async def test_a_client_that_leaves_cancels_its_query(engine):
    source: MemorySource = engine.source
    source.held = threading.Event()
    app = serve_app(engine, version="1")
    sent: list[Any] = []
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    await incoming.put({"type": "http.request", "body": b"query=cpu_usage", "more_body": False})
    headers = [(b"host", b"localhost"), (b"content-type", FORM["Content-Type"].encode())]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/query", "query_string": b"", "headers": headers}

    async def send(message: Any) -> None:
        sent.append(message)

    asking = asyncio.create_task(app(scope, incoming.get, send))
    await asyncio.to_thread(source.asked.wait, 10)
    (deadline,) = engine.queries._running.values()
    await incoming.put({"type": "http.disconnect"})
    await asyncio.wait_for(asking, 10)
    assert deadline.cancelled.is_set()
    assert sent[0]["status"] == 499
    assert json.loads(sent[1]["body"])["errorType"] == "canceled"
    source.held.set()


# --- whatever is sent ------------------------------------------------------------------------------------------------

PATHS = ("query", "query_range", "series", "labels", "label/a/values", "metadata", "rules", "format_query")
NAMES = ("query", "time", "start", "end", "step", "timeout", "limit", "lookback_delta", "match[]", "metric", "type")
ODD = (
    *("cpu_usage", "cpu_usage[5m]", '{__name__!=""}', "up{", "1+1", '"x"', "5m", "1y", "0", "-1", "1e18", END, START),
    *("cpu_usage offset 1000y", "cpu_usage @ 1e12", "cpu_usage @ -1e12", "cpu_usage[300y]", "cpu_usage[1y:1ms]"),
    *("2026-03-01T12:00:00Z", "\x00", "9" * 400),
)
TEXT = st.text(max_size=20) | st.floats().map(str) | st.integers().map(str) | st.sampled_from(ODD)


@pytest.mark.slow
def test_whatever_is_asked_is_answered_or_refused_in_prometheus_shape():
    with asyncio.Runner() as runner:
        client = client_of(build(FakeEngine(), version="1"), "http://localhost/prom/api/v1/")

        @settings(max_examples=500, deadline=None)
        @given(
            path=st.sampled_from(PATHS),
            fields=st.lists(st.tuples(st.sampled_from(NAMES), TEXT), max_size=6),
            is_form=st.booleans(),
        )
        def ask(path: str, fields: list[tuple[str, str]], is_form: bool) -> None:
            asked = httpx2.QueryParams(fields)
            if is_form and path not in {"label/a/values", "metadata", "rules"}:
                answer = runner.run(client.post(path, content=str(asked), headers=FORM))
            else:
                answer = runner.run(client.get(path, params=asked))
            assert answer.status_code in {200, 400, 422, 503}, answer.text
            body = answer.json()
            assert body["status"] == ("success" if answer.status_code == 200 else "error")
            assert body.get("errorType", "bad_data") in {"bad_data", "execution", "timeout"}

        ask()
        runner.run(client.aclose())
