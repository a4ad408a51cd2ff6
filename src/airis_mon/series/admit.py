"""Which decoded samples may enter the store, judged as Prometheus judges them. Pure: the clock is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import Refusal
from airis_mon.series.batch import MAX_REFUSALS, Batch, Ids, Times, Values
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.kernel import kernel
from airis_mon.series.labels import series_name

_TAKEN, _FUTURE, _PAST, _CONFLICT, _REPEAT = range(5)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far from now a sample's time may lie, in seconds; `max_past_s` is the store's retention."""

    max_future_s: float = 600.0
    max_past_s: float = 15 * 86_400.0


def admit(batch: Batch, catalogue: Catalogue, now: int, limits: Limits) -> Batch:
    """The samples that may be committed; the others join the batch's refusals.

    Refused: a time beyond the limits, and a second, different value for the latest stored time of a series. The same
    value again is taken as a retry and dropped without a word. Older samples are kept: they are stored, never learned.
    """
    verdict = _judge(
        batch.sid,
        batch.t,
        batch.value,
        catalogue.last_t,
        catalogue.last_value,
        now - int(limits.max_past_s * 1000),
        now + int(limits.max_future_s * 1000),
    )
    if not verdict.any():
        return batch
    keep = verdict == _TAKEN
    bad = np.flatnonzero(~keep & (verdict != _REPEAT))
    room = max(0, MAX_REFUSALS - len(batch.refusals))
    said = tuple(_refusal(batch, catalogue, int(i), int(verdict[i]), limits) for i in bad[:room])
    return Batch(batch.sid[keep], batch.t[keep], batch.value[keep], batch.refusals + said, batch.refused + len(bad))


def _refusal(batch: Batch, catalogue: Catalogue, row: int, verdict: int, limits: Limits) -> Refusal:
    sid = int(batch.sid[row])
    reason = {
        _FUTURE: f"timestamp is more than limits.max_future_s = {limits.max_future_s:g} s ahead of this host's clock; "
        "compare the clocks",
        _PAST: f"timestamp is older than the {limits.max_past_s / 86_400:g} days that the store keeps; "
        "raise store.retention_days to load history",
        _CONFLICT: f"another value ({catalogue.last_value[sid]:g}) is stored for this timestamp; "
        "give the sources different labels",
    }[verdict]
    name = series_name(catalogue.labels(sid)) if catalogue.has(sid) else "a series evicted meanwhile"
    where = f"{name} @ {batch.t[row] / 1000:.3f}"
    return Refusal(where, f"{batch.value[row]:g}", reason)


@kernel
def _judge(
    sid: Ids, t: Times, value: Values, last_t: Times, last_value: Values, oldest: int, newest: int
) -> NDArray[np.int8]:
    out = np.zeros(len(sid), np.int8)
    for i in range(len(sid)):
        s = sid[i]
        if t[i] > newest:
            out[i] = 1
        elif t[i] < oldest:
            out[i] = 2
        elif t[i] == last_t[s]:
            same = value[i] == last_value[s] or (np.isnan(value[i]) and np.isnan(last_value[s]))
            out[i] = 4 if same else 3
    return out
