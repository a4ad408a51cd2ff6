"""Two hours of samples in which every kind of series has its difficulty; seeded, so that they are always the same.

No sample lies on a whole second and every query asks about whole seconds, so that no sample lies on the edge of a
window: there Prometheus 2 and 3 differ. The two hours cross midnight, the end of a month and a leap day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from airis_mon.series.batch import STALE, Times, Values
from airis_mon.series.encode import label_block, write_request
from airis_mon.series.labels import Labels, canonical

START = 1_709_247_600_000
"""2024-02-29T23:00:00Z, ms."""
STEP, COUNT = 15_000, 480
REQUEST = 10_000
"""Samples of one remote write."""
_ROOMS = {"hall": 21.0, "attic": -3.0, "cellar": 0.4}


@dataclass(frozen=True, slots=True)
class Series:
    """labels; t: (n,) ms ascending, value: (n,)."""

    labels: Labels
    t: Times
    value: Values

    def only(self, keep: slice | Values) -> Series:
        return Series(self.labels, self.t[keep], self.value[keep])

    def without(self, *gaps: tuple[int, int]) -> Series:
        """Less the samples [first, last) of each gap."""
        keep = np.ones(len(self.t), bool)
        for first, last in gaps:
            keep[first:last] = False
        return self.only(keep)

    def stale_at(self, *rows: int) -> Series:
        """Some samples are staleness markers."""
        value = self.value.copy()
        value[list(rows)] = STALE
        return Series(self.labels, self.t, value)


class World:
    """Makes series; the same ones every time."""

    def __init__(self) -> None:
        self.chance = np.random.default_rng(20240229)

    def series(self, name: str, value: ArrayLike, **labels: str) -> Series:
        """One sample every 15 s, with a series' own phase, and up to 0.7 s late."""
        late = self.chance.integers(0, 10) * 1000 + 217 + self.chance.integers(0, 700, COUNT)
        t = START + np.arange(COUNT, dtype=np.int64) * STEP + late
        return Series(canonical({"__name__": name, **labels}.items()), t, np.broadcast_to(value, COUNT).astype(float))

    def counted(self, per_sample: float, *resets: int) -> Values:
        """A counter that begins anew at some samples, but not near 0, where Prometheus 2 extrapolates otherwise."""
        value = 9000 + np.cumsum(self.chance.poisson(per_sample, COUNT)).astype(float)
        for at in resets:
            value[at:] -= value[at - 1]
        return value

    def walk(self, level: float, step: float) -> Values:
        return np.round(level + np.cumsum(self.chance.normal(0, step, COUNT)), 3)


def requests(world: World) -> Iterator[Series]:
    """Counters: one is reset twice, one has a gap, one is late, one ends and one is stale for a while."""
    for job, instance in (("api", "a:1"), ("api", "b:1"), ("web", "a:2")):
        for method, code, per_sample in (("GET", "200", 40), ("GET", "500", 0.3), ("POST", "200", 7)):
            resets = (131, 309) if instance == "b:1" else ()
            counter = world.counted(per_sample, *resets)
            it = world.series("requests_total", counter, job=job, instance=instance, method=method, code=code)
            yield {
                ("web", "GET", "200"): it.without((150, 190)),
                ("web", "GET", "500"): it.only(slice(222, None)),
                ("web", "POST", "200"): it.only(slice(None, 330)).stale_at(329),
                ("api", "POST", "200"): it.stale_at(200).without((201, 240)) if instance == "a:1" else it,
            }.get((job, method, code), it)


def processors(world: World) -> Iterator[Series]:
    """Counters of fractions of seconds."""
    for instance in ("a:1", "b:1"):
        for cpu in ("0", "1"):
            busy = 9000 + np.cumsum(world.chance.uniform(0, 15, COUNT))
            yield world.series("cpu_seconds_total", np.round(busy, 2), instance=instance, cpu=cpu, mode="user")
            idle = np.arange(COUNT) * 15 - busy + 40_000
            yield world.series("cpu_seconds_total", np.round(idle, 2), instance=instance, cpu=cpu, mode="idle")


