"""Blocks as a receiver gets them: sample after sample, each with its clock's time, some late, some twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from airis_mon.series.labels import Labels
from airis_mon.simulate.dice import Floats, Times
from airis_mon.simulate.dirt import Block
from airis_mon.simulate.topology import Ints


@dataclass(frozen=True, slots=True)
class Delivery:
    """Samples in order of arrival; `labels[column]` names the series."""

    labels: tuple[Labels, ...]
    column: Ints  # (n,)
    t: Times  # (n,)
    value: Floats  # (n,)
    arrival: Times  # (n,) the scrape with which each came


@dataclass(slots=True)
class _Pending:
    """What is still under way."""

    arrival: Times
    column: Ints
    t: Times
    value: Floats


def deliver(blocks: Iterable[Block]) -> Iterator[Delivery]:
    """One delivery per block, and one for what is still under way when the labels change or the blocks end."""
    pending, last = _none(), None
    for block in blocks:
        if last is not None and last.labels != block.labels and len(pending.t):
            yield Delivery(last.labels, pending.column, pending.t, pending.value, pending.arrival)
            pending = _none()
        told, pending = _split(block, pending)
        yield told
        last = block
    if last is not None and len(pending.t):
        yield Delivery(last.labels, pending.column, pending.t, pending.value, pending.arrival)


def _none() -> _Pending:
    return _Pending(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def _split(block: Block, pending: _Pending) -> tuple[Delivery, _Pending]:
    """What arrives within the block, and what does not yet. Of one arrival the late ones come first."""
    row, column = np.nonzero(block.present)
    series = block.value.shape[1]
    late = block.late[block.present[block.late[:, 0], block.late[:, 1]]]
    at = np.searchsorted(row * series + column, late[:, 0] * series + late[:, 1])
    is_on_time = np.ones(len(row), np.bool_)
    is_on_time[at[late[:, 2] > 0]] = False
    arrival = np.concatenate([pending.arrival, block.t[row[at]] + np.abs(late[:, 2]), block.t[row[is_on_time]]])
    row, column = (np.concatenate([x[at], x[is_on_time]]) for x in (row, column))
    t = np.concatenate([pending.t, block.t[row] + block.skew_ms[column]])
    value = np.concatenate([pending.value, block.value[row, column]])
    column = np.concatenate([pending.column, column])
    ranked = np.argsort(arrival, kind="stable")
    n = int(np.searchsorted(arrival[ranked], block.t[-1], side="right"))
    now, later = ranked[:n], ranked[n:]
    told = Delivery(block.labels, column[now], t[now], value[now], arrival[now])
    return told, _Pending(arrival[later], column[later], t[later], value[later])
