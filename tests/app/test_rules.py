"""Rule files and their times: everything in memory, the clock moved by the test while all tasks sleep."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from airis_mon.app import rules as rules_module
from airis_mon.app.rules import RESTART_MS, WATCH_S, Rules, first_moment, next_moment
from airis_mon.errors import BadRules, QueryError, StoreBusy
from airis_mon.query.engine import Answer, Deadline, QueryEngine
from airis_mon.series.steps import Steps
from tests.app.memory import T0, Memory

S, MINUTE = 1000, 60_000
ALERT = """
  - alert: High
    expr: a > 10
    for: 5m
    annotations: {summary: "{{ $value }}"}
"""
RECORD = """
  - record: twice
    expr: 2 * a
"""


class Time:
    """A clock that stands still but while the test lets time pass."""

    def __init__(self) -> None:
        self.now = T0
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []
        self._changed = asyncio.Event()

    def __call__(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        sleeper = (self.now + round(seconds * 1000), asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        self._changed.set()
        try:
            await sleeper[1]
        finally:
            self._sleepers.remove(sleeper)

    async def rest(self, count: Callable[[], int]) -> None:
        """Returns when so many sleep."""
        async with asyncio.timeout(60):
            while len(self._sleepers) != count():
                self._changed.clear()
                await self._changed.wait()

    async def until(self, t: int, count: Callable[[], int]) -> None:
        """Wakes whoever sleeps at its moment, one after the other."""
        await self.rest(count)
        while self._sleepers and (due := min(s[0] for s in self._sleepers)) <= t:
            self.now = max(self.now, due)
            next(s for s in self._sleepers if s[0] == due)[1].set_result(None)
            await asyncio.sleep(0)
            await self.rest(count)
        self.now = max(self.now, t)

    async def wake(self) -> None:
        for _, sleeper in self._sleepers:
            sleeper.set_result(None)
        await asyncio.sleep(0)


class Asked(QueryEngine):
    """Notes what was asked when; `hook` is called in the thread that asks, `fails` says what fails."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.times: list[tuple[str, int]] = []
        self.hook: Callable[[str, Deadline], None] = lambda text, deadline: None

    def query(self, text: str, steps: Steps, deadline: Deadline, *args: Any, **kwargs: Any) -> Answer:
        self.times.append((text, steps.start - T0))
        self.hook(text, deadline)
        return super().query(text, steps, deadline, *args, **kwargs)


class Process:
    """Rules of a folder, as one process has them."""

    def __init__(self, folder: Path, memory: Memory, time: Time, **settings: Any) -> None:
        self.memory, self.time = memory, time
        self.engine = Asked(memory)
        self.told: list[Any] = []
        self.write: Callable[[Any], Any] = memory.write
        self.rules = Rules(
            self.engine,
            self._written,
            self.told.append,
            time,
            patterns=[str(folder / "*.yml")],
            sleep=time.sleep,
            **settings,
        )

    def _written(self, made: Any) -> Any:
        return self.write(made)

    def start(self) -> Process:
        self.rules.load()
        self.rules.start()
        return self

    async def until(self, t: int) -> None:
        await self.time.until(T0 + t, lambda: len(self.rules.groups) + 1)

    async def watched(self) -> None:
        """Lets the files be looked at once more."""
        await self.until(self.time.now - T0 + round(WATCH_S * 1000))

    def group(self, name: str = "g") -> Any:
        return next(run for run in self.rules.groups if run.name == name)

    def rule(self, name: str) -> Any:
        return next(run for group in self.rules.groups for run in group.rules if run.name == name)

    @property
    def events(self) -> list[tuple[str, str, str]]:
        return [(a.name, a.state, dict(a.annotations).get("summary", "")) for a in self.told]