def gauges(world: World) -> Iterator[Series]:
    """Gauges of several signs and sizes, with gaps longer and shorter than the look-back."""
    for room, level in _ROOMS.items():
        yield world.series("temperature", world.walk(level, 0.2), room=room)
    yield world.series("memory_bytes", world.walk(2e9, 1e6), instance="a:1", job="api").without((60, 95), (300, 310))
    yield world.series("memory_bytes", world.walk(5e8, 1e5), instance="b:1", job="api").without((200, 320))
    yield world.series("memory_bytes", world.walk(1e9, 1e7), instance="a:2", job="web")
    day = 50 + 30 * np.sin(np.arange(COUNT) / 40) + world.chance.normal(0, 1, COUNT)
    yield world.series("load", np.round(day, 4), instance="a:1")
    yield world.series("load", np.round(world.chance.integers(0, 4, COUNT) / 2, 4), instance="b:1")
    yield world.series("queue_length", world.chance.integers(0, 3, COUNT).astype(float), queue="mail")
    yield world.series("queue_length", world.chance.integers(0, 30, COUNT).astype(float), queue="print")
    yield world.series(
        "disk_free_bytes", 4e10 - np.arange(COUNT) * 6e6 + world.chance.normal(0, 1e7, COUNT), disk="sda"
    )
    yield world.series("disk_free_bytes", 1e9 + np.arange(COUNT) * 1e3, disk="sdb")


def differing(world: World) -> Iterator[Series]:
    """What Prometheus 3 treats otherwise than Prometheus 2: a counter that appears near 0, a label of two lines."""
    yield world.series("fresh_total", 6 + 8 * (np.arange(COUNT) - 60.0)).only(slice(60, None))
    yield world.series("lines", 1, text="two\nlines")


def presence(world: World) -> Iterator[Series]:
    """Series that end with a marker and return, are rare, single, or take each other's place."""
    for job, instance in (("api", "a:1"), ("api", "b:1"), ("web", "a:2"), ("web", "b:2")):
        up = world.series("up", 1.0 - (world.chance.random(COUNT) < 0.1), job=job, instance=instance)
        yield up.stale_at(100, 250).without((101, 160), (251, 256)) if instance == "b:1" else up
    yield world.series("up", 1, instance="c:1").only(slice(400, None))
    for version, rows in (("1.0", slice(None, 241)), ("1.1", slice(241, None))):
        it = world.series("build_info", 1, job="api", instance="a:1", version=version).only(rows)
        yield it.stale_at(-1) if version == "1.0" else it
    yield world.series("build_info", 1, job="api", instance="b:1", version="1.0", note="")
    yield world.series("build_info", 1, job="web", instance="a:2", version="2.0")
    yield world.series("rare", np.arange(COUNT), every="4m45s").only(slice(None, None, 19))
    yield world.series("rare", np.arange(COUNT), every="7m").only(slice(3, None, 28))
    yield world.series("rare", 42, every="once").only(slice(240, 241))
    yield world.series("rare", 1, every="twice").only(slice(240, 242))
    yield world.series("flag", 1, state="never_seen").stale_at(*range(COUNT))
    yield world.series("early", 3, shift="one").only(slice(None, 200)).stale_at(-1)
    yield world.series("late", 4, shift="one").only(slice(220, None))


def histograms(world: World) -> Iterator[Series]:
    """Classic histograms: good ones, one without +Inf, one that sinks, one whose bounds are written in other ways."""
    bounds = ("0.1", "0.25", "0.5", "1", "2.5", "+Inf")
    for job, mean in (("api", 0.3), ("web", 1.2)):
        seen = [world.chance.poisson(20 * (1 - np.exp(-float(b) / mean)) + 0.2, COUNT) for b in bounds]
        total = np.cumsum(np.maximum.accumulate(seen, axis=0), axis=1).astype(float)
        total += 9000 * (total[:, -1:] / total[-1, -1])
        if job == "web":
            total[:, 300:] -= total[:, 299:300]
        for bound, value in zip(bounds, total, strict=True):
            yield world.series("latency_seconds_bucket", value, job=job, le=bound)
        yield world.series("latency_seconds_count", total[-1], job=job)
        yield world.series(
            "latency_seconds_sum", np.round(9000 + np.cumsum(world.chance.gamma(20, mean, COUNT)), 3), job=job
        )
    for bound, share in (("1", 0.2), ("2", 0.5), ("4", 0.9)):
        yield world.series("open_bucket", np.floor(share * (500 + np.arange(COUNT)) * 10), le=bound)
    for bound, value in (("-10", 3), ("0", 20), ("10", 15), ("20", 40), ("+Inf", 44)):
        yield world.series("sinking_bucket", value, le=bound)
    for bound, value in (("1e-3", 1), ("0.01", 2), ("0.010", 2), ("1e2", 7), ("Inf", 9), ("many", 5)):
        yield world.series("odd_bucket", value, le=bound)
    for bound in ("1", "2", "+Inf"):
        yield world.series("idle_bucket", 0, le=bound)
    for quantile in ("0.5", "0.9", "0.99"):
        yield world.series(
            "rpc_seconds", np.round(world.chance.gamma(2, 0.1 + float(quantile), COUNT), 4), quantile=quantile
        )
    yield world.series("rpc_seconds_count", world.counted(12))
    yield world.series("rpc_seconds_sum", np.round(9000 + np.cumsum(world.chance.gamma(12, 0.2, COUNT)), 4))


