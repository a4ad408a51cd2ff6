"""Forecasts of a whole engine with its store: made, stored, asked for in PromQL and over HTTP, held against the truth.

The clock stands still and is moved; the store judges by its own clock what is too old, so it lies near the present.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airis_mon.api.app import serve_app
from airis_mon.app.analytics import Analytics
from airis_mon.app.detection import Detection
from airis_mon.app.engine import Engine
from airis_mon.app.fleet import Fleet, Plan
from airis_mon.app.fleetgrid import NotYet
from airis_mon.app.foreteller import Foreteller
from airis_mon.app.ground import now_ms
from airis_mon.app.wiring import engine_of
from airis_mon.app.workers import Worker
from airis_mon.config.settings import load
from airis_mon.series.labels import hex_id
from tests.api.fake import V1, client_of

pytestmark = [pytest.mark.live, pytest.mark.slow]
MINUTE, STEP, HOUR, DAY = 60_000, 900_000, 3_600_000, 86_400_000
SERIES = {"load": 50.0, "requests_total": 0.0}


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@contextlib.asynccontextmanager
async def running(folder: Path, clock: Clock) -> AsyncIterator[Engine]:
    engine = engine_of(load(Path(os.devnull), {}, {"data_dir": str(folder)}).settings, collect=False)
    parts = engine.parts
    parts.clock, parts.idle_s = clock, 30.0 * 86_400
    parts.detection._now = clock  # the detector's own
    assert parts.insight is not None
    parts.insight._clock = clock
    parts.fleet = fleet_of(parts.detection, parts.store, clock, folder)
    parts.worker = Worker()
    nothing_stored: Any = None
    parts.analytics = Analytics(nothing_stored, clock, foreteller=Foreteller(parts.worker))
    await engine.start()
    try:
        async with asyncio.timeout(180):  # a first run compiles kernels
            while not (engine.is_ready and parts.detection.is_alive):  # noqa: ASYNC110  a thread compiles
                await asyncio.sleep(0.05)
        yield engine
    finally:
        await parts.fleet.stop()
        await engine.stop()


def fleet_of(detection: Detection, store: Any, clock: Clock, folder: Path) -> Fleet:
    return Fleet(detection, store, Worker(), Plan(history_ms=3 * DAY), clock, widths=folder / "widths.npz")


def truth(t: np.ndarray) -> dict[str, np.ndarray]:
    """A gauge with a day of its own, and a counter that grows by 2 a second."""
    rng = np.random.default_rng(int(t[0] // MINUTE) % 2**31)
    wave = 50 + 20 * np.sin(2 * np.pi * t / DAY) + rng.normal(0, 0.5, len(t))
    return {"load": np.round(wave, 3), "requests_total": (t - t[0] // (100 * DAY) * (100 * DAY)) / 500}


async def send(engine: Engine, clock: Clock, start: int, end: int) -> None:
    """A sample a minute in (start, end], and the clock at its end."""
    t = np.arange(start + MINUTE, end + 1, MINUTE)
    for first in range(0, len(t), 2000):
        part = t[first : first + 2000]
        clock.now = int(part[-1])
        items = [
            {"metricName": name, "value": float(v), "labels": {"host": "a"}, "timestamp": int(at)}
            for name, values in truth(part).items()
            for at, v in zip(part, values, strict=True)
        ]
        await engine.ingest("json", json.dumps(items).encode(), "application/json")
    clock.now = end
    assert await asyncio.to_thread(engine.parts.detection.settle, 180)
    for _ in range(3):  # two days of rollups at a time
        await asyncio.to_thread(engine.parts.store.maintain, clock.now)


async def ask(client: Any, query: str, t: int) -> list[dict[str, Any]]:
    answer = await client.get("/api/v1/query", params={"query": query, "time": t / 1000})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["result"]


async def test_forecasts_are_made_stored_asked_for_and_held_against_what_happened(tmp_path: Path) -> None:
    now = now_ms() // STEP * STEP - 6 * HOUR + MINUTE
    clock = Clock(now - 3 * DAY)
    async with running(tmp_path, clock) as engine:
        fleet = engine.parts.fleet
        assert fleet is not None
        with pytest.raises(NotYet, match="no signal is watched yet"):
            await fleet.round()
        await send(engine, clock, now - 3 * DAY, now)
        made = await fleet.round()
        assert (made.signals, made.points, made.scored, made.left_out) == (2, 2 * 96, 0, ())
        assert made.made_ms == now
        async with client_of(serve_app(engine, version="1")) as client:
            await promql_knows(client, now)
            fp = await served(client, now)
            await what_is_asked_ends_with_who_asks(engine, client)
        assert fleet.health()["degraded"] == []
        await send(engine, clock, now, now + HOUR + MINUTE)
        second = await fleet.round()
        assert second.scored == 2 * 4  # the first hour of the first round
        async with client_of(serve_app(engine, version="1")) as client:
            await accuracy_is_told(client, fp)
            (before,) = await ask(client, 'airis_forecast{for="load"}', now + STEP)
            (after,) = await ask(client, 'airis_forecast{for="load"}', clock.now + STEP)
            assert float(before["value"][1]) != float(after["value"][1])
            page = (await client.get("/metrics")).text
            assert "airis_forecast_rounds_total 2.0" in page
            assert "airis_forecast_coverage_ratio" in page
    async with running(tmp_path, clock) as engine:  # found again, not made again
        fleet = engine.parts.fleet
        assert fleet is not None
        due = await fleet._first()
        assert due == second.made_ms + fleet.plan.interval_ms
        assert [(s.kind, s.made_ms) for s in fleet.standing()] == [("value", clock.now), ("rate", clock.now)]
        assert len(engine.parts.store.scored(now, clock.now)) == 1  # and not scored again


async def promql_knows(client: Any, now: int) -> None:
    """Values at times ahead: of that time, by an offset, over a range; listed with the labels of airis_expected."""
    ahead = now // STEP * STEP + 6 * HOUR
    (found,) = await ask(client, 'airis_forecast{for="load"}', ahead)
    assert found["metric"] == {"__name__": "airis_forecast", "for": "load", "signal": "value", "host": "a"}
    wanted = truth(np.arange(ahead - STEP + MINUTE, ahead + 1, MINUTE))["load"].mean()
    assert float(found["value"][1]) == pytest.approx(wanted, abs=3)
    (offset,) = await ask(client, 'airis_forecast{for="load"} offset -6h', ahead - 6 * HOUR)
    (at,) = await ask(client, f'airis_forecast{{for="load"}} @ {ahead / 1000}', now)
    assert found["value"][1] == offset["value"][1] == at["value"][1]
    (rate,) = await ask(client, 'airis_forecast{for="requests_total",signal="rate"}', ahead)
    assert float(rate["value"][1]) == pytest.approx(2, abs=0.01)
    assert await ask(client, 'airis_forecast{for="load"}', now) == []  # nothing was said of then
    assert await ask(client, 'airis_forecast{for="load"}', now + 26 * HOUR) == []
    top = "max_over_time(airis_forecast[1d] offset -1d)"
    assert len(await ask(client, f"{top} > airis_actual", now)) in {1, 2}
    assert await ask(client, f"{top} > 500 and on(host) {top}", now) == []
    (lower,) = await ask(client, 'airis_forecast_lower{for="load"}', ahead)
    (upper,) = await ask(client, 'airis_forecast_upper{for="load"}', ahead)
    assert float(lower["value"][1]) < float(found["value"][1]) < float(upper["value"][1])
    span = {"query": 'airis_forecast{for="load"}', "start": now / 1000, "end": (now + DAY) / 1000, "step": 300}
    (line,) = (await client.get("/api/v1/query_range", params=span)).json()["data"]["result"]
    assert len(line["values"]) > 280
    listed = (await client.get("/api/v1/series", params={"match[]": "airis_forecast", "end": ahead / 1000})).json()
    assert {s["for"] for s in listed["data"]} == {"load", "requests_total"}
    names = (await client.get("/api/v1/label/__name__/values")).json()["data"]
    assert {"airis_forecast", "airis_forecast_lower", "airis_forecast_upper"} <= set(names)
    known = (await client.get("/api/v1/metadata", params={"metric": "airis_forecast"})).json()["data"]
    assert known["airis_forecast"][0]["type"] == "gauge"


async def served(client: Any, now: int) -> str:
    listed = (await client.get(f"{V1}/forecasts")).json()
    assert [f["name"] for f in listed["forecasts"]] == ['load{host="a"}', 'rate(requests_total{host="a"})']
    shown = {"count": 2, "limit": 100, "truncated": False, "offset": 0, "matched": 2}
    assert listed["metadata"] == {**shown, "why": None}
    (one,) = (await client.get(f"{V1}/forecasts", params={"match": "load"})).json()["forecasts"]
    assert one["accuracy"]["error"] is None  # nothing has happened yet
    answer = await client.get(f"{V1}/forecasts/{one['series']}", params={"end": (now + 2 * DAY) / 1000, "start": now})
    found = answer.json()
    assert len(found["points"]["t"]) == 96
    ever = await client.get(f"{V1}/forecasts/{one['series']}", params={"end": 253_402_300_799_999, "start": 0})
    assert ever.json()["points"] == found["points"]
    assert found["points"]["t"][0] == now // STEP * STEP + STEP
    assert set(found["points"]["made"]) == {now}
    assert "load" in found["explanation"]
    korean = await client.get(f"{V1}/forecasts/{one['series']}", params={"language": "ko", "start": now})
    assert "예상 범위" in korean.json()["explanation"]
    assert (await client.get(f"{V1}/forecasts/{hex_id(1)}")).status_code == 404
    assert (await client.get(f"{V1}/forecasts/{one['series']}?signal=p99")).status_code == 404
    assert (await client.get(f"{V1}/forecasts/x")).status_code == 404
    return str(one["series"])


async def what_is_asked_ends_with_who_asks(engine: Engine, client: Any) -> None:
    """Made in a process beside that of the rounds, which is killed when the asker leaves, and made anew."""

    async def ask_ahead(horizon: int, **rest: Any) -> Any:
        values = np.sin(np.arange(4000) / 24).tolist()
        return await client.post(f"{V1}/analytics/forecast", json={"values": values, "horizon": horizon, **rest})

    worker, fleet = engine.parts.worker, engine.parts.fleet
    assert worker is not None
    assert fleet is not None
    answer = await ask_ahead(4, seasons=[24])
    assert answer.status_code == 200, answer.text
    first = worker.pid
    assert first not in {None, os.getpid(), fleet._worker.pid}
    leaving = asyncio.create_task(ask_ahead(900, models=["auto_ets", "mstl"]))
    async with asyncio.timeout(30):
        while not worker._turn.locked():  # noqa: ASYNC110  there is no event for it
            await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        async with asyncio.timeout(30):
            while True:
                os.kill(first or 0, 0)
                await asyncio.sleep(0.01)
    assert (await ask_ahead(5, seasons=[24])).status_code == 200


async def accuracy_is_told(client: Any, fp: str) -> None:
    every = (await client.get(f"{V1}/forecasts/accuracy")).json()["accuracy"]
    assert (every["all"]["signals"], every["all"]["points"], every["all"]["level"]) == (2, 8, 0.95)
    assert [g["name"] for g in every["byLead"]] == ["3600"]
    (one,) = (await client.get(f"{V1}/forecasts", params={"match": "load"})).json()["forecasts"]
    assert one["accuracy"]["points"] == 4
    assert 0 <= one["accuracy"]["error"] < 3
    assert (await client.get(f"{V1}/forecasts/{fp}")).json()["accuracy"] == one["accuracy"]
