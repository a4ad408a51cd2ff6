from __future__ import annotations

import asyncio
import doctest
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import httpx2
import pytest

from airis_mon.checks.history import examine
from airis_mon.errors import ConfigError, InputError, Transient
from airis_mon.ingest.base import Missing, Slice
from airis_mon.ingest.collectors.prometheus_query import PrometheusQuery
from airis_mon.ingest.histories import prometheus
from airis_mon.ingest.histories.prometheus import Prometheus
from airis_mon.ingest.promgate import Gate
from airis_mon.ingest.promplan import make_plan
from airis_mon.ingest.promsource import PromSource
from airis_mon.series.catalogue import Catalogue, MetricType
from airis_mon.series.labels import series_name
from tests.ingest.promfake import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    Ask,
    FakePrometheus,
    Quick,
    Row,
    Trouble,
    bad,
    good,
    grid,
    matrix,
    rows_of,
    sent,
    success,
)

START = NOW - 6 * HOUR


def shop(trouble: Trouble | None = None, *, start: int = START, hours: int = 6, most: int = 10**9) -> FakePrometheus:
    """Twelve series of four metrics, one sample a minute, each series with its own phase."""
    fake = FakePrometheus(trouble, most)
    for i in range(12):
        name = ("http_requests_total", "cpu_seconds_total", "app_things", "app_ratio")[i % 4]
        times = grid(start + 1_000 * i + 217, start + hours * HOUR, MINUTE)
        fake.add(name, times, [i + k / 7 for k in range(len(times))], instance=f"h{i}", job="shop")
    return fake


def history(fake: FakePrometheus, catalogue: Catalogue | None = None, **more: Any) -> Prometheus:
    more = {"clock": Quick(), "requests_per_s": 1000, "slice_samples": 1000, "patience_s": 300.0} | more
    catalogue = Catalogue() if catalogue is None else catalogue
    return Prometheus(catalogue, url="http://prom.test", transport=fake, **more)


async def read(it: Prometheus, start: int | None = START, end: int | None = NOW) -> list[Slice]:
    return [s async for s in it.slices(start, end)]


async def rows(fake: FakePrometheus, *, start: int | None = START, end: int | None = NOW, **more: Any) -> list[Row]:
    catalogue = Catalogue()
    return rows_of(await read(history(fake, catalogue, **more), start, end), catalogue)


def missing(slices: list[Slice]) -> list[Missing]:
    return [m for s in slices for m in s.missing]


def once(answer: Callable[[], httpx2.Response | Exception], when: Callable[[Ask], bool], times: int = 1) -> Trouble:
    left = [times]

    def trouble(ask: Ask) -> httpx2.Response | Exception | None:
        if left[0] and when(ask):
            left[0] -= 1
            return answer()
        return None

    return trouble


# --- what is read ---------------------------------------------------------------------------------------------------


async def test_every_sample_comes_once_over_several_windows_in_order_of_time():
    fake = shop()
    slices = await read(it := history(fake))
    assert rows_of(slices, it._reader.catalogue) == fake.rows(START, NOW)
    assert len(slices) > 3
    assert all(len(s.batch) < 2500 for s in slices)
    assert missing(slices) == []
    assert (slices[0].start, slices[-1].end, slices[-1].fraction) == (START, NOW, 1.0)
    assert [s.fraction for s in slices] == sorted(s.fraction for s in slices)


async def test_the_ends_of_the_time_are_kept_to_the_millisecond():
    fake = FakePrometheus()  # as in Prometheus 2, a range has both its ends
    fake.add("m", [START - 1, START, START + 59_999, START + 60_000, START + 119_999, START + 120_000])
    assert await rows(fake, start=START, end=START + 120_000) == fake.rows(START, START + 120_000)


