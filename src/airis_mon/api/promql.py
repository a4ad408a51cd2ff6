"""Prometheus' query API, as Grafana's data source and other tools call it: parameters in, its JSON out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
from litestar import Response, get, route
from litestar.enums import HttpMethod
from litestar.params import FromPath
from litestar.response import Stream

from airis_mon.api import promform as ask
from airis_mon.api.auth import READ
from airis_mon.api.given import Req, TheGiven
from airis_mon.api.openapi import JSON, Doc
from airis_mon.api.params import Param
from airis_mon.api.promform import Form, form_of, invalid, label_name, read_duration_ms, selectors
from airis_mon.api.promjson import CUT, written
from airis_mon.api.promrules import Wanted, alerts_of, groups_of
from airis_mon.api.promschemas import (
    PromAlertList,
    PromAlerts,
    PromAnswer,
    PromBuild,
    PromBuildInfo,
    PromError,
    PromExemplars,
    PromGroups,
    PromMetadata,
    PromMetric,
    PromNames,
    PromRules,
    PromSeries,
    PromText,
)
from airis_mon.api.schemas import Out, now_ms
from airis_mon.errors import InputError, QueryCancelled
from airis_mon.query.engine import Answer
from airis_mon.query.values import Text
from airis_mon.series.catalogue import MetricType
from airis_mon.series.steps import Steps

T = TypeVar("T")

TAKEN_FOR = "2.53.0"
"""The version that clients read: what Grafana asks of a Prometheus has been there since 2.24."""
INLINE = 2_000
"""An answer with so many numbers or label sets is written at once; a thread would cost as much."""
_READS = (HttpMethod.GET, HttpMethod.POST)
_SAMPLE = [1772366400.123, "95.5"]
_PAIRS = {"__name__": "cpu_usage", "host": "web-1"}
_VECTOR = {"resultType": "vector", "result": [{"metric": _PAIRS, "value": _SAMPLE}]}
_MATRIX = {"resultType": "matrix", "result": [{"metric": _PAIRS, "values": [_SAMPLE]}]}
_OPTIONS = (ask.LIMIT, ask.TIMEOUT, ask.LOOKBACK)
_SPAN = (ask.SINCE, ask.UNTIL, ask.LIMIT)

encode = msgspec.json.Encoder().encode


def _doc(
    answer: type[Out],
    example: Any,
    *params: Param[Any],
    is_form: bool = True,
    errors: tuple[int, ...] = (),
    **more: Any,
) -> dict[str, Any]:
    said = {"status": "success", "data": example}
    doc = Doc(answer, said, params=params, error=PromError, is_form=is_form, errors=(503, *errors), **more)
    return {"scope": READ, "doc": doc}


@route(
    "/api/v1/query",
    http_method=_READS,
    status_code=200,
    opt=_doc(PromAnswer, _VECTOR, ask.QUERY, ask.TIME, *_OPTIONS, errors=(422, 499)),
)
async def instant_query(request: Req, given: TheGiven) -> Response[Any]:
    """The value of a PromQL expression at one moment.

    A selector with a range gives a matrix. What needs more than the settings of `query` allow is refused with 422.
    """
    form = await form_of(request, given.bounds)
    limit, time = form[ask.LIMIT], form[ask.TIME]
    answer = await _answer(request, given, form, Steps.at(now_ms() if time is None else time))
    return _sent(written(answer, limit, is_range=False), answer)


@route(
    "/api/v1/query_range",
    http_method=_READS,
    status_code=200,
    opt=_doc(PromAnswer, _MATRIX, ask.QUERY, ask.START, ask.END, ask.STEP, *_OPTIONS, errors=(422, 499)),
)
async def range_query(request: Req, given: TheGiven) -> Response[Any]:
    """The value of a PromQL expression at every step from start to end.

    More steps than the setting query.max_steps are refused with 422: take a larger step.
    """
    form = await form_of(request, given.bounds)
    limit, start, end = form[ask.LIMIT], form[ask.START], form[ask.END]
    if end < start:
        raise invalid("end", InputError("end timestamp must not be before start time"))
    answer = await _answer(request, given, form, Steps.between(start, end, form[ask.STEP]), end)
    return _sent(written(answer, limit, is_range=True), answer)


@route(
    "/api/v1/query_exemplars",
    http_method=_READS,
    status_code=200,
    opt=_doc(PromExemplars, [], ask.QUERY, ask.SINCE, ask.UNTIL),
)
async def query_exemplars(request: Req, given: TheGiven) -> Response[bytes]:
    """The exemplars of an expression's series: none, because none are stored."""
    form = await form_of(request, given.bounds)
    start, end = _span(form)
    if start is not None and end is not None and end < start:
        raise InputError("end timestamp must not be before start timestamp")
    await given.engine.queries.formatted(form[ask.QUERY])
    return _said(PromExemplars(data=[]))


