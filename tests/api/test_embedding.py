"""The application mounted in other people's applications, which give it no lifespan."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from airis_mon.api.app import build
from tests.api.fake import FakeEngine, client_of

MOUNT = "/tools/aiops"
EXAMPLES = Path(__file__).parents[2] / "examples"


def django_home(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"host": "ours"})


urlpatterns = [path("", django_home)]


def in_fastapi(inner: Any) -> Any:
    host = FastAPI()

    @host.get("/")
    async def home() -> dict[str, str]:
        return {"host": "ours"}

    host.mount(MOUNT, inner)
    return host


def in_starlette(inner: Any) -> Any:
    async def home(_: Request) -> JSONResponse:
        return JSONResponse({"host": "ours"})

    return Starlette(routes=[Route("/", home), Mount(MOUNT, inner)])


def in_django(inner: Any) -> Any:
    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
    django = get_asgi_application()

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith(f"{MOUNT}/"):
            await inner({**scope, "root_path": MOUNT}, receive, send)
        else:
            await django(scope, receive, send)

    return dispatch


def behind_a_stripping_proxy(inner: Any) -> Any:
    """Some hosts take the mount's path off themselves, some servers add one in front."""

    async def strip(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await JSONResponse({"host": "ours"})(scope, receive, send)
        else:
            await inner({**scope, "path": scope["path"].removeprefix(MOUNT), "root_path": MOUNT}, receive, send)

    return strip


@pytest.fixture(params=[in_fastapi, in_starlette, in_django, behind_a_stripping_proxy], ids=lambda f: f.__name__)
async def hosted(request, engine: FakeEngine):
    async with client_of(request.param(build(engine, version="1"))) as it:
        yield it


async def test_the_host_keeps_its_own_routes(hosted):
    assert (await hosted.get("/")).json() == {"host": "ours"}


async def test_health_and_ingest_work_through_the_host(hosted, engine):
    assert (await hosted.get(f"{MOUNT}/health")).json()["status"] == "healthy"
    answer = await hosted.post(f"{MOUNT}/metrics", json={"metricName": "m", "value": 1})
    assert answer.json()["metric"]["name"] == "m"
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    assert (await hosted.post(f"{MOUNT}/prom/api/v1/write", content=b"wire", headers=headers)).status_code == 204
    assert [call[1] for call in engine.calls] == ["json", "remote_write"]


async def test_an_unknown_path_is_ours_in_the_envelope(hosted):
    answer = await hosted.get(f"{MOUNT}/nothing")
    assert answer.status_code == 404
    assert answer.json()["error"] == "Not Found"


async def test_the_document_names_the_mount(hosted):
    spec = (await hosted.get(f"{MOUNT}/openapi.json")).json()
    assert spec["servers"] == [{"url": MOUNT}]
    assert "/anomalies" in spec["paths"]


@pytest.mark.parametrize("name", ["fastapi_app.py", "starlette_app.py", "django_app.py"])
def test_the_examples_are_whole_programs_that_use_public_names_only(name):
    tree = ast.parse((EXAMPLES / name).read_text("utf-8"))
    ours = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "airis" in (node.module or "")]
    assert [(node.module, [a.name for a in node.names]) for node in ours] == [("airis_mon", ["AIOpsManager"])]
    assert "app" in {getattr(t, "id", "") for n in tree.body for t in getattr(n, "targets", [])} | {
        getattr(n, "name", "") for n in tree.body
    }
