"""Whom a command asks: the server that runs, or the store itself while no server holds it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airis_mon.errors import AuthError, ConfigError, StoreError

if TYPE_CHECKING:
    from airis_mon.app.queries import Allowance
    from airis_mon.config.settings import Settings
    from airis_mon.store.backends.clickhouse import ClickHouse

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A time from start to end (ms), both included; without a step it is that of samples which were found."""

    start: int
    end: int
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A PromQL expression at one moment (`at` ms, None: now by the clock of whom is asked), or over a span."""

    expr: str
    at: int | None
    span: Span | None
    timeout_s: float


def answer(question: Question, settings: Settings, server: str | None) -> tuple[Json, str]:
    """(Prometheus' data object, whom it is from).

    A server that was named is the only one asked; otherwise the store is opened when the local one does not run.
    Raises InputError for a malformed expression, QueryError, AuthError, Transient, StoreError.
    """
    from airis_mon.client.calls import Unreachable
    from airis_mon.security.redact import mask_text

    url = local_server(settings) if server is None else server
    _check(url)
    place = mask_text(url)
    try:
        return _ask_server(question, url, settings.client.api_key), place
    except AuthError as error:
        remedy = "put a key (airis-mon keys create NAME) into AIRIS_CLIENT__API_KEY"
        raise AuthError(f"{place}: {error}; {remedy}", forbidden=error.forbidden) from None
    except Unreachable:
        if server is not None:
            raise
        return _ask_store(question, settings, f"no server answers at {place}")


def local_server(settings: Settings) -> str:
    """Where `serve` listens with these settings; what listens everywhere is reached by loopback. Raises ConfigError."""
    from airis_mon.cli.serve import address

    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.server.host, settings.server.host)  # noqa: S104
    if settings.server.port == 0:
        raise ConfigError("server.port = 0 is a different port at each start; name the server: --server URL")
    return address(host, settings.server.port)


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        is_url = False
    if not is_url:
        raise ConfigError("--server must be a URL such as http://127.0.0.1:8765")


def _ask_server(question: Question, url: str, key: str) -> Json:
    from airis_mon.client import AIOpsClient

    expr, span, timeout_s = question.expr, question.span, question.timeout_s
    with AIOpsClient(url, api_key=key or None) as client:
        if span is None:
            at = None if question.at is None else _seconds(question.at)
            return client.query(expr, time=at, timeout_s=timeout_s)
        step = (span.step or 1) / 1000
        return client.query_range(expr, _seconds(span.start), _seconds(span.end), step, timeout_s=timeout_s)


def _seconds(ms: int) -> str:
    """Epoch seconds as text, which nobody takes for milliseconds."""
    return f"{ms / 1000:.3f}"


def _ask_store(question: Question, settings: Settings, reason: str) -> tuple[Json, str]:
    from airis_mon.app.ground import keep_kernels, user_cache
    from airis_mon.app.logging import configure
    from airis_mon.query.parse import parse

    if not settings.store.url and not Path(settings.data_dir).exists():
        raise _nothing_at(Path(settings.data_dir), reason)
    parse(question.expr)  # a malformed one is told before the store is opened, which takes seconds
    configure("warning", stream=sys.stderr)
    keep_kernels(user_cache())  # before a kernel is imported; the data directory is only read
    from airis_mon.app.wiring import allowance_of, store_of

    store = store_of(settings)
    path = store.address.path
    if path and not path.exists():
        raise _nothing_at(path, reason)
    try:
        store.open()
    except StoreError as error:
        error.args = (f"{reason}, and {error}; or name a server that runs: --server URL",)
        raise
    try:
        data = _evaluate(question, store, allowance_of(settings))
    finally:
        store.close()
    return data | _unknown(question.expr), f"the store at {store.address.place} ({reason})"


def _unknown(expr: str) -> Json:
    """A remark when the expression names what only a server's detector computes."""
    from airis_mon.app.insight import COMPUTED

    named = [name for name in COMPUTED if re.search(rf"\b{name}\b", expr)]
    said = f"{', '.join(named)}: computed by a running server when asked for, the store alone has none"
    return {"infos": [said]} if named else {}


def _nothing_at(path: Path, reason: str) -> StoreError:
    ways = "start one (airis-mon serve), name one that runs (--server URL), or name its folder (--data-dir DIR)"
    return StoreError(f"{reason}, and nothing is stored at {path}; {ways}")


def _evaluate(question: Question, store: ClickHouse, allowed: Allowance) -> Json:
    """As the server would, without its engine: nothing is learned, nothing is written."""
    import asyncio

    import msgspec

    from airis_mon.api.promjson import written
    from airis_mon.app.ground import now_ms
    from airis_mon.app.queries import Queries
    from airis_mon.series.catalogue import Catalogue
    from airis_mon.series.steps import Steps

    span = question.span
    steps = Steps.at(now_ms() if question.at is None else question.at)
    if span:
        steps = Steps.between(span.start, span.end, span.step or 1)
    queries = Queries(store, Catalogue(max_series=1), allowed)
    try:
        end = span.end if span else None
        found = asyncio.run(queries.answer(question.expr, steps, question.timeout_s, range_end=end))
    finally:
        queries.close()
    data: Json = msgspec.json.decode(b"".join(written(found, 0, is_range=span is not None)))["data"]
    return data