@route(
    "/api/v1/format_query",
    http_method=_READS,
    status_code=200,
    opt=_doc(PromText, "sum by (host) (cpu_usage)", ask.QUERY),
)
async def format_query(request: Req, given: TheGiven) -> Response[bytes]:
    """A PromQL expression as a person would lay it out."""
    form = await form_of(request, given.bounds)
    try:
        return _said(PromText(data=await given.engine.queries.formatted(form[ask.QUERY])))
    except InputError as error:
        raise invalid("query", error) from None


@route("/api/v1/series", http_method=_READS, status_code=200, opt=_doc(PromSeries, [_PAIRS], ask.MATCH, *_SPAN))
async def series(request: Req, given: TheGiven) -> Response[bytes]:
    """The label sets of the series that meet any of the selectors."""
    form = await form_of(request, given.bounds)
    if not form.all(ask.MATCH.name):
        raise InputError("no match[] parameter provided")
    limit, (start, end) = form[ask.LIMIT], _span(form)
    found = await given.engine.queries.series(selectors(form), start, end, limit)

    def said() -> Response[bytes]:
        return _said(PromSeries(data=[dict(labels) for labels in found.items], warnings=_cut(is_cut=found.is_cut)))

    return said() if len(found.items) <= INLINE else await asyncio.to_thread(said)


@route(
    "/api/v1/labels", http_method=_READS, status_code=200, opt=_doc(PromNames, ["__name__", "host"], ask.MATCH, *_SPAN)
)
async def labels(request: Req, given: TheGiven) -> Response[bytes]:
    """The names of labels, of all series or of those that meet any of the selectors."""
    form = await form_of(request, given.bounds)
    limit, (start, end) = form[ask.LIMIT], _span(form)
    found = await given.engine.queries.label_names(selectors(form), start, end, limit)
    return _said(PromNames(data=list(found.items), warnings=_cut(is_cut=found.is_cut)))


@get(
    "/api/v1/label/{name:str}/values",
    opt=_doc(PromNames, ["web-1"], ask.MATCH, *_SPAN, path=(ask.NAME,), is_form=False),
)
async def label_values(request: Req, given: TheGiven, name: FromPath[str]) -> Response[bytes]:
    """The values of a label, in all series or in those that meet any of the selectors."""
    form = await form_of(request, given.bounds)
    limit, (start, end) = form[ask.LIMIT], _span(form)
    found = await given.engine.queries.label_values(label_name(name), selectors(form), start, end, limit)
    return _said(PromNames(data=list(found.items), warnings=_cut(is_cut=found.is_cut)))


@get(
    "/api/v1/metadata",
    opt=_doc(
        PromMetadata,
        {"cpu_usage": [{"type": "gauge", "help": "", "unit": ""}]},
        ask.METRIC,
        ask.COUNT,
        is_form=False,
    ),
)
async def metadata(request: Req, given: TheGiven) -> Response[bytes]:
    """The types of metrics as their sources say; their help and unit are not kept."""
    form = await form_of(request, given.bounds)
    found = await given.engine.queries.metadata(form[ask.METRIC], form[ask.COUNT])
    return _said(PromMetadata(data={name: [_metric(of.type, of.help)] for name, of in found.items()}))


