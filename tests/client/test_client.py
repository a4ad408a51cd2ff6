from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx2
import msgspec
import pytest

from airis_mon.client import AIOpsClient, AsyncAIOpsClient, PartlyRefused
from airis_mon.client.calls import Unreachable
from airis_mon.errors import (
    AuthError,
    Conflict,
    InputError,
    NotFound,
    Permanent,
    QueryCancelled,
    QueryError,
    QueryTimeout,
    TooLarge,
    Transient,
)

URL = "http://127.0.0.1:8765/api/v1/aiops"
ANSWER = {
    "success": True,
    "metric": {"name": "m"},
    "accepted": 2,
    "series": [{"id": "a"}],
    "samples": {"t": [1]},
    "bands": {"t": [2]},
    "anomalies": [{"id": "b"}],
    "coverage": {"total": 1},
    "status": "healthy",
    "replay": {"id": "c"},
    "replays": [{"id": "c"}],
}
STREAM = (
    b"retry: 3000\n\n: heartbeat\n\n"
    b'id: 1\nevent: anomaly_detected\ndata: {"name":"anomaly_detected","payload":{"n":1},"seq":1}\n\n'
    b'event: events_dropped\ndata: {"name":"events_dropped","payload":{"dropped":3}}\n\n'
)


class Server:
    """Answers every request with the same, and keeps them."""

    def __init__(self, status: int = 200, body: Any = ANSWER, headers: dict[str, str] | None = None) -> None:
        self.requests: list[httpx2.Request] = []
        self.status, self.headers = status, headers or {}
        self.body = body if isinstance(body, bytes) else msgspec.json.encode(body)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return httpx2.Response(self.status, content=self.body, headers=self.headers)

    def client(self, **given: Any) -> AIOpsClient:
        return AIOpsClient(transport=httpx2.MockTransport(self), **given)

    def async_client(self, **given: Any) -> AsyncAIOpsClient:
        return AsyncAIOpsClient(transport=httpx2.MockTransport(self), **given)


ASKED = [
    ("health", (), {}, "/health", ANSWER),
    ("status", (), {}, "/status", ANSWER),
    ("send_metric", ("m", 1.0), {}, "/metrics", ANSWER["metric"]),
    ("send_metrics", ([{"metricName": "m", "value": 1}],), {}, "/metrics", 2),
    ("series", ("up",), {"limit": 5}, "/series?match=up&limit=5", ANSWER["series"]),
    ("series_one", ("a/b",), {}, "/series/a%2Fb", ANSWER["series"]),
    ("samples", ("a",), {"start": 1, "max_points": 9}, "/series/a/samples?start=1&maxPoints=9", ANSWER["samples"]),
    ("bands", ("a", "rate"), {"end": 2}, "/series/a/bands?signal=rate&end=2", ANSWER["bands"]),
    (
        "anomalies",
        ('up{job="x"}',),
        {"min_score": 0.9},
        "/anomalies?match=up%7Bjob%3D%22x%22%7D&minScore=0.9&limit=100",
        ANSWER["anomalies"],
    ),
    ("coverage", (), {"watched": False}, "/series/coverage?watched=false&offset=0&limit=1000", ANSWER["coverage"]),
    ("start_replay", (), {}, "/replays", ANSWER["replay"]),
    ("replay", ("c/d",), {}, "/replays/c%2Fd", ANSWER["replay"]),
    ("replays", (), {}, "/replays?limit=20", ANSWER["replays"]),
    ("cancel_replay", ("c",), {}, "/replays/c", ANSWER["replay"]),
]


@pytest.mark.parametrize(("method", "args", "given", "path", "answer"), ASKED)
async def test_each_question_has_its_path_and_answers_its_part(method, args, given, path, answer):
    server = Server()
    with server.client() as client:
        assert getattr(client, method)(*args, **given) == answer
    async with server.async_client() as client:
        assert await getattr(client, method)(*args, **given) == answer
    assert [str(r.url) for r in server.requests] == [URL + path] * 2


def test_a_metric_is_sent_as_the_contract_has_it():
    server = Server()
    server.client().send_metric("m", 1.5, {"host": "a"}, timestamp=datetime(2026, 3, 1, 12))
    (request,) = server.requests
    assert request.headers["content-type"] == "application/json"
    assert msgspec.json.decode(request.content) == {
        "metricName": "m",
        "value": 1.5,
        "labels": {"host": "a"},
        "source": "api",
        "timestamp": "2026-03-01T12:00:00+00:00",
    }


