"""What a demo tells the people before its terminal: what is broken in truth, and what the engine saw of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airis_mon.cli.storywords import KINDS_KO, WORDS
from airis_mon.detect.findings import ENTITIES
from airis_mon.errors import Conflict
from airis_mon.ingest.simulated import Scene

if TYPE_CHECKING:
    from airis_mon.manager import AIOpsManager
    from airis_mon.simulate.truth import Verdict
    from airis_mon.simulate.world import World

LOOK_S = 1.0
AHEAD_MS = 600_000
"""Faults are known so long before they come: to judge what they do takes a tenth of a second each."""
AFTER_MS = 90_000
"""What is seen so long after a fault's end is still put down to it."""
LINES = 4
"""So many entities are told of a fault, as many alerts, the rest is counted."""
REST_MS = 300_000
"""Between faults, so often one line is told at most."""
Print = Callable[[str], None]


def say(line: str) -> None:
    """A line on standard output, at once also where it is a file."""
    print(line, flush=True)


@dataclass(slots=True)
class _Seen:
    """The highest anomaly of one entity, and when its first one was told (ms)."""

    first: int
    payload: dict[str, Any]
    is_told: bool = False


@dataclass(slots=True)
class _Chapter:
    """One fault, and what was seen while it lasted."""

    verdict: Verdict
    seen: dict[str, _Seen] = field(default_factory=dict)
    alerts: int = 0

    @property
    def end_ms(self) -> int:
        return self.verdict.fault.end_ms + AFTER_MS