class House:
    def __init__(self, folder: Path) -> None:
        self.folder, self.memory, self.time = folder, Memory(), Time()
        self.processes: list[Process] = []
        self._version = 0

    def file(self, name: str = "r.yml", **groups: str) -> None:
        """Writes a file of groups by name; a group's text are its rules, or all of it."""
        text = "groups:\n"
        for group, rules in groups.items():
            body = f"  rules:{rules}" if rules.lstrip().startswith("- ") else rules
            text += f"- name: {group}\n{body}\n"
        self.raw(text, name)

    def raw(self, text: str, name: str = "r.yml") -> None:
        path = self.folder / name
        path.write_text(text)
        self._version += 1
        os.utime(path, ns=(0, self._version))  # two changes within one tick of the file system's clock

    def process(self, **settings: Any) -> Process:
        self.processes.append(Process(self.folder, self.memory, self.time, **settings))
        return self.processes[-1]

    def put(self, value: float, *, minutes: int = 60, series: str = "a") -> None:
        """A series that is there every 15 s from an hour before the test's time on."""
        count = 4 * (minutes + 60)
        self.memory.put(series, *[value] * count, start=T0 - 60 * MINUTE)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    for process in house.processes:
        await process.rules.stop()


# --- moments ---------------------------------------------------------------------------------------------------------


@given(st.text(), st.integers(0, 2**42), st.integers(1000, 86_400_000))
def test_the_first_moment_comes_within_one_interval_and_always_at_the_same_offset(
    key: str, now: int, every: int
) -> None:
    t = first_moment(key, now, every)
    assert now < t <= now + every
    assert first_moment(key, t, every) == t + every
    assert first_moment(key, now + 5 * every, every) == t + 5 * every


def test_groups_are_spread_over_their_interval() -> None:
    moments = [first_moment(f"r.yml;{i}", T0, MINUTE) - T0 for i in range(600)]
    counts = [sum(s * 10_000 < m <= (s + 1) * 10_000 for m in moments) for s in range(6)]
    assert sum(counts) == 600
    assert min(counts) > 60


@pytest.mark.parametrize(
    ("now", "t", "missed"),
    [(0, 60, 0), (59, 60, 0), (60, 60, 0), (119, 60, 0), (120, 120, 1), (179, 120, 1), (600, 600, 9), (-500, 60, 0)],
)
def test_of_evaluations_that_are_late_the_latest_is_made_up_for(now: int, t: int, missed: int) -> None:
    assert next_moment(0, now, 60) == (t, missed)


async def test_each_group_is_evaluated_at_its_own_moments(house: House) -> None:
    house.file(often="  interval: 10s\n  rules:" + RECORD, seldom=RECORD.replace("2 *", "3 *"))
    house.put(1)
    process = house.process(interval_s=30).start()
    await process.until(MINUTE)
    path = house.folder / "r.yml"
    for text, key, every in (("2 * a", "often", 10 * S), ("3 * a", "seldom", 30 * S)):
        first = first_moment(f"{path};{key}", T0, every) - T0
        assert [t for asked, t in process.engine.times if asked == text] == list(range(first, MINUTE + 1, every))
    assert process.group("often").rounds == 6
    assert [(run.name, run.interval_s) for run in process.rules.groups] == [("often", 10), ("seldom", 30)]


async def test_evaluations_that_were_missed_are_counted(house: House) -> None:
    house.file(g=RECORD)
    house.put(1)
    process = house.process(interval_s=10).start()
    first = first_moment(f"{house.folder / 'r.yml'};g", T0, 10 * S) - T0

    def delay(text: str, deadline: Deadline) -> None:
        house.time.now += {first: 35 * S, first + 30 * S: 8 * S}.get(process.engine.times[-1][1], 0)

    process.engine.hook = delay
    await process.until(first + 61 * S)
    assert [t - first for _, t in process.engine.times] == [0, 30 * S, 40 * S, 50 * S, 60 * S]
    assert (process.group().missed, process.group().rounds) == (2, 5)


