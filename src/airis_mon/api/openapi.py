"""The OpenAPI 3.1 document, put together from what stands beside each route: its docstring and its `Doc`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute

from airis_mon.api.errors import KINDS
from airis_mon.api.params import Param
from airis_mon.api.schemas import Error, Out

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_REF = "#/components/schemas/{name}"
_TYPES: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "array": lambda text: [text],
    "boolean": lambda text: text == "true",
}
_LIMIT_HEADERS = {
    "X-RateLimit-Limit": "Requests per window.",
    "X-RateLimit-Remaining": "Requests left.",
    "X-RateLimit-Reset": "When the whole limit is there again, epoch seconds.",
}


@dataclass(frozen=True, slots=True)
class Body:
    """One form of a request's body. `example` is JSON, or bytes (written in base64); made for the time given, ms."""

    media: str
    schema: dict[str, Any]
    example: Callable[[int], Any]


@dataclass(frozen=True, slots=True)
class Doc:
    """What the document says of a route beyond its docstring.

    answer is a Struct, or None when the answer is no JSON of ours; other is a second form of it. other_media: all
    answers, errors too, may also be binary data of this kind. error: the shape of every error; is_form: by POST the
    parameters come in a form.
    """

    answer: type[Out] | None
    example: Any = None
    other: type[Out] | None = None
    params: tuple[Param[Any], ...] = ()
    path: tuple[Param[Any], ...] = ()
    bodies: tuple[Body, ...] = ()
    status: int = 200
    media: str = JSON
    other_media: str = ""
    errors: tuple[int, ...] = ()
    error: type[Out] = Error
    is_form: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """What the pages tell of the application: where its parts stand and what can be asked there."""

    version: str
    base: str
    beside: str
    is_keyed: bool

    def document(self, routes: Iterable[BaseRoute], root: str, now: int) -> dict[str, Any]:
        """The OpenAPI document; `root` is where the application stands, examples carry the time `now` (ms)."""
        paths: dict[str, dict[str, Any]] = {}
        answers: list[type[Out]] = [Error]
        ids: set[str] = set()
        for route in routes:
            for method, handler in _handlers(route):
                doc: Doc = handler.opt["doc"]
                if doc.is_form and method == "post":
                    doc = replace(doc, params=(), bodies=(_form(doc.params),))
                answers += [a for a in (doc.answer, doc.other, doc.error) if a]
                operation = _operation(handler, doc, now, is_keyed=self.is_keyed)
                while operation["operationId"] in ids:  # one route at two paths
                    operation["operationId"] += "Too"
                ids.add(operation["operationId"])
                paths.setdefault(route.path_format, {})[method] = operation
        _, schemas = msgspec.json.schema_components(answers, ref_template=_REF)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "AIRIS-MON",
                "version": self.version,
                "description": "Metrics in, anomalies out. Times are RFC 3339 in UTC; every error has the shape Error, "
                "on the paths of Prometheus' query API the shape PromError.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": root or "/"}],
            "paths": dict(sorted(paths.items())),
            "components": {
                "schemas": schemas,
                "headers": _headers(),
                "securitySchemes": _schemes(is_keyed=self.is_keyed),
            },
        }


def _handlers(route: BaseRoute) -> list[tuple[str, HTTPRouteHandler]]:
    if not isinstance(route, HTTPRoute):
        return []
    found = [(m.lower(), h) for h in route.route_handlers for m in sorted(h.http_methods) if "doc" in h.opt]
    return sorted(found, key=lambda pair: pair[0])


def _operation(handler: HTTPRouteHandler, doc: Doc, now: int, *, is_keyed: bool) -> dict[str, Any]:
    summary, _, description = inspect.getdoc(handler.fn).partition("\n")  # type: ignore[union-attr]
    head, *rest = handler.fn.__name__.split("_")
    is_open = "scope" in handler.opt and handler.opt["scope"] is None
    operation: dict[str, Any] = {
        "operationId": head + "".join(w.title() for w in rest),
        "tags": [handler.fn.__module__.rpartition(".")[2]],
        "summary": summary.rstrip("."),
        "description": description.strip(),
        "parameters": [_parameter(p, "path") for p in doc.path] + [_parameter(p, "query") for p in doc.params],
        "responses": _responses(doc, is_open=is_open or not is_keyed),
        "security": [{"bearer": []}, {"apiKey": []}] if is_keyed and not is_open else [],
    }
    if doc.bodies:
        operation["requestBody"] = {"required": True, "content": {b.media: _content(b, now) for b in doc.bodies}}
    return operation


def _parameter(param: Param[Any], place: str) -> dict[str, Any]:
    return {
        "name": param.name,
        "in": place,
        "required": place == "path" or param.is_required,
        "description": param.about,
        "schema": param.schema,
        "example": _typed(param),
    }


def _form(params: tuple[Param[Any], ...]) -> Body:
    schema = {
        "type": "object",
        "required": [p.name for p in params if p.is_required],
        "properties": {p.name: {**p.schema, "description": p.about} for p in params},
    }
    return Body(FORM, schema, lambda _: {p.name: _typed(p) for p in params})


def _typed(param: Param[Any]) -> Any:
    kind = param.schema.get("type", "")
    as_is: Callable[[str], Any] = str
    return _TYPES.get(kind, as_is)(param.example)


def _content(body: Body, now: int) -> dict[str, Any]:
    example = body.example(now)
    if isinstance(example, bytes):
        return {"schema": body.schema, "x-example-base64": msgspec.to_builtins(example)}
    return {"schema": body.schema, "example": example}


def _responses(doc: Doc, *, is_open: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": inspect.getdoc(doc.answer) if doc.answer else "Done.",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _LIMIT_HEADERS},
    }
    if doc.answer:
        forms = [{"$ref": _REF.format(name=a.__name__)} for a in (doc.answer, doc.other) if a]
        schema = forms[0] if len(forms) == 1 else {"oneOf": forms}
        answer["content"] = {JSON: {"schema": schema, "example": doc.example}}
    elif doc.status != 204:
        kind = "object" if doc.media == JSON else "string"
        answer["content"] = {doc.media: {"schema": {"type": kind}, "example": doc.example}} | _binary(doc)
    errors = {429, 500, *doc.errors}
    errors |= {400} if doc.params or doc.bodies or doc.path else set()
    errors |= {408, 413, 415, 503} if doc.bodies else set()
    errors |= set() if is_open else {401, 403}
    return {str(doc.status): answer, **{str(status): _error(status, doc) for status in sorted(errors)}}


def _error(status: int, doc: Doc) -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": _REF.format(name=doc.error.__name__)}}} | _binary(doc)
    return {"description": KINDS[status], "content": content}


def _binary(doc: Doc) -> dict[str, Any]:
    return {doc.other_media: {"schema": {}}} if doc.other_media else {}


def _headers() -> dict[str, Any]:
    return {name: {"description": about, "schema": {"type": "integer"}} for name, about in _LIMIT_HEADERS.items()}


def _schemes(*, is_keyed: bool) -> dict[str, Any]:
    if not is_keyed:
        return {}
    return {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