REPLAYS = [
    ((), {}, {"source": "store", "match": []}),
    (
        ("prometheus",),
        {"name": "http://prom:9090", "days": 7, "match": 'up{job="a"}', "rules": "none", "idempotency_key": "k"},
        {
            "source": "prometheus",
            "name": "http://prom:9090",
            "days": 7,
            "match": ['up{job="a"}'],
            "rules": "none",
            "idempotencyKey": "k",
        },
    ),
    (
        (),
        {"start": datetime(2026, 3, 1), "end": "2026-03-02T00:00:00Z", "match": ("a", "b"), "rules_text": "groups: []"},
        {
            "source": "store",
            "start": "2026-03-01T00:00:00+00:00",
            "end": "2026-03-02T00:00:00Z",
            "match": ["a", "b"],
            "rulesText": "groups: []",
        },
    ),
]


@pytest.mark.parametrize(("args", "given", "sent"), REPLAYS)
async def test_a_replay_is_asked_for_with_what_was_given_alone(args, given, sent):
    server = Server(202)
    server.client().start_replay(*args, **given)
    await server.async_client().start_replay(*args, **given)
    assert [(r.method, msgspec.json.decode(r.content)) for r in server.requests] == [("POST", sent)] * 2


async def test_a_replay_is_cancelled_with_its_own_method():
    server = Server()
    server.client().cancel_replay("c")
    await server.async_client().cancel_replay("c")
    assert [r.method for r in server.requests] == ["DELETE"] * 2


def test_times_of_many_metrics_may_be_datetimes():
    server = Server()
    server.client().send_metrics([{"metricName": "m", "value": 1, "timestamp": datetime(2026, 3, 1, tzinfo=UTC)}])
    assert b"2026-03-01T00:00:00+00:00" in server.requests[0].content


def test_a_value_that_json_cannot_hold_is_refused_before_it_is_sent():
    server = Server()
    with pytest.raises(InputError, match="leave the sample out"):
        server.client().send_metrics([{"metricName": "m", "value": float("nan")}])
    with pytest.raises(InputError, match="leave the sample out"):
        server.client().send_metric("m", float("inf"))
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://h:1", "http://h:1/api/v1/aiops/health"),
        ("http://h:1/", "http://h:1/api/v1/aiops/health"),
        ("https://shop.example/tools/aiops/", "https://shop.example/tools/aiops/health"),
    ],
)
def test_the_address_may_be_a_server_or_a_mount(url, asked):
    server = Server()
    server.client(url=url).health()
    assert str(server.requests[0].url) == asked


def test_a_key_is_sent_as_bearer():
    server = Server()
    server.client(api_key="k").health()
    assert server.requests[0].headers["authorization"] == "Bearer k"


def envelope(**more: Any) -> dict[str, Any]:
    details = [{"path": "$[0].value", "value": "x", "reason": "is no number"}]
    return {"error": "e", "message": "said", "details": details, "timestamp": "t", **more}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InputError),
        (401, AuthError),
        (403, AuthError),
        (404, NotFound),
        (409, Conflict),
        (413, TooLarge),
        (415, InputError),
        (429, Transient),
        (503, Transient),
        (500, Permanent),
    ],
)
async def test_each_status_raises_its_error(status, error):
    server = Server(status, envelope(), {"Retry-After": "7"})
    with pytest.raises(error, match="said") as caught:
        server.client().series()
    assert type(caught.value) is error
    if isinstance(caught.value, InputError):
        assert caught.value.refusals[0].path == "$[0].value"
    if isinstance(caught.value, Transient):
        assert caught.value.retry_after_s == 7
    if isinstance(caught.value, AuthError):
        assert caught.value.forbidden is (status == 403)
    with pytest.raises(error, match="said"):
        await server.async_client().series()


def test_partly_refused_metrics_say_how_many_are_stored():
    server = Server(400, envelope(accepted=4, refused=1))
    with pytest.raises(PartlyRefused) as caught:
        server.client().send_metrics([])
    assert (caught.value.accepted, caught.value.refused) == (4, 1)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}"])
def test_an_answer_of_something_else_is_permanent_and_asks_for_the_address(body):
    with pytest.raises(Permanent, match="is the address right"):
        Server(200, body).client().series()


