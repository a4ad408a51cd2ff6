"""Answers of the samples table: repeated rows collapsed, and long spans of time cut into pieces that fit memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.batch import Times, Values
from airis_mon.series.kernel import kernel
from airis_mon.store.base import Columns, Fingerprints

Numbers = Callable[[str, dict[str, Any]], list[NDArray[Any]]]
Span = tuple[int, int]
DAY_MS = 86_400_000
BLOCK_ROWS = 4_000_000
"""So many samples, 24 bytes each, are read at once: the table lies series by series, so that a query for any part of
a day looks at all times of that day."""


def collapse(columns: list[NDArray[Any]]) -> Columns:
    """(fp, t, value) in runs of one fp each and by t within a run -> ordered by (fp, t), one row per (fp, t).

    Of several values the greatest stays, any number before NaN. [] are no rows.
    """
    if not columns or not len(columns[0]):
        return Columns(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0))
    # A column that is part of an answer's bytes is copied: the kernel would be compiled anew for each such layout.
    fp, t, value = (np.require(column, requirements=("A", "W")) for column in columns)
    starts = np.concatenate([[0], np.flatnonzero(fp[1:] != fp[:-1]) + 1])
    ends = np.append(starts[1:], len(fp))
    by = np.argsort(fp[starts], kind="stable")
    return Columns(*_collapse(fp, t, value, starts[by], ends[by]))


@kernel
def _collapse(
    fp: Fingerprints, t: Times, value: Values, starts: Times, ends: Times
) -> tuple[Fingerprints, Times, Values]:
    out_fp, out_t, out_value = np.empty(len(fp), np.uint64), np.empty(len(fp), np.int64), np.empty(len(fp), np.float64)
    n = 0
    for run in range(len(starts)):
        for i in range(starts[run], ends[run]):
            if n and out_fp[n - 1] == fp[i] and out_t[n - 1] == t[i]:
                if value[i] > out_value[n - 1] or np.isnan(out_value[n - 1]):
                    out_value[n - 1] = value[i]
                continue
            out_fp[n], out_t[n], out_value[n] = fp[i], t[i], value[i]
            n += 1
    return out_fp[:n], out_t[:n], out_value[:n]


def blocks(numbers: Numbers, start: int, end: int, rows: int, most: int = BLOCK_ROWS) -> Iterator[list[Span]]:
    """Spans [low, high] of time that follow each other, cover every sample in [start, end], about `rows` in each.

    Those of one list are to be read at once and cut apart by `cut`: together they have `most` at most, or there is one.
    """
    block: list[Span] = []
    held = 0
    for low, high, count in _pieces(numbers, start, end, rows):
        if block and held + count > most:
            yield block
            block, held = [], 0
        block.append((low, high))
        held += count
    if block:
        yield block


def cut(columns: Columns, spans: list[Span]) -> Iterator[Columns]:
    """The samples of each span, ordered by (fp, t) as they were."""
    if len(spans) == 1:
        yield columns
        return
    for low, high in spans:
        within = np.flatnonzero((columns.t >= low) & (columns.t <= high))
        yield Columns(columns.fp[within], columns.t[within], columns.value[within])


def _pieces(numbers: Numbers, start: int, end: int, rows: int) -> Iterator[tuple[int, int, int]]:
    """(low, high, samples) of spans. Counts a day at a time, by the second; a single second is never cut."""
    bounds = numbers(_BOUNDS, {"start": start, "end": end})
    if not bounds or not int(bounds[2][0]):
        return
    low = first = int(bounds[0][0])
    last = int(bounds[1][0])
    held = 0
    for day in range(first // DAY_MS, last // DAY_MS + 1):
        seconds = numbers(_SECONDS, {"start": max(day * DAY_MS, first), "end": min((day + 1) * DAY_MS - 1, last)})
        for second, count in zip(*seconds, strict=True) if seconds else ():
            held += int(count)
            if held >= rows:
                high = min(int(second) * 1000 + 999, last)
                yield low, high, held
                low, held = high + 1, 0
    if held:
        yield low, last, held


_WITHIN = """FROM samples WHERE tenant = {tenant:String}
    AND ts BETWEEN fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND fromUnixTimestamp64Milli({end:Int64}, 'UTC')"""
_BOUNDS = f"SELECT toUnixTimestamp64Milli(min(ts)), toUnixTimestamp64Milli(max(ts)), toUInt64(count()) {_WITHIN}"
_SECONDS = f"""SELECT intDiv(toUnixTimestamp64Milli(ts), 1000) AS second, toUInt64(count()) {_WITHIN}
    GROUP BY second ORDER BY second"""
