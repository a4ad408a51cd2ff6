from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import httpx2
import pytest

from airis_mon.errors import ConfigError, InputError, Transient
from airis_mon.ingest.promapi import BROKEN_TRIES, FIRST_PATIENCE_S, LONGEST_SILENCE_S, PromApi, TooMuch
from airis_mon.ingest.promgate import Gate
from airis_mon.ingest.scrape import Access
from tests.ingest.promfake import NOW, Ask, FakePrometheus, Quick, bad, good, matrix, sent, success

ONE = matrix([({"__name__": "m"}, [(NOW, "1.5")])])


class Slow(httpx2.AsyncByteStream):
    """A body that begins and never ends."""

    async def __aiter__(self):
        yield b'{"status":'
        await asyncio.Event().wait()


class Answers:
    """Gives one answer after another, then good ones; a text is a whole body."""

    def __init__(self, *answers: Any) -> None:
        self.left = list(answers)

    def __call__(self, ask: Ask) -> httpx2.Response | Exception:
        answer = self.left.pop(0) if self.left else good(ONE)
        return sent(answer.encode()) if isinstance(answer, str) else answer


def api(*answers: Any, url: str = "http://prom.test:9090", access: Access | None = None, **more: Any) -> PromApi:
    clock = more.pop("clock", None) or Quick()
    more = {"clock": clock, "gate": Gate(requests_per_s=1000.0, clock=clock)} | more
    it = PromApi(url, access or Access(), transport=FakePrometheus(Answers(*answers)), **more)
    it.answered_at, it._is_met = 0.0, True  # as if it had answered before
    return it


def asked(it: PromApi) -> list[Ask]:
    return it._transport.asked  # type: ignore[union-attr]


async def test_raw_samples_are_asked_for_by_post_with_time_and_time_limit():
    it = api(timeout_s=7.5)
    answer = await it.at('{a="b"}[60000ms]', NOW + 217)
    assert answer.value.tolist() == [1.5]
    (ask,) = asked(it)
    assert ask.request.method == "POST"
    assert ask.form == {"query": '{a="b"}[60000ms]', "time": "1700000000.217", "timeout": "7.5s"}
    await it.aclose()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://prom.test:9090", "http://prom.test:9090/api/v1/query"),
        ("http://prom.test/prefix/", "http://prom.test/prefix/api/v1/query"),
        ("http://prom.test/prefix/api/v1", "http://prom.test/prefix/api/v1/query"),
        ("https://prom.test/x?tenant=a", "https://prom.test/x/api/v1/query?tenant=a"),
    ],
)
async def test_prefix_and_parameters_of_the_address_are_kept(url: str, place: str):
    it = api(url=url)
    await it.at("x", NOW)
    assert str(asked(it)[0].request.url) == place


@pytest.mark.parametrize("url", ["prom.test:9090", "ftp://prom.test", "http://"])
def test_an_address_that_is_none_is_refused(url: str):
    with pytest.raises(ConfigError):
        PromApi(url, Access())


async def test_user_and_password_of_the_address_are_sent_and_never_shown():
    it = api(url="http://ann:s%C3%A9cret@prom.test", access=Access())
    await it.at("x", NOW)
    assert it.place == "http://prom.test/"
    assert asked(it)[0].request.headers["Authorization"] == httpx2.BasicAuth("ann", "sécret")._auth_header
    assert "@" not in str(asked(it)[0].request.url)


async def test_a_token_file_is_read_at_every_request_and_a_missing_one_ends_it(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("one\n")
    it = api(access=Access(bearer_token_file=str(file)))
    await it.at("x", NOW)
    file.write_text("two\n")
    await it.at("x", NOW)
    assert [a.request.headers["Authorization"] for a in asked(it)] == ["Bearer one", "Bearer two"]
    file.unlink()
    with pytest.raises(InputError, match="token"):
        await it.at("x", NOW)


async def test_headers_of_ones_own_are_sent():
    it = api(headers={"X-Scope-OrgID": "shop"})
    await it.at("x", NOW)
    assert asked(it)[0].request.headers["X-Scope-OrgID"] == "shop"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_password_is_said_at_once(status: int):
    it = api(bad(status))
    with pytest.raises(InputError, match="password"):
        await it.at("x", NOW)
    assert it.requests == 1


async def test_a_redirect_is_not_followed_and_its_parameters_are_not_told():
    it = api(sent(b"", 302, Location="https://login.test/in?token=secret"))
    with pytest.raises(InputError, match=r"a redirect to https://login\.test/in;") as error:
        await it.at("x", NOW)
    assert "secret" not in str(error.value)
    assert it.requests == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["http://evil.test/api/v1/query", "//evil.test/", "https://prom.test:9090/"])
