"""How the server is: for people (`/health`, `/status`) and for orchestrators (`/live`, `/ready`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import get

from airis_mon.api.errors import HttpError
from airis_mon.api.given import TheGiven
from airis_mon.api.openapi import Doc
from airis_mon.api.schemas import Health, Probe, Status, stamp

_SERVICES = {
    "ollama": False,
    "gemini": False,
    "knowledgeCollector": False,
    "mlops": False,
    "analytics": True,
    "monitoring": True,
}
_NOW = "2026-03-01T12:00:00.000Z"
_HEALTH = {
    "status": "healthy",
    "initialized": True,
    "started": True,
    "services": _SERVICES,
    "healthyServices": 2,
    "totalServices": 6,
    "errorRecoveryStatus": {
        "circuitBreakerState": "closed",
        "errorCount": 0,
        "uniqueErrors": 0,
        "fallbackCacheSize": 0,
    },
    "timestamp": _NOW,
    "notReadyReason": "",
    "notBuilt": ["ollama", "gemini", "knowledgeCollector", "mlops"],
    "catchingUp": False,
    "degraded": [],
    "backfill": None,
    "demo": False,
}
_STATUS = {
    "initialized": True,
    "started": True,
    "services": _SERVICES,
    "systemMetrics": {"cpu": 12.5, "memory": 43.1, "disk": 61.0, "network": 0.4, "timestamp": _NOW},
    "timestamp": _NOW,
    "backfill": None,
    "demo": False,
}
_OK = {"status": "ok"}


@get("/health", opt={"scope": None, "doc": Doc(Health, _HEALTH)})
async def health(given: TheGiven) -> Health:
    """How the server and its parts are.

    Answers 200 also when it is degraded or unhealthy: read `status`. Orchestrators ask /live and /ready.
    """
    return msgspec.convert(_dated(given.engine.health()), Health)


@get("/status", opt={"doc": Doc(Status, _STATUS)})
async def status(given: TheGiven) -> Status:
    """What runs, and the load of this host in per cent."""
    values = _dated(given.engine.status())
    return msgspec.convert({**values, "systemMetrics": _dated(values["systemMetrics"])}, Status)


@get("/live", opt={"scope": None, "doc": Doc(Probe, _OK, errors=(503,))})
async def live(given: TheGiven) -> Probe:
    """Whether the process should go on; 503 asks for a restart."""
    if not given.engine.is_live:
        raise HttpError(503, "the engine stands still or is stopping")
    return Probe("ok")


@get("/ready", opt={"scope": None, "doc": Doc(Probe, _OK, errors=(503,))})
async def ready(given: TheGiven) -> Probe:
    """Whether requests are served now; 503 asks to send them elsewhere."""
    if not given.engine.is_ready:
        raise HttpError(503, given.engine.not_ready_reason, {"Retry-After": "1"})
    return Probe("ok")


def _dated(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "timestamp": stamp(values["timestamp"])}