def test_an_error_page_of_a_proxy_is_told_by_its_status():
    with pytest.raises(Transient, match="502"):
        Server(502, b"<html>").client().health()


async def test_a_server_that_cannot_be_reached_is_transient():
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    with pytest.raises(Unreachable, match="cannot be reached: refused"):
        AIOpsClient(transport=httpx2.MockTransport(refuse)).health()
    with pytest.raises(Transient, match="cannot be reached"):
        [e async for e in AsyncAIOpsClient(transport=httpx2.MockTransport(refuse)).events()]


async def test_events_are_iterated_and_heartbeats_are_not():
    server = Server(200, STREAM, {"Content-Type": "text/event-stream"})
    heard = list(server.client().events({"anomaly_detected"}, last_seq=4))
    assert [e["name"] for e in heard] == ["anomaly_detected", "events_dropped"]
    assert str(server.requests[0].url) == f"{URL}/events?names=anomaly_detected&lastSeq=4"
    assert [e async for e in server.async_client().events()] == heard


async def test_a_refused_stream_raises_as_any_other_question():
    server = Server(400, envelope())
    with pytest.raises(InputError):
        list(server.client().events())
    with pytest.raises(InputError):
        [e async for e in server.async_client().events()]


DATA = {"resultType": "scalar", "result": [1700000000, "2"]}
PROMETHEUS = {"status": "success", "data": DATA}
QUERIES = [
    ("query", ("1+1",), {}, "query", {"query": "1+1"}),
    (
        "query",
        ("up",),
        {"time": 1_700_000_000_500, "timeout_s": 30},
        "query",
        {"time": "1700000000.5", "timeout": "30"},
    ),
    (
        "query_range",
        ("up", datetime(2026, 3, 1, tzinfo=UTC), 1_772_370_000, "15s"),
        {},
        "query_range",
        {"start": "2026-03-01T00:00:00+00:00", "end": "1772370000", "step": "15s"},
    ),
]


@pytest.mark.parametrize(("method", "args", "given", "path", "form"), QUERIES)
async def test_an_expression_goes_to_prometheus_api_as_a_form(method, args, given, path, form):
    server = Server(200, PROMETHEUS)
    assert getattr(server.client(), method)(*args, **given) == DATA
    assert await getattr(server.async_client(), method)(*args, **given) == DATA
    for request in server.requests:
        assert (request.method, str(request.url)) == ("POST", f"http://127.0.0.1:8765/api/v1/{path}")
        assert form.items() <= dict(httpx2.QueryParams(request.content.decode())).items()


def test_a_mount_has_prometheus_api_below_it():
    server = Server(200, PROMETHEUS)
    server.client(url="https://shop.example/tools/aiops").query("1")
    assert str(server.requests[0].url) == "https://shop.example/tools/aiops/prom/api/v1/query"


def test_the_answer_is_waited_for_a_little_longer_than_the_server_may_take():
    server = Server(200, PROMETHEUS)
    server.client().query("1", timeout_s=60)
    assert server.requests[0].extensions["timeout"]["read"] == 65


def test_what_prometheus_says_beside_its_data_comes_with_it():
    server = Server(200, {**PROMETHEUS, "warnings": ["w"], "infos": []})
    assert server.client().query("1") == {**DATA, "warnings": ["w"]}


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "bad_data", InputError),
        (422, "execution", QueryError),
        (503, "timeout", QueryTimeout),
        (499, "canceled", QueryCancelled),
        (404, "not_found", NotFound),
        (503, "unavailable", Transient),
        (500, "internal", Permanent),
    ],
)
def test_each_kind_of_error_of_prometheus_raises_its_own(status, kind, error):
    server = Server(status, {"status": "error", "errorType": kind, "error": "because"})
    with pytest.raises(error, match="because") as caught:
        server.client().query("up")
    assert type(caught.value) is error


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"status": "success"}', b'{"data": []}'])
def test_an_answer_that_is_not_prometheus_asks_for_the_address(body):
    with pytest.raises(Permanent, match="is the address right"):
        Server(200, body).client().query("up")


def test_a_server_that_is_too_slow_is_no_server_that_is_away():
    def stall(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("")

    with pytest.raises(Transient, match="did not answer in time") as caught:
        AIOpsClient(transport=httpx2.MockTransport(stall)).query("up")
    assert not isinstance(caught.value, Unreachable)
