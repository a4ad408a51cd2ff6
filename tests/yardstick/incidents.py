"""A case as small as a ranker can meet: a gateway that calls two services, one of which goes wrong."""

import numpy as np

from airis_mon.yardstick.cases import Case, Signal

NAMES = ("gateway", "cart", "stock", "mail")
EDGES = (("gateway", "cart"), ("cart", "stock"), ("gateway", "mail"))
HISTORY, WINDOW = 200, 20


def incident(culprit: str = "stock", felt: tuple[str, ...] = ("cart", "gateway"), *, size: float = 40.0) -> Case:
    """Latency (ms) and CPU (cores) of each; the culprit's latency jumps by `size` deviations, that of others less."""
    rng, rows = np.random.default_rng(1), HISTORY + WINDOW
    signals = tuple(Signal(n, f"{kind} {n}", kind) for n in NAMES for kind in ("latency", "cpu"))
    values = rng.normal(100.0, 1.0, (rows, len(signals)))
    wave = np.r_[np.zeros(HISTORY + 5), np.linspace(0.5, 1.0, WINDOW - 5)]
    for name, height in ((culprit, 1.0), *((n, 0.5 / (i + 1)) for i, n in enumerate(felt))):
        values[:, 2 * NAMES.index(name)] += size * height * wave
    return Case(
        id="one",
        source="world",
        group="shop",
        kind="network",
        moment="impact",
        t=np.arange(rows, dtype=np.int64) * 15_000,
        values=values,
        split=HISTORY,
        signals=signals,
        candidates=NAMES,
        edges=EDGES,
        target=0,
        truth=culprit,
        moved_ms={culprit: 1000, **{n: 2000 + i for i, n in enumerate(felt)}},
    )
