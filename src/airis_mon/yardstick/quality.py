"""Question `quality`: faults found and false episodes of single signals, ours and others', at equal recall.

Every arm is first judged at the line that it is published with. Then our line is moved, on the train part, until we
find the same share of faults as a baseline does; what that line gives on the test part is the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from airis_mon.events.anomaly import ALARM
from airis_mon.yardstick.base import Answer, Claim, Estimate, Resampled, Row, Sums, Tell, Verdict, resampled
from airis_mon.yardstick.baselines import promql_band, static, zscore
from airis_mon.yardstick.baselines.base import Baseline
from airis_mon.yardstick.episodes import AFTER_MS, BEFORE_MS, GAP_MS, GRACE_MS, Array, Rows, Truth
from airis_mon.yardstick.worlds import Spec, WorldRun, described, runs, specs

OURS, JOINED = "record", "findings"
BASELINES: dict[str, Baseline] = {b.NAME: b for b in (static, zscore, promql_band)}
BOUND = 0.40
"""60 % fewer false episodes."""
SAME = 0.01
"""Recalls that differ by a point are the same."""
LINES: tuple[float, ...] = (*(k / 100 for k in range(30, 90)), *(k / 1000 for k in range(900, 1000, 2)))
"""Where our line may lie. Below .3 it is no line but noise."""
OTHER_GAPS_MS = (GAP_MS // 2, 100 * 60_000)
"""Printed beside the result, to show how far it hangs on GAP_MS; the longer one is what NAB's episodes have."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Our line that finds as much as a baseline on the train part, and both recalls there."""

    line: float
    ours: float
    theirs: float


@dataclass(frozen=True, slots=True)
class Counted:
    """What the arms did in one world. Columns are arms: `names`, in order."""

    names: tuple[str, ...]
    found: Array  # (event, arm) 0 or 1
    chance: Array  # (event, arm) 0..1, NaN = no quiet stretch as long
    false: Array  # (signal, arm) episodes
    other: Array  # (gap, arm) false episodes of the world with other gaps
    days: Array  # (signal,)
    joined: tuple[Array, Array, Array]  # of findings: see Truth.findings


def answer(*, quick: bool, tell: Tell) -> Answer:
    """Measures on the test part; takes minutes, quick: on fewer and shorter worlds, half a minute."""
    return measured(specs("train", quick=quick), specs("test", quick=quick), quick=quick, tell=tell)


def measured(train: Sequence[Spec], test: Sequence[Spec], *, quick: bool, tell: Tell) -> Answer:
    """Lines are chosen on the first worlds and judged on the others."""
    began, share = time.perf_counter(), len(train) / (len(train) + len(test))
    lines = matched(runs(train, lambda f, note: tell(f * share, note)))
    counted = [count(run, lines) for run in runs(test, lambda f, note: tell(share + f * (1 - share), note))]
    table = Table(counted, lines)
    return Answer(
        question="quality",
        on=described([*train, *test]) | {"events": table.events, "signals": table.signals},
        chosen=_chosen(lines),
        rows=tuple(table.rows()),
        claims=tuple(table.claim(name, quick=quick) for name in BASELINES),
        seconds=round(time.perf_counter() - began, 1),
        remarks=_REMARKS,
    )


def matched(train: Iterable[WorldRun]) -> dict[str, Matched]:
    """Of each baseline, our line with the nearest recall on these worlds; of several the highest."""
    theirs: dict[str, list[bool]] = {name: [] for name in BASELINES}
    ours: list[Array] = []
    for run in train:
        truth = Truth(run)
        for name, baseline in BASELINES.items():
            theirs[name] += truth.found(np.flatnonzero(baseline.alarms(run))).tolist()
        ours.append(np.array([truth.found(alarms(run, line)) for line in LINES]))
    recall = np.concatenate(ours, axis=1).mean(axis=1)  # (line,)
    return {name: _nearest(recall, float(np.mean(found))) for name, found in theirs.items()}


