"""The past of a Prometheus, or of what answers like one (Thanos, Mimir, VictoriaMetrics), through its query API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from airis_mon.errors import InputError, Transient
from airis_mon.ingest.base import Missing, Slice
from airis_mon.ingest.promapi import TooMuch, Unfinished
from airis_mon.ingest.promreader import Window
from airis_mon.ingest.promsource import PromSource
from airis_mon.ingest.schedule import WallClock
from airis_mon.series.batch import empty_batch


@dataclass(kw_only=True, eq=False, repr=False)
class Prometheus(PromSource):
    """All samples of some time, window after window, each in order of time.

    match: selectors of the series to take, all unless given. `ALERTS{alertstate="firing"}` is always taken too: it
    tells what the server's own rules raised. labels are added to every series. Of more than `max_series` series,
    metrics of golden signals (load, errors, latency, saturation) are taken first; the rest is missing, by name.

    By default the samples are **raw**: an instant query with a range selector, `{...}[1h]`, answers them as they were
    stored. A range query would answer one value per step instead: at other times than the true ones, a value repeated
    for up to five minutes after a series ended, samples between two steps lost, 11,000 steps at most. Detection would
    learn all of that. With `step_s` the range query is used all the same, for servers that refuse raw selectors and
    for coarser history. Either way the JSON has no native histograms and no staleness markers: a series that ends is
    one without further samples (VictoriaMetrics answers a marker as a NaN like any other).

    At most `concurrency` requests are under way and `requests_per_s` begin; each may take `timeout_s` and answer
    `max_bytes`, by gzip with `compress`: a quarter of the bytes for five to seven times the server's work. What is too
    much for the server is asked for in smaller pieces; a piece that fails even so is missing, and the rest goes on.
    When nothing is answered for `patience_s`, the rest of the time is missing and the slices end: the end of the last
    slice is where to go on later. While a slice is worked on, the next one is fetched.

    >>> from airis_mon.series.catalogue import Catalogue
    >>> Prometheus(Catalogue(), url="http://user:secret@127.0.0.1:9090").name
    'http://127.0.0.1:9090/'
    """

    step_s: float = 0.0
    patience_s: float = 300.0

    def __post_init__(self) -> None:
        self._clock = self.clock or WallClock()
        self._reader = self._opened(self.patience_s, self.step_s)
        self._api = self._reader.api

    @property
    def name(self) -> str:
        """The server's address, without user and password."""
        return self._api.place

    async def slices(self, start: int | None = None, end: int | None = None) -> AsyncGenerator[Slice, None]:
        """[start, end) ms; unless given, from the earliest sample until now. Raises as History says."""
        end = self._clock.now() if end is None else end
        try:
            first, left_out = await self._look(start, end)
            if first is None:
                begin = end if start is None else start
                yield Slice(begin, max(begin, end), empty_batch(), 1.0)
                return
            begin = first if start is None else start
            yield Slice(begin, first, empty_batch(), (first - begin) / (end - begin), left_out)
            async with aclosing(self._windows(begin, first, end)) as windows:
                async for one in windows:
                    yield one
        finally:
            await self._api.aclose()

    async def _look(self, start: int | None, end: int) -> tuple[int | None, tuple[Missing, ...]]:
        """Where samples begin, None when there are none, and for which there is no room."""
        if start is not None and start >= end:
            return None, ()
        try:
            first = await self._reader.earliest(start, end)
            return first, () if first is None else await self._reader.discover(first, end, is_past=True)
        except Unfinished as e:  # to such a small question it is no limit, but the hour
            raise Transient(f"{e}; if it stays so, narrow match, ask for less time or raise timeout_s") from e
        except TooMuch as e:
            raise InputError(f"{e}; narrow match or ask for less time") from e

    def health(self) -> dict[str, Any]:
        """How it gets on with the server, and what is left out."""
        return self._reader.health()

    async def _windows(self, begin: int, at: int, end: int) -> AsyncGenerator[Slice, None]:
        coming: asyncio.Task[Window] | None = None
        try:
            while at < end:
                try:
                    window = await (coming or self._reader.window(at, end))
                except Transient as e:
                    gone = Missing(at, end, "everything", str(e))
                    yield Slice(at, at, empty_batch(), (at - begin) / (end - begin), (gone,))
                    return
                at = window.end
                coming = asyncio.create_task(self._reader.window(at, end)) if at < end else None
                fraction = (at - begin) / (end - begin)
                yield Slice(window.start, at, window.batch, fraction, window.missing)
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