@get(
    "/api/v1/rules",
    opt=_doc(
        PromRules,
        {"groups": []},
        ask.TYPE,
        ask.RULE_NAMES,
        ask.RULE_GROUPS,
        ask.FILES,
        ask.WITHOUT_ALERTS,
        is_form=False,
    ),
)
async def rules(request: Req, given: TheGiven) -> Response[bytes]:
    """The groups of rules that are evaluated, how their last evaluation went, and their alerts."""
    form = await form_of(request, given.bounds)
    names, of_groups, files = (form.all(p.name) for p in (ask.RULE_NAMES, ask.RULE_GROUPS, ask.FILES))
    wanted = Wanted(form[ask.TYPE], names, of_groups, files, not form[ask.WITHOUT_ALERTS])
    groups = await asyncio.to_thread(groups_of, given.engine.rules(), wanted)  # texts of thousands of alerts take time
    return _said(PromRules(data=PromGroups(groups)))


@get("/api/v1/alerts", opt=_doc(PromAlerts, {"alerts": []}, is_form=False))
async def alerts(given: TheGiven) -> Response[bytes]:
    """The alerts that are pending or firing."""
    return _said(PromAlerts(data=PromAlertList(await asyncio.to_thread(alerts_of, given.engine.rules()))))


@get(
    "/api/v1/status/buildinfo",
    opt=_doc(
        PromBuildInfo,
        msgspec.to_builtins(PromBuild(TAKEN_FOR, "AIRIS-MON", "", "", "", "")),
        is_form=False,
    ),
)
async def build_info(given: TheGiven) -> Response[bytes]:
    """Which Prometheus this is to be taken for: clients choose by its version what they ask."""
    return _said(PromBuildInfo(data=PromBuild(TAKEN_FOR, f"AIRIS-MON {given.site.version}", "", "", "", "")))


ROUTES = (
    instant_query,
    range_query,
    query_exemplars,
    format_query,
    series,
    labels,
    label_values,
    metadata,
    rules,
    alerts,
    build_info,
)


async def while_wanted(request: Req, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives. When the client goes before, the work is cancelled and QueryCancelled raised."""
    tasks: tuple[asyncio.Task[T], asyncio.Task[None]] = (asyncio.create_task(work), asyncio.create_task(_gone(request)))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            return tasks[0].result()
        raise QueryCancelled("the client has gone")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _gone(request: Req) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _answer(request: Req, given: TheGiven, form: Form, steps: Steps, end: int | None = None) -> Answer:
    timeout_ms, lookback_ms = form[ask.TIMEOUT], _lookback(form)
    timeout_s = None if timeout_ms is None else timeout_ms / 1000
    queries = given.engine.queries
    work = queries.answer(form[ask.QUERY], steps, timeout_s, lookback_ms, range_end=end)
    try:
        return await while_wanted(request, work)
    except InputError as error:
        raise invalid("query", error) from None


def _metric(kind: MetricType, about: str) -> PromMetric:
    return PromMetric(kind.name.lower().replace("_", ""), about, "")


def _lookback(form: Form) -> int | None:
    text = form[ask.LOOKBACK]
    try:
        lookback_ms = read_duration_ms(text) if text else 0
    except InputError as error:
        raise InputError(f"error parsing lookback delta duration: {error}") from None
    return lookback_ms if lookback_ms > 0 else None


def _span(form: Form) -> tuple[int | None, int | None]:
    return form[ask.SINCE], form[ask.UNTIL]


def _cut(*, is_cut: bool) -> list[str] | msgspec.UnsetType:
    return [CUT] if is_cut else msgspec.UNSET


def _said(answer: Out) -> Response[bytes]:
    return Response(encode(answer), media_type=JSON)


def _sent(parts: Iterator[bytes], answer: Answer) -> Response[Any]:
    if isinstance(answer.value, Text) or answer.value.value.size <= INLINE:
        return Response(b"".join(parts), media_type=JSON)
    return Stream(_pieces(parts), media_type=JSON)


async def _pieces(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece made in a thread, when the client has taken the one before."""
    while piece := await asyncio.to_thread(next, parts, b""):
        yield piece