def _nearest(recall: Array, wanted: float) -> Matched:
    far = np.abs(recall - wanted)
    at = int(np.flatnonzero(far <= far.min() + 1e-9)[-1])
    return Matched(LINES[at], float(recall[at]), wanted)


def alarms(run: WorldRun, line: float) -> Rows:
    """The rows at which we pass a line."""
    return np.flatnonzero(run.score >= np.float32(line))


def count(run: WorldRun, lines: Mapping[str, Matched]) -> Counted:
    """What the arms did in one world."""
    truth = Truth(run)
    arms = {OURS: alarms(run, ALARM)}
    arms |= {name: np.flatnonzero(baseline.alarms(run)) for name, baseline in BASELINES.items()}
    arms |= {_like(name): alarms(run, at.line) for name, at in lines.items()}

    def columns(what: Callable[[Rows], Array]) -> Array:
        return np.stack([what(rows) for rows in arms.values()], axis=1).astype(float)

    others = np.array([[truth.false_episodes(a, gap).sum() for a in arms.values()] for gap in OTHER_GAPS_MS], float)
    return Counted(
        tuple(arms), columns(truth.found), columns(truth.chance), columns(truth.false_episodes), others, truth.days(),
        truth.findings(),
    )  # fmt: skip


def _like(name: str) -> str:
    return f"{OURS} at the recall of {name}"


class Table:
    """Counts of several worlds -> measures with intervals over worlds and what is in them."""

    def __init__(self, counted: Sequence[Counted], lines: Mapping[str, Matched]) -> None:
        self._names, self._lines = counted[0].names, lines
        self.events = sum(len(c.found) for c in counted)
        self.signals = sum(len(c.days) for c in counted)
        self._faults = resampled([_events(c.found, c.chance) for c in counted])
        self._series = resampled([np.column_stack([c.false, c.days]) for c in counted])
        self._joined_faults = resampled([_events(*(a[:, None] for a in c.joined[:2])) for c in counted])
        self._joined = resampled([c.joined[2] for c in counted])
        self._other = np.sum([c.other for c in counted], axis=0)  # (gap, arm)

    def rows(self) -> list[Row]:
        """Arms at their own lines, then ours at each baseline's recall."""
        words = {OURS: f"our score, line {ALARM}"} | {name: b.WORDS for name, b in BASELINES.items()}
        arms = [Row(n, "test", self._own(n), words[n]) for n in words]
        return [*arms, self._findings(), *(self._beside(n) for n in self._lines)]

    def ratio(self, name: str) -> Estimate:
        """False episodes of ours, at the recall of a baseline, for one of its."""
        return self._series.estimate(_over(self._at(_like(name)), self._at(name)))

    def lead(self, name: str) -> Estimate:
        """By how much our recall, at the line that was to be equal, exceeds a baseline's on the same faults."""
        ours, theirs, n = self._at(_like(name)), self._at(name), 3 * len(self._names)
        return self._faults.estimate(lambda s: (s[..., ours] - s[..., theirs]) / s[..., n])

    def claim(self, name: str, *, quick: bool) -> Claim:
        """Whether there are 60 % fewer false episodes at equal recall."""
        ratio = self.ratio(name)
        verdict, why = said(ratio, self.lead(name), self._lines[name], quick=quick)
        words = f"false episodes for one of {name}, at its recall"
        return Claim(claim_name(name), words, ratio, BOUND, verdict, why)

    def _at(self, name: str) -> int:
        return self._names.index(name)

    def _own(self, name: str) -> dict[str, Estimate]:
        at, n = self._at(name), len(self._names)
        return _figures(self._faults, at, n) | {"false/series-day": self._series.estimate(_over(at, n))}

    def _findings(self) -> Row:
        measures = _figures(self._joined_faults, 0, 1) | {"false/series-day": self._joined.estimate(_over(0, 1))}
        return Row(JOINED, "test", measures, "ours, all signals of a service or host joined, as it is shown")

    def _beside(self, name: str) -> Row:
        at, line = self._at(_like(name)), self._lines[name]
        other = ", ".join(
            f"{_division(counts[at], counts[self._at(name)]):.2f} with a gap of {gap // 60_000} min"
            for gap, counts in zip(OTHER_GAPS_MS, self._other, strict=True)
        )
        note = f"line {line.line:g}; recall on train {line.ours:.3f} for {line.theirs:.3f}; ratio {other}"
        measures = self._own(_like(name)) | {"ratio": self.ratio(name), "recall - theirs": self.lead(name)}
        return Row(_like(name), "test", measures, note)


