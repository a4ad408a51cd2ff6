"""The pictures of a replay's page: services over time, day by day, and a finding's series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from airis_mon.explain.html import SHORT, Html, Names, short, tag, text
from airis_mon.explain.replayed import Chart, Day, Fired, Found, Replayed, Service, days_together, ms
from airis_mon.explain.speak import TO, Speaker, clock, day_label, from_to
from airis_mon.explain.svg import (
    count_ticks,
    labels_below,
    level_grid,
    line,
    percent,
    picture,
    share_of,
    side_labels,
    stamp,
    stretch,
    time_axis,
    time_grid,
)

LANES, LANE_PX, VEILS = 40, 30, 200
DAYS, DAYS_PX = 62, 170
CHART_PX = 84
TOOLTIP = 80


@dataclass(frozen=True, slots=True)
class Hand:
    """What every part of a page is written with; mark: the words across simulated charts."""

    say: Speaker
    names: Names
    mark: str | None

    def service(self, name: str, most: int = SHORT) -> Html:
        """The name of a service; series may name none."""
        return self.names(name or self.say("unnamed"), most)


def lanes(replayed: Replayed, shown: Sequence[Service], listed: set[int], hand: Hand) -> Html:
    """A row per service over one time axis; `listed` are the findings that have an entry to lead to."""
    found, fired = _by_service(replayed)
    span, height = replayed.span, (LANE_PX + 1) * len(shown)  # a pixel parts two lanes
    behind = picture(height, tag("g", *_veils(replayed), class_="veil"), time_grid(span), stamp(hand.mark))
    rows = [_lane(s.service, found.get(s.service, []), fired.get(s.service, []), listed, span, hand) for s in shown]
    axis = tag("div", tag("span"), time_axis(span), class_="lane")
    return tag("div", tag("div", tag("span"), behind, class_="lane behind"), *rows, axis, class_="lanes")


def _veils(replayed: Replayed) -> Iterator[Html]:
    span = replayed.span
    for start, end in replayed.silent[:VEILS]:
        begin, until = share_of(start, span), share_of(end, span)
        yield tag("rect", **stretch(begin, until), height="100%")


def lane_legend(replayed: Replayed, say: Speaker) -> Html:
    """What the marks of the lanes mean."""
    bar = tag("g", tag("rect", x=3, y=4, width=16, height=7), class_="found")
    tick = tag("g", _triangle("50%", 2), class_="fired")
    both = tag("rect", width=22, height=14, class_="both-fill")
    veil = tag("g", tag("rect", width=22, height=14), class_="veil")
    marks = [(bar, "lane_finding"), *([(tick, "lane_alert"), (both, "lane_both")] if replayed.knows_rules else [])]
    marks += [(veil, "lane_veil")] if replayed.silent else []
    return _legend([(mark, say(key)) for mark, key in marks])


def per_day(days: Sequence[Day], hand: Hand, *, knows_rules: bool) -> tuple[int, Html]:
    """(how many days a bar stands for, bars of notifications and findings beside each other, anomalies as a line)."""
    size, shown = days_together(days, DAYS)
    ticks = count_ticks(max([max(d.notifications, d.findings) for d in shown], default=0))
    ticks_right = count_ticks(max([d.anomalies for d in shown], default=0))
    width = 1 / max(len(shown), 1)
    bars = (_day_bars(d, at * width, width, ticks[-1], hand.say, knows_rules) for at, d in enumerate(shown))
    middles = [(at + 0.5) * width for at in range(len(shown))]
    label = hand.say("days_title")
    plot = picture(
        DAYS_PX,
        level_grid([n / ticks[-1] for n in ticks], DAYS_PX),
        *bars,
        tag("g", _anomaly_line(shown, middles, ticks_right[-1]), class_="line faint"),
        stamp(hand.mark),
        label=label,
    )
    left = side_labels([(n / ticks[-1], hand.say.number(n)) for n in ticks], DAYS_PX)
    right = side_labels([(n / ticks_right[-1], hand.say.number(n)) for n in ticks_right], DAYS_PX, "side right")
    below = labels_below(_every([(x, day_label(d.day)) for x, d in zip(middles, shown, strict=True)], 14))
    return size, tag("div", left, plot, right, tag("div", below, class_="below"), class_="frame")


def day_legend(say: Speaker, *, knows_rules: bool) -> Html:
    """What the marks of the days mean."""
    marks = [(tag("rect", x=4, width=14, height=14, class_="raw-fill"), say("notifications"))] if knows_rules else []
    marks.append((tag("rect", x=4, width=14, height=14, class_="ours-fill"), say("findings")))
    marks.append((tag("g", tag("path", d="M0 9L8 4L14 10L22 5"), class_="line faint"), say("anomalies_scale")))
    return _legend(marks)


def finding_chart(chart: Chart, hand: Hand) -> Html:
    """A series with the finding's time shaded, its lowest and highest value beside it."""
    caption = tag("figcaption", hand.names(chart.name, 110))
    real = [x for x in chart.value if x is not None and math.isfinite(x)]
    if not real:
        return tag("figure", caption, tag("p", text(hand.say("no_values")), class_="quiet"), class_="chart")
    span, low, high = (min(chart.t), max(chart.t)), min(real), max(real)
    begin, until = share_of(chart.start, span), share_of(span[1] if chart.end is None else chart.end, span)
    shade = tag("rect", **stretch(begin, until), height="100%", class_="shade")
    drawn = tag("g", line(chart.t, chart.value, span, low, high), class_="line")
    label = f"{short(chart.name, TOOLTIP)}: {hand.say.value(low)}{TO}{hand.say.value(high)}"
    plot = picture(CHART_PX, time_grid(span, 8), shade, drawn, stamp(hand.mark), label=label)
    edges = [(0.0, low), (1.0, high)] if high > low else [(0.5, low)]
    left = side_labels([(place, hand.say.value(x)) for place, x in edges], CHART_PX)
    axis = tag("div", time_axis(span, 8), class_="below")
    return tag("figure", caption, tag("div", left, plot, axis, class_="frame one"), class_="chart")


