"""The result of a replay as a person reads it in a terminal: the sentences are those of the page."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airis_mon.cli.plot import BLOCKS, PLAIN_BLOCKS
from airis_mon.cli.table import GAP, aligned, folded, tame, width
from airis_mon.explain.html import short
from airis_mon.explain.replay_page import cut, headline, not_built
from airis_mon.explain.replayed import Day, Found, Replayed, Service, days_together, lasted, read
from airis_mon.explain.speak import Speaker, clock, from_to

DAYS, SERVICES, FINDINGS, MISSING, FAULTS = 31, 15, 15, 8, 5
BAR = 16
LEAST_NAME = 16
BESIDE = 50
"""Columns that a row with two bars takes beside them."""
_PLAIN = {0x2013: "-", 0x2026: "~"}
"""What the sentences hold beyond ASCII, in one character each: columns stay aligned."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a terminal shows."""

    columns: int
    has_unicode: bool

    def name(self, text: str, most: int = 200) -> str:
        """A name of others: short, and nothing in it steers the terminal or cannot be shown."""
        return self.plain(short(self.plain(tame(text)), most))

    def plain(self, text: str) -> str:
        """A text as the terminal can show it."""
        return text if self.has_unicode else text.translate(_PLAIN).encode("ascii", "backslashreplace").decode()

    def bar(self, n: int, most: int) -> str:
        """A bar for `most` in up to `BAR` characters, fewer where the terminal is narrow; what is there has one."""
        longest = min(max((self.columns - BESIDE) // 2, 4), BAR)
        block = (BLOCKS if self.has_unicode else PLAIN_BLOCKS)[-1]
        return block * (max(1, round(longest * n / most)) if n else 0)

    def sentence(self, text: str) -> list[str]:
        """A sentence in lines that fit."""
        return textwrap.wrap(tame(self.plain(text)), max(self.columns, 20)) or [""]

    def rows(self, rows: Sequence[Sequence[str]], numbers: frozenset[int]) -> Iterator[str]:
        """Rows under their heads, in lines."""
        for lines in aligned(rows, numbers, self.columns):
            yield from lines


def table(result: Mapping[str, Any], columns: int, *, has_unicode: bool | None = None) -> str:
    """The lines for a terminal of so many columns. Raises InputError for what is no result of a replay.

    has_unicode: whether it shows blocks and letters beyond ASCII; None asks how standard output is encoded.
    """
    if has_unicode is None:
        has_unicode = "utf" in (sys.stdout.encoding or "").lower()
    replayed, say, terminal = read(result), Speaker("en"), Terminal(columns, has_unicode)
    parts = (
        _top(replayed, say, terminal),
        _missing(replayed, say, terminal),
        _notes(replayed, say, terminal),
        _days(replayed, say, terminal),
        _services(replayed, say, terminal),
        _findings(replayed, say, terminal),
        _faults(replayed, say, terminal),
        iter(["--html FILE writes this with charts, --json prints it all."]),
    )
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def _top(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    if replayed.is_simulated:
        yield from terminal.sentence(say("simulated").upper())
    yield from terminal.sentence(headline(replayed, say))
    span = from_to(replayed.start, replayed.end)
    yield from folded(f"{terminal.name(replayed.source)}, {terminal.plain(span)} UTC", terminal.columns)
    took = f"{replayed.samples:,} samples of {replayed.series:,} series in {replayed.seconds:,.1f} s"
    rate = replayed.samples_per_second
    yield from terminal.sentence(took if rate is None else f"{took} ({say.number(rate)} per second)")


def _missing(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    if not (parts := replayed.missing):
        return
    yield from terminal.sentence(f"{say('missing_title').upper()}: {say('missing', len(parts))}")
    for m in parts[:MISSING]:
        told = f"  {from_to(m.start, m.end)} UTC: {terminal.name(m.what)}, {terminal.name(m.why)}"
        yield from folded(terminal.plain(told), terminal.columns)
    if len(parts) > MISSING:
        yield f"  {say('more_names', len(parts) - MISSING)}"


def _notes(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    if (sentence := not_built(replayed, say)) is not None:
        yield from terminal.sentence(sentence)
    if not replayed.knows_rules:
        yield from terminal.sentence(say("why_unknown", why=say.known(short(replayed.raw.why, 200))))


def _days(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    if not replayed.per_day:
        return
    size, days = days_together(replayed.per_day, DAYS)
    yield from terminal.sentence(say("days_title") + (f". {say('days_together', size)}" if size > 1 else ""))
    knows, most = replayed.knows_rules, max([1, *(max(d.notifications, d.findings) for d in days)])
    head = ("day", *(("notifications", "") if knows else ()), "findings", "", "anomalies")
    rows = [_day(d, most, terminal, knows_rules=knows) for d in days]
    yield from terminal.rows([head, *rows], frozenset({1, 3, 5} if knows else {1, 3}))


def _day(day: Day, most: int, terminal: Terminal, *, knows_rules: bool) -> Sequence[str]:
    raw = (f"{day.notifications:,}", terminal.bar(day.notifications, most)) if knows_rules else ()
    return (str(day.day), *raw, f"{day.findings:,}", terminal.bar(day.findings, most), f"{day.anomalies:,}")


def _services(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    services = replayed.busiest()
    if not services:
        return
    shown, rest = services[:SERVICES], services[SERVICES:]
    yield say("services_title")
    knows, most = replayed.knows_rules, max([1, *(max(s.alerts, s.findings) for s in shown)])
    head = ("service", *(("alerts", "") if knows else ()), "findings", "", "anomalies")
    rows = [_service(s, most, terminal, knows_rules=knows) for s in shown]
    yield from terminal.rows([head, *rows], frozenset({1, 3, 5} if knows else {1, 3}))
    if rest:
        alerts = say("n_alerts", sum(s.alerts for s in rest))
        findings = say("n_findings", sum(s.findings for s in rest))
        yield from terminal.sentence(say("services_left", len(rest), alerts=alerts, findings=findings))


def _service(service: Service, most: int, terminal: Terminal, *, knows_rules: bool) -> Sequence[str]:
    raw = (f"{service.alerts:,}", terminal.bar(service.alerts, most)) if knows_rules else ()
    ours = (f"{service.findings:,}", terminal.bar(service.findings, most), f"{service.anomalies:,}")
    return (terminal.name(service.service, 60), *raw, *ours)


def _findings(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    highest = replayed.highest(FINDINGS)
    if not highest:
        yield say("no_findings") if replayed.ours.findings == 0 else say("findings_left", replayed.ours.findings)
        return
    yield say("highest_title")
    head = ("service", "peak", "since (UTC)", "duration", *(("your rules",) if replayed.knows_rules else ()), "blamed")
    rows = [head, *(_finding(f, replayed, say, terminal) for f in highest)]
    room = terminal.columns - sum(max(width(row[at]) for row in rows) + len(GAP) for at in range(len(head) - 1))
    fits = room >= LEAST_NAME
    shown = [(*row[:-1], *((terminal.name(row[-1], room),) if fits else ())) for row in rows]
    yield from terminal.rows(shown, frozenset({1}))
    if (left := len(replayed.findings) - len(highest)) > 0:
        yield f"{say('more_names', left)}."
    for sentence in cut(replayed, say):
        yield from terminal.sentence(sentence)


def _finding(found: Found, replayed: Replayed, say: Speaker, terminal: Terminal) -> Sequence[str]:
    duration = say.duration(lasted(found.start, found.end, replayed.end))
    rules = (say("n_alerts", len(found.alerts)) if found.alerts else "nothing",) if replayed.knows_rules else ()
    blamed = f"{found.metrics[0].share:.0%} {found.metrics[0].name}" if found.metrics else "-"
    since = clock(found.start)
    return (terminal.name(found.entity, 24), f"{found.peak:.2f}", since, duration, *rules, blamed)


def _faults(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    faults = replayed.raw.faults
    if not faults:
        return
    yield say("faults_title")
    for fault in faults[:FAULTS]:
        names = (terminal.name(fault.group, 40), terminal.name(fault.rule, 40), terminal.name(fault.error))
        yield from folded("  {} / {}: {}".format(*names), terminal.columns)
    if len(faults) > FAULTS:
        yield f"  {say('faults_left', len(faults) - FAULTS)}"
