"""What every detector must do. `CHECKS` take a function that makes a fresh detector and raise AssertionError.

>>> from airis_mon.checks.detector import CHECKS
>>> from airis_mon.detect.detectors.record import Record
>>> for check in CHECKS:
...     check(Record)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.detect.base import Detector, Scores
from airis_mon.series.batch import Ids, Times, Values

Make = Callable[[], Detector]
Stream = tuple[Ids, Times, Values]

START = 1_700_000_000_000
STEP_MS = 60_000
SERIES = 20
SAMPLES = 300


def same_input_same_score(make: Make) -> None:
    """Two detectors that see the same samples answer the same."""
    a, b = _run(make(), _stream()), _run(make(), _stream())
    _demand(_equal(a, b), "the same input gave other scores")


def a_batch_equals_its_samples(make: Make) -> None:
    """Scores do not depend on how the stream was cut into batches."""
    stream = _stream()
    whole = _run(make(), stream)
    for size in (1, 7, 64):
        pieces = _run(make(), stream, size)
        _demand(_equal(whole, pieces), f"batches of {size} samples gave other scores than one batch")


def order_of_slots_does_not_matter(make: Make) -> None:
    """Slots of one time may come in any order."""
    slot, t, value = _stream()
    rng = np.random.default_rng(1)
    order = np.concatenate([k * SERIES + rng.permutation(SERIES) for k in range(SAMPLES)])
    mixed = _run(make(), (slot[order], t[order], value[order]))
    _demand(_equal(_pick(_run(make(), (slot, t, value)), order), mixed), "another order of slots gave other scores")


def slots_do_not_touch_each_other(make: Make) -> None:
    """A series alone scores as among others."""
    slot, t, value = _stream()
    rows = slot == 3
    alone = _run(make(), (slot[rows], t[rows], value[rows]))
    _demand(_equal(_pick(_run(make(), (slot, t, value)), rows), alone), "other series changed a score")


def scores_come_before_learning(make: Make) -> None:
    """What a sample scores does not depend on having seen it: the first of two equal spikes scores at least as high."""
    slot, t, value = _spiked(100.0)
    again = np.full(1, START + SAMPLES * STEP_MS)
    detector = make()
    first = _run(detector, (slot, t, value)).score[-1]
    second = detector.update(slot[-1:], again, value[-1:]).score[0]
    _demand(first >= second and first > 0, f"a spike scored {first}, its repetition {second}")


def scores_are_finite_and_within_0_and_1(make: Make) -> None:
    """Gaps, NaN, infinity, constants, huge and tiny values leave every output finite; what is no number scores 0."""
    rng = np.random.default_rng(2)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, 1e300, -1e300, 1e29, 1e-300, 5.0])
    value = np.concatenate(
        [np.full(50, 7.0), rng.choice(odd, 400), np.full(50, 1e12), np.zeros(50), rng.normal(size=50)]
    )
    out = _run(make(), (np.zeros(len(value), np.int32), START + np.arange(len(value)) * STEP_MS, value))
    for name in ("score", "onset", "level"):
        _demand(bool(np.isfinite(getattr(out, name)).all()), f"{name} is not finite on odd values")
    _demand(bool(((out.score >= 0) & (out.score <= 1)).all()), "a score lies outside 0..1")
    _demand(bool((out.score[~np.isfinite(value)] == 0).all()), "a gap scored above 0")


def old_samples_teach_nothing(make: Make) -> None:
    """A sample not newer than the last learned one scores 0 and leaves the state as it was."""
    detector = make()
    slot, t, value = _stream()
    _run(detector, (slot, t, value))
    before = detector.state()
    late = detector.update(slot, t, value + 50)
    _demand(bool((late.score == 0).all() and (late.feature == -1).all()), "a repeated sample was judged")
    _demand(_same_state(before, detector.state()), "a repeated sample changed the state")


def a_restored_detector_continues(make: Make) -> None:
    """State saved and loaded continues bit for bit; arrays are plain, their last axis is the slot."""
    slot, t, value = _stream()
    half = len(slot) // 2
    whole, first = make(), make()
    scores = _pick(_run(whole, (slot, t, value)), np.arange(half, len(slot)))
    _run(first, (slot[:half], t[:half], value[:half]))
    saved = first.state()
    for name, array in saved.items():
        _demand(array.dtype != object and array.shape[-1] == first.size, f"state {name} has no slot axis at its end")
    second = type(first).from_state(saved)
    rest = second.update(slot[half:], t[half:], value[half:])
    _demand(_equal(scores, rest), "the restored detector scored otherwise")
    _demand(_same_state(whole.state(), second.state()), "the restored detector learned otherwise")


def memory_is_bounded(make: Make) -> None:
    """A long stream needs no more state than a short one."""
    detector = make()
    detector.reserve(1)
    sizes = []
    for k in range(3):
        t = START + (k * 3000 + np.arange(3000)) * STEP_MS
        detector.update(np.zeros(3000, np.int32), t, np.sin(t / 7e6))
        sizes.append(sum(a.nbytes for a in detector.state().values()))
    _demand(len(set(sizes)) == 1, f"state grew: {sizes} bytes")


def reserving_keeps_what_is_known(make: Make) -> None:
    """New slots are fresh and numbered on; old ones keep what they learned."""
    stream = _stream()
    a, b = make(), make()
    a.reserve(SERIES)
    b.reserve(5)
    _demand(b.reserve(SERIES - 5) == 5 and b.size == SERIES, "reserve does not number slots on")
    half = len(stream[0]) // 2
    a.update(*_cut(stream, 0, half))
    b.update(*_cut(stream, 0, half))
    _demand(b.reserve(100) == SERIES, "reserve does not number slots on")
    rest = _cut(stream, half, len(stream[0]))
    _demand(_equal(a.update(*rest), b.update(*rest)), "growth changed scores")


def a_planted_spike_ranks_first(make: Make) -> None:
    """A plain spike after quiet noise scores above everything before it, reaches the line and names a feature."""
    detector = make()
    out = _run(detector, _spiked(100.0))
    _demand(bool(out.score[-1] > out.score[100:-1].max()), "the planted spike does not rank first")
    _demand(bool(out.score[-1] >= 0.8), f"the planted spike scores {out.score[-1]}, below the line")
    _demand(0 <= out.feature[-1] < len(detector.FEATURES), "the planted spike names no feature")


def bands_are_the_values_below_the_line(make: Make) -> None:
    """A sample scores below the line exactly when it lies within the band before it; scores are those of `update`."""
    stream = _stream()
    plain, detector = _run(make(), stream), make()
    detector.reserve(SERIES)
    out, bands = detector.update_with_bands(*stream)
    _demand(_equal(plain, out), "update_with_bands scores otherwise than update")
    judged = np.isfinite(stream[2])
    lower, upper, value = bands.lower[judged], bands.upper[judged], stream[2][judged]
    _demand(bool(((lower <= bands.expected[judged]) & (bands.expected[judged] <= upper)).all()), "expected is outside")
    inside = (value >= lower) & (value <= upper)
    _demand(bool((inside == (out.score[judged] < 0.8)).all()), "a band contradicts a score")


def bands_of_alarms_alone_are_the_same(make: Make) -> None:
    """With only_alarms the scores stay, alarms have the bands they would have had, all others none."""
    stream = _stream()
    one, other = make(), make()
    one.reserve(SERIES)
    other.reserve(SERIES)
    (scores, every), (same, some) = one.update_with_bands(*stream), other.update_with_bands(*stream, only_alarms=True)
    _demand(_equal(scores, same), "only_alarms changed scores")
    for name in ("expected", "lower", "upper"):
        wanted = np.where(scores.score >= 0.8, getattr(every, name), np.nan)
        _demand(np.array_equal(wanted, getattr(some, name), equal_nan=True), f"only_alarms gives another {name}")


CHECKS: tuple[Callable[[Make], None], ...] = (
    same_input_same_score,
    a_batch_equals_its_samples,
    order_of_slots_does_not_matter,
    slots_do_not_touch_each_other,
    scores_come_before_learning,
    scores_are_finite_and_within_0_and_1,
    old_samples_teach_nothing,
    a_restored_detector_continues,
    memory_is_bounded,
    reserving_keeps_what_is_known,
    a_planted_spike_ranks_first,
    bands_are_the_values_below_the_line,
    bands_of_alarms_alone_are_the_same,
)


def _demand(claim: bool, message: str) -> None:
    if not claim:
        raise AssertionError(message)


def _stream() -> Stream:
    """Series by series within each minute: noise of several sizes, some gaps, some spikes and a level shift."""
    rng = np.random.default_rng(0)
    value = rng.normal(size=(SAMPLES, SERIES)) * 10.0 ** rng.integers(-2, 4, SERIES) + 10.0 ** rng.integers(
        0, 6, SERIES
    )
    value[150:, ::4] *= 1.5
    value[rng.integers(100, SAMPLES, 15), rng.integers(0, SERIES, 15)] *= 3
    value[rng.random(value.shape) < 0.02] = np.nan
    slot = np.tile(np.arange(SERIES, dtype=np.int32), SAMPLES)
    return slot, np.repeat(START + np.arange(SAMPLES) * STEP_MS, SERIES), value.ravel()


def _spiked(height: float) -> Stream:
    value = np.random.default_rng(3).normal(size=SAMPLES)
    value[-1] = height
    return np.zeros(SAMPLES, np.int32), START + np.arange(SAMPLES) * STEP_MS, value


def _run(detector: Detector, stream: Stream, size: int = 0) -> Scores:
    slot = stream[0]
    detector.reserve(int(slot.max()) + 1)
    size = size or len(slot)
    parts = [detector.update(*_cut(stream, a, a + size)) for a in range(0, len(slot), size)]
    return Scores(*(np.concatenate([getattr(p, name) for p in parts]) for name in Scores.__slots__))


def _cut(stream: Stream, start: int, end: int) -> Stream:
    slot, t, value = stream
    return slot[start:end], t[start:end], value[start:end]


def _pick(scores: Scores, rows: NDArray[Any]) -> Scores:
    return Scores(*(getattr(scores, name)[rows] for name in Scores.__slots__))


def _equal(a: Scores, b: Scores) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in Scores.__slots__)


def _same_state(a: dict[str, NDArray[Any]], b: dict[str, NDArray[Any]]) -> bool:
    return a.keys() == b.keys() and all(x.tobytes() == b[name].tobytes() for name, x in a.items())
