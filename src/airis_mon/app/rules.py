"""Rule files, live: loaded and watched, their groups evaluated at their times, results stored, alerts told."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import structlog
import xxhash

from airis_mon.app.evaluate import GroupRun, Told, Write
from airis_mon.correlate.rules import ALERTS_FOR_STATE, Written
from airis_mon.errors import BadRules, InputError, QueryCancelled, StoreBusy
from airis_mon.query.engine import Answer, Deadline, QueryEngine
from airis_mon.query.rulefile import load_rules, paths_of
from airis_mon.query.rules import RuleGroup
from airis_mon.query.templates import Expander
from airis_mon.query.values import Runs, Value, Vector
from airis_mon.series.admit import Limits, admit
from airis_mon.series.batch import STALE, Batch, Times
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import METRIC, Labels, without
from airis_mon.series.steps import Steps
from airis_mon.store.commit import GroupCommit

log = structlog.get_logger()

RESTART_MS = 3_600_000
"""An alert is still the same after a restart when it was last seen within this hour."""
SETTLED = 2
"""After so many evaluations the alerts of an earlier process are looked for: the first one may lack data."""
WATCH_S = 5.0
"""Rule files are looked at so often."""
THREADS = 2
"""Groups evaluated at once."""
COMMIT_S = 30.0


class RuleWriter:
    """Stores what rules give as samples like all others: admitted, committed, judged."""

    def __init__(self, catalogue: Catalogue, commit: GroupCommit, limits: Limits, clock: Callable[[], int]) -> None:
        self.refused = 0
        self._catalogue, self._commit, self._limits, self._clock = catalogue, commit, limits, clock

    def write(self, t: Times, made: Written) -> None:
        """Returns when the samples are committed. Raises StoreBusy when the store takes nothing now."""
        sids = np.array([self._sid(labels) for labels in made.labels], np.int32)
        step, row = np.nonzero(made.has.T)
        known = sids[row] >= 0
        step, row = step[known], row[known]
        batch = admit(Batch(sids[row], t[step], made.value[row, step]), self._catalogue, self._clock(), self._limits)
        self._catalogue.touch(batch.sid)  # before the commit: else the series could be evicted under way
        if len(batch):
            self._commit.add(batch).result(COMMIT_S)

    def _sid(self, labels: Labels) -> int:
        try:
            return self._catalogue.intern(labels)
        except InputError as error:  # beyond a limit: the other series are stored all the same
            self.refused += 1
            log.warning("rule.series.refused", error=str(error))
            return -1


class Rules:
    """Evaluates the groups of rule files, each at its own times.

    patterns: paths of rule files, with wildcards. tell hears of alerts that fire or are resolved. Alerts of an earlier
    process go on where they were: what they had waited for is read from `ALERTS_FOR_STATE`.
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
    ) -> None:
        self.fault: BadRules | None = None
        self.reloads = 0
        self._engine, self._write, self._tell, self._clock = engine, write, tell, clock
        self._patterns = tuple(patterns)
        self._interval_ms, self._offset_ms = round(interval_s * 1000), round(query_offset_s * 1000)
        self._timeout_s = timeout_s
        self._expander = Expander(self._instant, dict(external_labels or {}), external_url)
        self._runs: dict[str, GroupRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watching: asyncio.Task[None] | None = None
        self._seen: list[tuple[str, int, int]] = []
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
        for key in self._runs:
            self._begin(key)
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
            await asyncio.sleep(WATCH_S)
            try:
                await self.reload()
            except Exception:  # boundary: supervision; the files are looked at again
                log.exception("rules.watch.failed")

    async def reload(self) -> bool:
        """Takes changed files over; answers whether there were any. Faulty ones are told, and change nothing."""
        seen = await asyncio.to_thread(_signature, self._patterns)
        if seen == self._seen:
            return False
        self._seen = seen  # a faulty file is not read again before it changes
        try:
            groups = await asyncio.to_thread(load_rules, self._patterns)
        except BadRules as error:
            self.fault = error
            log.warning("rules.refused", faults=[str(fault) for fault in error.faults])
            return True
        same = {group.key for group in groups if (run := self._runs.get(group.key)) and run.group == group}
        await self._halt([key for key in self._tasks if key not in same])
        gone = self._take(groups)
        self.fault = None
        self.reloads += 1
        for key in self._runs.keys() - self._tasks.keys() if self._is_running else ():
            self._begin(key)
        if gone:
            await self._in_thread(self._end, gone)
        return True

    def _take(self, groups: Sequence[RuleGroup]) -> list[Labels]:
        """Continues with these groups: what is the same keeps its state. Answers the series that end."""
        before, self._runs = self._runs, {}
        gone: list[Labels] = []
        for group in groups:
            old = before.get(group.key)
            if old is not None and old.group == group:
                self._runs[group.key] = old
                continue
            self._runs[group.key] = run = GroupRun(
                group, self._expander, interval_ms=self._interval_ms, offset_ms=self._offset_ms, is_saving=False
            )
            if old is not None:
                gone += run.follow(old)
        left = [run for key, run in before.items() if key not in self._runs]
        gone += [labels for group_run in left for run in group_run.rules for labels in run.shown]
        log.info("rules.loaded", groups=len(groups), rules=sum(len(group.rules) for group in groups))
        return gone

    def _end(self, gone: Sequence[Labels]) -> None:
        ends = Written(tuple(gone), np.full((len(gone), 1), STALE), np.ones((len(gone), 1), np.bool_))
        try:
            self._write(np.array([self._clock()]), ends)
        except StoreBusy as error:  # they end by the look-back then
            log.warning("rules.ends.lost", series=len(gone), error=str(error))

    # -- evaluation ---------------------------------------------------------------------------------------------

    def _begin(self, key: str) -> None:
        self._tasks[key] = asyncio.create_task(self._evaluating(key, self._runs[key]), name=f"rules {key}")

    async def _halt(self, keys: Sequence[str]) -> None:
        """Ends the tasks of groups; an evaluation under way comes to its end first."""
        tasks = [self._tasks.pop(key) for key in keys]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _evaluating(self, key: str, run: GroupRun) -> None:
        since = self._clock()
        t = first_moment(key, since, run.interval_ms)
        while True:
            await asyncio.sleep(max(0.0, (t - self._clock()) / 1000))
            await self._in_thread(self._evaluate, run, t, since)
            missed = max(0, (self._clock() - t) // run.interval_ms)
            run.missed += missed
            t += (missed + 1) * run.interval_ms

    def _evaluate(self, run: GroupRun, t: int, since: int) -> None:
        try:
            run.evaluate(Steps.at(t), self._ask, self._write, self._tell)
            if not run.is_saving and run.evaluations >= SETTLED:
                run.restore(self._clock(), lambda alert: self._saved(alert, since))
        except QueryCancelled:
            return
        except StoreBusy as error:
            log.warning("rules.delayed", group=run.name, error=str(error))
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

    def _ask(self, text: str, steps: Steps) -> Answer:
        return self._engine.query(text, steps, self._deadline())

    def _instant(self, text: str, t: int) -> Value | Runs:
        """What a template asks for."""
        return self._ask(text, Steps.at(t)).value

    def _saved(self, alert: str, since: int) -> dict[Labels, tuple[int, float]]:
        """The last samples of an alert's `ALERTS_FOR_STATE` in the hour before: labels -> (ms, seconds)."""
        selector, steps = f"{ALERTS_FOR_STATE}{{alertname={json.dumps(alert)}}}", Steps.at(since)
        value, at = (
            _instant_of(self._engine.query(text, steps, self._deadline(), RESTART_MS))
            for text in (selector, f"timestamp({selector})")
        )
        return {labels: (round(at[labels] * 1000), seconds) for labels, seconds in value.items() if labels in at}

    def _deadline(self) -> Deadline:
        return Deadline(time.monotonic() + self._timeout_s, self._stopping)


def first_moment(key: str, now: int, interval_ms: int) -> int:
    """When a group is evaluated first (ms): the groups of an interval are spread over it, always alike."""
    offset = xxhash.xxh3_64_intdigest(key.encode()) % interval_ms
    return now + (offset - now) % interval_ms


def _instant_of(answer: Answer) -> dict[Labels, float]:
    found = answer.value
    if not isinstance(found, Vector):
        return {}
    return {without(labels, METRIC): float(v) for labels, v in zip(found.labels, found.value[:, 0], strict=True)}


def _signature(patterns: Sequence[str]) -> list[tuple[str, int, int]]:
    """What changes when a rule file does: (path, time of the change, bytes) of each."""
    found = []
    for path in paths_of(patterns):
        try:
            stat = os.stat(path)  # noqa: PTH116  a path that is no text in UTF-8 must not fail here
        except OSError:
            found.append((path, 0, -1))
        else:
            found.append((path, stat.st_mtime_ns, stat.st_size))
    return found