async def test_a_clock_that_is_set_back_stops_no_group(house: House) -> None:
    house.file(g=RECORD)
    house.put(1)
    process = house.process(interval_s=10).start()
    await process.until(25 * S)
    done = len(process.engine.times)
    house.time.now -= 30 * MINUTE
    await house.time.wake()
    await process.until(-30 * MINUTE + 25 * S + 20 * S)
    later = [t for _, t in process.engine.times[done:]]
    assert len(later) == 2
    assert all(-30 * MINUTE < t < -29 * MINUTE for t in later)


async def test_without_files_there_is_nothing_to_do(house: House) -> None:
    rules = Rules(Asked(house.memory), house.memory.write, print, house.time, sleep=house.time.sleep)
    rules.load()
    rules.start()
    assert (rules.groups, rules.degraded(), rules.fault) == ([], [], None)
    await rules.stop()


# --- evaluation ------------------------------------------------------------------------------------------------------


async def test_an_alert_fires_after_its_time_and_is_stored_from_the_third_evaluation_on(house: House) -> None:
    house.file(g=ALERT + RECORD)
    house.put(12)
    process = house.process().start()
    await process.until(7 * MINUTE)
    first = first_moment(f"{house.folder / 'r.yml'};g", T0, MINUTE)
    assert process.events == [("High", "firing", "12")]
    assert (process.told[0].active_at, process.told[0].fired_at) == (first, first + 5 * MINUTE)
    stored = house.memory.stored("ALERTS")
    assert [t - first for t in stored["alertname=High,alertstate=pending"]] == [k * MINUTE for k in range(2, 6)]
    assert list(house.memory.stored("twice")[""]) == list(range(first, T0 + 7 * MINUTE, MINUTE))


async def test_a_rule_that_fails_is_said_and_the_next_evaluation_mends_it(house: House) -> None:
    house.file(g=RECORD + "  - {record: sum, expr: a * on() b}")
    house.put(1)
    house.put(1, series='b{x="1"}')
    house.put(1, series='b{x="2"}')
    process = house.process().start()
    await process.until(MINUTE)
    (said,) = process.rules.degraded()
    assert said.startswith("rule sum of group g: found duplicate series for the match group")
    house.memory.remove('b{x="2"}')
    await process.until(2 * MINUTE)
    assert process.rules.degraded() == []


async def test_memory_that_does_not_suffice_fails_the_rule_alone(house: House) -> None:
    house.file(g=RECORD)
    process = house.process().start()

    def run_out(text: str, deadline: Deadline) -> None:
        raise MemoryError

    process.engine.hook = run_out
    await process.until(MINUTE)
    assert process.rule("twice").last_error.startswith("the query needs more memory than there is")


async def test_a_rule_and_its_templates_share_one_time_limit_and_the_rules_after_it_have_their_own(
    house: House,
) -> None:
    text = '{{ range query "b" }}{{ . }}{{ end }}'
    house.file(g=f"\n  - {{alert: Heavy, expr: a > 0, annotations: {{summary: '{text}'}}}}" + RECORD)
    for x in "12345":
        house.put(1, series=f'a{{x="{x}"}}')
    process = house.process(timeout_s=30.0).start()

    def pass_time(text: str, deadline: Deadline) -> None:
        if text == "b":
            deadline.at -= 31

    process.engine.hook = pass_time
    with structlog.testing.capture_logs() as logs:
        await process.until(MINUTE)
    assert process.rule("Heavy").last_error == (
        "the rule took more than 30 s with the templates of its alerts; "
        "let it mean fewer series, or its templates ask and do less"
    )
    assert (process.group().failures, process.events, process.rule("twice").health) == (1, [], "ok")
    assert [text for text, _ in process.engine.times] == ["a > 0", "b", "2 * a"]
    assert [log["error"] for log in logs if log["event"] == "rule.failed"] == ["QueryTimeout"]
    process.engine.hook = lambda text, deadline: None
    await process.until(2 * MINUTE)
    assert (len(process.events), process.rule("Heavy").health) == (5, "ok")


