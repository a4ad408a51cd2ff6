"""What every route is given by the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Request
from litestar.params import Dependency

from airis_mon.api.engine import Engine
from airis_mon.api.openapi import Site

Req = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of requests: bytes hold for a body as it was sent and again once it is decompressed."""

    bulk_bytes: int
    json_bytes: int
    body_timeout_s: float
    heartbeat_s: float


TheEngine = Annotated[Engine, Dependency(skip_validation=True)]
TheBounds = Annotated[Bounds, Dependency(skip_validation=True)]
TheSite = Annotated[Site, Dependency(skip_validation=True)]


def root_of(request: Req) -> str:
    """Where the request found the application: the path of its mount, empty at the root."""
    root: str = request.scope.get("airis_mon.root", "")  # type: ignore[assignment]
    return root
