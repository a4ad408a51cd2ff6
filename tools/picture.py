"""`python -m tools.picture`: draws docs/picture.png from a real run.

Starts the product on this host with every default, lets it watch for some minutes, loads all cores (or takes a fifth of
the memory) for a minute, and draws what the API then answers for the host's CPU (or memory): the samples, the band that
stood before each of them, the anomalies.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tools import servers

API = "/api/v1/aiops"
SERIES = {"cpu": "host_cpu_busy_ratio", "memory": "host_memory_used_ratio"}
OUT = Path(__file__).parents[1] / "docs" / "picture.png"


def main(argv: Sequence[str] | None = None) -> int:
    """Answers 1 when no anomaly was found: then there is nothing to show."""
    parser = argparse.ArgumentParser(prog="python -m tools.picture", description=__doc__)
    parser.add_argument("--load", choices=SERIES, default="cpu", help="what is put under load (default cpu)")
    parser.add_argument("--minutes", type=float, default=15, help="how long it watches before the load (default 15)")
    parser.add_argument("--load-s", type=float, default=60, help="how long the load lasts (default 60)")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    with servers.folder() as data, servers.airis_mon(data) as it:
        began = time.time()
        time.sleep(args.minutes * 60)
        loaded = time.time()
        load(spin if args.load == "cpu" else hold, args.load_s)
        time.sleep(60)
        found = ask(it.url, SERIES[args.load], began)
    print(json.dumps(found["anomalies"][-1:], indent=2))
    hits = [a for a in found["anomalies"] if ms(a["timestamp"]) >= loaded * 1000]
    if hits:
        after = (ms(hits[0]["timestamp"]) / 1000) - loaded
        print(f"first anomaly {after:.1f} s after the load began")
        draw(found, loaded, args.out)
    return 0 if hits else 1


def load(how: Callable[[float], None], seconds: float) -> None:
    """Runs `how` in one process per core for so long."""
    loads = [multiprocessing.Process(target=how, args=(seconds,)) for _ in range(os.cpu_count() or 1)]
    for p in loads:
        p.start()
    for p in loads:
        p.join()


def spin(seconds: float) -> None:
    """Computes nothing for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def hold(seconds: float) -> None:
    """Holds this core's share of a fifth of the memory for so long."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    held = bytearray(b"x") * (total // 5 // (os.cpu_count() or 1))
    time.sleep(seconds)
    del held


def ask(url: str, metric: str, since: float) -> dict[str, Any]:
    """Bands and anomalies of one of the host's series, oldest first."""
    start = datetime.fromtimestamp(since, UTC).isoformat().replace("+00:00", "Z")
    match = quote(f'{{__name__="{metric}"}}')
    (series,) = get(f"{url}{API}/series?match={match}")["series"]
    window = f"start={quote(start)}&maxPoints=50000"
    return {
        "name": series["name"],
        "bands": get(f"{url}{API}/series/{series['id']}/bands?{window}")["bands"],
        "anomalies": get(f"{url}{API}/anomalies?match={match}&start={quote(start)}")["anomalies"][::-1],
    }


def get(url: str) -> Any:
    """The JSON that a URL answers."""
    with urllib.request.urlopen(url, timeout=30) as r:
        return json.load(r)


def ms(stamp: str) -> float:
    """RFC 3339 to ms."""
    return datetime.fromisoformat(stamp).timestamp() * 1000


def draw(found: dict[str, Any], loaded: float, out: Path) -> None:
    """The picture: minutes before and after the load."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    def number(column: str) -> Any:
        return np.array([np.nan if x is None else x for x in found["bands"][column]], float)

    t = (number("t") / 1000 - loaded) / 60
    value, lower, upper = number("value"), number("lower"), number("upper")
    figure, axes = plt.subplots(figsize=(10, 3.4), dpi=150, layout="constrained")
    axes.fill_between(
        t, np.maximum(lower, 0), np.minimum(upper, 1), color="#c9dcf2", label="band: would score below 0.8"
    )
    axes.plot(t, number("expected"), color="#6f93bd", lw=0.9, label="expected")
    axes.plot(t, value, color="#222222", lw=1.1, label="value")
    hits = found["anomalies"]
    at = [(ms(a["timestamp"]) / 1000 - loaded) / 60 for a in hits]
    axes.plot(at, [a["value"] for a in hits], "o", color="#d1342f", ms=6, label="anomaly")
    first = next(i for i, x in enumerate(at) if x >= 0)
    note = f"score {hits[first]['score']:.2f}: {hits[first]['feature']}"
    axes.annotate(
        note, (at[first], hits[first]["value"]), (-12, 0), textcoords="offset points", ha="right", va="center"
    )
    axes.set(
        title=found["name"],
        xlabel="minutes since the load began",
        ylim=(0, min(1.05, 1.6 * np.nanmax(value))),
        xlim=(t[0], t[-1]),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    figure.savefig(out)


if __name__ == "__main__":
    raise SystemExit(main())
