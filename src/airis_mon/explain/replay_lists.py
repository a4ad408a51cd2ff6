"""The lists of a replay's page: who saw what, the findings with their charts, the alerts of the user's rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from airis_mon.explain.html import Html, join, tag, text
from airis_mon.explain.replay_charts import Hand, finding_chart
from airis_mon.explain.replayed import Chart, Fired, Found, Metric, Replayed, lasted
from airis_mon.explain.speak import clock, from_to
from airis_mon.explain.svg import bar

FINDINGS, METRICS, METRICS_BRIEF, ALERTS_OF = 200, 5, 3, 6
CHARTS, CHARTS_OF, ORPHANS = 36, 3, 6
NAMES, UNSEEN, FAULTS = 40, 60, 30


def agreement(replayed: Replayed, hand: Hand) -> Html:
    """How often both sides saw the same, and how often one of them alone; nothing when one side is not known."""
    if not replayed.knows_rules or not (replayed.findings or replayed.alerts):
        return Html("")
    say = hand.say
    both = sum(bool(f.alerts) for f in replayed.findings)
    ours, raw = len(replayed.findings) - both, sum(map(replayed.is_unseen, replayed.alerts))
    told = [("agree_both", both, None), ("agree_ours", ours, "ours"), ("agree_raw", raw, "raw")]
    boxes = (tag("div", tag("b", text(say.number(n))), text(say(key, n)), class_=class_) for key, n, class_ in told)
    counted = say(
        "agree_of",
        findings=say("n_findings", len(replayed.findings)),
        alerts=say("n_alerts", len(replayed.alerts)),
    )
    nameless = sum(not a.service for a in replayed.alerts)
    sentences = [counted, *([say("agree_nameless", nameless)] if nameless else []), say("agree_truth")]
    notes = (tag("p", text(s), class_="quiet") for s in sentences)
    return join([tag("h2", text(say("agree_title"))), tag("div", *boxes, class_="agree"), *notes])


def findings(replayed: Replayed, hand: Hand) -> Html:
    """The findings with charts, the highest first; all others in order of time; charts of what is not listed."""
    say = hand.say
    listed = replayed.findings[:FINDINGS]
    if not listed:
        sentence = "no_findings" if replayed.ours.findings == 0 else "findings_left"
        told = say(sentence, replayed.ours.findings)
        return join([tag("h2", text(say("findings_title"))), tag("p", text(told), class_="quiet")])
    charts: dict[int, list[Chart]] = {}
    for chart in replayed.charts[:CHARTS]:
        charts.setdefault(chart.finding, []).append(chart)
    first = [f for f in replayed.highest(len(replayed.findings)) if f.id in charts and f in listed]
    others = [f for f in listed if f.id not in charts]
    orphans = [c for at, some in charts.items() if at not in {f.id for f in listed} for c in some]
    parts = []
    if first:
        parts += [tag("h2", text(say("highest_title"))), tag("p", text(say("shaded")), class_="quiet")]
        parts += [_card(f, charts[f.id], replayed, hand) for f in first]
    if others:
        parts.append(tag("h2", text(say("others_title" if first else "findings_title"))))
        parts.append(_table(others, replayed, hand))
    left = replayed.ours.findings - len(listed)
    return join([*parts, _left("findings_left", left, hand), _orphans(orphans, len(replayed.charts) - CHARTS, hand)])


def alerts(replayed: Replayed, hand: Hand) -> Html:
    """The alerts of the user's rules by name, and those that no finding accompanied."""
    if not replayed.knows_rules:
        return Html("")
    say = hand.say
    heading = tag("h2", text(say("alerts_title")))
    if not replayed.alerts:
        sentence = say("no_alerts") if replayed.raw.alerts == 0 else say("alerts_left", replayed.raw.alerts)
        return join([heading, tag("p", text(sentence), class_="quiet")])
    unseen = [a for a in replayed.alerts if replayed.is_unseen(a)]
    left = _left("alerts_left", replayed.raw.alerts - len(replayed.alerts), hand)
    return join([heading, _by_name(replayed.alerts, unseen, hand), left, *_unseen(unseen, replayed, hand)])


def faults(replayed: Replayed, hand: Hand) -> Html:
    """Rules that could not be evaluated, and why."""
    found, say = replayed.raw.faults, hand.say
    if not found:
        return Html("")
    rows = [
        [hand.names(f.rule), hand.names(f.group), hand.names(f.error, 300)]
        for f in sorted(found[:FAULTS], key=lambda f: (f.group, f.rule))
    ]
    table = _stacked([say("rule"), say("group"), say("error")], rows)
    return join([tag("h2", text(say("faults_title"))), table, _left("faults_left", len(found) - FAULTS, hand)])


def counted(n: int, most: int, class_: str, hand: Hand) -> Html:
    """A cell with a count and its bar, as long as its place for `most`."""
    number = tag("span", text(hand.say.number(n)), class_="num")
    return tag("td", tag("div", number, bar(n / max(most, 1), class_), class_="count"))


def _left(key: str, n: int, hand: Hand) -> Html:
    return tag("p", text(hand.say(key, n)), class_="quiet") if n > 0 else Html("")


# ---- findings


def _card(found: Found, charts: Sequence[Chart], replayed: Replayed, hand: Hand) -> Html:
    say = hand.say
    when = text(f"{_when(found, hand)} UTC · {_lasted(found, replayed, hand)}")
    peak = text(say("peak_at", score=f"{found.peak:.2f}", time=clock(found.peak_at)))
    header = tag("header", tag("h3", hand.service(found.entity)), tag("span", when, class_="quiet"), tag("span", peak))
    saw = text(f"{say('rules_saw')} ") if replayed.knows_rules and found.alerts else Html("")
    facts = [
        tag("p", text(say("blamed")), class_="quiet"),
        _blame(found.metrics, METRICS, hand),
        tag("p", saw, _saw(found, replayed, hand)),
    ]
    drawn = tag("div", *(finding_chart(c, hand) for c in charts[:CHARTS_OF]))
    return tag(
        "article", header, tag("div", tag("div", *facts), drawn, class_="split"), class_="card", id=f"f{found.id}"
    )


