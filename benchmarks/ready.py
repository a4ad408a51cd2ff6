"""From spawning `airis-mon serve` to GET /ready answering 200, and how long `airis-mon --help` takes.

Kernels are warm: they come from a cache. `cold_s` is the first start ever, when there is none.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.product import KERNELS, started, warm
from tools import servers

STARTS = 5


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Medians of five."""
    with servers.folder() as data, servers.folder() as kernels:
        cold = start_s(data, kernels)
        warm()
        starts = [start_s(data, KERNELS) for _ in range(2 if quick else STARTS)]
    helps = [help_s() for _ in range(2 if quick else STARTS)]
    return {
        "workload": "a data folder without samples, compiled kernels in a cache, every default",
        "ready_s": statistics.median(starts),
        "all_ready_s": starts,
        "cold_s": cold,
        "help_s": statistics.median(helps),
        "all_help_s": helps,
    }


def start_s(data: Path, kernels: Path) -> float:
    """Seconds from spawn to ready; the server has ended when this returns."""
    began = time.perf_counter()
    with started(data, kernels=kernels):
        return time.perf_counter() - began


def help_s() -> float:
    """Seconds of wall time that `airis-mon --help` takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "airis_mon", "--help"], capture_output=True, check=True)
    return time.perf_counter() - began
