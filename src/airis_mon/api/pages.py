"""Pages for people: the first one, and the documentation. They load nothing from anywhere else."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import re
from importlib import resources

import msgspec
from litestar import Response, get

from airis_mon.api.given import Req, TheGiven, root_of
from airis_mon.api.openapi import JSON
from airis_mon.api.schemas import now_ms

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@get("/openapi.json", opt={"scope": None})
async def openapi(request: Req, given: TheGiven) -> Response[bytes]:
    """The OpenAPI document."""
    document = given.site.document(request.app.routes, root_of(request), now_ms())
    return Response(msgspec.json.encode(document), media_type=JSON)


@get("/docs", opt={"scope": None})
async def docs() -> Response[str]:
    """The documentation, drawn from the OpenAPI document by the page itself."""
    return _page("docs.html")


@get("/", opt={"scope": None})
async def index(request: Req, given: TheGiven) -> Response[str]:
    """The first page: where to look next."""
    root = root_of(request)
    return _page("index.html", root=root, base=f"{root}{given.site.base}", beside=f"{root}{given.site.beside}")


def _page(name: str, **places: str) -> Response[str]:
    text, policy = _load(name)
    for place, path in places.items():
        text = text.replace(f"{{{place}}}", html.escape(path))
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": policy})


@functools.cache
def _load(name: str) -> tuple[str, str]:
    """A page of ours and the policy that lets its own script and style run, and nothing else."""
    text = resources.files("airis_mon.api").joinpath(name).read_text("utf-8")
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for kind, code in _INLINE.findall(text):
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        allowed[kind].append(f"'sha256-{digest}'")
    sources = "; ".join(f"{kind}-src {' '.join(hashes) or repr('none')}" for kind, hashes in allowed.items())
    return text, f"default-src 'none'; connect-src 'self'; img-src data:; frame-ancestors 'none'; {sources}"
