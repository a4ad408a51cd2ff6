"""One GET of a target's page, within limits of time, size and place."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from airis_mon.errors import ConfigError, Permanent, Transient

ACCEPT = (
    "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.7,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
MAX_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Page:
    """What a target answered, decompressed."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Access:
    """How targets are reached. A token or password in a file is read at every scrape, so that it may be renewed."""

    bearer_token: str = field(default="", repr=False)  # a traceback may show this object
    bearer_token_file: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    verify_tls: bool = True

    def tls(self) -> ssl.SSLContext:
        """The TLS settings. Raises ConfigError naming the file that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file or None)
        except (OSError, ssl.SSLError) as e:
            files = [f for f in (self.ca_file, self.cert_file, self.key_file) if f]
            raise ConfigError(f"certificate files {files} cannot be used: {e}") from e
        if not self.verify_tls:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def authorize(self, request: httpx2.Request) -> None:
        """Adds the Authorization header, if there is anything to add. Blocks when a file is to be read."""
        if token := _read(self.bearer_token_file) or self.bearer_token:
            request.headers["Authorization"] = f"Bearer {token}"
        elif self.username:
            basic = httpx2.BasicAuth(self.username, _read(self.password_file) or self.password)
            next(basic.auth_flow(request))


def _read(file: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise Permanent(f"{file} with the credentials cannot be read: {type(e).__name__}") from e


class Fetcher:
    """Fetches pages. Redirects are followed within the host alone and never from https to http.

    timeout_s: for the whole page. max_bytes: of the decompressed page. Environment proxies are not used.
    """

    def __init__(
        self, access: Access, *, timeout_s: float, max_bytes: int, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        headers = {
            "Accept": ACCEPT,
            "Accept-Encoding": "gzip",
            "User-Agent": "airis-mon",
            "X-Prometheus-Scrape-Timeout-Seconds": f"{timeout_s:g}",
        }
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=timeout_s,
            verify=access.tls(),
            trust_env=False,
            transport=transport,
            limits=httpx2.Limits(max_keepalive_connections=1000, max_connections=None),
        )

    async def aclose(self) -> None:
        """Ends all connections."""
        await self._client.aclose()

    async def fetch(self, url: str) -> Page:
        """The page at `url`. Raises Transient or Permanent that says what happened; neither holds a secret."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(httpx2.URL(url))
        except (TimeoutError, httpx2.TimeoutException) as e:
            raise Transient(f"no answer within {self._timeout_s:g} s") from e
        except httpx2.TransportError as e:
            raise Transient(f"{type(e).__name__}: {e}") from e
        except zlib.error as e:
            raise Permanent(f"the page is broken gzip: {e}") from e

    async def _follow(self, url: httpx2.URL) -> Page:
        for _ in range(MAX_REDIRECTS + 1):
            request = self._client.build_request("GET", url)
            self._access.authorize(request)
            answer = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
            try:
                if not answer.has_redirect_location:
                    return await self._page(answer)
                url = _within(url, answer.headers["Location"])
            finally:
                await answer.aclose()
        raise Permanent(f"more than {MAX_REDIRECTS} redirects")

    async def _page(self, answer: httpx2.Response) -> Page:
        if answer.status_code != httpx2.codes.OK:
            error = Transient if answer.is_server_error else Permanent
            raise error(f"answered {answer.status_code}")
        encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip"}:
            raise Permanent(f"answered in Content-Encoding {encoding!r}; gzip was asked for")
        inflate = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        body = bytearray()
        async for chunk in answer.aiter_raw():
            room = self._max_bytes + 1 - len(body)
            body += inflate.decompress(chunk, room) if inflate else chunk
            if len(body) > self._max_bytes:
                raise Permanent(f"the page is longer than max_bytes = {self._max_bytes}")
        if inflate and not inflate.eof:
            raise Permanent("the page's gzip ends too early")
        return Page(bytes(body), answer.headers.get("Content-Type", ""))


def _within(url: httpx2.URL, location: str) -> httpx2.URL:
    """The next address of a redirect. Raises Permanent when it leaves the host: our credentials go with it."""
    try:
        following = url.join(location)
    except httpx2.InvalidURL as e:
        raise Permanent("redirected to an address that is none") from e
    if following.host != url.host or (url.scheme == "https" and following.scheme != "https"):
        raise Permanent(f"redirected to {following.scheme}://{following.host}, which is another place; scrape it there")
    return following
