"""How this process and its host are: the flat answers of /health and /status."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from airis_mon.app.engine import Engine

NOT_BUILT = ("ollama", "gemini", "knowledgeCollector", "mlops")
"""Services of the specification that this version does not have: reported as not running, never as failed."""


class Vitals:
    """Reads health and load of one engine."""

    def __init__(self, engine: Engine, data_dir: Path) -> None:
        self._engine = engine
        self._data_dir = data_dir
        self._sent = (time.monotonic(), _traffic())
        psutil.cpu_percent()  # the first call only sets its origin

    def health(self) -> dict[str, Any]:
        """The specification's health: unhealthy = a restart is needed, degraded = running but not taking samples.

        Beyond the specification: `catchingUp` while stored samples of before the start are still judged; `degraded`
        names the sources, the write-back and the rules, when something of them does not work at present; `backfill` is
        how far the past of sources is learned, None without any; `demo` is true when all of it is simulated.
        """
        engine = self._engine
        services = dict.fromkeys(NOT_BUILT, False) | {
            "analytics": engine.is_ready and engine.parts.detection.is_alive,
            "monitoring": engine.is_ready,
        }
        commit = engine.parts.commit
        return {
            "status": "unhealthy" if not engine.is_live else "healthy" if engine.is_ready else "degraded",
            "initialized": engine.started_at is not None,
            "started": engine.is_ready,
            "services": services,
            "healthyServices": sum(services.values()),
            "totalServices": len(services),
            "errorRecoveryStatus": {
                "circuitBreakerState": "open" if commit.is_failing else "closed",
                "errorCount": commit.failures + sum(engine.failures.values()),
                "uniqueErrors": (commit.failures > 0) + len(engine.failures),
                "fallbackCacheSize": 0,
            },
            "notReadyReason": engine.not_ready_reason,
            "notBuilt": list(NOT_BUILT),
            "catchingUp": engine.parts.detection.is_catching_up,
            "degraded": sorted(name for name, what in engine.degraded().items() if what),
            "backfill": engine.parts.backfill.status() if engine.parts.backfill else None,
            "demo": engine.parts.is_demo,
            "timestamp": engine.parts.clock(),
        }

    def status(self) -> dict[str, Any]:
        """The specification's status: the host's load in per cent."""
        health = self.health()
        return {
            "initialized": health["initialized"],
            "started": health["started"],
            "services": health["services"],
            "systemMetrics": {
                "cpu": psutil.cpu_percent(),
                "memory": psutil.virtual_memory().percent,
                "disk": psutil.disk_usage(str(self._data_dir)).percent,
                "network": self._network(),
                "timestamp": health["timestamp"],
            },
            "backfill": health["backfill"],
            "demo": health["demo"],
            "timestamp": health["timestamp"],
        }

    def _network(self) -> float:
        """Traffic since the last call as a share of the links' speed; 0 where no link says its speed (loopback)."""
        links = psutil.net_if_stats()
        speed = sum(s.speed for n, s in links.items() if s.isup and s.speed > 0) * 1e6 / 8  # bytes/s
        now, traffic = time.monotonic(), _traffic()
        (then, before), self._sent = self._sent, (now, traffic)
        if not speed or now <= then:
            return 0.0
        return round(min(100.0, 100 * (traffic - before) / (now - then) / speed), 2)


def _traffic() -> int:
    counters = psutil.net_io_counters()
    return counters.bytes_sent + counters.bytes_recv if counters else 0