async def test_no_credentials_follow_a_redirect(status: int, place: str):
    access = Access(bearer_token="t0ken")
    it = api(sent(b"", status, Location=place), access=access, headers={"X-Scope-OrgID": "shop"})
    with pytest.raises(InputError):
        await it.at("x", NOW)
    assert [a.request.url.host for a in asked(it)] == ["prom.test"]
    assert str(asked(it)[0].request.url).startswith("http://prom.test:9090/")


@pytest.mark.parametrize(
    "answer", ["<html>Sign in</html>", sent(b"not found", 404), bad(400, "bad_data", "parse error")]
)
async def test_what_never_answered_as_a_prometheus_is_none(answer: Any):
    it = api(answer)
    it.answered_at, it._is_met = None, False
    with pytest.raises(InputError, match="query API"):
        await it.at("x", NOW)
    assert it.requests == 1


@pytest.mark.parametrize(
    "answer",
    [
        bad(422, "execution", "too many samples"), bad(503, "timeout", "query timed out"), bad(413), bad(504),
        bad(400, "bad_data", "the query time range exceeds the limit"),
    ],
)  # fmt: skip
async def test_what_is_too_much_for_the_server_is_not_asked_again(answer: httpx2.Response):
    it = api(answer)
    with pytest.raises(TooMuch):
        await it.at("x", NOW)
    assert it.requests == 1


@pytest.mark.parametrize(
    "answer",
    [
        bad(408), bad(429), bad(502), bad(503), bad(500), httpx2.ConnectError("refused"), httpx2.ReadError("reset"),
        httpx2.RemoteProtocolError("peer closed connection"), '{"status":"success","data":{"resultType":"matr',
        "<html>502</html>", sent(b"no gzip", Content_Encoding="gzip"),
        sent(b"x", Content_Encoding="br"),
    ],
)  # fmt: skip
async def test_what_may_mend_is_tried_again(answer: Any):
    it = api(answer)
    assert (await it.at("x", NOW)).value.tolist() == [1.5]
    assert (it.requests, it.retries, it.last_error) == (2, 1, "")


async def test_a_retry_after_is_kept_to_by_every_request():
    clock = Quick()
    times: list[int] = []
    first = [bad(429, Retry_After="20")]

    def trouble(ask: Ask) -> httpx2.Response:
        times.append(clock.t)
        return first.pop() if first else good(ONE)

    it = PromApi("http://p.test", Access(), transport=FakePrometheus(trouble), clock=clock)
    await it.at("x", NOW)
    await it.at("y", NOW)
    assert times[0] == NOW
    assert all(t >= NOW + 20_000 for t in times[1:])


@pytest.mark.parametrize("asked_for", ["86400", "9" * 400, "Fri, 01 Jan 2100 00:00:00 GMT"])
async def test_a_retry_after_beyond_all_reason_is_kept_to_for_a_while(asked_for: str):
    clock = Quick()
    it = api(bad(429, Retry_After=asked_for), clock=clock)
    assert (await it.at("x", NOW)).value.tolist() == [1.5]
    assert LONGEST_SILENCE_S * 1000 <= clock.t - NOW <= 1.2 * LONGEST_SILENCE_S * 1000


async def test_a_retry_after_longer_than_the_patience_ends_it_at_once_and_silences_the_next_request():
    clock = Quick()
    it = api(bad(503, Retry_After="60"), clock=clock, patience_s=30.0)
    with pytest.raises(Transient):
        await it.at("x", NOW)
    assert clock.t == NOW
    await it.at("x", NOW)
    assert clock.t == NOW + 60_000


async def test_a_server_that_stays_away_is_given_up_after_the_patience():
    clock = Quick()
    it = api(*[httpx2.ConnectError("refused")] * 10_000, clock=clock, patience_s=120.0)
    with pytest.raises(Transient, match="cannot be reached"):
        await it.at("x", NOW)
    assert 60_000 < clock.t - NOW <= 120_000


