"""From spawning `airis-mon serve` to GET /ready answering 200, and how long `airis-mon --help` takes.

Kernels are warm: a first start on the same data folder compiles them and is not counted (it is shown as `cold_s`).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tools import servers

STARTS = 5


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Medians of five."""
    with servers.folder() as data:
        cold = start_s(data)
        warm = [start_s(data) for _ in range(2 if quick else STARTS)]
    helps = [help_s() for _ in range(2 if quick else STARTS)]
    return {
        "workload": "an empty data folder, compiled kernels in its cache, every default",
        "ready_s": statistics.median(warm),
        "all_ready_s": warm,
        "cold_s": cold,
        "help_s": statistics.median(helps),
        "all_help_s": helps,
    }


def start_s(data: Path) -> float:
    """Seconds from spawn to ready; the server has ended when this returns."""
    began = time.perf_counter()
    with servers.airis_mon(data):
        return time.perf_counter() - began


def help_s() -> float:
    """Seconds of wall time that `airis-mon --help` takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "airis_mon", "--help"], capture_output=True, check=True)
    return time.perf_counter() - began
