"""What a replay found, gathered on the way and told as JSON: ours beside the user's own rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, pairwise
from typing import Any

import numpy as np

from airis_mon.correlate.group import Firing, Grouping, notifications
from airis_mon.detect.watch import Watch
from airis_mon.events.anomaly import Anomaly
from airis_mon.events.finding import Finding
from airis_mon.ingest.base import Missing
from airis_mon.series.batch import Times, Values
from airis_mon.series.labels import first_of
from airis_mon.store.base import SeriesStore

DAY_MS, AROUND_MS = 86_400_000, 7_200_000
MOST_FINDINGS, MOST_ALERTS, MOST_DAYS = 200, 1000, 1000
DRAWN, CURVES, POINTS = 12, 3, 400
"""Findings that are drawn, curves of each, points of a curve."""
NOT_BUILT = ("incidents", "causes")


@dataclass(frozen=True, slots=True)
class Run:
    """The replay itself. Times are ms."""

    source: str
    is_simulated: bool
    start: int
    end: int
    series: int
    signals: int
    samples: int
    seconds: float
    missing: tuple[Missing, ...]
    refused: int


@dataclass(frozen=True, slots=True)
class Raw:
    """What the user's rules notified. origin: "rule files", "ALERTS history" or None when neither says anything."""

    origin: str | None
    firings: list[Firing]
    grouping: Grouping
    faults: list[dict[str, str]] = field(default_factory=list)