def _table(found: Sequence[Found], replayed: Replayed, hand: Hand) -> Html:
    say = hand.say
    head = [say(k) for k in ("service", "when", "lasts", "peak", "blamed", "your_rules")]
    rows = [
        [
            hand.service(f.entity, 40),
            text(_when(f, hand)),
            text(_lasted(f, replayed, hand)),
            text(f"{f.peak:.2f}"),
            _blame(f.metrics, METRICS_BRIEF, hand),
            _saw(f, replayed, hand),
        ]
        for f in found
    ]
    return _stacked(head, rows, "stack six", [f"f{f.id}" for f in found])


def _when(found: Found, hand: Hand) -> str:
    if found.end is None:
        return hand.say("since", time=clock(found.start))
    return from_to(found.start, found.end)


def _lasted(found: Found, replayed: Replayed, hand: Hand) -> str:
    duration = hand.say.duration(lasted(found.start, found.end, replayed.end))
    return duration if found.end else f"{duration}, {hand.say('still')}"


def _blame(metrics: Sequence[Metric], most: int, hand: Hand) -> Html:
    if not metrics:
        return tag("span", text(hand.say("no_blame")), class_="quiet")
    items = [_blamed(m, hand) for m in metrics[:most]]
    if len(metrics) > most:
        items.append(tag("li", text(hand.say("more_metrics", len(metrics) - most)), class_="quiet"))
    return tag("ul", *items, class_="blame")


def _blamed(metric: Metric, hand: Hand) -> Html:
    share = min(max(metric.share, 0.0), 1.0)
    part = tag("span", text(f"{share:.0%}"), class_="num")
    return tag("li", bar(share, "ours-fill"), part, tag("span", hand.names(metric.name)))


def _saw(found: Found, replayed: Replayed, hand: Hand) -> Html:
    """What the user's rules said meanwhile: names with counts, nothing, or not known."""
    say = hand.say
    if not replayed.knows_rules:
        return tag("span", text(say("rules_unknown")), class_="quiet")
    if not found.alerts:
        return tag("strong", text(say("rules_saw_nothing")))
    counts = Counter(found.alerts).most_common()
    names = [join([hand.names(name, 40), text(f" ({n})" if n > 1 else "")]) for name, n in counts[:ALERTS_OF]]
    shown = [part for name in names for part in (text(say("listing")), name)][1:]
    rest = sum(n for _, n in counts[ALERTS_OF:])
    more = text(f"{say('listing')}{say('more_names', rest)}") if rest else Html("")
    return tag("span", *shown, more)


def _orphans(charts: Sequence[Chart], cut: int, hand: Hand) -> Html:
    if not charts:
        return _left("charts_left", cut, hand)
    drawn = [
        tag("div", tag("h3", text(hand.say("orphan", chart.finding))), finding_chart(chart, hand), class_="card")
        for chart in charts[:ORPHANS]
    ]
    left = max(cut, 0) + max(len(charts) - ORPHANS, 0)
    return join([tag("h2", text(hand.say("orphan_charts"))), *drawn, _left("charts_left", left, hand)])


# ---- alerts


def _by_name(fired: Sequence[Fired], without: Sequence[Fired], hand: Hand) -> Html:
    say = hand.say
    counts = Counter(a.name for a in fired)
    unseen = Counter(a.name for a in without)
    shown = sorted(counts, key=lambda name: (-counts[name], name))
    most = max(counts.values())
    head = [
        tag("th", text(say("alert_name")), scope="col"),
        tag("th", text(say("fired")), scope="col"),
        tag("th", text(say("unseen")), class_="num", scope="col"),
    ]
    rows = [
        tag(
            "tr",
            tag("td", hand.names(name)),
            counted(counts[name], most, "raw-fill", hand),
            tag("td", text(say.number(unseen[name])), class_="num"),
        )
        for name in shown[:NAMES]
    ]
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_="counts")
    return join([table, _left("names_left", len(shown) - NAMES, hand)])


def _unseen(unseen: Sequence[Fired], replayed: Replayed, hand: Hand) -> list[Html]:
    say = hand.say
    heading = tag("h3", text(say("unseen_title")))
    if not unseen:
        return [tag("p", text(say("unseen_none")), class_="quiet")]
    rows = [
        [
            hand.names(a.name),
            hand.service(a.service, 40),
            text(from_to(a.start, a.end) if a.end else say("since", time=clock(a.start))),
            text(say.duration(lasted(a.start, a.end, replayed.end))),
        ]
        for a in unseen[:UNSEEN]
    ]
    table = _stacked([say(k) for k in ("alert_name", "service", "when", "lasts")], rows)
    return [heading, table, _left("alerts_left", len(unseen) - UNSEEN, hand)]


def _stacked(
    head: Sequence[str], rows: Sequence[Sequence[Html]], class_: str = "stack", ids: Sequence[str] | None = None
) -> Html:
    """A table whose rows become blocks on a phone, each cell under its heading."""
    drawn = [
        tag(
            "tr",
            *(tag("td", cell, data_is=name) for name, cell in zip(head, row, strict=True)),
            id=ids[at] if ids else None,
        )
        for at, row in enumerate(rows)
    ]
    titles = tag("tr", *(tag("th", text(name), scope="col") for name in head))
    return tag("table", tag("thead", titles), tag("tbody", *drawn), class_=class_)
