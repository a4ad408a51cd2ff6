from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from airis_mon.errors import ConfigError, Permanent, Transient, UpstreamError
from airis_mon.ingest.scrape import Access, Fetcher

Answer = httpx2.Response | Exception
PAGE = b"up 1\n"


class Site(httpx2.AsyncBaseTransport):
    """Answers by path; notes what it was asked."""

    def __init__(self, **pages: Callable[[], Answer]) -> None:
        self.pages = pages
        self.requests: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.pages[request.url.path.strip("/")]()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Slow(httpx2.AsyncByteStream):
    """A body that never ends in time."""

    async def __aiter__(self):
        yield b"a 1\n"
        await asyncio.Event().wait()


class Raw(httpx2.AsyncByteStream):
    """A body in pieces, as it goes over the wire."""

    def __init__(self, body: bytes, piece: int = 1000) -> None:
        self.body, self.piece = body, piece

    async def __aiter__(self):
        for at in range(0, len(self.body), self.piece):
            yield self.body[at : at + self.piece]


def raw(body: bytes, **headers: str) -> Callable[[], Answer]:
    return lambda: httpx2.Response(200, headers={k.replace("_", "-"): v for k, v in headers.items()}, stream=Raw(body))


async def fetch(site: Site, path: str = "a", access: Access | None = None, **limits) -> bytes:
    limits = {"timeout_s": 5.0, "max_bytes": 10_000} | limits
    fetcher = Fetcher(access or Access(), transport=site, **limits)
    try:
        return (await fetcher.fetch(f"http://target.test/{path}")).body
    finally:
        await fetcher.aclose()


async def test_the_page_and_its_content_type_are_answered_and_openmetrics_is_asked_for():
    site = Site(a=raw(PAGE, content_type="text/plain; version=0.0.4"))
    fetcher = Fetcher(Access(), timeout_s=2.5, max_bytes=100, transport=site)
    page = await fetcher.fetch("http://target.test/a")
    await fetcher.aclose()
    assert (page.body, page.content_type) == (PAGE, "text/plain; version=0.0.4")
    headers = site.requests[0].headers
    assert "application/openmetrics-text" in headers["Accept"]
    assert headers["X-Prometheus-Scrape-Timeout-Seconds"] == "2.5"


async def test_a_gzip_page_is_decompressed():
    assert await fetch(Site(a=raw(gzip.compress(PAGE), content_encoding="gzip"))) == PAGE


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (raw(b"a" * 10_001), "max_bytes"),
        (raw(gzip.compress(bytes(50_000_000)), content_encoding="gzip"), "max_bytes"),
        (raw(gzip.compress(PAGE)[:-9], content_encoding="gzip"), "too early"),
        (raw(b"no gzip", content_encoding="gzip"), "broken gzip"),
        (raw(PAGE, content_encoding="br"), "Content-Encoding"),
        (lambda: httpx2.Response(404), "404"),
    ],
)
async def test_a_page_that_cannot_be_used_is_refused_by_name(page: Callable[[], Answer], reason: str):
    with pytest.raises(Permanent, match=reason):
        await fetch(Site(a=page))


async def test_a_page_of_exactly_the_limit_is_taken():
    assert len(await fetch(Site(a=raw(b"a" * 10_000)))) == 10_000
    assert len(await fetch(Site(a=raw(gzip.compress(b"a" * 10_000), content_encoding="gzip")))) == 10_000


@pytest.mark.parametrize(
    "page",
    [
        lambda: httpx2.Response(503),
        lambda: httpx2.ConnectError("refused"),
        lambda: httpx2.RemoteProtocolError("cut off"),
        lambda: httpx2.Response(200, stream=Slow()),
    ],
)
async def test_what_may_mend_is_transient(page: Callable[[], Answer]):
    with pytest.raises(Transient):
        await fetch(Site(a=page), timeout_s=0.05)


def redirect(to: str) -> Callable[[], Answer]:
    return lambda: httpx2.Response(302, headers={"Location": to})


async def test_redirects_within_the_host_are_followed_with_the_credentials():
    site = Site(a=redirect("/b"), b=redirect("https://target.test/c"), c=raw(PAGE))
    assert await fetch(site, access=Access(bearer_token="t0p")) == PAGE
    assert [r.headers["Authorization"] for r in site.requests] == ["Bearer t0p"] * 3


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest", "//other.test/a", "http://[", "/a"])
async def test_redirects_elsewhere_and_circles_are_refused(to: str):
    site = Site(a=redirect(to))
    with pytest.raises(UpstreamError):
        await fetch(site, access=Access(bearer_token="t0p"))
    assert {r.url.host for r in site.requests} == {"target.test"}
    assert len(site.requests) <= 6


async def test_a_redirect_from_https_to_http_is_refused():
    fetcher = Fetcher(Access(), timeout_s=1, max_bytes=9, transport=Site(a=redirect("http://target.test/a")))
    with pytest.raises(Permanent, match="another place"):
        await fetcher.fetch("https://target.test/a")
    await fetcher.aclose()


async def test_secrets_in_files_are_read_at_every_scrape(tmp_path: Path):
    file = tmp_path / "secret"
    site = Site(a=raw(PAGE))
    for access, header in (
        (Access(bearer_token_file=str(file)), "Bearer {}"),
        (Access(username="me", password_file=str(file)), "Basic {}"),
    ):
        seen = []
        for secret in ("one", "two"):
            file.write_text(f"{secret}\n")
            await fetch(site, access=access)
            seen.append(site.requests[-1].headers["Authorization"])
        assert len(set(seen)) == 2
        assert seen[0].startswith(header[:5])
    file.unlink()
    with pytest.raises(Permanent, match="credentials"):
        await fetch(site, access=Access(bearer_token_file=str(file)))


def test_certificates_that_cannot_be_used_are_said_at_start(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"missing\.pem"):
        Access(ca_file=str(tmp_path / "missing.pem")).tls()
