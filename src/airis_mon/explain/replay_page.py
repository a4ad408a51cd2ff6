"""The result of a replay -> one HTML file for people: no request leaves it, no script is needed to read it.

What is missing, simulated or not built stands above the figures. Lists are cut where a page would grow too large to
open, and each cut says how many it leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airis_mon.explain import replay_lists as lists
from airis_mon.explain.html import Html, Names, join, short, tag, text
from airis_mon.explain.replay_charts import LANES, Hand, day_legend, lane_legend, lanes, per_day
from airis_mon.explain.replayed import Replayed, Service, read
from airis_mon.explain.speak import Lang, Speaker, clock, from_to
from airis_mon.explain.style import sheet

MISSING, SERVICES = 10, 100
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Even if a name of others were taken for markup, a browser would run and fetch nothing."""


def page(result: Mapping[str, Any], lang: Lang = "en") -> str:
    """The page in a language. Raises InputError for what is no result of a replay."""
    replayed, say = read(result), Speaker(lang)
    hand = Hand(say, Names(), say("simulated_mark") if replayed.is_simulated else None)
    band = tag("div", text(say("simulated")), class_="band", role="note") if replayed.is_simulated else Html("")
    body = tag("body", band, tag("main", *_parts(replayed, hand)))
    return f'<!doctype html>\n<html lang="{lang}">\n{_head(replayed, say)}\n{body}\n</html>\n'


def headline(replayed: Replayed, say: Speaker) -> str:
    """The one sentence that says what came out."""
    days = say.days(replayed.days)
    if replayed.samples == 0:
        return say("head_empty")
    ours, raw = replayed.ours, replayed.raw
    if ours.findings == 0 and (raw.alerts == 0 or not replayed.knows_rules):
        return say("head_none" if replayed.knows_rules else "head_none_ours", days=days)
    return say(
        "head_both" if replayed.knows_rules else "head_ours",
        days=days,
        alerts=say("n_alerts", raw.alerts),
        notifications=say("n_notifications", raw.notifications),
        findings=say("n_findings", ours.findings),
        services=say("n_services", replayed.services_found),
    )


def not_built(replayed: Replayed, say: Speaker) -> str | None:
    """The sentence on what the engine cannot tell yet, None when it can tell all."""
    parts = [say.known(part) for part in replayed.ours.not_built]
    return say("not_built", parts=say.listing(parts)) if parts else None


def cut(replayed: Replayed, say: Speaker) -> Iterator[str]:
    """Lists hold the first of what there was: what comes later looks like silence unless it is said."""
    if replayed.findings and (n := replayed.ours.findings - len(replayed.findings)) > 0:
        yield say("cut_findings", n)
    if replayed.alerts and (n := replayed.raw.alerts - len(replayed.alerts)) > 0:
        yield say("cut_alerts", n, time=clock(replayed.alerts[-1].start))


def _head(replayed: Replayed, say: Speaker) -> Html:
    title = tag("title", text(say("title", source=short(replayed.source))))
    return Html(
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><link rel="icon" href="data:,">'
        f"{title}<style>{sheet()}</style></head>"
    )


def _parts(replayed: Replayed, hand: Hand) -> Iterator[Html]:
    say = hand.say
    yield tag("h1", text(headline(replayed, say)))
    when = f"{from_to(replayed.start, replayed.end)} UTC"
    yield tag("p", hand.names(replayed.source, 100), text(f" · {when}"), class_="quiet")
    yield _missing(replayed, hand)
    if (sentence := not_built(replayed, say)) is not None:
        yield tag("p", text(sentence), class_="note")
    if not replayed.knows_rules:
        yield tag("p", text(say("why_unknown", why=say.known(short(replayed.raw.why, 200)))), class_="note")
    yield _figures(replayed, say)
    yield _how_counted(replayed, say)
    yield _lanes(replayed, hand)
    yield _days(replayed, hand)
    yield lists.agreement(replayed, hand)
    yield _services(replayed, hand)
    yield lists.findings(replayed, hand)
    yield lists.alerts(replayed, hand)
    yield lists.faults(replayed, hand)
    yield tag("footer", tag("p", text(say("footer")), class_="quiet"))


def _missing(replayed: Replayed, hand: Hand) -> Html:
    say, parts = hand.say, replayed.missing
    refused = [tag("p", text(say("refused", replayed.refused)))] if replayed.refused else []
    if not parts and not refused:
        return Html("")
    told = [
        tag("li", text(f"{from_to(m.start, m.end)} UTC: "), hand.names(m.what), text(", "), hand.names(m.why, 160))
        for m in parts[:MISSING]
    ]
    if len(parts) > MISSING:
        told.append(tag("li", text(say("more_names", len(parts) - MISSING))))
    heading = tag("strong", text(say("missing_title")))
    gaps = [tag("p", text(say("missing", len(parts)))), tag("ul", *told)] if parts else []
    return tag("div", heading, *gaps, *refused, class_="warn", role="note")


