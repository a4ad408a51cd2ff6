from __future__ import annotations

import base64
import re
from importlib import resources
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from litestar.testing import TestClient
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    negative_data_rejection,
    positive_data_acceptance,
)

from airis_mon.api.app import build, serve_app
from airis_mon.api.errors import is_prometheus
from tests.api.fake import V1, FakeEngine, client_of

STREAMS = (f"{V1}/events", f"{V1}/analytics/stream")


async def document(client) -> dict[str, Any]:
    return (await client.get("/openapi.json")).json()


def operations(spec: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, op) for path, item in spec["paths"].items() for method, op in item.items()]


def resolved(spec: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "components": spec["components"]}


async def test_the_document_is_openapi_3_1_and_names_every_operation_once(client):
    spec = await document(client)
    assert spec["openapi"] == "3.1.0"
    ids = [op["operationId"] for _, _, op in operations(spec)]
    assert len(ids) == len(set(ids)) > 38
    assert all(op["summary"] and op["tags"] for _, _, op in operations(spec))


@pytest.mark.usefixtures("kernels")
async def test_every_example_of_a_request_is_taken(client):
    spec = await document(client)
    tried = 0
    for path, method, op in operations(spec):
        params = {p["name"]: p["example"] for p in op["parameters"]}
        url = re.sub(r"\{(\w+)\}", lambda m, given=params: str(given.pop(m[1])), path)
        if path in STREAMS:
            continue  # does not end; its parameters are tried beside the stream
        for media, content in (op.get("requestBody") or {"content": {"": None}})["content"].items():
            body, headers = None, {}
            if content:
                packed = content.get("x-example-base64")
                headers = {"Content-Type": media}
                if media == "application/x-www-form-urlencoded":
                    answer = await client.request(method, url, params=params, data=content["example"], headers=headers)
                elif packed is None:
                    answer = await client.request(method, url, params=params, json=content["example"], headers=headers)
                else:
                    body = base64.b64decode(packed)
                    answer = await client.request(method, url, params=params, content=body, headers=headers)
            else:
                answer = await client.request(method, url, params=params)
            assert 200 <= answer.status_code < 300, (path, answer.text)
            tried += 1
    assert tried >= len(operations(spec)) - len(STREAMS)


async def test_every_example_of_an_answer_fits_its_schema_and_so_does_the_real_answer(client):
    spec = await document(client)
    for path, method, op in operations(spec):
        content = op["responses"].get("200", {}).get("content", {}).get("application/json")
        if content is None or "$ref" not in content["schema"]:
            continue
        schema = resolved(spec, content["schema"])
        jsonschema_rs.validate(schema, content["example"])
        if method == "get":
            given = {p["name"]: p["example"] for p in op["parameters"]}
            url = re.sub(r"\{(\w+)\}", lambda m, given=given: str(given.pop(m[1])), path)
            real = (await client.request(method, url, params=given)).json()
            jsonschema_rs.validate(schema, real)
            assert set(real) == set(content["example"]), path


async def test_keys_are_documented_only_where_they_are_demanded(client, engine):
    async def nobody(secret: str) -> None:
        return None

    assert (await document(client))["components"]["securitySchemes"] == {}
    async with client_of(serve_app(engine, version="1", authenticate=nobody, hosts=None)) as keyed:
        spec = await document(keyed)
    assert set(spec["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    by_path = {path: op for path, _, op in operations(spec)}
    assert by_path[f"{V1}/series"]["security"] == [{"bearer": []}, {"apiKey": []}]
    assert "401" in by_path[f"{V1}/series"]["responses"]
    assert by_path["/live"]["security"] == []


async def test_a_mounted_application_documents_its_own_place(engine):
    app = build(engine, version="1")

    async def host(scope, receive, send):
        await app({**scope, "root_path": "/aiops"}, receive, send)

    async with client_of(host) as client:
        spec = (await client.get("/aiops/openapi.json")).json()
        page = (await client.get("/aiops/")).text
    assert spec["servers"] == [{"url": "/aiops"}]
    assert "/health" in spec["paths"]
    assert "/prom/api/v1/write" in spec["paths"]
    assert 'href="/aiops/health"' in page


@pytest.mark.parametrize("name", ["docs.html", "index.html"])
def test_pages_load_nothing_from_elsewhere(name):
    text = resources.files("airis_mon.api").joinpath(name).read_text("utf-8")
    assert not re.search(r"(https?:)?//\w", re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=\"(?!data:)", text)


async def test_pages_may_run_only_their_own_script(client):
    policy = (await client.get("/docs")).headers["content-security-policy"]
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'(;|$)", policy)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    first = (await client.get("/")).headers["content-security-policy"]
    assert "script-src 'none'" in first


@schemathesis.serializer("application/x-protobuf")
def _as_bytes(ctx: Any, value: Any) -> bytes:
    return str(value).encode()


def _sync_schema() -> Any:
    app = serve_app(FakeEngine(), version="1", hosts=None)
    with TestClient(app) as client:
        spec = client.get("/openapi.json").json()
    for path in STREAMS:
        spec["paths"].pop(path, None)  # a stream does not end
    return schemathesis.openapi.from_dict(spec), app


SCHEMA, APP = _sync_schema()
SCHEMA.app = APP


@pytest.mark.slow
@pytest.mark.usefixtures("kernels")
@SCHEMA.parametrize()
@settings(
    max_examples=20,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_whatever_is_asked_the_answer_is_documented(case):
    # That start is before end, and what a selector looks like, no schema can say: valid data may be refused.
    # OPTIONS of a path with two handlers names the method of the first one only: litestar 2.25.
    excluded = [positive_data_acceptance, allow_header_conformance]
    # Prometheus ignores what it does not know, and takes an empty parameter for an absent one.
    tolerant = [negative_data_rejection] if is_prometheus(case.path) else []
    answer = case.call()
    if answer.status_code == 503 and '"errorType":"timeout"' in answer.text:
        return  # no time was given: not the server's fault
    case.validate_response(answer, excluded_checks=excluded + tolerant)
