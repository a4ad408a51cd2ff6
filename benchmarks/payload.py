"""The remote-write 1.0 payload that every load benchmark sends, to AIRIS-MON and to its peers alike.

Series look like node-exporter's: 500 per target (125 metrics x 4 devices), 6 labels with `__name__`, about 145 bytes.
Values by metric: a quarter constant, a quarter integer counters, a quarter gauges of two decimals, a quarter gauges of
full precision. Steps of 15 s; a target keeps its offset, and 10 % of its scrapes are 1-3 ms early or late.
One sample per TimeSeries, as Prometheus sends; series i travels on connection i % connections, as its shards do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cramjam
import numpy as np
from numpy.typing import NDArray

from airis_mon.series.labels import Labels, canonical

PER_TARGET = 500
DEVICES = 4
STEP_MS = 15_000
KINDS = ("constant", "counter", "cents", "full")
_NAMES = ("node_{}_limit_bytes", "node_{}_operations_total", "node_{}_temperature_celsius", "node_{}_usage_ratio")
_SAMPLE = 18  # 0x12, length, 0x09, 8 bytes of value, 0x10, 6 bytes of timestamp


@dataclass(frozen=True, slots=True)
class World:
    """Series and all their samples: t (steps, targets) in ms, value (steps, series)."""

    labels: list[Labels]
    t: NDArray[np.int64]
    value: NDArray[np.float64]

    @property
    def steps(self) -> int:
        """Samples per series."""
        return len(self.value)

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Request:
    """One compressed body: samples of `series` (n,) at the steps `step` (n,)."""

    body: bytes
    samples: int
    series: NDArray[np.int32]
    step: NDArray[np.int32]


def labels_of(i: int) -> Labels:
    """The labels of series i."""
    target, rest = divmod(i, PER_TARGET)
    metric, device = divmod(rest, DEVICES)
    name = _NAMES[metric % 4].format(f"subsystem{metric // 4:02d}")
    pairs = {"__name__": name, "cluster": "bench", "device": f"disk{device}", "job": "node"}
    return canonical([*pairs.items(), ("instance", f"node-{target:04d}.bench:9100"), ("zone", f"zone-{target % 3}")])


def world(series: int, steps: int, end_ms: int, *, seed: int = 1, planted: float = 0.0) -> World:
    """Samples up to the last whole step before `end_ms`; `planted` is the share of gauge samples made a spike."""
    rng = np.random.default_rng(seed)
    targets = -(-series // PER_TARGET)
    start = (end_ms // STEP_MS - steps) * STEP_MS
    jitter = rng.integers(-3, 4, (steps, targets)) * (rng.random((steps, targets)) < 0.1)
    t = start + STEP_MS * np.arange(steps)[:, None] + rng.integers(0, STEP_MS - 3, targets) + jitter
    kind = (np.arange(series) % PER_TARGET) // DEVICES % 4
    value = np.empty((steps, series))
    base = rng.uniform(20, 80, series)
    value[:] = np.round(base)
    day = np.sin(2 * np.pi * (t[:, :1] / 86_400_000 + rng.random(series)))
    counters, cents, full = (np.flatnonzero(kind == k) for k in (1, 2, 3))
    value[:, counters] = 1 + np.cumsum(rng.poisson(np.abs(base[counters]), (steps, len(counters))), axis=0)
    for gauges in (cents, full):
        value[:, gauges] = base[gauges] * (1 + 0.2 * day[:, gauges]) + rng.normal(0, 1, (steps, len(gauges)))
        if planted:
            value[:, gauges] += 100 * (rng.random((steps, len(gauges))) < planted)
    value[:, cents] = np.round(np.maximum(value[:, cents], 0.01), 2)
    return World([labels_of(i) for i in range(series)], t, value)


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def _field(tag: int, body: bytes) -> bytes:
    return bytes([tag]) + _varint(len(body)) + body


def _template(labels: Labels) -> bytes:
    """A TimeSeries with one sample whose value and timestamp are still zeros."""
    blocks = b"".join(_field(0x0A, _field(0x0A, n.encode()) + _field(0x12, v.encode())) for n, v in labels)
    return _field(0x0A, blocks + bytes([0x12, _SAMPLE - 2]) + bytes(_SAMPLE - 2))


def requests(w: World, connections: int, samples: int) -> list[list[Request]]:
    """For every connection its requests of `samples` samples each, in order of time; what fills none is left out."""
    return [_stream(w, np.arange(c, w.series, connections, dtype=np.int32), samples) for c in range(connections)]


def _stream(w: World, mine: NDArray[np.int32], samples: int) -> list[Request]:
    templates = [_template(w.labels[i]) for i in mine]
    order = np.tile(np.arange(len(mine)), w.steps)
    out = []
    for first in range(0, len(order) - samples + 1, samples):
        which = order[first : first + samples]
        step = np.arange(first, first + samples, dtype=np.int64) // len(mine)
        series = mine[which]
        body = encode([templates[i] for i in which], w.t[step, series // PER_TARGET], w.value[step, series])
        out.append(Request(body, samples, series, step.astype(np.int32)))
    return out


def encode(templates: list[bytes], t: NDArray[np.int64], value: NDArray[np.float64]) -> bytes:
    """A compressed WriteRequest: each template with its value and its timestamp (six bytes of varint: 1971 to 2109)."""
    raw = np.frombuffer(bytearray(b"".join(templates)), np.uint8)
    end = np.cumsum([len(x) for x in templates])
    at = end - _SAMPLE
    raw[at + 2] = 0x09
    raw[(at + 3)[:, None] + np.arange(8)] = value.view(np.uint8).reshape(-1, 8)
    raw[at + 11] = 0x10
    groups = (t[:, None] >> (7 * np.arange(6))) & 127
    groups[:, :5] |= 128
    raw[(at + 12)[:, None] + np.arange(6)] = groups
    return bytes(cramjam.snappy.compress_raw(raw.tobytes()))