def _figures(replayed: Replayed, say: Speaker) -> Html:
    """What came out, and below it the figures of the run."""
    raw, ours = replayed.raw, replayed.ours
    results = [("alerts", raw.alerts, "raw"), ("notifications", raw.notifications, "raw")]
    results = results if replayed.knows_rules else []
    results += [("findings", ours.findings, "ours"), ("anomalies", ours.anomalies, "ours")]
    if ours.incidents is not None:
        results.append(("known incidents", ours.incidents, "ours"))
    run = [("series", replayed.series), ("signals", replayed.signals), ("samples", replayed.samples)]
    small = [_figure(say(key), say.number(n), None, f"{n:,}") for key, n in run]
    small.append(_figure(say("seconds"), say.duration(round(replayed.seconds * 1000)), None, f"{replayed.seconds:,} s"))
    if (rate := replayed.samples_per_second) is not None:
        small.append(_figure(say("samples_per_second"), say.number(rate), None, f"{rate:,.0f}"))
    large = (_figure(say(key), say.number(n), class_, f"{n:,}") for key, n, class_ in results)
    return join([tag("dl", *large, class_="figures"), tag("dl", *small, class_="figures run")])


def _figure(name: str, shown: str, class_: str | None, exact: str) -> Html:
    value = tag("dd", text(shown), title=exact if exact != shown else None)
    return tag("div", tag("dt", text(name)), value, class_=class_)


def _how_counted(replayed: Replayed, say: Speaker) -> Html:
    sentences = [say("finding_is")]
    if replayed.raw.source is not None:
        sentences.append(say("from", source=say.known(short(replayed.raw.source, 200))))
    if (grouping := replayed.raw.grouping) is not None and replayed.knows_rules:
        times = (grouping.wait_seconds, grouping.interval_seconds, grouping.repeat_seconds)
        wait, interval, repeat = (say.duration(round(s * 1000)) for s in times)
        by = say.listing([short(label) for label in grouping.by[:10]]) if grouping.by else say("no_labels")
        sentences.append(say("grouping", by=by, wait=wait, interval=interval, repeat=repeat))
    return join(tag("p", text(s), class_="quiet") for s in sentences)


def _lanes(replayed: Replayed, hand: Hand) -> Html:
    say = hand.say
    seen = [s for s in replayed.busiest() if s.alerts + s.findings > 0]
    heading = tag("h2", text(say("lanes_title")))
    if not seen:
        return join([heading, tag("p", text(say("no_lanes")), class_="quiet")])
    shown, left = seen[:LANES], len(seen) - LANES
    return join(
        [
            heading,
            tag("p", text(say("lanes_note")), class_="quiet"),
            lane_legend(replayed, say),
            *(tag("p", text(s), class_="quiet") for s in cut(replayed, say)),
            lanes(replayed, shown, {f.id for f in replayed.findings}, hand),
            tag("p", text(say("lanes_left", left)), class_="quiet") if left > 0 else Html(""),
        ]
    )


def _days(replayed: Replayed, hand: Hand) -> Html:
    say = hand.say
    heading = tag("h2", text(say("days_title")))
    if not replayed.per_day:
        return join([heading, tag("p", text(say("no_days")), class_="quiet")])
    size, drawn = per_day(replayed.per_day, hand, knows_rules=replayed.knows_rules)
    together = tag("p", text(say("days_together", size)), class_="quiet") if size > 1 else Html("")
    return join([heading, day_legend(say, knows_rules=replayed.knows_rules), together, drawn])


def _services(replayed: Replayed, hand: Hand) -> Html:
    say, services = hand.say, replayed.busiest()
    heading = tag("h2", text(say("services_title")))
    if not services:
        return join([heading, tag("p", text(say("no_services")), class_="quiet")])
    shown, rest = services[:SERVICES], services[SERVICES:]
    sides = [("alerts", "raw-fill")] if replayed.knows_rules else []
    sides.append(("findings", "ours-fill"))
    most = max([1, *(getattr(s, key) for s in shown for key, _ in sides)])
    head = [tag("th", text(say("service")), scope="col")]
    head += [tag("th", text(say(key)), scope="col") for key, _ in sides]
    head.append(tag("th", text(say("anomalies")), class_="num", scope="col"))
    rows = [_service(s, sides, most, hand) for s in shown]
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_="counts")
    return join([heading, table, _services_left(rest, say)])


def _service(service: Service, sides: Sequence[tuple[str, str]], most: int, hand: Hand) -> Html:
    counts = (lists.counted(getattr(service, key), most, class_, hand) for key, class_ in sides)
    anomalies = tag("td", text(hand.say.number(service.anomalies)), class_="num")
    return tag("tr", tag("td", hand.service(service.service, 48)), *counts, anomalies)


def _services_left(rest: Sequence[Service], say: Speaker) -> Html:
    if not rest:
        return Html("")
    alerts = say("n_alerts", sum(s.alerts for s in rest))
    findings = say("n_findings", sum(s.findings for s in rest))
    return tag("p", text(say("services_left", len(rest), alerts=alerts, findings=findings)), class_="quiet")
