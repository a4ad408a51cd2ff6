"""What is compiled before anybody waits for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
from numba.core.dispatcher import Dispatcher
from airis_mon.app import warm
from airis_mon.detect.entity import Entities
from airis_mon.forecast.exhaustion import Exhaustion

class Store:
    def warm(self, catalogue, batch):
        pass

def compiled():
    of = {m: vars(m) for m in list(sys.modules.values()) if m.__name__.startswith("airis_mon.")}
    return {(m.__name__, name, s) for m, held in of.items() for name, x in held.items()
            if isinstance(x, Dispatcher) for s in x.signatures}

if "{warm}" == "warm":
    warm.warm_detect(*warm.warm_ingest(Store()))
    warm.warm_limits()
known = compiled()
bank = Exhaustion(step_ms=60_000)
bank.reserve(3)
bank.update(np.arange(1, 100) * 60_000, np.linspace([0, 0.2, np.nan], [1, 0.3, 0.5], 99, axis=1))
hosts = Entities()
hosts.assign(np.array([0, 1, 2], np.int32), np.array([0, 0, -1], np.int32))
hosts.update(np.arange(3, dtype=np.int32), np.full(3, 60_000), np.zeros(3, np.float32), np.ones(3, np.float32))
print(sorted({name for _, name, _ in compiled() - known}))
"""


def compiled_late(warm: str) -> str:
    """Kernels that a look at limits and a judgement of entities compile or load, in a process of their own."""
    program = PROGRAM.replace("{warm}", warm)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_looks_at_limits_and_entities_find_their_kernels_there() -> None:
    assert compiled_late("warm") == "[]"
    cold = compiled_late("cold")
    assert "'follow'" in cold
    assert "'_join'" in cold
