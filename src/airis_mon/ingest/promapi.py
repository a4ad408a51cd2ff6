"""A Prometheus' query API, asked politely: few requests at once, paced, retried with patience, answers bounded.

Thanos, Mimir and VictoriaMetrics answer the same API. Only what reads is asked; nothing is ever changed.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypeVar

import httpx2
import msgspec
import structlog

from airis_mon.errors import ConfigError, InputError, Permanent, Transient
from airis_mon.ingest.matrix import Matrix, decode_matrix
from airis_mon.ingest.promgate import Gate
from airis_mon.ingest.schedule import Clock
from airis_mon.ingest.scrape import Access
from airis_mon.resilience.retry import Backoff, retried, retry_after

log = structlog.get_logger()
R = TypeVar("R")

BACKOFF = Backoff(first_s=0.5, longest_s=30.0, attempts=1_000_000)
"""Only patience ends the trying: a server may be away for minutes."""
FIRST_PATIENCE_S = 15.0
"""How long a server is waited for that was never heard of: more likely than away it is not there."""
LONGEST_SILENCE_S = 120.0
"""A Retry-After is kept to so long at most: one of a day, by mistake, is not the end. Patience has room for two."""
CONNECT_S = 10.0
"""Shorter than an answer may take, so that a server that is away is not taken for one that is slow."""
BROKEN_TRIES = 3
"""An answer that is broken so often will be broken again; a smaller one may not be."""
INLINE_BYTES = 1 << 16
"""Longer answers are decoded in a thread, so that nothing else is kept waiting."""
MOST_ERROR_BYTES = 1 << 16
_TOO_MUCH = {
    HTTPStatus.UNPROCESSABLE_ENTITY,  # too many samples, and every other limit of a query
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
_NOT_ALLOWED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_AWAY = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
}


class TooMuch(Permanent):
    """The server, or the way from it, does not get an answer of this size done; a smaller question may have one."""


class Unfinished(TooMuch):
    """An answer that took too long or broke off, time and again; at another time this very question may have one."""


class _Broken(Transient):
    """An answer that cannot be used though its server is there."""


class _Fault(msgspec.Struct):
    errorType: str = ""  # noqa: N815  Prometheus' name
    error: str = ""


class _Names(msgspec.Struct):
    data: list[str] | None = None


class _Type(msgspec.Struct):
    type: str = ""


class _Types(msgspec.Struct):
    data: dict[str, list[_Type]]


class PromApi:
    """The query API under `url`, such as http://prometheus:9090; a path prefix and parameters in it are kept.

    gate: how often the server is asked, shared by all that ask it. A Retry-After silences all of them, for
    `LONGEST_SILENCE_S` at most. 429, 5xx, network failures and broken answers are tried again for `patience_s`; while
    nothing was ever heard of the server, for `FIRST_PATIENCE_S` at most. timeout_s: for one whole answer, told to the
    server too. max_bytes: of one answer, decompressed. compress: ask for gzip, where the network is what is scarce.
    Redirects are not followed, environment proxies not used.

    Every method raises InputError for what the server will never answer (wrong password, wrong address), Transient
    when it is away, TooMuch when the answer is too large, Unfinished when it takes too long. No message holds a
    secret.
    """

    def __init__(
        self,
        url: str,
        access: Access,
        *,
        headers: Mapping[str, str] | None = None,
        gate: Gate | None = None,
        timeout_s: float = 30.0,
        patience_s: float = 300.0,
        max_bytes: int = 32 << 20,
        compress: bool = False,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._base, access = _split(url, access)
        self.place = str(self._base.copy_with(query=None))
        self.patience_s = patience_s
        self.requests, self.retries = 0, 0
        self.last_error = ""
        self.answered_at: float | None = None  # by the clock
        self._timeout_s, self._max_bytes = timeout_s, max_bytes
        self._access, self._tls = access, access.tls()
        # Compressing an answer costs a Prometheus 2.42 five to seven times the work of making it.
        encoding = "gzip" if compress else "identity"
        self._headers = {"Accept": "application/json", "Accept-Encoding": encoding, "User-Agent": "airis-mon"}
        self._headers |= headers or {}
        self._transport = transport
        self._gate = gate or Gate(clock=clock)
        self.clock = self._gate.clock
        self._sleep = clock.sleep if clock else asyncio.sleep
        self._chance = chance
        self._is_met = False  # something answered, be it "not now"
        self._is_get = False
        self._client: httpx2.AsyncClient | None = None

    async def aclose(self) -> None:
        """Ends all connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def names(self, match: str, start: int, end: int) -> list[str]:
        """The metrics that a selector means ("" = everything) and that may have samples in [start, end] ms."""
        params = {"start": _seconds(start), "end": _seconds(end)} | ({"match[]": match} if match else {})
        answer = await self._ask("label/__name__/values", params, _read_names, is_get=True)
        return answer.data or []

    async def types(self) -> dict[str, str]:
        """What the server's targets say of their metrics: counter, gauge, histogram ..., by name."""
        answer = await self._ask("metadata", {"limit_per_metric": "1"}, _read_types, is_get=True)
        return {name: found[0].type for name, found in answer.data.items() if found}

    async def at(self, query: str, t: int) -> Matrix:
        """The answer of an instant query at `t` (ms) whose result is a matrix: raw samples of a range selector."""
        return await self._ask("query", {"query": query, "time": _seconds(t), **self._limit()}, decode_matrix)

    async def over(self, query: str, start: int, end: int, step_ms: int) -> Matrix:
        """The answer of a range query at start, start + step ... up to end (ms, with it)."""
        times = {"start": _seconds(start), "end": _seconds(end), "step": _seconds(step_ms)}
        return await self._ask("query_range", {"query": query, **times, **self._limit()}, decode_matrix)

    def _limit(self) -> dict[str, str]:
        return {"timeout": f"{self._timeout_s:g}s"}

    async def _ask(
        self, path: str, params: Mapping[str, str], read: Callable[[bytes], R], *, is_get: bool = False
    ) -> R:
        """One answer. The place in the gate is kept while a retry waits: a server in trouble is asked less."""
        broken = 0

        async def once() -> R:
            nonlocal broken
            try:
                return await self._once(path, params, read, is_get=is_get)
            except _Broken as e:
                broken += 1
                if broken >= BROKEN_TRIES:
                    raise Unfinished(str(e)) from e
                raise

        async with self._gate.place():
            while True:
                was_met = self._is_met
                try:
                    return await retried(
                        once,
                        deadline_s=self.patience_s if was_met else min(self.patience_s, FIRST_PATIENCE_S),
                        clock=self.clock,
                        backoff=BACKOFF,
                        sleep=self._sleep,
                        chance=self._chance,
                        note=self._note,
                    )
                except Transient:
                    if was_met or not self._is_met:
                        raise

    def _note(self, error: Transient, _failure: int, wait_s: float) -> None:
        self.retries += 1
        if str(error) != self.last_error:
            log.warning("prometheus.delayed", url=self.place, error=str(error), retry_s=round(wait_s, 1))
        self.last_error = str(error)

    async def _once(self, path: str, params: Mapping[str, str], read: Callable[[bytes], R], *, is_get: bool) -> R:
        await self._gate.turn()
        self.requests += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._fetch(path, params, is_get=is_get)
        except (httpx2.ConnectTimeout, httpx2.PoolTimeout) as e:
            raise Transient(f"{self.place} cannot be reached within {self._timeout_s:g} s") from e
        except (TimeoutError, httpx2.TimeoutException) as e:
            raise Unfinished(f"{self.place} gave no whole answer within timeout_s = {self._timeout_s:g}") from e
        except (httpx2.RemoteProtocolError, httpx2.ReadError, zlib.error) as e:
            # A server that this very question kills would be killed again and again: it counts as broken, not as away.
            raise _Broken(f"{self.place} broke off its answer: {type(e).__name__} {e}") from e
        except httpx2.TransportError as e:
            raise Transient(f"{self.place} cannot be reached: {type(e).__name__} {e}") from e
        try:
            answer = read(body) if len(body) < INLINE_BYTES else await asyncio.to_thread(read, body)
        except InputError as e:
            raise self._unreadable(body, e) from e
        self.answered_at, self.last_error = self.clock(), ""
        return answer

    async def _fetch(self, path: str, params: Mapping[str, str], *, is_get: bool) -> bytes:
        """The body of a good answer. Raises what any other answer means."""
        client = self._connected()
        is_get = is_get or self._is_get  # a long list of names is no address: POST, unless it is not allowed
        url = self._base.copy_with(path=f"{self._base.path.rstrip('/')}/api/v1/{path}")
        if is_get:
            request = client.build_request("GET", url.copy_merge_params(params))
        else:
            request = client.build_request("POST", url, data=dict(params))
        try:
            self._access.authorize(request)
        except Permanent as e:
            raise InputError(str(e)) from e
        answer = await client.send(request, stream=True, auth=None, follow_redirects=False)
        self._is_met = True
        try:
            if answer.status_code == HTTPStatus.OK:
                return await _body(answer, self._max_bytes, self.place)
            if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED and not is_get:
                self._is_get = True
                raise _Broken(f"{self.place} takes no POST")
            said = await _body(answer, MOST_ERROR_BYTES, self.place, is_cut=True)
            raise self._meaning(answer, said)
        finally:
            await answer.aclose()

    def _connected(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                headers=self._headers,
                timeout=httpx2.Timeout(self._timeout_s, connect=min(self._timeout_s / 2, CONNECT_S)),
                verify=self._tls,
                trust_env=False,
                transport=self._transport,
            )
        return self._client

    def _meaning(self, answer: httpx2.Response, body: bytes) -> Exception:
        """What an answer means that is not 200."""
        status, fault = answer.status_code, _fault(body)
        said = f"{self.place} answered {status}" + (f": {fault.error[:300]}" if fault.error else "")
        if status in _NOT_ALLOWED:
            return InputError(f"{said}; username, password or bearer_token are missing or wrong")
        if answer.is_redirect:
            return InputError(f"{said}, a redirect to {_aim(self._base, answer)}; give the address that answers itself")
        if status in _TOO_MUCH:
            return TooMuch(said)
        if status == HTTPStatus.GATEWAY_TIMEOUT or (
            status == HTTPStatus.SERVICE_UNAVAILABLE and fault.errorType in {"timeout", "canceled"}
        ):
            return Unfinished(said)
        if status in _AWAY:
            wait_s = retry_after(answer.headers.get("Retry-After", ""), datetime.now(UTC))
            wait_s = None if wait_s is None else min(wait_s, LONGEST_SILENCE_S)
            self._gate.hush(wait_s or 0.0)
            return Transient(said, wait_s)
        if answer.is_server_error:
            return _Broken(said)
        if self.answered_at is None:
            return InputError(f"{said}; is this the address of a Prometheus query API?")
        return TooMuch(said)  # it has answered before, so what it refuses is this question: a limit of its own

    def _unreadable(self, body: bytes, error: InputError) -> Exception:
        if body.lstrip()[:1] == b"{":
            return _Broken(f"{self.place}: {error}")
        said = f"{self.place} answered with something that is no JSON: {body[:40]!r}"
        if self.answered_at is None:
            return InputError(f"{said}; is it the address of a Prometheus query API, or a login page before it?")
        return _Broken(said)