def _events(found: Array, chance: Array) -> Array:
    """(event, 3 arms + 1) found, found by chance, whether that is known, and 1."""
    return np.hstack([found, np.nan_to_num(chance), np.isfinite(chance), np.ones((len(found), 1))])


def _figures(faults: Resampled, at: int, arms: int) -> dict[str, Estimate]:
    return {
        "recall": faults.estimate(_over(at, 3 * arms)),
        "by chance": faults.estimate(_over(arms + at, 2 * arms + at)),
    }


def claim_name(baseline: str) -> str:
    """What the claim against a baseline is called."""
    return f"false positives -60 % against {baseline}"


def said(ratio: Estimate, lead: Estimate, line: Matched, *, quick: bool = False) -> tuple[Verdict, str]:
    """HOLDS and FAILS only where the whole interval lies on one side, and the recalls speak for it.

    lead: our recall less theirs on the test part. Where it is lower, interval and all, by more than a point, fewer
    false episodes prove nothing; where it is higher, more of them prove nothing.
    """
    if quick:
        return "INCONCLUSIVE", "quick: too few faults"
    if not np.isfinite([ratio.value, ratio.low, ratio.high]).all():
        return "INCONCLUSIVE", "no false episodes to compare"
    is_lower = line.ours < line.theirs - SAME or lead.high < -SAME
    is_higher = line.ours > line.theirs + SAME or lead.low > SAME
    recalls = f"ours less theirs: {line.ours - line.theirs:+.3f} on train, {lead.value:+.3f} on test"
    if ratio.high <= BOUND:
        if is_lower:
            return "INCONCLUSIVE", f"our recall is lower, which makes it easy ({recalls})"
        return "HOLDS", f"the interval of the ratio lies below {BOUND:g} ({recalls})"
    if ratio.low > BOUND:
        if is_higher:
            return "INCONCLUSIVE", f"our recall is higher, which costs false episodes ({recalls})"
        return "FAILS", f"the interval of the ratio lies above {BOUND:g} ({recalls})"
    return "INCONCLUSIVE", f"the interval of the ratio holds {BOUND:g} ({recalls})"


def _over(a: int, b: int) -> Callable[[Sums], Any]:
    def figure(sums: Sums) -> Any:
        return _division(sums[..., a], sums[..., b])

    return figure


def _division(a: Any, b: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.divide(a, b)


def _chosen(lines: Mapping[str, Matched]) -> dict[str, Any]:
    return {
        "on train": {
            _like(name): {"line": m.line, "recall": round(m.ours, 4), "theirs": round(m.theirs, 4)}
            for name, m in lines.items()
        },
        "in advance, on no part": {
            "line of ours": ALARM,
            "gapMinutes": GAP_MS // 60_000,
            "graceMinutes": GRACE_MS // 60_000,
            "quietFromMinutesAfterFault": AFTER_MS // 60_000,
            "quietUntilMinutesBeforeFault": BEFORE_MS // 60_000,
            **{f"line of {name}": b.WORDS for name, b in BASELINES.items()},
        },
    }


_REMARKS = (
    "recall: faults that users felt, in which an alarm began: of the service, its hosts or a service on the path.",
    "by chance: the same question, as long and of the same services and hosts, asked where nothing was injected.",
    "false: alarms of one signal in quiet time, closer ones being one; harmless jobs and rollouts count as quiet.",
    "Intervals: 95 %, worlds drawn again and what is in them. No arm's own line was chosen on any of these worlds.",
    "Public labelled series (NAB, SMD, ASD) are asked by `make bench`.",
)