class Story:
    """Tells by `show`, a line at a time. now is the wall clock, ms. The engine hears nothing of it."""

    def __init__(self, scene: Scene, lang: str, now: Callable[[], int], show: Print = say) -> None:
        self._scene = scene
        self._words: Mapping[str, str] = WORDS[lang]
        self._lang = lang
        self._now = now
        self._show = show
        self._coming: list[Verdict] = []
        self._known_until = now()
        self._open: list[_Chapter] = []
        self._between: dict[str, _Seen] = {}
        self._rested = 0
        self._stage = ""
        self._quarter = 0

    # -- what is told ---------------------------------------------------------------------------------------------

    def began(self, url: str) -> None:
        """Where to look."""
        self._show(self._words["head"].format(url=url, topology=self._scene.topology, seed=self._scene.seed))

    async def tell(self, manager: AIOpsManager) -> None:
        """Tells the truth as it comes, and what was seen, until it is cancelled."""
        world = await asyncio.to_thread(self._scene.world)
        while True:
            self.follow(_health(manager))
            await asyncio.to_thread(self._look_ahead, world)
            self.turn()
            await asyncio.sleep(LOOK_S)

    def follow(self, health: Mapping[str, Any]) -> None:
        """Says how far the engine is with the past."""
        past = health.get("backfill") if health.get("started") else None
        if not past:
            return
        (source,) = past["sources"]
        if self._stage == "":
            self._stage = "ready"
            self._line("ready", past=source["start"][:16].replace("T", " "))
        quarter = int(4 * source["fetched"])
        if past["stage"] == "fetching" and quarter > self._quarter:
            self._quarter = quarter
            self._line("fetched", share=f"{source['fetched']:.0%}", samples=f"{source['samples']:,}")
        is_soon = source["learnedFrom"] is not None
        stage = "done" if past["stage"] == "done" else "soon" if is_soon else self._stage
        if stage != self._stage:
            self._stage = stage
            self._line(stage, past=(source["learnedFrom"] or "")[:16].replace("T", " "))

    def turn(self) -> None:
        """Tells what has begun, what was seen of it, and what is over."""
        now = self._now()
        for verdict in [v for v in self._coming if v.fault.onset_ms <= now]:
            self._coming.remove(verdict)
            self._open.append(_Chapter(verdict))
            self._inject(verdict)
        for chapter in self._open:
            self._told(chapter)
        for chapter in [c for c in self._open if c.end_ms <= now]:
            self._open.remove(chapter)
            self._close(chapter)
        self._rest(now)

    def saw(self, payload: dict[str, Any]) -> None:
        """Hears of an anomaly."""
        now, entity = self._now(), entity_of(payload["labels"])
        for seen in [c.seen for c in self._open] or [self._between]:
            if (known := seen.get(entity)) is None:
                seen[entity] = _Seen(now, payload)
            elif payload["score"] > known.payload["score"]:
                known.payload = payload

    def warned(self, payload: dict[str, Any]) -> None:
        """Hears of an alert of the rules."""
        if payload["state"] != "firing":
            return
        for chapter in self._open:
            chapter.alerts += 1
        if not self._open or self._open[-1].alerts <= LINES:
            self._line("alert", name=payload["name"], summary=payload["annotations"].get("summary", ""))

    def foresaw(self, payload: dict[str, Any]) -> None:
        """Hears of a limit that will be hit."""
        self._line("ahead", sentence=_plain(payload["sentences"][self._lang]))

    # -- parts ----------------------------------------------------------------------------------------------------

    def _look_ahead(self, world: World) -> None:
        from airis_mon.simulate.truth import verdicts

        start, end = self._known_until, self._now() + AHEAD_MS
        if end - start >= AHEAD_MS / 10 or not self._coming:
            self._coming += verdicts(world, start, end)
            self._known_until = end

    def _inject(self, verdict: Verdict) -> None:
        fault, words = verdict.fault, self._words
        where = " -> ".join(verdict.edge) if verdict.edge else fault.entity
        felt = words["unfelt"]
        if verdict.impact_ms is not None:
            what = ", ".join(i.name for i in verdict.indicators[:2])
            felt = words["felt"].format(at=_clock(verdict.impact_ms), what=what)
        kind = KINDS_KO[fault.kind] if self._lang == "ko" else fault.kind.replace("_", " ")
        scope = words[f"scope {fault.scope}"]
        self._line("truth", kind=kind, where=where, scope=scope, until=_clock(fault.end_ms), felt=felt)

    def _told(self, chapter: _Chapter) -> None:
        """The highest of what is new, as far as there is room."""
        news = sorted((s for s in chapter.seen.values() if not s.is_told), key=lambda s: -s.payload["score"])
        told = sum(s.is_told for s in chapter.seen.values())
        for seen in news[: max(0, LINES - told)]:
            seen.is_told = True
            if not any(s.payload["id"] == seen.payload["id"] and s.is_told for s in self._others(chapter)):
                self._saw_line(seen)

    def _others(self, chapter: _Chapter) -> Iterator[_Seen]:
        return (s for c in self._open if c is not chapter for s in c.seen.values())

    def _saw_line(self, seen: _Seen) -> None:
        p = seen.payload
        values = {"value": _short(p["value"]), "expected": _short(p["expected"])}
        self._line("saw", entity=entity_of(p["labels"]), score=f"{p['score']:.2f}", name=_plain(p["name"]), **values)

    def _close(self, chapter: _Chapter) -> None:
        fault = chapter.verdict.fault
        touched = {fault.entity, *(r.service for r in chapter.verdict.path), *(chapter.verdict.edge or ())}
        hits = [seen for entity, seen in chapter.seen.items() if touched & set(entity.split(" -> "))]
        if not hits:
            self._line("missed" if chapter.verdict.is_valid else "rightly", entity=fault.entity)
            return
        after = max(0, (min(s.first for s in hits) - fault.onset_ms) // 1000)
        own = touched if fault.entity == "load" else {fault.entity}  # too many users have no series of their own
        named = self._words["named" if any(own & set(e.split(" -> ")) for e in chapter.seen) else "unnamed"]
        self._line("over", n=len(chapter.seen), after=after, entity=fault.entity, named=named)

    def _rest(self, now: int) -> None:
        """One line at a time of what is seen while nothing is broken."""
        if not self._between or self._open or now - self._rested < REST_MS:
            return
        self._rested = now
        self._saw_line(max(self._between.values(), key=lambda s: s.payload["score"]))
        if more := len(self._between) - 1:
            self._line("quiet", n=more)
        self._between = {}

    def _line(self, word: str, **values: Any) -> None:
        self._show(f"{_clock(self._now())}  {self._words[word].format(**values)}")


def entity_of(labels: Mapping[str, str]) -> str:
    """The service or host that a series is about; an edge by both its ends."""
    if "client" in labels and "server" in labels:
        return f"{labels['client']} -> {labels['server']}"
    return next((labels[name] for name in ENTITIES if name in labels), "?")


def _health(manager: AIOpsManager) -> dict[str, Any]:
    try:
        return manager.engine.health()
    except Conflict:  # it is being made
        return {}


def _clock(t: int) -> str:
    return datetime.fromtimestamp(t / 1000).astimezone().strftime("%H:%M:%S")


def _short(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


def _plain(name: str) -> str:
    """A series without the label that every one has here."""
    return name.replace(',demo="simulated"', "").replace('demo="simulated",', "").replace('{demo="simulated"}', "")
