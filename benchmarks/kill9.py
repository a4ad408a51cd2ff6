"""kill -9 under remote-write load, round after round on one data folder: what was acknowledged must be found.

Each round starts the server again, sends fresh samples (and, as Prometheus would, once more whatever the last kill left
without an answer), kills it at a random moment, and compares every acknowledged sample by its value's bits in a fresh
process. At the end all rounds are compared once more. An anomaly may be heard (SSE) or stored once only.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airis_mon.series.labels import fingerprint
from benchmarks import reopen
from benchmarks.payload import PER_TARGET, STEP_MS, Request, World, requests, world
from benchmarks.product import WRITE, product, warm
from benchmarks.sender import Sender
from tools import servers

SERIES, STEPS = 10_000, 150
PER_REQUEST, CONNECTIONS = 5_000, 16
ROUNDS = 30
PLANTED = 0.0005
EVENTS = "/api/v1/aiops/events?names=anomaly_detected"
SECONDS = (0.2, 1.5)
"""The kill comes so long after the first acknowledgement."""


@dataclass(slots=True)
class Round:
    """One round: its samples, and for each connection how many of its requests were acknowledged."""

    seed: int
    end_ms: int
    acknowledged: list[int] = field(default_factory=list)

    def world(self) -> World:
        """The same samples whenever it is asked."""
        return world(SERIES, STEPS, self.end_ms, seed=self.seed, planted=PLANTED)


@dataclass(slots=True)
class Tally:
    """What has been counted over the rounds."""

    acknowledged: int = 0
    missing: int = 0
    reopen_s: list[float] = field(default_factory=list)
    heard: Counter[str] = field(default_factory=Counter)


def measure(*, quick: bool = False) -> dict[str, Any]:
    """Counts over all rounds."""
    rounds = 3 if quick else ROUNDS
    rng = np.random.default_rng(9)
    now = int(time.time() * 1000)
    plan = [Round(seed=n, end_ms=now - (rounds - n) * STEPS * STEP_MS) for n in range(rounds)]
    tally = Tally()
    left: list[list[Request]] = [[] for _ in range(CONNECTIONS)]
    with servers.folder() as data:
        for one in plan:
            left = _round(data, one, left, float(rng.uniform(*SECONDS)), tally)
            acknowledged, missing = _compare(data, one)
            tally.acknowledged += acknowledged
            tally.missing += missing
        again = sum(_compare(data, one)[1] for one in plan)
        parts, anomalies = reopen.ask("parts", data), reopen.ask("anomalies", data)
        assert tally.acknowledged, "nothing was acknowledged, so nothing could be lost"
    return {
        "workload": f"{rounds} kills {SECONDS[0]}-{SECONDS[1]} s after the first acknowledgement, {PER_REQUEST} "
        f"samples x {CONNECTIONS} connections, compared by (series, time, bits) in a fresh process",
        "rounds": rounds,
        "acknowledged": tally.acknowledged,
        "acknowledged_but_missing": tally.missing,
        "missing_after_all_rounds": again,
        "rows_stored": parts["samples"]["rows"],
        "ready_s": {"median": float(np.median(tally.reopen_s)), "max": max(tally.reopen_s)},
        "anomalies_heard": len(tally.heard),
        "anomalies_heard_twice": sum(n > 1 for n in tally.heard.values()),
        "anomalies_stored": anomalies["stored"],
        "anomalies_stored_twice": anomalies["stored"] - anomalies["distinct"],
    }


def _round(data: Path, one: Round, left: list[list[Request]], seconds: float, tally: Tally) -> list[list[Request]]:
    """Loads and kills; answers what each connection had under way."""
    streams = [
        again + fresh for again, fresh in zip(left, requests(one.world(), CONNECTIONS, PER_REQUEST), strict=True)
    ]
    warm()
    began = time.perf_counter()
    with product(data) as it:
        tally.reopen_s.append(time.perf_counter() - began)
        ears = threading.Thread(target=_listen, args=(it.url + EVENTS, tally.heard), daemon=True)
        ears.start()
        sender = Sender(it.url + WRITE, streams)
        killer = threading.Thread(target=_kill, args=(it, sender, seconds))
        killer.start()
        sender.send()
        killer.join()
        it.process.wait()
        ears.join()
    one.acknowledged = [max(0, at - len(again)) for at, again in zip(sender.at, left, strict=True)]
    return [stream[at : at + 1] for stream, at in zip(streams, sender.at, strict=True)]


def _kill(it: servers.Server, sender: Sender, seconds: float) -> None:
    """Kills the server `seconds` after the first acknowledgement, or after a minute without one."""
    deadline = time.monotonic() + 60
    while not any(sender.at) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(seconds)
    it.process.kill()


def _listen(url: str, heard: Counter[str]) -> None:
    """Counts the ids of anomalies until the server dies."""
    try:
        with urllib.request.urlopen(url, timeout=120) as r:
            for line in r:
                if line.startswith(b"data:"):
                    told = json.loads(line[5:])
                    heard[told.get("payload", told)["id"]] += 1
    except OSError:
        return


def _compare(data: Path, one: Round) -> tuple[int, int]:
    """(acknowledged samples of the round, those of them that are not found with their value's bits)."""
    w = one.world()
    sent = np.zeros((w.steps, w.series), bool)
    for stream, n in zip(requests(w, CONNECTIONS, PER_REQUEST), one.acknowledged, strict=True):
        for r in stream[:n]:
            sent[r.step, r.series] = True
    found = _found(data, w)
    return int(sent.sum()), int((sent & (found != w.value.view(np.uint64))).sum())


def _found(data: Path, w: World) -> NDArray[np.uint64]:
    """(steps, series) bits of what is stored, 0 where nothing is."""
    with servers.folder() as where:
        reopen.ask("samples", data, int(w.t.min()), int(w.t.max()), str(where / "found.npz"))
        with np.load(where / "found.npz") as file:
            fp, t, bits = file["fp"], file["t"], file["bits"]
    mine = np.array([fingerprint(labels) for labels in w.labels], np.uint64)
    order = np.argsort(mine)
    at = np.minimum(np.searchsorted(mine[order], fp), len(mine) - 1)
    series = order[at]
    step = np.clip((t - w.t[0, series // PER_TARGET] + STEP_MS // 2) // STEP_MS, 0, w.steps - 1)
    is_mine = (mine[series] == fp) & (w.t[step, series // PER_TARGET] == t)
    found = np.zeros((w.steps, w.series), np.uint64)
    found[step[is_mine], series[is_mine]] = bits[is_mine]
    return found
