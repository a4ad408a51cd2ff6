"""What the server says will run out: raised once, kept while it stands, ended with a reason, the same after a restart.

Time is virtual; how a bank decides is tested in tests/forecast/test_exhaustion.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airis_mon.app.limits import KNOWN, Limit
from airis_mon.app.predictions import MOST, Asked, Predictions
from airis_mon.errors import NotFound, QueryCancelled, StoreBusy
from airis_mon.query.engine import Deadline
from airis_mon.series.matchers import parse_selector
from airis_mon.series.steps import Steps
from tests.app.memory import T0
from tests.app.predicted import CERTIFICATE, DAY_MS, DISK, HOUR_MS, STEP_MS, World


def leak(h: float, since: float = 12.0, per_hour: float = 4.0) -> float:
    """Per cent used: flat with a ripple, then a steady rise that ends when it is full."""
    ripple = 0.2 * ((h * 7) % 1)
    return min(100.0, 40 + ripple + max(0.0, h - since) * per_hour)


@pytest.fixture
def leaking() -> World:
    """A disk that has been filling for nine hours, of which the warning was just raised."""
    world = World()
    world.fill('{host="a"}', leak, 40)
    world.now += 12 * HOUR_MS
    while not world.open:
        world.run(1 / 12)
    return world


def test_a_disk_that_fills_up_is_warned_of_once_before_it_is_full(leaking: World) -> None:
    (p,) = leaking.open
    full_at = T0 + round((12 + 60 / 4) * HOUR_MS)
    assert full_at - p.started_ms >= 2 * HOUR_MS
    assert p.earliest_ms is not None
    assert p.latest_ms is not None
    assert p.earliest_ms - HOUR_MS / 4 <= full_at <= p.latest_ms + HOUR_MS / 4
    assert (p.kind, p.name, p.limit, p.unit) == ("disk", "disk of a", 100.0, "bytes")
    assert p.rate_per_h == pytest.approx(4, rel=0.1)
    leaking.run(1.0)
    assert [t["event"] for t in leaking.told] == ["failure_predicted"]


def test_the_event_carries_what_the_api_shows_and_the_sentence_in_both_languages(leaking: World) -> None:
    (told,) = leaking.told
    (p,) = leaking.open
    assert told.items() >= p.payload.items()
    assert told["state"] == "open"
    assert told["sentence"] == told["sentences"]["en"]
    assert told["sentence"].startswith("Disk of a fills up ")
    assert told["sentences"]["ko"].startswith("a의 디스크: ")


def test_the_queries_of_a_prediction_give_its_series_alone_and_its_figures(leaking: World) -> None:
    leaking.fill('{host="b"}', lambda _: 1.0, 40)
    (p,) = leaking.open
    for text, value in ((p.used_query, p.used), (p.limit_query, p.limit)):
        found = leaking.memory.engine.query(text, Steps.at(p.updated_ms), Deadline.after(9)).value
        assert found.value.tolist() == [[value]]  # type: ignore[union-attr]


def test_a_warning_is_kept_up_to_date_while_it_stands(leaking: World) -> None:
    (before,) = leaking.open
    leaking.run(2.0)
    (after,) = leaking.open
    assert (after.id, after.started_ms) == (before.id, before.started_ms)
    assert after.used == pytest.approx(before.used + 8, abs=1)
    assert after.updated_ms == before.updated_ms + 2 * HOUR_MS


def test_a_full_disk_ends_its_warning_and_is_not_warned_of_again_while_it_is_full(leaking: World) -> None:
    leaking.run(14.0)
    (p,) = leaking.ended
    assert p.why_ended == "crossed"
    assert p.share is not None
    assert p.share >= 0.985
    assert leaking.open == []
    leaking.restarted()
    leaking.run(2.0)
    assert len(leaking.told) == 1


def test_a_disk_that_was_cleared_ends_its_warning_at_once() -> None:
    world = World()
    world.fill('{host="a"}', lambda h: leak(h) if h < 25 else 30.0, 40)
    world.now += 12 * HOUR_MS
    world.run(13.5)
    (p,) = world.ended
    assert p.why_ended == "fell"
    assert p.ended_ms is not None
    assert p.ended_ms - (T0 + 25 * HOUR_MS) <= 3 * STEP_MS


def test_a_pause_of_the_growth_neither_ends_the_warning_nor_raises_it_again() -> None:
    world = World()
    world.fill('{host="a"}', lambda h: leak(h if h < 25 else max(25.0, h - 0.4)), 40)
    world.now += 12 * HOUR_MS
    world.run(14.0)
    assert len(world.open) == 1
    assert len(world.told) == 1


def test_a_growth_that_has_ended_ends_the_warning() -> None:
    world = World()
    world.fill('{host="a"}', lambda h: leak(min(h, 25.0)), 60)
    world.now += 12 * HOUR_MS
    world.run(24.0)
    (p,) = world.ended
    assert p.why_ended == "slowed"
    assert len(world.told) == 1


def test_a_disk_that_stays_nearly_full_is_warned_of_once() -> None:
    world = World()
    noise = np.random.default_rng(3).normal(0, 0.2, 2000)
    world.fill('{host="a"}', lambda h: min(leak(h), 97.6) + noise[round(h * 12)], 70)
    world.now += 12 * HOUR_MS
    world.run(56.0)
    assert len(world.told) == 1
    assert [p.why_ended for p in world.ended] == ["slowed"]


@pytest.mark.parametrize(("low", "count"), [(97.0, 1), (91.0, 1), (40.0, 2)])
def test_a_limit_that_was_hit_is_warned_of_again_after_enough_has_become_free(low: float, count: int) -> None:
    world = World()
    world.fill('{host="a"}', lambda h: leak(h) if h < 29 else min(100.0, low + 4 * (h - 29)), 60)
    world.now += 12 * HOUR_MS
    world.run(40.0)
    assert len(world.told) == count


def test_a_disk_that_sends_nothing_any_more_ends_its_warning() -> None:
    world = World()
    world.fill('{host="a"}', lambda h: leak(h) if h < 25 else None, 40)
    world.now += 12 * HOUR_MS
    world.run(14.5)
    (p,) = world.ended
    assert p.why_ended == "gone"


def test_after_a_restart_the_warning_goes_on_and_is_not_raised_again(leaking: World) -> None:
    (before,) = leaking.open
    leaking.now += HOUR_MS  # the server was down meanwhile
    leaking.restarted()
    assert leaking.predictions.look() == []
    (after,) = leaking.open
    assert (after.id, after.started_ms) == (before.id, before.started_ms)
    assert after.updated_ms > before.updated_ms
    assert len(leaking.told) == 1


def test_a_first_look_learns_from_the_stored_past_and_raises_nothing_that_is_over() -> None:
    world = World()
    world.fill('{host="a"}', leak, 26)
    world.fill('{host="b"}', lambda h: leak(h) if h < 25 else 20.0, 26)
    world.now += round(25.5 * HOUR_MS)
    assert [p.name for p in world.predictions.look()] == ["disk of a"]


def test_a_warning_whose_limit_is_watched_no_more_is_ended_at_the_start(leaking: World) -> None:
    leaking.limits = (CERTIFICATE,)
    leaking.restarted().look()
    (p,) = leaking.ended
    assert p.why_ended == "gone"


def test_what_falls_by_itself_each_time_is_told_but_not_raised() -> None:
    world = World()
    world.fill('{host="a"}', lambda h: 20 + 6 * (h % 12.0), 60)  # twelve hours up to 92, and back
    world.now += 25 * HOUR_MS
    world.run(30.0)
    assert world.told == []
    assert len(world.ended) == 2
    for p, falls in zip(sorted(world.ended, key=lambda p: p.started_ms), (2, 3), strict=True):
        assert (p.is_recurring, p.why_ended, p.falls) == (True, "fell", falls)
        assert p.every_ms == pytest.approx(12 * HOUR_MS, rel=0.05)


def certificates(world: World, *days: float, name: str = "shop") -> None:
    """The end of a certificate, in days from now, as told in the days from now on."""
    ends = [(world.now + d * DAY_MS) / 1000 for d in days]
    hourly = [end for end in ends for _ in range(24 * 12)]
    world.memory.put(f'cert_not_after{{service="{name}"}}', *hourly, start=world.now, step=STEP_MS)


def test_a_certificate_is_warned_of_exactly_from_the_days_of_the_settings_on() -> None:
    world = World(certificate_days=14)
    certificates(world, *[14.5] * 3)
    assert world.run(11.75, every=0.25) == []
    raised = world.run(1.0, every=0.25)
    assert [(p.kind, p.name) for p in raised] == [("certificate", "certificate of shop")]
    (p,) = raised
    end = T0 + round(14.5 * DAY_MS)
    assert (p.eta_ms, p.earliest_ms, p.latest_ms) == (end, end, end)
    assert p.lead_ms == 14 * DAY_MS
    assert (p.basis, p.share, p.used, p.limit) == ("deadline", None, p.updated_ms / 1000, end / 1000)
    assert p.limit_query == 'cert_not_after{service="shop"}'


def test_a_renewed_certificate_ends_its_warning_and_an_expired_one_too() -> None:
    world = World()
    certificates(world, 1.0, 89.0, name="renewed")
    certificates(world, 0.5, name="expired")
    world.run(30.0, every=0.5)
    assert {p.name: p.why_ended for p in world.ended} == {
        "certificate of renewed": "renewed",
        "certificate of expired": "crossed",
    }
    assert next(p for p in world.ended if p.why_ended == "crossed").ended_ms == T0 + DAY_MS // 2


def test_an_expired_certificate_is_not_foreseen() -> None:
    world = World()
    certificates(world, -1.0)
    assert world.run(1.0) == []


def test_a_limit_that_does_not_exist_is_not_asked_for_and_says_why() -> None:
    world = World(*KNOWN)
    asked = asked_of(world)
    world.predictions.look()
    assert asked == []
    whys = {w.why for w in world.predictions.watched()}
    assert "no metric container_memory_working_set_bytes" in whys
    assert all(why.startswith("no metric ") for why in whys)


def test_a_limit_that_appears_later_is_learned_from_its_whole_past(leaking: World) -> None:
    leaking.limits = (DISK, Limit("memory", "ram_used", "ram_total"))
    leaking.restarted().look()
    hours = (leaking.now - T0) // HOUR_MS + 4
    values = [leak(i / 12) for i in range(12 * hours)]
    leaking.memory.put('ram_used{host="m"}', *values, start=T0, step=STEP_MS)
    leaking.memory.put("ram_total", *[100.0] * len(values), start=T0, step=STEP_MS)
    assert [p.name for p in leaking.predictions.look()] == ["memory of m"]


def asked_of(world: World) -> list[tuple[str, Steps]]:
    """Notes what is asked from now on."""
    asked: list[tuple[str, Steps]] = []
    ask = world.memory.engine.query

    def query(text: str, steps: Steps, *args: Any, **more: Any) -> Any:
        asked.append((text, steps))
        return ask(text, steps, *args, **more)

    world.memory.engine.query = query  # type: ignore[method-assign]
    return asked


def test_each_step_is_asked_for_once_in_pieces_of_a_day_at_most() -> None:
    world = World(DISK, history_s=3 * 86_400)
    world.fill('{host="a"}', lambda _: 50.0, 1)
    asked = asked_of(world)
    world.run(0.5, every=0.25)
    first, *steps = [steps for text, steps in asked if text == DISK.used]
    assert first.count == 1  # how many series there are
    assert max(one.count for one in steps) == 288
    t = np.concatenate([one.t for one in steps])
    assert np.diff(t).tolist() == [STEP_MS] * (3 * 288 + 3)
    assert t[-1] == world.now


def test_many_series_are_asked_for_in_smaller_pieces() -> None:
    world = World(DISK, history_s=86_400)
    world.memory.put("disk_size_bytes", 9.0)
    for i in range(2_500):
        world.memory.put(f'disk_used_bytes{{host="{i}"}}', 5.0)
    asked = asked_of(world)
    world.predictions.look()
    assert [steps.count for text, steps in asked if text == DISK.used] == [1, 200, 89]
    assert world.predictions.health()["watched"] == 2_500


def test_after_a_long_pause_no_more_is_asked_for_than_a_first_look_would() -> None:
    world = World(DISK, history_s=86_400)
    world.fill('{host="a"}', lambda _: 50.0, 1)
    world.run(0.5)
    world.now += 30 * DAY_MS
    asked = asked_of(world)
    world.predictions.look()
    assert min(steps.start for _, steps in asked) == world.now - DAY_MS


def test_a_clock_that_is_set_back_asks_for_nothing_until_it_has_caught_up() -> None:
    world = World(DISK)
    world.fill('{host="a"}', lambda _: 50.0, 1)
    world.run(0.5)
    asked = asked_of(world)
    world.now -= HOUR_MS // 4
    world.predictions.look()
    assert asked == []


def test_a_limit_that_cannot_be_asked_for_leaves_the_others_working_and_is_named() -> None:
    world = World(Limit("odd", "disk_used_bytes * on (host) disk_twice", "1"), DISK)
    world.fill('{host="a"}', leak, 40)
    world.memory.put('disk_twice{host="a",x="1"}', *[1.0] * 500, step=STEP_MS)
    world.memory.put('disk_twice{host="a",x="2"}', *[1.0] * 500, step=STEP_MS)
    world.now += 25 * HOUR_MS
    assert [p.kind for p in world.predictions.look()] == ["disk"]
    (fault,) = world.predictions.health()["degraded"]
    assert fault.startswith("odd (disk_used_bytes * on (host) disk_twice): ")


def test_what_is_beyond_the_most_series_is_left_out_and_said() -> None:
    world = World(DISK, max_series=2)
    for host in "abc":
        world.fill(f'{{host="{host}"}}', lambda _: 50.0, 2)
    world.run(1.0)
    (watched,) = world.predictions.watched()
    assert (watched.series, watched.left_out) == (2, 1)
    assert world.predictions.health()["degraded"] == ["1 of disk are left out: predict.max_series = 2"]


def test_a_series_without_a_limit_is_counted_not_warned_of() -> None:
    world = World(DISK)
    world.memory.put('disk_used_bytes{host="a"}', *[5.0] * 50, step=STEP_MS)
    world.fill('{host="b"}', lambda _: 5.0, 4)
    world.run(1.0)
    (watched,) = world.predictions.watched()
    assert (watched.series, watched.unlimited) == (1, 1)


def test_nothing_is_told_that_could_not_be_stored(leaking: World) -> None:
    world = World()
    world.fill('{host="a"}', leak, 40)
    world.predictions.look()
    world.kept.is_down = True
    world.now += 25 * HOUR_MS
    with pytest.raises(StoreBusy):
        world.predictions.look()
    assert world.told == []
    world.kept.is_down = False
    world.run(0.5)
    assert len(world.told) == len(world.open) == 1


def test_a_series_that_ended_gives_its_row_to_another() -> None:
    world = World(DISK, max_series=1)
    world.fill('{host="a"}', lambda _: 50.0, 2)
    world.run(2.0)
    world.now += 26 * HOUR_MS
    world.predictions.look()
    world.fill('{host="b"}', leak, 40)
    world.now += 12 * HOUR_MS
    world.run(13.0)
    assert [p.name for p in world.open] == ["disk of b"]


def test_more_of_the_past_is_learned_from_when_it_has_come() -> None:
    whole = [False]
    world = World(DISK, is_past_whole=lambda: whole[0])
    world.fill('{host="a"}', leak, 40)
    kept = {labels: dict(samples) for labels, samples in world.memory.rows.items()}
    for samples in world.memory.rows.values():
        for t in [t for t in samples if t < T0 + 24 * HOUR_MS]:
            del samples[t]
    world.now += 25 * HOUR_MS
    assert world.predictions.look() == []
    world.memory.rows = kept
    assert world.predictions.look() == []
    whole[0] = True
    assert [p.name for p in world.predictions.look()] == ["disk of a"]


async def test_those_that_stand_are_found_soonest_first_by_kind_and_labels(leaking: World) -> None:
    certificates(leaking, 3.0, name="shop")
    certificates(leaking, 2.0, name="blog")
    leaking.run(0.5)
    predictions = leaking.predictions
    found, is_cut = await predictions.found(Asked())
    assert [p.name for p in found] == ["disk of a", "certificate of blog", "certificate of shop"]
    assert not is_cut
    found, is_cut = await predictions.found(Asked(limit=1, kinds={"certificate"}))
    assert ([p.name for p in found], is_cut) == (["certificate of blog"], True)
    found, _ = await predictions.found(Asked(matchers=parse_selector('{service="shop"}')))
    assert [p.name for p in found] == ["certificate of shop"]


async def test_ended_ones_are_found_in_the_store(leaking: World) -> None:
    leaking.run(14.0)
    found, _ = await leaking.predictions.found(Asked(is_open=False))
    assert [p.why_ended for p in found] == ["crossed"]
    assert await leaking.predictions.found(Asked(is_open=False, end=T0)) == ([], False)
    assert (await leaking.predictions.one(found[0].id)) == found[0]
    with pytest.raises(NotFound, match="no prediction 0123"):
        await leaking.predictions.one("0123")


async def test_old_ones_are_found_by_kind_labels_and_id_behind_ten_thousand_newer_ones(leaking: World) -> None:
    (raised,) = leaking.open
    old = replace(raised, id="0123", kind="memory", labels=(("host", "m"),), started_ms=T0, ended_ms=T0 + HOUR_MS)
    newer = [replace(old, id=f"n{i}", kind="disk", labels=(), started_ms=T0 + 1) for i in range(MOST + 1)]
    leaking.kept.write_predictions([old, *newer])
    predictions = leaking.predictions
    for asked in (Asked(False, {"memory"}), Asked(None, matchers=parse_selector('{host="m"}'))):
        assert await predictions.found(asked) == ([old], False)
    assert await predictions.one("0123") == old
    found, is_cut = await predictions.found(Asked(False, {"disk"}, limit=3 * MOST))
    assert (len(found), is_cut) == (MOST + 1, True)


def test_a_limit_whose_series_have_ended_has_no_values_now_instead_of_no_look() -> None:
    world = World()
    world.memory.put("disk_used_bytes", 1.0, start=T0 - 30 * DAY_MS)
    world.memory.put("disk_size_bytes", 2.0, start=T0 - 30 * DAY_MS)
    world.memory.put("cert_not_after", 1.0, start=T0 - 30 * DAY_MS)
    assert {w.why for w in world.predictions.watched()} == {"not looked at yet"}
    world.predictions.look()
    assert {w.why for w in world.predictions.watched()} == {"no values now"}


async def test_the_part_looks_again_and_again_and_survives_a_look_that_fails() -> None:
    world = World()
    world.fill('{host="a"}', lambda _: 50.0, 2)
    slept: list[float] = []
    third = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        world.now += STEP_MS
        world.kept.is_down = len(slept) == 1
        if len(slept) == 4:
            third.set()
            await asyncio.Event().wait()

    world.settings = {"sleep": sleep, "interval_s": 300.0}
    world.kept.predictions = _failing(world, world.kept.predictions)  # type: ignore[method-assign]
    part = world.restarted()
    part.start()
    await asyncio.wait_for(third.wait(), 60)  # the first of all looks compiles
    assert part.health()["degraded"] == []
    assert part.health()["watched"] == 1
    await part.stop()
    assert slept == [10.0, 300.0, 300.0, 300.0]


def _failing(world: World, read: Callable[..., Any]) -> Callable[..., Any]:
    def predictions(*args: Any) -> Any:
        if world.kept.is_down:
            raise StoreBusy("down")
        return read(*args)

    return predictions


async def test_a_look_that_fails_is_named_until_one_succeeds() -> None:
    world = World()
    world.kept.predictions = _failing(world, world.kept.predictions)  # type: ignore[method-assign]
    world.kept.is_down = True
    part = world.predictions
    await asyncio.to_thread(part._supervised)
    assert part.health()["degraded"] == ["the latest look failed: down"]
    world.kept.is_down = False
    await asyncio.to_thread(part._supervised)
    assert part.health()["degraded"] == []


async def test_a_stop_ends_a_look_that_is_under_way(leaking: World) -> None:
    part: Predictions = leaking.restarted()
    part._asker.stopping.set()
    with pytest.raises(QueryCancelled):
        part.look()
