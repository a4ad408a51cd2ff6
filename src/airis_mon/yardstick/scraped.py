"""What a Prometheus would hold of a simulated world, in memory, to be asked in PromQL as a store is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from airis_mon.errors import TooLarge
from airis_mon.query.engine import Answer, Bounds, Deadline, QueryEngine
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import METRIC, Labels, canonical, fingerprint, metric_of
from airis_mon.series.matchers import Matcher, compile_matchers
from airis_mon.series.steps import Steps
from airis_mon.simulate.dirt import Block
from airis_mon.simulate.world import World
from airis_mon.store.base import Columns, Grid, SeriesRow

UP = "up"
"""1 where a host was scraped at all, 0 where not. Pods that are gone are no targets any more: they have none."""
QUERY_S = 600.0
_CELLS = 400_000_000

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Held:
    """One series: t (n,) ms rising, value (n,)."""

    labels: Labels
    t: Times
    value: Values


class Scraped:
    """Series in memory as a source of queries. Samples older than the newest of their series were refused.

    Read alone, by one thread.
    """

    grid_functions = frozenset({"last"})

    def __init__(self, held: Iterable[Held]) -> None:
        found = sorted(((fingerprint(one.labels), one) for one in held), key=lambda pair: pair[0])
        self.held = dict(found)
        self._engine = QueryEngine(self, Bounds(steps=100_000, cells=_CELLS))

    def ask(self, text: str, steps: Steps) -> Answer:
        """An expression at some steps. Raises as `QueryEngine.query`."""
        return self._engine.query(text, steps, Deadline.after(QUERY_S))

    def series(
        self,
        matchers: Sequence[Matcher] = (),
        start: int | None = None,
        end: int | None = None,
        limit: int = 10_000,
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> list[SeriesRow]:
        """As `SeriesStore.series`."""
        del timeout_s
        check()
        matches = compile_matchers(matchers)
        rows = [
            SeriesRow(fp, one.labels, int(one.t[-1]), int(one.t[0]))
            for fp, one in self.held.items()
            if (start is None or one.t[-1] >= start) and (end is None or one.t[0] <= end) and matches(one.labels)
        ]
        return rows[:limit]

    def grid(
        self,
        fps: Sequence[int],
        function: str,
        steps: Steps,
        window: int,
        args: Sequence[float] = (),
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Grid:
        """The last sample of each window."""
        del function, args, timeout_s
        value = np.full((len(fps), steps.count), np.nan)
        has = np.zeros(value.shape, np.bool_)
        t = steps.t
        for row, fp in enumerate(sorted(fps)):
            check()
            one = self.held[fp]
            at = np.searchsorted(one.t, t, side="right") - 1
            has[row] = (at >= 0) & (one.t[at] > t - window)
            value[row, has[row]] = one.value[at[has[row]]]
        return Grid(np.array(sorted(fps), np.uint64), value, has)

    def samples(
        self,
        fps: Sequence[int],
        start: int,
        end: int,
        limit: int | None = None,
        timeout_s: float | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Columns:
        """As `SeriesStore.samples`. Raises TooLarge beyond the limit."""
        del timeout_s
        check()
        parts = [(fp, self.held[fp]) for fp in sorted(fps)]
        spans = [slice(*np.searchsorted(one.t, (start, end + 1)).tolist()) for _, one in parts]
        counts = [span.stop - span.start for span in spans]
        if limit is not None and sum(counts) > limit:
            raise TooLarge(f"{sum(counts):,} samples are more than {limit:,}; ask for less at once")
        t = [one.t[span] for (_, one), span in zip(parts, spans, strict=True)]
        value = [one.value[span] for (_, one), span in zip(parts, spans, strict=True)]
        fp = np.repeat(np.array([fp for fp, _ in parts], np.uint64), counts)
        return Columns(fp, np.concatenate([np.empty(0, np.int64), *t]), np.concatenate([np.empty(0), *value]))


def scraped(world: World, metrics: Collection[str], tell: Callable[[float], None] = lambda _: None) -> Scraped:
    """Some metrics of all days of a world, and `up` of its hosts. tell hears 0..1. Cost: that of the world's blocks."""
    columns = np.array([i for i, labels in enumerate(world.labels) if metric_of(labels) in metrics], np.intp)
    hosts = _hosts(world)
    pieces: list[Block] = []
    seen: list[Flags] = []
    for block in world.blocks():
        seen.append(np.stack([block.present[:, of].any(axis=1) for of in hosts.values()], axis=1))
        pieces.append(_narrow(block, columns))
        tell((int(block.t[-1]) - world.settings.start_ms) / (world.settings.days * 86_400_000))
    t = np.concatenate([piece.t for piece in pieces])
    up = np.concatenate(seen).astype(float)
    ups = [Held(_up(world, host), t, up[:, i]) for i, host in enumerate(hosts)]
    return Scraped([*ups, *_series(pieces, t)])


def _narrow(block: Block, columns: NDArray[np.intp]) -> Block:
    """Some columns of a block."""
    labels = tuple(block.labels[i] for i in columns.tolist())
    skew = block.skew_ms[columns]
    return Block(block.t, block.value[:, columns], block.present[:, columns], skew, labels, block.late[:0])


def _hosts(world: World) -> dict[int, NDArray[np.intp]]:
    """The columns that a host itself exposes."""
    layout = world.layout
    own = (layout.host >= 0) & (layout.replica < 0)
    return {int(host): np.flatnonzero(own & (layout.host == host)) for host in np.unique(layout.host[own])}


def _up(world: World, host: int) -> Labels:
    name, zone = world.topology.hosts[host], f"z{world.topology.zone[host]}"
    return canonical([(METRIC, UP), ("job", "node"), ("host", name), ("zone", zone)])


def _series(pieces: Sequence[Block], t: Times) -> Iterable[Held]:
    """A column is as many series as it had names."""
    value = np.concatenate([piece.value for piece in pieces])
    present = np.concatenate([piece.present for piece in pieces])
    length = np.array([len(piece.t) for piece in pieces])
    starts = np.concatenate([[0], np.cumsum(length)]).tolist()
    for column in range(value.shape[1]):
        stamped = t + np.repeat([piece.skew_ms[column] for piece in pieces], length)
        begin = 0
        for i in range(1, len(pieces) + 1):
            if i == len(pieces) or pieces[i].labels[column] != pieces[begin].labels[column]:
                rows = slice(starts[begin], starts[i])
                one = _held(pieces[begin].labels[column], stamped[rows], value[rows, column], present[rows, column])
                if len(one.t):
                    yield one
                begin = i


def _held(labels: Labels, t: Times, value: Values, present: Flags) -> Held:
    t, value = t[present], value[present]
    newest = np.maximum.accumulate(t)
    is_newer = np.append(True, t[1:] > newest[:-1])[: len(t)]
    return Held(labels, t[is_newer], np.ascontiguousarray(value[is_newer]))
