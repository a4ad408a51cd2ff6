"""Scheduled forecasts as the routes see them: one signal, a round of four points."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from airis_mon.app.fleet import Plan, Standing
from airis_mon.app.foreteller import Foreteller
from airis_mon.series.labels import Labels
from airis_mon.series.matchers import Matcher, compile_matchers
from airis_mon.store.base import Foreseen, Outcomes


@dataclass
class FakeFleet:
    """As `app.fleet.Fleet` answers; made: when its round was, ms."""

    fp: int
    labels: Labels
    made: int
    plan: Plan = field(default_factory=Plan)
    why: str | None = None
    is_new: bool = False  # has made no round

    def standing(self, matchers: Sequence[Matcher] = ()) -> list[Standing]:
        if self.is_new:
            return []
        meets = compile_matchers(matchers)
        return [Standing(self.fp, "value", self.labels, "ses", self.made, 1.0, 1.25)] if meets(self.labels) else []

    async def outcomes(self, fps: Sequence[int] | None = None, span_ms: int = 0) -> Outcomes:
        if self.is_new or (fps is not None and self.fp not in fps):
            return Outcomes.empty()
        one, whole = np.ones(1), np.zeros(1, np.int64)
        return Outcomes(
            fp=np.array([self.fp], np.uint64),
            kind=whole,
            made=whole + self.made,
            lead=whole + 3_600_000,
            model=whole,
            points=whole + 4,
            error=one * 4,
            naive=one * 5,
            banded=whole + 4,
            covered=whole + 3,
            level=one * 0.95,
            kinds=("value",),
            models=("ses",),
            runs=whole + 1,
        )

    async def points(self, fp: int, start: int, end: int) -> Foreseen:
        t = self.made + np.arange(1, 5) * self.plan.step_ms
        mean, whole = np.full(4, 50.0), np.zeros(4, np.int64)
        return Foreseen(
            np.full(4, fp, np.uint64),
            whole,
            whole + self.made,
            t,
            mean,
            mean - 5,
            mean + 5,
            np.full(4, 0.95),
            whole,
            ("value",),
            ("ses",),
        )


class Here:
    """A thread in place of a process."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.to_thread(function, *args)


def foreteller() -> Foreteller:
    """Forecasts what is asked for, in this process."""
    worker: Any = Here()
    return Foreteller(worker)