async def test_a_fault_of_ours_does_not_end_the_groups_task(house: House) -> None:
    house.file(g=RECORD)
    house.put(1)
    process = house.process().start()

    def broken(made: Any) -> Any:
        raise ZeroDivisionError

    process.write = broken
    await process.until(MINUTE)
    process.write = house.memory.write
    await process.until(3 * MINUTE)
    assert len(house.memory.stored("twice")[""]) == 2


async def test_templates_know_the_external_labels_and_address(house: House) -> None:
    text = "{{ $externalLabels.region }} {{ $externalURL }}"
    house.file(g=f"\n  - {{alert: A, expr: a > 0, annotations: {{summary: '{text}'}}}}")
    house.put(1)
    process = house.process(external_labels={"region": "eu"}, external_url="http://mon").start()
    await process.until(MINUTE)
    assert process.events == [("A", "firing", "eu http://mon")]


async def test_a_stop_cancels_the_query_under_way_and_ends_no_series(house: House) -> None:
    house.file(g=ALERT + RECORD)
    house.put(12)
    process = house.process().start()
    await process.until(4 * MINUTE)
    before = {labels: dict(samples) for labels, samples in house.memory.rows.items()}
    asking = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(text: str, deadline: Deadline) -> None:
        loop.call_soon_threadsafe(asking.set)
        assert deadline.cancelled.wait(60)

    process.engine.hook = hold
    house.time.now += MINUTE
    await house.time.wake()
    await asyncio.wait_for(asking.wait(), 60)
    await asyncio.wait_for(process.rules.stop(), 60)
    assert house.memory.rows == before
    assert process.rule("High").health == "ok"


# --- files -----------------------------------------------------------------------------------------------------------


def test_faulty_files_keep_the_server_from_starting_and_all_faults_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'sum('}\n")
    (tmp_path / "b.yml").write_text(
        "groups:\n- name: g\n  rules:\n  - {record: r}\n  - {alert: B, expr: a, form: 5m}\n"
    )
    rules = Rules(Asked(Memory()), print, print, int, patterns=[str(tmp_path / "*.yml"), "/does/not/exist.yml"])  # type: ignore[arg-type]
    with pytest.raises(BadRules) as error:
        rules.load()
    assert [(Path(f.file).name, f.line) for f in error.value.faults] == [
        ("exist.yml", 0),
        ("a.yml", 4),
        ("b.yml", 4),
        ("b.yml", 5),
    ]


async def test_faulty_files_change_nothing_until_they_are_mended(house: House) -> None:
    house.file(g=RECORD)
    house.put(1)
    process = house.process(interval_s=10).start()
    run = process.group()
    house.file(g=RECORD.replace("2 * a", "2 * "))
    house.raw("groups: 5", "other.yml")
    await process.watched()
    assert process.rules.fault is not None
    assert [(Path(f.file).name, f.line) for f in process.rules.fault.faults] == [("other.yml", 1), ("r.yml", 5)]
    (said,) = process.rules.degraded()
    assert said.startswith("the rule files are faulty, the rules of before stay: ")
    assert "r.yml:5:" in said
    await process.until(60 * S)
    assert process.group() is run
    assert run.rounds == 6
    (house.folder / "other.yml").unlink()
    house.file(g=RECORD)
    await process.watched()
    assert (process.rules.fault, process.rules.degraded()) == (None, [])
    assert process.group() is run


async def test_files_that_did_not_change_are_not_read(house: House) -> None:
    house.file(g=RECORD)
    process = house.process().start()
    assert await process.rules.reload() is False
    house.file(g=RECORD)
    assert await process.rules.reload() is True


async def test_a_changed_file_keeps_the_alerts_of_rules_with_the_same_name_and_labels(house: House) -> None:
    house.file(g=ALERT + RECORD)
    house.put(12)
    process = house.process().start()
    await process.until(3 * MINUTE)
    before, since = process.group(), process.rule("High").alerts[0].active_at
    house.file(
        g=ALERT.replace("a > 10", "a > 11").replace("{{", "now {{") + RECORD.replace("twice", "double"), new=RECORD
    )
    await process.watched()
    (alert,) = process.rule("High").alerts
    assert (alert.active_at, alert.annotations) == (since, (("summary", "now 12"),))
    assert process.group() is not before
    assert (process.group().rounds, process.group().evaluations) == (before.rounds, 2 * before.rounds)
    await process.until(6 * MINUTE)
    assert process.events == [("High", "firing", "now 12")]
    assert process.told[0].fired_at == since + 5 * MINUTE
    # One series goes on in another group, at its own moments; nothing else has changed.
    assert "end" not in house.memory.stored("twice")[""].values()


