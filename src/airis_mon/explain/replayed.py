"""The result of a replay as its JSON has it, checked: what the page and the terminal table are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from math import ceil
from typing import Annotated, Any

import msgspec

from airis_mon.errors import InputError

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339 in JSON."""
TOGETHER = (1, 7, 28, 91, 364)
"""So many days stand for one where there are too many to show each."""


class Row(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """An object of the JSON: its names in camelCase, what is not known yet is passed over."""


class Missing(Row, frozen=True):
    """A part of the history that could not be had."""

    start: Moment
    end: Moment
    what: str
    why: str


class Grouping(Row, frozen=True):
    """How notifications were counted: Alertmanager's settings of a route."""

    by: list[str]
    wait_seconds: float
    interval_seconds: float
    repeat_seconds: float


class Fault(Row, frozen=True):
    """A rule that could not be evaluated."""

    group: str
    rule: str
    error: str


class Raw(Row, frozen=True):
    """What the user's own rules did; `source` is None when that is not known, `why` says why not."""

    source: str | None = msgspec.field(name="from")
    why: str = ""
    alerts: int = 0
    notifications: int = 0
    grouping: Grouping | None = None
    faults: list[Fault] = []


class Ours(Row, frozen=True):
    """What the engine did; incidents is None while it makes none."""

    anomalies: int
    findings: int
    incidents: int | None = None
    not_built: list[str] = []


class Day(Row, frozen=True):
    """Counts of a day, UTC."""

    day: date
    alerts: int = 0
    notifications: int = 0
    anomalies: int = 0
    findings: int = 0


class Service(Row, frozen=True):
    """Counts of a service."""

    service: str
    alerts: int = 0
    anomalies: int = 0
    findings: int = 0


class Metric(Row, frozen=True):
    """A blamed metric and its part of the score at the peak, 0..1."""

    name: str
    share: float


class Found(Row, frozen=True):
    """A finding; alerts: names of those of the same service that fired meanwhile; end: None while it goes on."""

    id: int
    entity: str
    start: Moment
    end: Moment | None
    peak: float
    peak_at: Moment
    metrics: list[Metric] = []
    alerts: list[str] = []


class Fired(Row, frozen=True):
    """An alert of the user's rules; findings: ids of those of the same service at the same time that are listed.

    is_seen: whether any finding was there, also one that is not listed.
    """

    name: str
    service: str
    start: Moment
    end: Moment | None
    labels: dict[str, str] = {}
    findings: list[int] = []
    is_seen: bool = False


class Chart(Row, frozen=True):
    """A blamed series around a finding. t: (n,) ms, value: (n,), None = gap; the finding's span in ms."""

    finding: int
    name: str
    t: list[int]
    value: list[float | None]
    start: int = msgspec.field(name="from")
    end: int | None = msgspec.field(name="to")


class Replayed(Row, frozen=True):
    """What a replay has brought to light."""

    source: str
    is_simulated: bool
    start: Moment
    end: Moment
    days: float
    series: int
    signals: int
    samples: int
    seconds: float
    samples_per_second: float | None
    missing: list[Missing]
    raw: Raw
    ours: Ours
    per_day: list[Day]
    per_service: list[Service]
    findings: list[Found]
    alerts: list[Fired]
    charts: list[Chart]
    refused: int = 0

    @property
    def knows_rules(self) -> bool:
        """Whether it is known what the user's own rules did."""
        return self.raw.source is not None

    @property
    def span(self) -> tuple[int, int]:
        """(start, end) ms."""
        return ms(self.start), ms(self.end)

    @property
    def services_found(self) -> int:
        """Services with a finding."""
        return max(sum(s.findings > 0 for s in self.per_service), len({f.entity for f in self.findings}))

    @property
    def silent(self) -> list[tuple[int, int]]:
        """[start, end) ms of which no list tells: the history is missing, or a list has ended before."""
        parts = [(ms(m.start), ms(m.end)) for m in self.missing]
        cut = [(ms(self.alerts[-1].start), ms(self.end))] if 0 < len(self.alerts) < self.raw.alerts else []
        return [*parts, *cut]

    def is_unseen(self, alert: Fired) -> bool:
        """Whether no finding accompanied the alert; it is not known of one that names no service."""
        return bool(alert.service) and not alert.is_seen

    def busiest(self) -> list[Service]:
        """Services, those with most alerts and findings first."""
        return sorted(self.per_service, key=lambda s: (-s.alerts - s.findings, -s.findings, -s.anomalies, s.service))

    def highest(self, count: int) -> list[Found]:
        """So many of the findings listed, the highest peak first."""
        return sorted(self.findings, key=lambda f: (-f.peak, f.start, f.entity))[:count]


def read(result: Mapping[str, Any]) -> Replayed:
    """The JSON of a replay's result as values. Raises InputError naming the field that is not as it should be."""
    try:
        return msgspec.convert(result, Replayed)
    except msgspec.ValidationError as error:
        raise InputError(f"this is no result of a replay: {error}") from None


def ms(moment: datetime) -> int:
    """Milliseconds since 1970 of a moment."""
    return round(moment.astimezone(UTC).timestamp() * 1000)


def lasted(start: datetime, end: datetime | None, until: datetime) -> int:
    """Milliseconds from start to end, or to `until` for what goes on."""
    return ms(end or until) - ms(start)


def days_together(days: Sequence[Day], most: int) -> tuple[int, list[Day]]:
    """(how many days stand together, their sums under the first of them): at most `most`, if `TOGETHER` allows."""
    size = next((n for n in TOGETHER if ceil(len(days) / n) <= most), TOGETHER[-1])
    return size, [_sum(days[at : at + size]) for at in range(0, len(days), size)][:most]


def _sum(days: Sequence[Day]) -> Day:
    return Day(
        day=days[0].day,
        alerts=sum(d.alerts for d in days),
        notifications=sum(d.notifications for d in days),
        anomalies=sum(d.anomalies for d in days),
        findings=sum(d.findings for d in days),
    )
