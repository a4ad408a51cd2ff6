"""The result of a replay as a person reads it in a terminal: the sentences are those of the page."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airis_mon.cli.plot import BLOCKS, PLAIN_BLOCKS
from airis_mon.cli.table import GAP, aligned, folded, tame, width
from airis_mon.explain.html import short
from airis_mon.explain.replay_page import cut, headline, not_built
from airis_mon.explain.replayed import Day, Found, Replayed, Service, days_together, lasted, read
from airis_mon.explain.speak import Lang, Speaker, clock, from_to

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
        lines = [""]
        for word in tame(self.plain(text)).split():
            longer = f"{lines[-1]} {word}".lstrip()
            lines[-1:] = [longer] if width(longer) <= self.columns else [*filter(None, lines[-1:]), word]
        return lines

    def rows(self, rows: Sequence[Sequence[str]], numbers: frozenset[int]) -> Iterator[str]:
        """Rows under their heads, in lines."""
        for lines in aligned(rows, numbers, self.columns):
            yield from lines


def table(result: Mapping[str, Any], columns: int, lang: Lang = "en", *, has_unicode: bool | None = None) -> str:
    """The lines for a terminal of so many columns. Raises InputError for what is no result of a replay.

    has_unicode: whether it shows blocks and letters beyond ASCII; None asks how standard output is encoded. A terminal
    that shows none gets English.
    """
    if has_unicode is None:
        has_unicode = "utf" in (sys.stdout.encoding or "").lower()
    replayed, say, terminal = read(result), Speaker(lang if has_unicode else "en"), Terminal(columns, has_unicode)
    parts = (
        _top(replayed, say, terminal),
        _missing(replayed, say, terminal),
        _notes(replayed, say, terminal),
        _days(replayed, say, terminal),
        _services(replayed, say, terminal),
        _findings(replayed, say, terminal),
        _faults(replayed, say, terminal),
        iter(terminal.sentence(say("hint"))),
    )
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part)))


def _top(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    if replayed.is_simulated:
        yield from terminal.sentence(say("simulated").upper())
    yield from terminal.sentence(headline(replayed, say))
    span = from_to(replayed.start, replayed.end)
    yield from folded(f"{terminal.name(replayed.source)}, {terminal.plain(span)} UTC", terminal.columns)
    samples, series, seconds = f"{replayed.samples:,}", f"{replayed.series:,}", f"{replayed.seconds:,.1f}"
    rate = say.number(replayed.samples_per_second or 0)
    yield from terminal.sentence(say("run", samples=samples, series=series, seconds=seconds, rate=rate))


def _missing(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    if replayed.refused:
        yield from terminal.sentence(say("refused", replayed.refused))
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
    sides = _sides("notifications", replayed)
    rows = [(str(d.day), d) for d in days]
    yield from _counts(say("head_day"), rows, sides, say, terminal)


def _services(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    services = replayed.busiest()
    if not services:
        return
    shown, rest = services[:SERVICES], services[SERVICES:]
    yield say("services_title")
    rows = [(terminal.name(s.service or say("unnamed"), 60), s) for s in shown]
    yield from _counts(say("head_service"), rows, _sides("alerts", replayed), say, terminal)
    if rest:
        alerts = say("n_alerts", sum(s.alerts for s in rest))
        findings = say("n_findings", sum(s.findings for s in rest))
        yield from terminal.sentence(say("services_left", len(rest), alerts=alerts, findings=findings))


def _sides(raw: str, replayed: Replayed) -> list[tuple[str, str]]:
    """(field, key of its head) of what stands beside each other with bars."""
    return [*([(raw, f"head_{raw}")] if replayed.knows_rules else []), ("findings", "findings")]


def _counts(
    name: str, rows: Sequence[tuple[str, Day | Service]], sides: Sequence[tuple[str, str]], say: Speaker, to: Terminal
) -> Iterator[str]:
    """Rows with a count and a bar of each side, and the anomalies."""
    most = max([1, *(getattr(row, key) for _, row in rows for key, _ in sides)])
    head = [name, *(cell for _, key in sides for cell in (say(key), "")), say("anomalies")]
    cells = [
        [first, *(c for key, _ in sides for c in _bar(getattr(row, key), most, to)), f"{row.anomalies:,}"]
        for first, row in rows
    ]
    yield from to.rows([head, *cells], frozenset(range(1, len(head), 2)))


def _bar(n: int, most: int, terminal: Terminal) -> tuple[str, str]:
    return f"{n:,}", terminal.bar(n, most)


def _findings(replayed: Replayed, say: Speaker, terminal: Terminal) -> Iterator[str]:
    highest = replayed.highest(FINDINGS)
    if not highest:
        yield say("no_findings") if replayed.ours.findings == 0 else say("findings_left", replayed.ours.findings)
        return
    yield say("highest_title")
    keys = [
        "head_service",
        "head_peak",
        "head_since",
        "lasts",
        *(["your_rules"] if replayed.knows_rules else []),
        "blamed",
    ]
    head = tuple(map(say, keys))
    rows = [head, *(_finding(f, replayed, say, terminal) for f in highest)]
    room = terminal.columns - sum(max(width(tame(row[at])) for row in rows) + len(GAP) for at in range(len(head) - 1))
    fits = room >= LEAST_NAME
    shown = [(*row[:-1], *((terminal.name(row[-1], room),) if fits else ())) for row in rows]
    yield from terminal.rows(shown, frozenset({1}))
    if (left := len(replayed.findings) - len(highest)) > 0:
        yield f"{say('more_names', left)}."
    for sentence in cut(replayed, say):
        yield from terminal.sentence(sentence)


def _finding(found: Found, replayed: Replayed, say: Speaker, terminal: Terminal) -> Sequence[str]:
    duration = say.duration(lasted(found.start, found.end, replayed.end))
    rules = (say("n_alerts", len(found.alerts)) if found.alerts else say("nothing"),) if replayed.knows_rules else ()
    blamed = f"{found.metrics[0].share:.0%} {found.metrics[0].name}" if found.metrics else "-"
    since = clock(found.start)
    return (terminal.name(found.entity or say("unnamed"), 24), f"{found.peak:.2f}", since, duration, *rules, blamed)


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
