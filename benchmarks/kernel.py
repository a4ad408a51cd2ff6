"""The detection kernel alone: points per second on one core, bytes of state per series.

Gaussian values every 15 s, all series in every call or 2,000 per call in id order, and in random order; CPU time of
the best of several rounds, because other work on the machine only ever adds.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from airis_mon.detect.detectors.record import Record
from benchmarks.scoring.judging import START, Array
from benchmarks.usage import spin_ms

STEP_MS = 15_000


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Million points a second by number of series, all warm; the table's figure is that of 100,000 series."""
    rounds = 3 if quick else 9
    out: dict[str, Any] = {f"points_per_s_{n}": _rate(n, n, rounds) for n in (1_000, 10_000, 100_000)}
    out["points_per_s_100000_by_2000"] = _rate(100_000, 2_000, rounds)
    out["points_per_s_100000_random_order"] = _rate(100_000, 100_000, 2, random=True)
    out["points_per_s_with_bands"] = _rate(1_000, 1_000, 2, bands=True)
    return out | {"bytes_per_series": Record().slot_bytes, "spin_ms": spin_ms()}


def _rate(series: int, per_call: int, rounds: int, *, random: bool = False, bands: bool = False) -> float:
    rng = np.random.default_rng(0)
    bank = Record()
    bank.reserve(series)
    slot = rng.permutation(series).astype(np.int32) if random else np.arange(series, dtype=np.int32)
    values = rng.normal(5, 1, (8, series))
    update = bank.update_with_bands if bands else bank.update
    passes = max(1, 200_000 // series // (20 if bands else 1))
    best, step = np.inf, 0
    for warm_up in (True, *[False] * rounds):
        passed = 0.0
        for _ in range(40 if warm_up else passes):
            passed += _pass(update, slot, values[step % 8], START + step * STEP_MS, per_call)
            step += 1
        best = best if warm_up else min(best, passed / passes / series)
    return 1 / best


def _pass(update: Any, slot: Array, value: Array, at: int, per_call: int) -> float:
    """CPU seconds of one sample for every series."""
    t = np.full(len(slot), at)
    began = time.process_time()
    for k in range(0, len(slot), per_call):
        update(slot[k : k + per_call], t[k : k + per_call], value[k : k + per_call])
    return time.process_time() - began


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