async def test_reading_on_from_any_slice_gives_the_same_as_reading_on():
    fake = shop()
    catalogue = Catalogue()
    slices = await read(history(fake, catalogue))
    middle = slices[len(slices) // 2].end
    before = [s for s in slices if s.end <= middle]
    after = await read(history(fake, catalogue), middle)
    assert sorted(rows_of(before, catalogue) + rows_of(after, catalogue)) == fake.rows(START, NOW)


@pytest.mark.parametrize("days", [0, 3, 45])
async def test_without_a_start_reading_begins_near_the_earliest_sample(days: int):
    fake = shop(start=START - days * DAY, hours=2)
    fake.add("up", grid(NOW - 30 * DAY if days > 32 else NOW - HOUR, NOW, HOUR // 2))
    slices = await read(it := history(fake, slice_samples=100_000), None, None)
    assert rows_of(slices, it._reader.catalogue) == fake.rows()
    assert START - days * DAY - HOUR <= slices[0].start <= START - days * DAY + 217


async def test_time_before_the_earliest_sample_is_not_asked_for_window_by_window():
    fake = shop()
    slices = await read(it := history(fake), NOW - 300 * DAY)
    assert rows_of(slices, it._reader.catalogue) == fake.rows(START, NOW)
    assert slices[0].start == NOW - 300 * DAY
    assert min(a.start for a in fake.raw) >= START - HOUR


async def test_a_server_without_samples_gives_one_empty_slice():
    for start in (START, None):
        (only,) = await read(history(FakePrometheus()), start)
        assert (len(only.batch), only.end, only.fraction) == (0, NOW, 1.0)


async def test_a_gap_is_no_reason_to_stop():
    fake = FakePrometheus()
    fake.add("m", grid(START, START + HOUR) + grid(NOW - HOUR, NOW))
    assert await rows(fake, slice_samples=100) == fake.rows(START, NOW)


async def test_only_what_is_meant_is_read_and_firing_alerts_always():
    fake = shop()
    fake.add("ALERTS", grid(START, NOW, MINUTE), alertname="Down", alertstate="firing", job="other")
    fake.add("ALERTS", grid(START, NOW, MINUTE), alertname="Down", alertstate="pending", job="other")
    found = await rows(fake, match=['{job="shop",instance=~"h[01]"}', "app_things"])
    expected = [
        r for r in fake.rows(START, NOW) if "h0" in r[0] or 'h1"' in r[0] or "app_things" in r[0] or "firing" in r[0]
    ]
    assert found == expected


async def test_everything_means_pending_alerts_too_and_each_sample_once():
    fake = shop()
    fake.add("ALERTS", grid(START, NOW, MINUTE), alertname="Down", alertstate="firing")
    fake.add("ALERTS", grid(START, NOW, MINUTE), alertname="Down", alertstate="pending")
    assert await rows(fake) == fake.rows(START, NOW)


@pytest.mark.parametrize("match", [[], ["app_things"]])
async def test_alerts_are_not_asked_for_where_none_ever_fired(match: list[str]):
    fake = shop()
    await read(history(fake, match=match))
    assert not [a for a in fake.raw if "ALERTS" in a.names]


async def test_names_and_values_that_are_special_in_patterns_and_texts_are_read():
    fake = FakePrometheus()
    for name in ("http.requests", "a|b", 'quo"te', "back\\slash", "neu\nline", "ü"):
        fake.add(name, grid(START, NOW, MINUTE), path='C:\\x "y"\n')
    assert await rows(fake) == fake.rows(START, NOW)


async def test_labels_are_added_and_win():
    fake = FakePrometheus()
    fake.add("m", grid(START, NOW, MINUTE), cluster="theirs", job="a")
    catalogue = Catalogue()
    await read(history(fake, catalogue, labels={"cluster": "ours", "zone": "b"}))
    assert [series_name(catalogue.labels(s)) for s in catalogue] == ['m{cluster="ours",job="a",zone="b"}']


async def test_what_targets_say_of_their_metrics_is_noted():
    fake = shop()
    fake.types = {"http_requests_total": "counter", "app_things": "gaugehistogram", "app_ratio": "nonsense"}
    catalogue = Catalogue()
    await read(history(fake, catalogue))
    assert catalogue.types == {
        "http_requests_total": MetricType.COUNTER,
        "app_things": MetricType.GAUGE_HISTOGRAM,
    }


async def test_special_values_come_through():
    fake = FakePrometheus()
    fake.series[(("__name__", "m"),)] = [(START + 1, "NaN"), (START + 2, "+Inf"), (START + 3, "-Inf")]
    found = await rows(fake)
    assert [str(v) for _, _, v in found] == ["nan", "inf", "-inf"]


async def test_with_a_step_a_range_query_is_asked_below_its_limit_of_points():
    fake = FakePrometheus()
    fake.add("m", grid(START, NOW, 15_000))
    found = await rows(fake, step_s=1, slice_samples=10**6, start=START + 500)
    assert [(t, v) for _, t, v in found] == [(t, (t - START) // 15_000) for t in range(START + 1000, NOW, 1000)]
    assert all(
        a.end - a.start <= 10_000_000 for a in fake.asked if a.path == "query_range" and "count" not in a.form["query"]
    )
    assert fake.raw == []


async def test_golden_signals_are_taken_first_and_what_is_left_out_is_named():
    fake = FakePrometheus()
    for i in range(6):
        fake.add("app_things", grid(START, NOW, MINUTE), i=str(i))
        fake.add("cpu_seconds_total", grid(START, NOW, MINUTE), i=str(i))
        fake.add("backups_group", grid(START, NOW, MINUTE), i=str(i))
    fake.add("up", grid(START, NOW, MINUTE))
    fake.add("ALERTS", grid(START, NOW, MINUTE), alertstate="firing")
    slices = await read(it := history(fake, max_series=13, slice_samples=10**6))
    names = {r[0].partition("{")[0] for r in rows_of(slices, it._reader.catalogue)}
    assert names == {"up", "cpu_seconds_total", "app_things", "ALERTS"}
    (told,) = missing(slices)
    assert (told.start, told.end, told.what) == (START, NOW, "backups_group")
    assert "max_series = 13" in told.why
    assert it.health()["metrics_left_out"] == ["backups_group"]


async def test_where_there_is_room_for_nothing_everything_is_named_as_left_out():
    slices = await read(it := history(shop(), max_series=2))
    assert rows_of(slices, it._reader.catalogue) == []
    assert slices[-1].end == NOW
    (told,) = missing(slices)
    assert told.what.endswith(" and 1 more")


def pods() -> FakePrometheus:
    """Pods that follow one another: one at once, 48 in all."""
    fake = FakePrometheus()
    for i in range(48):
        fake.add("up", grid(START + i * HOUR // 8, START + (i + 1) * HOUR // 8, 15_000), pod=f"p{i:02}")
    return fake


async def test_series_that_follow_one_another_have_room_though_they_are_many_in_all():
    fake = pods()
    slices = await read(it := history(fake, max_series=10, slice_samples=100))
    assert rows_of(slices, it._reader.catalogue) == fake.rows(START, NOW)
    assert missing(slices) == []


async def test_series_of_a_window_beyond_the_limit_are_left_out_and_told():
    fake = pods()
    slices = await read(it := history(fake, max_series=4, slice_samples=240))
    catalogue = it._reader.catalogue
    for s in slices:
        taken = len({*s.batch.sid.tolist()})
        alive = len({r[0] for r in fake.rows(s.start, s.end)})
        assert taken == min(alive, 4)
        assert [m.what for m in s.missing] == ([f"{alive - 4} series"] if alive > 4 else [])
        assert all("max_series = 4" in m.why for m in s.missing)
    assert missing(slices)
    assert it.health()["series"] == len({*slices[-1].batch.sid.tolist()})
    assert it.health()["series_left_out"] == sum(int(m.what.split()[0]) for m in slices[-1].missing)
    assert len(catalogue) < 48  # what is left out takes no room there either


async def test_a_series_that_was_read_before_has_room_before_a_new_one():
    fake = FakePrometheus()
    # Answered first, and there when nobody counts.
    fake.add("up", grid(NOW - 40 * MINUTE, NOW - 10 * MINUTE, MINUTE), pod="a")
    fake.add("up", grid(START, NOW, MINUTE), pod="b")
    found = await rows(fake, max_series=1, slice_samples=20)
    assert found == [r for r in fake.rows(START, NOW) if 'pod="b"' in r[0]]


async def test_alerts_that_fire_later_need_no_room():
    fake = FakePrometheus()
    fake.add("up", grid(START, NOW, MINUTE))
    fake.add("ALERTS", grid(NOW - HOUR, NOW, MINUTE), alertname="Down", alertstate="firing")
    assert await rows(fake, max_series=1, slice_samples=100) == fake.rows(START, NOW)


async def test_two_answers_about_one_series_are_one_series():
    """As of servers that answer for replicas: repeated, out of order, with other values."""
    fake = FakePrometheus()

    def twice(ask: Ask) -> httpx2.Response | None:
        if not ask.is_raw or "ALERTS" in ask.form["query"]:
            return None
        t = [x for x in range(START, START + 10_000, 1000) if ask.start <= x < ask.end]
        first = [(x, "1") for x in t]
        second = [(x, "2") for x in reversed(t)] + [(x + 500, "3") for x in t]
        return good(matrix([({"__name__": "m"}, first), ({"__name__": "m"}, second)]))

    fake.add("m", [START, NOW - 1])
    fake.trouble = twice
    found = await rows(fake)
    assert [(t - START, v) for _, t, v in found] == sorted(
        [(x, 1.0) for x in range(0, 10_000, 1000)] + [(x + 500, 3.0) for x in range(0, 10_000, 1000)]
    )


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda: bad(503),
        lambda: bad(429, Retry_After="7"),
        lambda: bad(500, "internal", "disk"),
        lambda: httpx2.ConnectError("refused"),
        lambda: httpx2.RemoteProtocolError("peer closed connection"),
        lambda: sent(success(matrix([({"__name__": "m"}, [(START, "1")])]))[:60]),
        lambda: sent(b"<html>Bad gateway</html>"),
        lambda: bad(422, "execution", "too many samples"),
        lambda: bad(503, "timeout", "query timed out"),
        lambda: bad(400, "bad_data", "limit exceeded"),
    ],
)
async def test_a_failure_that_passes_loses_nothing(answer: Callable[[], httpx2.Response | Exception]):
    fake = shop()
    seen = [0]

    def every_third(ask: Ask) -> bool:
        seen[0] += ask.is_raw
        return ask.is_raw and seen[0] % 3 == 0

    fake.trouble = once(answer, every_third, times=100)
    slices = await read(it := history(fake))
    assert rows_of(slices, it._reader.catalogue) == fake.rows(START, NOW)
    assert missing(slices) == []


async def test_what_is_too_many_samples_for_the_server_is_asked_for_in_smaller_pieces_from_then_on():
    fake = shop(most=300)
    slices = await read(it := history(fake, slice_samples=2500, request_samples=2000))
    assert rows_of(slices, it._reader.catalogue) == fake.rows(START, NOW)
    assert missing(slices) == []
    assert 0 < fake.refused < 8 < len(fake.raw) - fake.refused


async def test_a_question_that_gets_no_answer_in_time_is_asked_in_smaller_pieces():
    fake = shop()

    class Hanging(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            answer = await fake.handle_async_request(request)
            if fake.asked[-1].is_raw and len(fake.asked[-1].names) > 2:
                await asyncio.Event().wait()
            return answer

    it = Prometheus(
        Catalogue(), url="http://p.test", transport=Hanging(), requests_per_s=1000, timeout_s=0.05, slice_samples=3000
    )
    slices = await read(it)
    assert rows_of(slices, it._reader.catalogue) == fake.rows(START, NOW)


async def test_an_answer_beyond_the_bound_is_asked_for_in_smaller_pieces():
    fake = shop()
    assert await rows(fake, max_bytes=4000, slice_samples=5000) == fake.rows(START, NOW)


async def test_a_metric_that_never_comes_is_missing_and_the_others_are_read():
    fake = shop(lambda ask: bad(422, "execution", "corrupt") if ask.is_raw and "app_ratio" in ask.names else None)
    slices = await read(it := history(fake))
    assert rows_of(slices, it._reader.catalogue) == [r for r in fake.rows(START, NOW) if "app_ratio" not in r[0]]
    assert {m.what for m in missing(slices)} == {"app_ratio"}
    assert missing(slices)[0].start == START
    covered = sum(m.end - m.start for m in missing(slices))
    assert covered == NOW - START
    asked = [a for a in fake.raw if a.names == {"app_ratio"}]
    assert len(asked) < 60
    assert list(it.health()["metrics_given_up"]) == ["app_ratio"]


async def test_a_time_that_never_comes_is_missing_and_later_times_are_read():
    hole = (START + 2 * HOUR, START + 2 * HOUR + 20 * MINUTE)

    def trouble(ask: Ask) -> httpx2.Response | None:
        broken = ask.is_raw and ask.start < hole[1] and ask.end > hole[0]
        return bad(500, "internal", "corrupt block") if broken else None

    fake = shop(trouble)
    slices = await read(it := history(fake, slice_samples=700))
    found = rows_of(slices, it._reader.catalogue)
    told = missing(slices)
    assert told
    assert min(m.start for m in told) >= hole[0] - HOUR
    assert max(m.end for m in told) <= hole[1] + HOUR
    outside = [r for r in fake.rows(START, NOW) if not any(m.start <= r[1] < m.end for m in told)]
    assert set(outside) <= set(found)


async def test_a_server_that_goes_away_and_comes_back_is_waited_for():
    clock = Quick()

    def trouble(ask: Ask) -> Exception | None:
        return httpx2.ConnectError("refused") if ask.is_raw and NOW + 5_000 < clock.t < NOW + 200_000 else None

    fake = shop(trouble)
    found = await rows(fake, clock=clock, requests_per_s=1)
    assert found == fake.rows(START, NOW)
    assert clock.t > NOW + 200_000


async def test_a_server_that_goes_away_for_good_leaves_the_rest_missing_and_a_cursor_to_go_on_from():
    clock = Quick()
    fake = shop(lambda ask: httpx2.ConnectError("refused") if len(fake.raw) > 5 else None)
    catalogue = Catalogue()
    slices = await read(history(fake, catalogue, clock=clock, request_samples=100))
    (told,) = missing(slices)
    assert (told.start, told.end, told.what) == (slices[-1].end, NOW, "everything")
    assert "cannot be reached" in told.why
    assert slices[-1].start == slices[-1].end < NOW
    assert 0 < slices[-1].fraction < 1
    assert clock.t - NOW < 400_000  # the requests that waited do not each wait anew
    fake.trouble = None
    rest = await read(history(fake, catalogue), slices[-1].end)
    assert sorted(rows_of(slices, catalogue) + rows_of(rest, catalogue)) == fake.rows(START, NOW)


async def test_a_server_that_hangs_for_good_is_given_up_too():
    fake = shop(lambda ask: bad(504) if ask.is_raw and len(fake.raw) > 5 else None)
    slices = await read(history(fake, requests_per_s=0.1))
    assert missing(slices)[-1].what == "everything"
    assert "no question was answered for 300 s" in missing(slices)[-1].why


async def test_a_server_that_is_not_there_is_said_so():
    fake = shop(lambda ask: httpx2.ConnectError("refused"))
    with pytest.raises(Transient, match=r"prom\.test.* cannot be reached"):
        await read(history(fake))


async def test_a_server_that_breaks_off_its_first_answers_is_said_to_be_away():
    fake = shop(lambda ask: httpx2.RemoteProtocolError("server disconnected"))
    with pytest.raises(Transient, match="server disconnected"):
        await read(history(fake))


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx2.ReadTimeout("slow"),
        lambda: httpx2.ConnectTimeout("slow"),
        lambda: bad(500, "internal"),
        lambda: bad(501),
        lambda: bad(502),
        lambda: bad(503, Retry_After="999999"),
        lambda: bad(503, "timeout", "query timed out"),
        lambda: bad(504),
        lambda: bad(408),
        lambda: bad(429),
        lambda: sent(b"{"),
    ],
)
async def test_a_server_in_trouble_at_the_first_look_is_away_and_may_be_asked_again(answer: Callable[[], Any]):
    fake = shop(lambda ask: answer())
    it = history(fake)
    with pytest.raises(Transient):
        await read(it)
    fake.trouble = None
    assert rows_of(await read(it), it._reader.catalogue) == fake.rows(START, NOW)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_what_a_server_refuses_at_the_first_look_it_will_never_answer(status: int):
    with pytest.raises(InputError):
        await read(history(shop(lambda ask: bad(status))))


@pytest.mark.parametrize("after", [0, 8])
async def test_a_wrong_password_ends_it_at_once_and_is_not_shown(after: int):
    fake = shop(lambda ask: bad(401) if len(fake.asked) > after else None)
    with pytest.raises(InputError, match="password") as error:
        await read(history(fake, username="ann", password="s3cret"))
    assert "s3cret" not in str(error.value)
    assert len(fake.asked) <= after + 3


async def test_a_redirect_and_a_login_page_are_said_so():
    for answer in (lambda a: sent(b"", 302, Location="/login"), lambda a: sent(b"<html>")):
        with pytest.raises(InputError):
            await read(history(shop(answer)))


async def test_a_list_of_names_that_is_too_much_to_ask_is_said_with_a_remedy():
    fake = shop(lambda ask: bad(422, "execution", "the query time range exceeds the limit"))
    with pytest.raises(InputError, match=r"exceeds the limit; narrow match"):
        await read(history(fake))


async def test_a_partial_answer_is_kept_and_its_warning_told():
    def trouble(ask: Ask) -> httpx2.Response | None:
        if not ask.is_raw or "app_things" not in ask.names:
            return None
        return good(matrix([({"__name__": "app_things"}, [(ask.start + 1, "1")])]), warnings=["store eu-1 is away"])

    slices = await read(it := history(shop(trouble), match=["app_things"]))
    assert "app_things" in {r[0] for r in rows_of(slices, it._reader.catalogue)}
    assert {m.why for m in missing(slices)} == {"the server warns: store eu-1 is away"}


async def test_a_hostile_label_set_is_left_out_alone():
    fake = shop()
    fake.series[(("__name__", "evil"), ("x", "y" * 10_000))] = [(START + 1, "1")]
    fake.series[(("__name__", "evil"), *((f"l{i:03}", "v") for i in range(200)))] = [(START + 1, "1")]
    slices = await read(it := history(fake))
    good_rows = [r for r in fake.rows(START, NOW) if "evil" not in r[0]]
    assert rows_of(slices, it._reader.catalogue) == good_rows
    assert it.health()["series_left_out"] == 2
    assert any("label" in m.why for m in missing(slices))


async def test_a_series_without_a_name_is_left_out():
    def trouble(ask: Ask) -> httpx2.Response | None:
        return good(matrix([({"a": "b"}, [(ask.start + 1, "1")])])) if ask.is_raw else None

    slices = await read(it := history(shop(trouble)))
    assert rows_of(slices, it._reader.catalogue) == []
    assert it.health()["series_left_out"] == 1


async def test_a_count_that_is_too_much_to_ask_is_done_without():
    fake = shop(lambda ask: bad(422) if "count" in ask.form.get("query", "") or ask.path == "metadata" else None)
    assert await rows(fake) == fake.rows(START, NOW)


@pytest.mark.parametrize("kind", [Prometheus, PrometheusQuery])
async def test_all_who_read_one_server_can_share_a_gate(kind: type[PromSource]):
    fake, clock = shop(), Quick()
    gate = Gate(concurrency=1, requests_per_s=1000.0, clock=clock)
    one = history(fake, gate=gate, request_samples=100)
    other = kind(Catalogue(), url="http://prom.test", transport=fake, clock=clock, gate=gate)
    asking = [other._reader.window(NOW - HOUR, NOW) for _ in range(3)]
    other._reader.plan = make_plan([((), ["up"])], {}, 10)
    await asyncio.gather(read(one), *asking)
    assert fake.most_under_way == 1


async def test_sids_that_the_catalogue_took_back_are_not_used_again():
    fake = shop()
    catalogue = Catalogue()
    it = history(fake, catalogue)
    async with aclosing(it.slices(START, NOW)) as slices:
        async for s in slices:
            if len(s.batch):
                break
        catalogue.observe(s.batch)
        await asyncio.sleep(0.05)  # the window that was fetched ahead
        catalogue.evict(NOW)
        await anext(slices)
        later = await anext(slices)
    assert len(later.batch)
    assert all(catalogue.has(i) for i in later.batch.sid.tolist())


async def test_leaving_early_ends_what_is_under_way():
    before = asyncio.all_tasks()
    it = history(shop())
    async with aclosing(it.slices(START, NOW)) as slices:
        async for s in slices:
            if len(s.batch):
                break
    assert asyncio.all_tasks() == before
    assert rows_of(await read(it), it._reader.catalogue) == it._api._transport.rows(START, NOW)  # and it can begin anew


def test_a_selector_that_is_none_is_refused_at_once():
    with pytest.raises(ConfigError, match="match"):
        history(FakePrometheus(), match=["{job=}"])


def test_the_name_holds_no_secret():
    it = Prometheus(Catalogue(), url="https://ann:s3cret@prom.test/x?token=t", password="p4ss", bearer_token="t0ken")
    assert it.name == "https://prom.test/x"
    assert not [secret for secret in ("s3cret", "p4ss", "t0ken") if secret in f"{it!r} {it.health()}"]


async def test_it_passes_the_examination_of_histories():
    fake = shop(hours=2)
    await examine(lambda catalogue: history(fake, catalogue, slice_samples=200), start=START, end=START + 2 * HOUR)


def test_the_example_in_the_documentation_runs():
    result = doctest.testmod(prometheus)
    assert (result.attempted, result.failed) == (2, 0)