def numbers(world: World) -> Iterator[Series]:
    """Constants, the smallest and largest numbers, and what is no number."""
    for kind, value in (
        ("zero", 0.0),
        ("one", 1.0),
        ("minus", -7.25),
        ("huge", 1e300),
        ("tiny", 1e-300),
        ("least", 5e-324),
        ("most", 1.7976931348623157e308),
        ("nan", np.nan),
        ("inf", np.inf),
        ("neginf", -np.inf),
    ):
        yield world.series("number", value, kind=kind)
    mixed = np.tile([1.0, np.nan, 2.0, np.inf, -np.inf, 0.0, -1.5, 3.0], COUNT // 8)
    yield world.series("mixed", mixed)
    yield world.series("dented", np.where(np.arange(COUNT) % 37 == 5, np.nan, np.arange(COUNT) % 11))
    yield world.series("unix_seconds", START / 1000 + np.arange(COUNT) * 86_400.0 * 5 + 0.75)
    yield world.series("angle", np.linspace(-4, 4, COUNT))


def matches(world: World) -> Iterator[Series]:
    """Label sets made for matching: one to one, many to one, without partners, and ambiguous."""
    for instance, disk, size in (("a:1", "sda", 100), ("a:1", "sdb", 200), ("b:1", "sda", 50), ("c:1", "sda", 70)):
        yield world.series("disk_size", size, instance=instance, disk=disk)
    for instance, disk, used in (("a:1", "sda", 30), ("a:1", "sdb", 160), ("b:1", "sda", 49), ("d:1", "sda", 1)):
        yield world.series("disk_used", world.walk(used, 0.1), instance=instance, disk=disk, unit="GB")
    for instance, team in (("a:1", "red"), ("b:1", "blue"), ("e:1", "green")):
        yield world.series("owner", 1, instance=instance, team=team)
    yield world.series("owner_twice", 1, instance="a:1", team="red")
    yield world.series("owner_twice", 1, instance="a:1", team="blue")
    yield world.series("limit", 60, disk="sda")
    yield world.series("weight", 0.5)
    yield world.series("job:requests:rate5m", world.walk(3, 0.1), job="api")
    yield world.series("job:requests:rate5m", world.walk(5, 0.1), job="web")
    yield world.series("many_labels", 7, **{f"label_{i:02}": f"value {i}" for i in range(30)})
    for text in ('quote " and \\ slash', "온도 °C", "a.b", "a/b/c", " spaces ", "UPPER"):
        yield world.series("texts", len(text), text=text)


def build() -> list[Series]:
    """All series."""
    world = World()
    kinds = (requests, processors, gauges, presence, histograms, numbers, matches, differing)
    return [it for kind in kinds for it in kind(world)]


def bodies() -> Iterator[bytes]:
    """Remote write requests, in time's order as a scraper sends them; every seventh sample is sent twice."""
    every = build()
    sid = np.repeat(np.arange(len(every), dtype=np.int32), [len(it.t) for it in every])
    t = np.concatenate([it.t for it in every])
    value = np.concatenate([it.value for it in every])
    order = np.argsort(t, kind="stable")
    order = np.repeat(order, np.where(np.arange(len(order)) % 7 == 0, 2, 1))
    blocks = [label_block(it.labels) for it in every]
    for first in range(0, len(order), REQUEST):
        rows = order[first : first + REQUEST]
        yield write_request(blocks, sid[rows], t[rows], value[rows])