class Ours:
    """What we would have raised. labels: those that name an entity."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.findings: list[Finding] = []
        self.anomalies: Counter[tuple[str, str]] = Counter()  # by day and entity

    def add(self, anomalies: Sequence[Anomaly], findings: Sequence[Finding]) -> None:
        """Takes what one slice gave."""
        self.findings += findings
        for anomaly in anomalies:
            self.anomalies[day(anomaly.t), first_of(anomaly.labels, self.labels)] += 1

    def ordered(self) -> list[Finding]:
        """The findings in order of their start."""
        return sorted(self.findings, key=lambda f: (f.start, f.entity))

    def listed(self) -> list[Finding]:
        """The findings with the highest peaks, in order of their start."""
        highest = sorted(self.ordered(), key=lambda f: -f.peak)[:MOST_FINDINGS]
        return sorted(highest, key=lambda f: (f.start, f.entity))

    def highest(self) -> list[tuple[int, Finding]]:
        """The findings that are drawn, and their places among those that are listed."""
        return sorted(enumerate(self.listed()), key=lambda f: -f[1].peak)[:DRAWN]


def result(run: Run, raw: Raw, ours: Ours) -> dict[str, Any]:
    """The replay as JSON has it, without charts."""
    listed, seconds = ours.listed(), max(run.seconds, 1e-9)
    sent = [n for n in notifications(raw.firings, raw.grouping, run.end) if n.firing]  # all clear wakes nobody
    meetings = _meetings(listed, raw.firings, ours.labels, run.end)
    seen = set(chain(*_meetings(ours.findings, raw.firings, ours.labels, run.end)))
    return {
        "source": run.source,
        "isSimulated": run.is_simulated,
        "start": stamp(run.start),
        "end": stamp(run.end),
        "days": round((run.end - run.start) / DAY_MS, 4),
        "series": run.series,
        "signals": run.signals,
        "samples": run.samples,
        "seconds": round(run.seconds, 3),
        "samplesPerSecond": round(run.samples / seconds),
        "missing": [{"start": stamp(m.start), "end": stamp(m.end), "what": m.what, "why": m.why} for m in run.missing],
        "refused": run.refused,
        "raw": {
            "from": raw.origin,
            "why": "" if raw.origin else "no rule files were given and the source holds no ALERTS that fire",
            "alerts": len(raw.firings),
            "notifications": len(sent),
            "grouping": _grouping(raw.grouping),
            "faults": raw.faults,
        },
        "ours": {
            "anomalies": ours.anomalies.total(),
            "findings": len(ours.findings),
            "incidents": None,
            "notBuilt": list(NOT_BUILT),
        },
        "perDay": _per_day(run, raw.firings, [n.t for n in sent], ours),
        "perService": _per_service(raw.firings, ours),
        "findings": [_finding(i, f, [raw.firings[a] for a in meetings[i]]) for i, f in enumerate(listed)],
        "alerts": _alerts(raw.firings, ours.labels, meetings, seen),
        "charts": [],
    }


def _grouping(of: Grouping) -> dict[str, Any]:
    waits = {"waitSeconds": of.wait_ms, "intervalSeconds": of.interval_ms, "repeatSeconds": of.repeat_ms}
    return {"by": list(of.by), **{name: ms / 1000 for name, ms in waits.items()}}


def _per_day(run: Run, firings: Sequence[Firing], sent: Sequence[int], ours: Ours) -> list[dict[str, Any]]:
    alerts, messages = Counter(day(f.start) for f in firings), Counter(map(day, sent))
    findings, anomalies = Counter(day(f.start) for f in ours.findings), Counter[str]()
    for (of, _), n in ours.anomalies.items():
        anomalies[of] += n
    days = [day(t) for t in range(run.start // DAY_MS * DAY_MS, run.end, DAY_MS)]
    if len(days) > MOST_DAYS:  # a source with a row of 1970 in it
        days = [d for d in days if alerts[d] or messages[d] or anomalies[d] or findings[d]]
    return [
        {
            "day": d,
            "alerts": alerts[d],
            "notifications": messages[d],
            "anomalies": anomalies[d],
            "findings": findings[d],
        }
        for d in days
    ]


def _per_service(firings: Sequence[Firing], ours: Ours) -> list[dict[str, Any]]:
    """Most findings and alerts first."""
    alerts = Counter(first_of(f.labels, ours.labels) for f in firings)
    findings, anomalies = Counter(f.entity for f in ours.findings), Counter[str]()
    for (_, entity), n in ours.anomalies.items():
        anomalies[entity] += n
    names = sorted({*alerts, *findings, *anomalies}, key=lambda n: (-findings[n] - alerts[n], -anomalies[n], n))
    return [{"service": n, "alerts": alerts[n], "anomalies": anomalies[n], "findings": findings[n]} for n in names]


def _meetings(
    findings: Sequence[Finding], firings: Sequence[Firing], labels: Sequence[str], until: int
) -> list[list[int]]:
    """Of each finding, which alerts of the same entity fired meanwhile."""
    by_entity: dict[str, list[int]] = {}
    for place, alert in enumerate(firings):
        by_entity.setdefault(first_of(alert.labels, labels), []).append(place)
    return [
        [a for a in by_entity.get(finding.entity, ()) if _is_meanwhile(finding, firings[a], until)]
        for finding in findings
    ]


def _is_meanwhile(finding: Finding, alert: Firing, until: int) -> bool:
    finding_end = until if finding.end is None else finding.end
    return finding.start <= (until if alert.end is None else alert.end) and alert.start <= finding_end


def _finding(i: int, finding: Finding, meanwhile: Sequence[Firing]) -> dict[str, Any]:
    return {**finding.payload, "id": i, "alerts": sorted({_name(a) for a in meanwhile})}


def _alerts(
    firings: Sequence[Firing], labels: Sequence[str], meetings: Sequence[Sequence[int]], seen: Container[int]
) -> list[dict[str, Any]]:
    met: dict[int, list[int]] = {}
    for finding, alerts in enumerate(meetings):
        for alert in alerts:
            met.setdefault(alert, []).append(finding)
    return [
        {
            "name": _name(alert),
            "service": first_of(alert.labels, labels),
            "labels": {n: v for n, v in alert.labels if n != "alertname"},
            "start": stamp(alert.start),
            "end": None if alert.end is None else stamp(alert.end),
            "findings": met.get(place, []),
            "isSeen": place in seen,  # by any finding, also one that is not listed
        }
        for place, alert in enumerate(firings[:MOST_ALERTS])
    ]


def _name(alert: Firing) -> str:
    return dict(alert.labels).get("alertname", "")


def charts(
    findings: Sequence[tuple[int, Finding]], slots: Mapping[str, int], watch: Watch, store: SeriesStore
) -> list[dict[str, Any]]:
    """What the signals that were blamed most showed around their findings."""
    found = []
    for place, finding in findings:
        end = finding.peak_t if finding.end is None else finding.end
        for blame in finding.blamed[:CURVES]:
            if blame.name not in slots:
                continue
            t, value = _curve(slots[blame.name], finding.start - AROUND_MS, end + AROUND_MS, watch, store)
            numbers = [float(v) if np.isfinite(v) else None for v in value]
            span = {"from": finding.start, "to": end}
            found.append({"finding": place, "name": blame.name, "t": t.tolist(), "value": numbers, **span})
    return found


def _curve(slot: int, start: int, end: int, watch: Watch, store: SeriesStore) -> tuple[Times, Values]:
    rows = store.samples(watch.inputs(slot), start, end)
    t, value = watch.derive(slot, rows.fp, rows.t, rows.value)
    if len(t) <= POINTS:
        return t, value
    # Of each stretch the value farthest from the whole's median: a thinned curve keeps its peaks.
    far = np.abs(np.nan_to_num(value - np.nanmedian(value)))
    ends = np.linspace(0, len(t), POINTS + 1).astype(int)
    kept = [a + int(far[a:b].argmax()) for a, b in pairwise(ends.tolist()) if b > a]
    return t[kept], value[kept]


def day(t: int) -> str:
    """The day of a moment, UTC."""
    return datetime.fromtimestamp(t / 1000, UTC).date().isoformat()


def stamp(t: int) -> str:
    """A moment as RFC 3339, UTC."""
    moment = datetime.fromtimestamp(t / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if t % 1000 else "seconds").replace("+00:00", "Z")
