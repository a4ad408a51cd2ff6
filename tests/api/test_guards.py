"""Keys, limits, hosts and origins: what stands before every route."""

from __future__ import annotations

import pytest

from airis_mon.api.app import build, serve_app
from airis_mon.api.ratelimit import Limits
from airis_mon.errors import StoreBusy
from airis_mon.resilience.ratelimit import LocalRateLimiter, Rate
from airis_mon.security.keys import Caller
from tests.api.fake import V1, FakeEngine, client_of

KEYS = {
    "r": Caller("key_reader", "reader", frozenset({"read"})),
    "w": Caller("key_writer", "writer", frozenset({"write"})),
    "a": Caller("key_admin", "admin", frozenset({"admin"})),
}
METRIC = {"metricName": "m", "value": 1}


async def authenticate(secret: str) -> Caller | None:
    return KEYS.get(secret)


def limits(address: int = 3, caller: int = 5, ingest: int = 4) -> Limits:
    return Limits(*(LocalRateLimiter(Rate(n, 60)) for n in (address, caller, ingest)))


@pytest.fixture
async def keyed(engine):
    async with client_of(serve_app(engine, version="1", authenticate=authenticate, hosts=None)) as it:
        yield it


@pytest.fixture
async def limited(engine):
    async with client_of(serve_app(engine, version="1", authenticate=authenticate, limits=limits(), hosts=None)) as it:
        yield it


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer r"}, {"authorization": "bearer  r"}, {"X-API-Key": "r"}])
async def test_a_key_may_come_in_either_header(keyed, headers):
    assert (await keyed.get(f"{V1}/series", headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic r"}, {"X-API-Key": "nope"}, {"X-API-Key": ""}])
async def test_without_a_known_key_the_answer_is_401(keyed, engine, headers):
    answer = await keyed.get(f"{V1}/series", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"] == "Authentication Error"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert engine.calls == []


@pytest.mark.parametrize(("key", "reading", "writing"), [("r", 200, 403), ("w", 403, 200), ("a", 200, 200)])
async def test_a_scope_allows_what_it_says_and_admin_all(keyed, key, reading, writing):
    headers = {"X-API-Key": key}
    assert (await keyed.get(f"{V1}/anomalies", headers=headers)).status_code == reading
    assert (await keyed.post(f"{V1}/metrics", json=METRIC, headers=headers)).status_code == writing


async def test_probes_health_and_pages_are_open(keyed):
    for path in ("/live", "/ready", f"{V1}/health", "/", "/docs", "/openapi.json"):
        assert (await keyed.get(path)).status_code == 200, path
    for path in ("/metrics", f"{V1}/status", f"{V1}/events"):
        assert (await keyed.get(path)).status_code == 401, path


async def test_every_operation_but_the_open_ones_demands_a_key(keyed):
    spec = (await keyed.get("/openapi.json")).json()
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            is_open = path in {"/live", "/ready", f"{V1}/health"}
            answer = await keyed.request(method, path.replace("{series_id}", "9f86d081884c7d65"))
            assert answer.status_code == (200 if is_open else 401), (method, path)
            assert bool(operation["security"]) is not is_open


async def test_bodies_are_not_read_for_a_caller_without_a_key(keyed, engine):
    assert (await keyed.post("/api/v1/write", content=b"x" * 1000)).status_code == 401
    assert engine.calls == []


async def test_a_failing_store_of_keys_is_503_and_lets_nobody_in(engine):
    async def fail(secret: str) -> Caller | None:
        raise StoreBusy("the records do not answer", 2)

    async with client_of(serve_app(engine, version="1", authenticate=fail, hosts=None)) as client:
        assert (await client.get(f"{V1}/series", headers={"X-API-Key": "r"})).status_code == 503


async def test_every_answer_says_what_is_left(limited):
    seen = [await limited.get("/nothing") for _ in range(4)]
    assert [a.status_code for a in seen] == [404, 404, 404, 429]
    assert [a.headers["x-ratelimit-limit"] for a in seen] == ["3"] * 4
    assert [a.headers["x-ratelimit-remaining"] for a in seen] == ["2", "1", "0", "0"]
    assert all(int(a.headers["x-ratelimit-reset"]) > 1_700_000_000 for a in seen)


async def test_a_refused_request_is_429_in_the_envelope_with_retry_after(limited):
    answer = [await limited.get(f"{V1}/series") for _ in range(4)][-1]
    assert answer.status_code == 429
    assert answer.json()["error"] == "Rate Limit Exceeded"
    assert 1 <= int(answer.headers["retry-after"]) <= 20


async def test_a_key_has_a_limit_of_its_own(limited):
    for _ in range(3):
        await limited.get(f"{V1}/series")
    seen = [await limited.get(f"{V1}/series", headers={"X-API-Key": "r"}) for _ in range(6)]
    assert [a.status_code for a in seen] == [200] * 5 + [429]


async def test_guessing_keys_is_counted_by_address(limited):
    seen = [await limited.get(f"{V1}/series", headers={"X-API-Key": f"guess{n}"}) for n in range(4)]
    assert [a.status_code for a in seen] == [401, 401, 401, 429]


async def test_ingest_has_a_limit_of_its_own_and_probes_are_never_refused(limited):
    headers = {"X-API-Key": "w"}
    seen = [await limited.post(f"{V1}/metrics", json=METRIC, headers=headers) for _ in range(5)]
    assert [a.status_code for a in seen] == [200] * 4 + [429]
    for _ in range(10):
        answer = await limited.get(f"{V1}/health", headers=headers)
        assert answer.status_code == 200
        assert "x-ratelimit-limit" in answer.headers


@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST"])
async def test_a_loopback_server_answers_to_its_own_names(client, host):
    assert (await client.get(f"{V1}/series", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "[::1"])
async def test_a_loopback_server_without_keys_answers_to_no_foreign_name(client, engine, host):
    answer = await client.get(f"{V1}/series", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["error"] == "Authorization Error"
    assert engine.calls == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9999"])
async def test_pages_of_other_origins_may_not_send(client, engine, origin):
    answer = await client.post(f"{V1}/metrics", json=METRIC, headers={"Origin": origin})
    assert answer.status_code == 403
    assert engine.calls == []


async def test_our_own_pages_may_send(client):
    answer = await client.post(f"{V1}/metrics", json=METRIC, headers={"Origin": "http://localhost"})
    assert answer.status_code == 200


async def test_allowed_origins_may_read_send_and_ask_before(engine):
    origin = "https://grafana.example"
    async with client_of(serve_app(engine, version="1", origins=(origin,))) as client:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = await client.options(f"{V1}/metrics", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == origin
        assert "POST" in preflight.headers["access-control-allow-methods"]
        answer = await client.post(f"{V1}/metrics", json=METRIC, headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "Origin"
        other = await client.get(f"{V1}/series", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_answers_forbid_sniffing_framing_and_caching(client):
    for path in (f"{V1}/health", "/nothing", "/docs"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_a_mounted_application_leaves_hosts_and_origins_to_its_host():
    async with client_of(build(FakeEngine(), version="1")) as client:
        headers = {"Host": "shop.example", "Origin": "https://front.example"}
        assert (await client.post("/metrics", json=METRIC, headers=headers)).status_code == 200


async def test_answers_from_before_the_routes_say_what_is_left_too(engine):
    async def fail(secret: str) -> Caller | None:
        raise StoreBusy("the records do not answer", 2)

    origin = "https://grafana.example"
    shown = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with client_of(serve_app(engine, version="1", limits=limits(), origins=(origin,))) as client:
        seen = [
            await client.get(f"{V1}/series", headers={"Host": "evil.example"}),
            await client.post(f"{V1}/metrics", json=METRIC, headers={"Origin": "https://evil.example"}),
            await client.options(f"{V1}/metrics", headers=shown),
        ]
    async with client_of(serve_app(engine, version="1", authenticate=fail, limits=limits(), hosts=None)) as client:
        seen.append(await client.get(f"{V1}/series", headers={"X-API-Key": "r"}))
    assert [a.status_code for a in seen] == [403, 403, 204, 503]
    assert [a.headers["x-ratelimit-remaining"] for a in seen] == ["2", "1", "0", "2"]
    assert all("x-content-type-options" in a.headers for a in seen)


async def test_guessed_keys_are_looked_up_no_more_often_than_their_address_may_ask(engine):
    asked = []

    async def look_up(secret: str) -> Caller | None:
        asked.append(secret)
        return KEYS.get(secret)

    async with client_of(serve_app(engine, version="1", authenticate=look_up, limits=limits(), hosts=None)) as client:
        assert (await client.get(f"{V1}/series", headers={"X-API-Key": "r"})).status_code == 200
        for n in range(10):
            path = (f"{V1}/series", f"{V1}/metrics", f"{V1}/health")[n % 3]
            await client.request("POST" if "metrics" in path else "GET", path, headers={"X-API-Key": f"guess{n}"})
        assert asked == ["r", "guess0", "guess1"]
        assert (await client.get(f"{V1}/series", headers={"X-API-Key": "r"})).status_code == 200


async def test_a_key_that_lost_its_holder_is_a_guess_again(engine):
    holders, asked = dict(KEYS), []

    async def look_up(secret: str) -> Caller | None:
        asked.append(secret)
        return holders.get(secret)

    async with client_of(serve_app(engine, version="1", authenticate=look_up, limits=limits(), hosts=None)) as client:
        await client.get(f"{V1}/series", headers={"X-API-Key": "r"})
        holders.clear()
        seen = [await client.get(f"{V1}/series", headers={"X-API-Key": "r"}) for _ in range(5)]
    assert [a.status_code for a in seen] == [401, 401, 401, 429, 429]
    assert len(asked) == 4