async def test_what_a_removed_rule_gave_ends_and_its_alerts_are_resolved(house: House) -> None:
    house.file(g=ALERT.replace("5m", "1m"), h=RECORD)
    house.put(12)
    process = house.process().start()
    await process.until(4 * MINUTE)
    (house.folder / "r.yml").unlink()
    house.file("new.yml", i=RECORD.replace("twice", "thrice"))
    now = T0 + 4 * MINUTE + 5 * S
    await process.watched()
    assert process.events == [("High", "firing", "12"), ("High", "resolved", "12")]
    assert process.told[1].resolved_at == now
    ends = [
        metric
        for metric in ("ALERTS", "ALERTS_FOR_STATE", "twice")
        if any(samples.get(now) == "end" for samples in house.memory.stored(metric).values())
    ]
    assert ends == ["ALERTS", "ALERTS_FOR_STATE", "twice"]
    assert [run.name for run in process.rules.groups] == ["i"]


async def test_rules_that_move_to_another_file_keep_their_alerts_and_series(house: House) -> None:
    house.file(g=ALERT + RECORD)
    house.put(12)
    process = house.process().start()
    await process.until(3 * MINUTE)
    since = process.rule("High").alerts[0].active_at
    (house.folder / "r.yml").unlink()
    house.file("moved.yml", g=ALERT, other=RECORD)
    await process.until(7 * MINUTE)
    assert process.told[0].active_at == since
    assert [state for _, state, _ in process.events] == ["firing"]
    assert "end" not in house.memory.stored("twice")[""].values()
    assert "end" not in house.memory.stored("ALERTS_FOR_STATE")["alertname=High"].values()


async def test_groups_that_did_not_change_go_on_undisturbed(house: House) -> None:
    house.file(g=RECORD)
    house.file("other.yml", h=RECORD.replace("twice", "other"))
    process = house.process().start()
    await process.until(MINUTE)
    run, task = process.group(), process.rules._tasks[process.group().key]
    house.file("other.yml", h=RECORD.replace("twice", "changed"))
    await process.watched()
    assert process.group() is run
    assert process.rules._tasks[run.key] is task
    assert not task.done()


async def test_a_group_that_is_new_stores_its_alerts_at_once(house: House) -> None:
    house.file(g=RECORD)
    house.put(12)
    process = house.process().start()
    await process.until(MINUTE)
    house.file(g=RECORD, h=ALERT)
    await process.until(3 * MINUTE)
    assert len(house.memory.stored("ALERTS")["alertname=High,alertstate=pending"]) == process.group("h").rounds > 0


async def test_ends_that_cannot_be_stored_are_let_be(house: House) -> None:
    house.file(g=RECORD)
    house.put(12)
    process = house.process().start()
    await process.until(MINUTE)

    def refuse(made: Any) -> Any:
        raise StoreBusy("the queue is full")

    house.file(g=RECORD.replace("twice", "other"))
    process.write = refuse
    await process.watched()
    assert (process.rule("other").name, process.rules.fault) == ("other", None)


async def test_a_reload_that_breaks_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.file(g=RECORD)
    process = house.process().start()
    house.file(g=RECORD.replace("twice", "other"))
    with monkeypatch.context() as patched:
        patched.setattr(rules_module, "GroupRun", None)
        await process.watched()
    assert process.rule("twice").name == "twice"
    assert not process.rules._tasks[process.group().key].done()
    await process.watched()
    assert process.rule("other").name == "other"


