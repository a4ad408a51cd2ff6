"""Rule files, live: loaded and watched, their groups evaluated at their times, results stored, alerts told."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import structlog
import xxhash

from airis_mon.app.evaluate import GroupRun, Write
from airis_mon.app.rulerun import Made, RuleRun, Told
from airis_mon.correlate.rules import ALERTS_FOR_STATE, Written
from airis_mon.errors import AirisError, BadRules, QueryCancelled, QueryError, QueryTimeout, StoreBusy
from airis_mon.query.engine import Answer, Deadline, QueryEngine
from airis_mon.query.rulefile import load_rules, paths_of
from airis_mon.query.rules import RuleGroup
from airis_mon.query.templates import Expander
from airis_mon.query.values import Runs, Value, Vector
from airis_mon.series.batch import STALE
from airis_mon.series.labels import METRIC, Labels, without
from airis_mon.series.steps import Steps

log = structlog.get_logger()

RESTART_MS = 3_600_000
"""An alert is still the same after a restart when it was last seen within this hour."""
SETTLED = 2
"""After so many evaluations the alerts of an earlier process are looked for: the first one may lack data."""
WATCH_S = 5.0
"""Rule files are looked at so often."""
THREADS = 2
"""Groups evaluated at once."""


class _Turn(threading.local):
    """Until when the rule that this thread evaluates may take; None while it evaluates none."""

    deadline: Deadline | None = None


class Rules:
    """Evaluates the groups of rule files, each at its own times.

    patterns: paths of rule files, with wildcards. tell hears of alerts that fire or are resolved. Alerts of an earlier
    process go on where they were: what they had waited for is read from `ALERTS_FOR_STATE`. clock: now in ms; sleep
    waits for so many seconds of it.
    """

    def __init__(
        self,
        engine: QueryEngine,
        write: Write,
        tell: Told,
        clock: Callable[[], int],
        *,
        patterns: Sequence[str] = (),
        interval_s: float = 60.0,
        query_offset_s: float = 0.0,
        timeout_s: float = 120.0,
        external_labels: Mapping[str, str] | None = None,
        external_url: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.fault: BadRules | None = None
        self._engine, self._write, self._tell, self._clock, self._sleep = engine, write, tell, clock, sleep
        self._patterns = tuple(patterns)
        self._interval_ms, self._offset_ms = round(interval_s * 1000), round(query_offset_s * 1000)
        self._timeout_s = timeout_s
        self._expander = Expander(self._instant, dict(external_labels or {}), external_url, self._check)
        self._turn = _Turn()
        self._runs: dict[str, GroupRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._seen: list[tuple[str, int, int, int]] = []
        self._is_running = False
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="airis-rules")

    # -- life ---------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Reads the rule files before the start. Raises BadRules with all their faults."""
        self._seen = _signature(self._patterns)
        self._take(load_rules(self._patterns))

    def start(self) -> None:
        """Begins to evaluate and to watch the files."""
        self._is_running = True
        self._begin()
        if self._patterns:
            self._watching = asyncio.create_task(self._watch(), name="rule files")

    async def stop(self) -> None:
        """Ends what is under way; alerts stay as they are in the store, for the next start."""
        self._is_running = False
        self._stopping.set()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._halt(list(self._tasks))
        await asyncio.to_thread(self._threads.shutdown)

    @property
    def groups(self) -> list[GroupRun]:
        """The groups that are evaluated, by file and name."""
        return [run for _, run in sorted(self._runs.items())]

    def degraded(self) -> list[str]:
        """What does not work now, in words."""
        faulty = [f"the rule files are faulty, the rules of before stay: {self.fault}"] if self.fault else []
        return faulty + [
            f"rule {run.name} of group {group.name}: {run.last_error}"
            for group in self.groups
            for run in group.rules
            if run.health == "err"
        ]

    # -- files --------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await self._sleep(WATCH_S)
            try:
                await self.reload()
            except Exception:  # boundary: supervision; the files are looked at again
                log.exception("rules.watch.failed")

    async def reload(self) -> bool:
        """Takes changed files over; answers whether there were any. Faulty ones are told, and change nothing."""
        seen = await asyncio.to_thread(_signature, self._patterns)
        if seen == self._seen:
            return False
        try:
            groups = await asyncio.to_thread(load_rules, self._patterns)
        except BadRules as error:
            self.fault = error
            log.warning("rules.refused", faults=[str(fault) for fault in error.faults])
        else:
            await self._change(groups)
            self.fault = None
        self._seen = seen
        return True

    async def _change(self, groups: Sequence[RuleGroup]) -> None:
        same = {group.key for group in groups if self._same(group)}
        await self._halt(self._tasks.keys() - same)
        try:
            ended = self._take(groups)
        finally:
            self._begin()
        if ended:
            await self._in_thread(self._end, ended)

    def _same(self, group: RuleGroup) -> GroupRun | None:
        run = self._runs.get(group.key)
        return run if run is not None and run.group == group else None

    def _take(self, groups: Sequence[RuleGroup]) -> list[RuleRun]:
        """Continues with these groups; answers the rules that are no more.

        What is the same stays; a rule that has changed, or stands in another group, goes on where it was.
        """
        before, runs = self._runs, {group.key: self._same(group) or self._new(group) for group in groups}
        new = [run for key, run in runs.items() if run is not before.get(key)]
        left = {key: list(run.rules) for key, run in before.items() if run is not runs.get(key)}
        for run in new:
            if run.key in before:
                run.continue_counting(before[run.key])
                run.follow(left[run.key])
        ended = [rule for rules in left.values() for rule in rules]
        for run in new:
            run.follow(ended)
        self._runs = runs
        log.info("rules.loaded", groups=len(groups), rules=sum(len(group.rules) for group in groups))
        return ended

    def _new(self, group: RuleGroup) -> GroupRun:
        # What is stored of alerts is only looked for at the start: later on a rule that was not there had ended.
        return GroupRun(
            group,
            self._expander,
            interval_ms=self._interval_ms,
            offset_ms=self._offset_ms,
            is_saving=self._is_running,
        )

    def _end(self, rules: Sequence[RuleRun]) -> None:
        """Resolves the alerts and ends the series of rules that are no more, unless another rule gives them."""
        now = self._clock()
        for rule in rules:
            for alert in rule.ended(now):
                self._tell(alert)
        here = {labels for group in self.groups for rule in group.rules for labels in rule.shown}
        gone = tuple({labels for rule in rules for labels in rule.shown} - here)
        ends = Written(gone, np.full((len(gone), 1), STALE), np.ones((len(gone), 1), np.bool_))
        try:
            self._write([Made(np.array([now]), ends, np.zeros(1, np.bool_))])
        except AirisError as error:  # they end by the look-back then
            log.warning("rules.ends.lost", series=len(gone), error=str(error))

    # -- evaluation ---------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Begins to evaluate the groups that are not evaluated yet, once there is a start."""
        for key in self._runs.keys() - self._tasks.keys() if self._is_running else ():
            self._tasks[key] = asyncio.create_task(self._evaluating(self._runs[key]), name=f"rules {key}")

    async def _halt(self, keys: Collection[str]) -> None:
        """Ends the tasks of groups; an evaluation under way comes to its end first."""
        tasks = [self._tasks[key] for key in keys]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for key in keys:
            del self._tasks[key]

    async def _evaluating(self, run: GroupRun) -> None:
        since = self._clock()
        t = first_moment(run.key, since, run.interval_ms)
        while True:
            while (left := t - self._clock()) > 0:
                if left > run.interval_ms:  # the clock was set back
                    t = first_moment(run.key, self._clock(), run.interval_ms)
                else:
                    await self._sleep(left / 1000)
            await self._in_thread(self._evaluate, run, t, since)
            t, missed = next_moment(t, self._clock(), run.interval_ms)
            run.missed += missed

    def _evaluate(self, run: GroupRun, t: int, since: int) -> None:
        try:
            try:
                run.evaluate(Steps.at(t), self._ask, self._write, self._tell, self._begin_rule)
            finally:
                self._turn.deadline = None
            if not run.is_saving and run.rounds >= SETTLED:
                run.restore(self._clock(), lambda alert: self._saved(alert, since))
        except QueryCancelled:
            return
        except StoreBusy as error:
            log.warning("rules.restore.delayed", group=run.name, error=str(error))
        except Exception:  # boundary: supervision; the group is evaluated again at its next moment
            log.exception("rules.failed", group=run.name)

    async def _in_thread(self, function: Callable[..., None], *args: Any) -> None:
        """Calls in a thread; cancelled meanwhile, it waits for the call to end."""
        call = asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args))
        try:
            await asyncio.shield(call)
        except asyncio.CancelledError:
            await asyncio.wait([call])
            raise

    def _begin_rule(self) -> None:
        self._turn.deadline = self._deadline()

    def _check(self) -> None:
        """Raises QueryTimeout or QueryCancelled when the rule under way in this thread is to make no more texts."""
        if self._turn.deadline is None:
            return
        try:
            self._turn.deadline.check()
        except QueryTimeout:
            raise QueryTimeout(
                f"the rule took more than {self._timeout_s:g} s with the templates of its alerts; "
                "let it mean fewer series, or its templates ask and do less"
            ) from None

    def _ask(self, text: str, steps: Steps, lookback_ms: int | None = None) -> Answer:
        try:
            return self._engine.query(text, steps, self._turn.deadline or self._deadline(), lookback_ms)
        except MemoryError:
            raise QueryError("the query needs more memory than there is; let the rule mean fewer series") from None

    def _instant(self, text: str, t: int) -> Value | Runs:
        """What a template asks for."""
        return self._ask(text, Steps.at(t)).value

    def _saved(self, alert: str, since: int) -> dict[Labels, tuple[int, float]]:
        """The last samples of an alert's `ALERTS_FOR_STATE` in the hour before: labels -> (ms, seconds).

        As in Prometheus, alerts begin anew when they cannot be read. Raises StoreBusy when they can be later on.
        """
        name = json.dumps(alert, ensure_ascii=False)  # PromQL knows no surrogates
        selector, steps = f"{ALERTS_FOR_STATE}{{alertname={name}}}", Steps.at(since)
        try:
            value, at = (
                _instant_of(self._ask(text, steps, RESTART_MS)) for text in (selector, f"timestamp({selector})")
            )
        except (QueryCancelled, StoreBusy):
            raise
        except AirisError as error:
            log.warning("rules.restore.failed", alert=alert, error=type(error).__name__)
            return {}
        return {labels: (round(at[labels] * 1000), seconds) for labels, seconds in value.items() if labels in at}

    def _deadline(self) -> Deadline:
        return Deadline(time.monotonic() + self._timeout_s, self._stopping)


def first_moment(key: str, now: int, interval_ms: int) -> int:
    """When a group is evaluated next (ms), after now: the groups of an interval are spread over it, always alike."""
    offset = xxhash.xxh3_64_intdigest(key.encode()) % interval_ms
    return now + interval_ms - (now - offset) % interval_ms


def next_moment(t: int, now: int, interval_ms: int) -> tuple[int, int]:
    """(the moment after t, how many before it were missed): the latest is evaluated late, those before it never."""
    missed = max(0, (now - t) // interval_ms - 1)
    return t + (missed + 1) * interval_ms, missed


def _instant_of(answer: Answer) -> dict[Labels, float]:
    found = answer.value
    if not isinstance(found, Vector):
        return {}
    return {without(labels, METRIC): float(v) for labels, v in zip(found.labels, found.value[:, 0], strict=True)}


def _signature(patterns: Sequence[str]) -> list[tuple[str, int, int, int]]:
    """What changes when a rule file does: (path, time of the change, bytes, inode) of each."""
    found = []
    for path in paths_of(patterns):
        try:
            stat = os.stat(path)  # noqa: PTH116  a path that is no text in UTF-8 must not fail here
        except OSError:
            found.append((path, 0, -1, 0))
        else:
            found.append((path, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return found