async def test_a_server_that_never_answered_is_given_up_sooner():
    clock = Quick()
    it = api(*[httpx2.ConnectError("refused")] * 10_000, clock=clock)
    it.answered_at, it._is_met = None, False
    with pytest.raises(Transient):
        await it.at("x", NOW)
    assert clock.t - NOW <= FIRST_PATIENCE_S * 1000


@pytest.mark.parametrize("answer", ["{", httpx2.ReadError("reset"), httpx2.RemoteProtocolError("peer closed")])
async def test_an_answer_that_is_broken_every_time_is_too_much(answer: Any):
    it = api(*[answer] * 100)
    with pytest.raises(TooMuch):
        await it.at("x", NOW)
    assert it.requests == BROKEN_TRIES


async def test_an_answer_that_does_not_end_in_time_is_too_much():
    it = api(httpx2.Response(200, stream=Slow()), timeout_s=0.05)
    with pytest.raises(TooMuch, match="timeout_s"):
        await it.at("x", NOW)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_an_answer_beyond_the_limit_is_too_much_also_when_it_unfolds(encoding: str):
    content = b" " * 50_000_000
    body = gzip.compress(content) if encoding == "gzip" else content
    it = api(sent(body, Content_Encoding=encoding), max_bytes=10_000)
    with pytest.raises(TooMuch, match="max_bytes"):
        await it.at("x", NOW)


async def test_gzip_is_asked_for_only_on_demand_and_read_either_way():
    body = gzip.compress(success(ONE))
    for compress, encoding in ((True, "gzip"), (False, "identity")):
        it = api(sent(body, Content_Encoding="gzip"), compress=compress)
        assert (await it.at("x", NOW)).value.tolist() == [1.5]
        assert asked(it)[0].request.headers["Accept-Encoding"] == encoding


async def test_a_server_that_takes_no_post_is_asked_by_get_from_then_on():
    it = api(sent(b"", 405))
    await it.at("x", NOW)
    await it.at("x", NOW)
    assert [a.request.method for a in asked(it)] == ["POST", "GET", "GET"]
    assert asked(it)[2].form["query"] == "x"


async def test_so_many_requests_are_under_way_and_begin_in_a_second_by_all_who_share_a_gate():
    clock = Quick()
    began: list[int] = []
    fake = FakePrometheus(lambda ask: began.append(clock.t) or good(ONE))
    gate = Gate(concurrency=3, requests_per_s=4, clock=clock)
    two = [PromApi("http://p.test", Access(), transport=fake, clock=clock, gate=gate) for _ in range(2)]
    await asyncio.gather(*(two[i % 2].at("x", NOW) for i in range(20)))
    assert fake.most_under_way <= 3
    assert began[-1] - began[0] >= 19 * 250


async def test_one_who_ends_its_connections_lets_no_more_requests_through_the_gate_of_the_others():
    fake = FakePrometheus(lambda ask: good(ONE))
    gate = Gate(concurrency=1, requests_per_s=1000.0, clock=Quick())
    one, other = (PromApi("http://p.test", Access(), transport=fake, gate=gate) for _ in range(2))
    under_way = [asyncio.create_task(one.at("x", NOW)) for _ in range(5)]
    await asyncio.sleep(0)
    await other.aclose()
    await asyncio.gather(*under_way, *(other.at("x", NOW) for _ in range(5)))
    assert fake.most_under_way == 1


def test_a_gate_serves_one_event_loop_after_another():
    gate = Gate(concurrency=1, requests_per_s=1000.0, clock=Quick())

    async def both() -> None:
        fake = FakePrometheus(lambda ask: good(ONE))
        it = PromApi("http://p.test", Access(), transport=fake, clock=Quick(), gate=gate)
        await asyncio.gather(it.at("x", NOW), it.at("y", NOW))

    asyncio.run(both())
    asyncio.run(both())


async def test_names_and_types_are_read():
    fake = FakePrometheus()
    fake.add("up", [NOW], job="a")
    fake.add("down", [NOW - 10_000], job="b")
    fake.types = {"up": "gauge"}
    it = PromApi("http://p.test", Access(), transport=fake)
    assert await it.names("", NOW - 20_000, NOW) == ["down", "up"]
    assert await it.names('{job="a"}', 0, NOW) == ["up"]
    assert await it.names("", 0, NOW - 20_000) == []
    assert await it.types() == {"up": "gauge"}
    await it.aclose()