def _by_service(replayed: Replayed) -> tuple[dict[str, list[Found]], dict[str, list[Fired]]]:
    found: dict[str, list[Found]] = {}
    fired: dict[str, list[Fired]] = {}
    for finding in replayed.findings:
        found.setdefault(finding.entity, []).append(finding)
    for alert in replayed.alerts:
        fired.setdefault(alert.service, []).append(alert)
    return found, fired


def _lane(
    service: str, found: Sequence[Found], fired: Sequence[Fired], listed: set[int], span: tuple[int, int], hand: Hand
) -> Html:
    both = (_extent(f, span, 4, LANE_PX - 8) for f in found if f.alerts)
    marks = picture(
        LANE_PX,
        tag("g", *both, class_="both"),
        tag("g", *(_bar(f, f.id in listed, span, hand.say) for f in found), class_="found"),
        tag("g", *(_tick(a, span) for a in fired), class_="fired"),
        label=short(service, TOOLTIP),
        role="group",
    )
    return tag("div", hand.service(service, 40), marks, class_="lane")


def _extent(found: Found, span: tuple[int, int], y: float, height: float, *content: Html) -> Html:
    begin, until = share_of(ms(found.start), span), share_of(ms(found.end) if found.end else span[1], span)
    return tag("rect", *content, **stretch(begin, until), y=y, height=height)


def _bar(found: Found, is_listed: bool, span: tuple[int, int], say: Speaker) -> Html:
    when = from_to(found.start, found.end) if found.end else say("since", time=clock(found.start))
    told = tag("title", text(f"{short(found.entity, TOOLTIP)}, {when}, {say('peak')} {found.peak:.2f}"))
    drawn = _extent(found, span, 4, 9, told)
    return tag("a", drawn, href=f"#f{found.id}") if is_listed else drawn


def _tick(alert: Fired, span: tuple[int, int]) -> Html:
    begin, until = share_of(ms(alert.start), span), share_of(ms(alert.end) if alert.end else span[1], span)
    told = tag("title", text(f"{short(alert.name, TOOLTIP)}, {clock(alert.start)}"))
    lasting = tag("line", x1=percent(begin), x2=percent(until), y1=25, y2=25)
    return tag("g", told, _triangle(percent(begin), 17), lasting)


def _triangle(x: str, y: float) -> Html:
    """Its tip at x; a box of its own, as paths take no percent."""
    return tag("svg", tag("path", d="M0 0L4.5 9H-4.5Z"), x=x, y=y, overflow="visible", width=1, height=1)


def _day_bars(day: Day, x: float, width: float, most: int, say: Speaker, knows_rules: bool) -> Html:
    counts = [(day.notifications, "raw-fill", say("n_notifications", day.notifications))] if knows_rules else []
    counts.append((day.findings, "ours-fill", say("n_findings", day.findings)))
    each = 0.76 * width / len(counts)
    told = tag("title", text(", ".join([str(day.day), *(words for _, _, words in counts)])))
    bars = (
        _upright(x + 0.12 * width + at * each, each, n / most, class_)
        for at, (n, class_, _) in enumerate(counts)
        if n > 0
    )
    return tag("g", told, *bars)


def _upright(x: float, width: float, share: float, class_: str) -> Html:
    height = DAYS_PX * share
    return tag("rect", x=percent(x), width=percent(width * 0.94), y=DAYS_PX - height, height=height, class_=class_)


def _anomaly_line(days: Sequence[Day], middles: Sequence[float], most: int) -> Html:
    t = [round(1_000_000 * x) for x in middles]
    return line(t, [float(d.anomalies) for d in days], (0, 1_000_000), 0, most)


def _every(ticks: Sequence[tuple[float, str]], most: int) -> list[tuple[float, str]]:
    return list(ticks[:: max(1, math.ceil(len(ticks) / most))])


def _legend(marks: Sequence[tuple[Html, str]]) -> Html:
    boxed: Mapping[str, str] = {"viewBox": "0 0 22 14", "aria_hidden": "true"}
    return tag("ul", *(tag("li", tag("svg", mark, **boxed), text(s)) for mark, s in marks), class_="legend")