def _split(url: str, access: Access) -> tuple[httpx2.URL, Access]:
    """The address without user info, which goes to the access. Raises ConfigError when it is no address."""
    try:
        base = httpx2.URL(url)
    except httpx2.InvalidURL as e:
        raise ConfigError(f"the address of the Prometheus is none: {e}") from e
    if base.scheme not in {"http", "https"} or not base.host:
        raise ConfigError("the address of a Prometheus begins with http:// or https:// and names a host")
    if base.userinfo and not access.username:
        access = replace(access, username=base.username, password=base.password)
    path = base.path.rstrip("/").removesuffix("/api/v1")
    return base.copy_with(userinfo=b"", fragment=None, path=path or "/"), access


def _aim(base: httpx2.URL, answer: httpx2.Response) -> str:
    """Where a redirect leads, without its parameters, which may be secret."""
    try:
        return str(base.join(answer.headers.get("Location", "")).copy_with(query=None, fragment=None, userinfo=b""))
    except httpx2.InvalidURL:
        return "an address that is none"


async def _body(answer: httpx2.Response, most: int, place: str, *, is_cut: bool = False) -> bytes:
    """The decompressed body, at most `most` bytes; beyond that it is cut or TooMuch."""
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"}:
        raise _Broken(f"{place} answered in Content-Encoding {encoding!r}; gzip or none was asked for")
    inflate = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body = bytearray()
    async for chunk in answer.aiter_raw():
        room = most + 1 - len(body)
        body += inflate.decompress(chunk, room) if inflate else chunk[:room]
        if len(body) > most:
            if is_cut:
                break
            raise TooMuch(f"the answer of {place} is longer than max_bytes = {most}")
    if inflate and not inflate.eof and not is_cut:
        raise _Broken(f"the gzip of {place} ends too early")
    return bytes(body)


def _fault(body: bytes) -> _Fault:
    try:
        return msgspec.json.decode(body, type=_Fault)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Fault()


def _read_names(body: bytes) -> _Names:
    return _read(body, _Names)


def _read_types(body: bytes) -> _Types:
    return _read(body, _Types)


def _read(body: bytes, kind: type[R]) -> R:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise InputError(f"the answer cannot be read: {e}") from None


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}"