# --- restart ---------------------------------------------------------------------------------------------------------

LONG = ALERT.replace("5m", "10m").replace("High", '"Speicher \\"voll\\" 메모리 😀"')


async def test_a_pending_alert_goes_on_waiting_after_a_restart(house: House) -> None:
    house.file(g=LONG)
    house.put(12)
    before = house.process().start()
    await before.until(7 * MINUTE)
    (alert,) = before.group().rules[0].alerts
    await before.rules.stop()
    ((_, stored),) = house.memory.stored("ALERTS_FOR_STATE").items()
    seen = max(stored)  # seven minutes after the first evaluation or less
    assert list(stored.values()) == [alert.active_at // 1000] * len(stored)

    house.time.now = T0 + 20 * MINUTE
    after = house.process().start()
    await after.until(30 * MINUTE)
    asked = [t for text, t in after.engine.times if text.startswith("ALERTS_FOR_STATE")]
    assert asked == [20 * MINUTE]
    (fired,) = after.told
    # It waited until it was last seen, and from the second evaluation on; what was in between does not count.
    second = first_moment(after.group().key, T0 + 20 * MINUTE, MINUTE) + MINUTE
    waited = seen // 1000 * 1000 - alert.active_at // 1000 * 1000
    assert fired.active_at == second - waited
    assert second + 10 * MINUTE - waited <= fired.fired_at < second + 11 * MINUTE - waited
    assert fired.name == 'Speicher "voll" 메모리 😀'


async def test_an_alert_that_fired_fires_again_at_the_third_evaluation(house: House) -> None:
    house.file(g=ALERT)
    house.put(12)
    before = house.process().start()
    await before.until(8 * MINUTE)
    since = before.told[0].active_at
    await before.rules.stop()
    house.time.now = T0 + 20 * MINUTE
    after = house.process().start()
    await after.until(23 * MINUTE)
    assert [(a.state, a.active_at) for a in after.told] == [("firing", since // 1000 * 1000)]
    assert after.told[0].fired_at == first_moment(after.group().key, T0 + 20 * MINUTE, MINUTE) + 2 * MINUTE


async def test_an_alert_that_was_last_seen_too_long_ago_begins_anew(house: House) -> None:
    house.file(g=ALERT)
    house.put(12, minutes=200)
    before = house.process().start()
    await before.until(8 * MINUTE)
    await before.rules.stop()
    house.time.now = now = T0 + 10 * MINUTE + RESTART_MS
    after = house.process().start()
    await after.until(14 * MINUTE + RESTART_MS)
    (alert,) = after.rule("High").alerts
    assert (alert.state, alert.active_at) == ("pending", first_moment(after.group().key, now, MINUTE))


async def test_what_is_not_to_be_read_now_is_read_at_the_next_evaluation(house: House) -> None:
    house.file(g=ALERT)
    house.put(12)
    house.memory.put('ALERTS_FOR_STATE{alertname="High"}', (T0 - 9 * MINUTE) / 1000, start=T0 - 5 * MINUTE)
    process = house.process().start()
    failures: list[Exception] = [StoreBusy("the store is down"), StoreBusy("the store is down")]

    def fail(text: str, deadline: Deadline) -> None:
        if "ALERTS_FOR_STATE" in text and failures:
            raise failures.pop()

    process.engine.hook = fail
    await process.until(3 * MINUTE)
    assert (failures, process.group().is_saving) == ([], False)
    await process.until(4 * MINUTE)
    assert process.group().is_saving


async def test_alerts_begin_anew_when_what_is_stored_cannot_be_read(house: House) -> None:
    house.file(g=ALERT)
    house.put(12)
    process = house.process().start()

    def fail(text: str, deadline: Deadline) -> None:
        if "ALERTS_FOR_STATE" in text:
            raise QueryError("the selector means too many series")

    process.engine.hook = fail
    await process.until(2 * MINUTE)
    assert process.group().is_saving
    assert process.rule("High").alerts[0].active_at == first_moment(process.group().key, T0, MINUTE)
