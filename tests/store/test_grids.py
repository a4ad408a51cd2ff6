"""Functions of windows against a reading of Prometheus' documentation and source in plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from airis_mon.series.batch import STALE, Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.series.steps import Steps
from tests.store.conftest import Open

pytestmark = [pytest.mark.live, pytest.mark.slow]
T = 1_760_000_400_000


@pytest.mark.parametrize("open_store", ["embedded", "http"], indirect=True)
def test_an_instant_selector_sees_nothing_after_a_staleness_marker(open_store: Open) -> None:
    store, catalogue = open_store(), Catalogue()
    catalogue.intern(canonical([("__name__", "a")]))
    t = T + np.array([0, 15_000, 30_000, 60_000])
    store.write(catalogue, Batch(np.zeros(4, np.int32), t, np.array([1.5, 2.5, float(STALE), 4.5])), "t")
    steps = Steps(T, 15_000, 8)
    last = store.grid([int(catalogue.fp[0])], "last", steps, 60_000)
    assert last.has.tolist() == [[True, True, False, False, True, True, True, True]]
    assert last.value[last.has].tolist() == [1.5, 2.5, 4.5, 4.5, 4.5, 4.5]
    stamps = store.grid([int(catalogue.fp[0])], "timestamp", steps, 60_000)
    assert (stamps.value[stamps.has] * 1000 - T).tolist() == [0.0, 15_000.0, *[60_000.0] * 4]
