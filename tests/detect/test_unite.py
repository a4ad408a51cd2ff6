"""What becomes of two detectors that know the same series."""

from __future__ import annotations

import numpy as np
import pytest

from airis_mon.detect.arrange import arranged
from airis_mon.detect.detectors.record import Record
from airis_mon.detect.unite import Pair, united
from airis_mon.detect.watch import Watch
from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue, MetricType, take_types
from airis_mon.series.labels import Labels, canonical

STEP = 15_000
TYPES = [("load", MetricType.GAUGE), ("calls", MetricType.COUNTER), ("took", MetricType.HISTOGRAM)]
HISTOGRAM = [("took_bucket", "1"), ("took_bucket", "+Inf"), ("took_sum", ""), ("took_count", "")]


def named(name: str, **labels: str) -> Labels:
    return canonical([("__name__", name), *labels.items()])


class Half:
    """One detector: a catalogue, a bank and a watch, fed sample by sample."""

    def __init__(self, state: Pair | None = None, like: Half | None = None) -> None:
        self.catalogue = like.catalogue if like else Catalogue()
        take_types(self.catalogue, TYPES)
        self.bank = Record() if state is None else Record.from_state(state[0])
        made = (self.catalogue, self.bank)
        self.watch = Watch(*made) if state is None else Watch.from_state(state[1], *made)

    def feed(self, series: list[Labels], values: list[list[float]], first: int) -> None:
        """values[i] are those of all series at step first + i."""
        sid = np.array([self.catalogue.intern(labels) for labels in series], np.int32)
        for i, row in enumerate(values):
            t = np.full(len(sid), (first + i) * STEP, np.int64)
            self.judge(Batch(sid, t, np.array(row, float)))

    def judge(self, batch: Batch) -> None:
        signals = self.watch.route(batch)
        by = arranged(signals.slot, self.bank.size)
        self.bank.update(signals.slot[by], signals.t[by], signals.value[by])

    @property
    def state(self) -> Pair:
        return self.bank.state(), self.watch.state()

    def knows(self, labels: Labels, kind: str) -> dict[str, bytes] | None:
        """What the bank knows of a signal."""
        sid = self.catalogue.intern(labels)
        for slot in self.watch.slots_of(int(self.catalogue.fp[sid])):
            if self.watch.signal(slot).kind == kind:
                return {name: column.tobytes() for name, column in self.bank.take(np.array([slot])).items()}
        return None


def wave(n: int, *, first: int = 0, width: int = 1) -> list[list[float]]:
    return [[10 + np.sin((first + i) / 3 + k) for k in range(width)] for i in range(n)]


def counts(n: int, *, first: int = 0) -> list[list[float]]:
    """A histogram's members, as they grow."""
    total = [(first + i) * 10 + np.sin((first + i) / 3) for i in range(n)]
    return [[0.5 * x, x, 0.8 * x, x] for x in total]


LOAD, IDLE, OTHER = named("load", job="a"), named("load", job="idle"), named("load", job="other")
TOOK = [named(name, le=le) if le else named(name) for name, le in HISTOGRAM]
OLD, NEW = 4000, 2000


def test_a_series_is_known_as_whoever_has_known_it_longer_knows_it() -> None:
    learned, live = Half(), Half()
    live.feed([IDLE], wave(5), 0)  # else both would give the same sids and slots
    live.feed([OTHER, LOAD], wave(300, width=2), NEW)
    learned.feed([LOAD], wave(900), OLD - 2900)
    learned.feed([OTHER], wave(100), NEW + 200)
    both = Half(united(learned.state, live.state), live)
    assert both.knows(LOAD, "value") == learned.knows(LOAD, "value")
    assert both.knows(OTHER, "value") == live.knows(OTHER, "value")
    assert both.knows(IDLE, "value") == live.knows(IDLE, "value")


def test_of_what_both_know_alike_the_learned_is_taken() -> None:
    learned, live = Half(), Half()
    learned.feed([LOAD], wave(300, first=5), NEW + 5)
    live.feed([LOAD], wave(300), NEW)
    both = Half(united(learned.state, live.state), live)
    assert both.knows(LOAD, "value") == learned.knows(LOAD, "value") != live.knows(LOAD, "value")


@pytest.mark.parametrize("longer", ["learned", "live"])
def test_a_histogram_is_taken_over_as_a_whole(longer: str) -> None:
    learned, live = Half(), Half()
    halves = {"learned": learned, "live": live}
    live.feed([IDLE], wave(50), 0)
    for name, half in halves.items():
        first = NEW - 1000 if name == longer else NEW
        half.feed(TOOK, counts(NEW + 300 - first, first=first), first)
    both = Half(united(learned.state, live.state), live)
    for kind in ("rate", "mean", "p99"):
        assert both.knows(TOOK[0], kind) == halves[longer].knows(TOOK[0], kind) is not None


def test_samples_go_on_where_each_series_had_stopped() -> None:
    whole, learned, live = Half(), Half(), Half()
    series, values = [LOAD, *TOOK], [a + b for a, b in zip(wave(900), counts(900), strict=True)]
    whole.feed(series, values, 0)
    learned.feed(series, values[:800], 0)  # it has not seen the last ones
    live.feed(series, values[600:], 600)
    both = Half(united(learned.state, live.state), live)
    both.feed(series, values[700:], 700)  # those that were learned already are passed over
    for labels, kind in ((LOAD, "value"), (TOOK[0], "rate"), (TOOK[0], "mean")):
        assert both.knows(labels, kind) == whole.knows(labels, kind)


def test_what_was_constant_so_far_is_known_since_then() -> None:
    learned, live = Half(), Half()
    learned.feed([LOAD], [[1.0]] * 100, NEW)
    live.feed([LOAD], [[1.0]] * 400, NEW - 300)
    both = Half(united(learned.state, live.state), live)
    assert both.watch.state()["n"].tolist() == [400]


def test_nothing_united_with_nothing_is_nothing() -> None:
    empty = Half()
    bank, watch = united(empty.state, Half().state)
    assert (bank["learned"].size, watch["fp"].size, watch["member_fp"].size) == (0, 0, 0)


def test_slots_that_nobody_holds_are_left_behind() -> None:
    learned, live = Half(), Half()
    learned.feed([LOAD, OTHER], wave(300, width=2), 0)
    learned.watch.evict(np.array([0], np.int32))
    bank, watch = united(learned.state, live.state)
    assert bank["learned"].shape == (1,)
    assert (watch["slot"].tolist(), watch["free"].size) == ([0], 0)
