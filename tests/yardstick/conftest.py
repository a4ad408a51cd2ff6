"""One tiny world for all tests of the frame."""

import pytest

from airis_mon.yardstick import worlds


@pytest.fixture(scope="session")
def tiny():
    """Half a day of a small graph with many faults."""
    spec = worlds.Spec("dev", "random", 7, services=8, days=0.5, history_days=0.125, faults_per_day=40)
    return worlds.run(spec)
