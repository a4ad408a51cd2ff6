"""Results of replays as JSON, made up from a seed: data of tests, about no system that exists."""

from __future__ import annotations

import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 5, tzinfo=UTC)
NAMES = (
    "cart",
    "checkout",
    "frontend",
    "catalogue",
    "payment",
    "shipping",
    "search",
    "recommend",
    "user",
    "ad",
    "email",
)
RULES = ("HighErrorRate", "LatencyP99High", "PodRestarting", "CPUThrottling", "DiskWillFill", "TargetDown")
METRICS = (
    'rate(http_requests_total{{service="{s}",code="500"}})',
    'http_request_duration_seconds{{service="{s}",quantile="0.99"}}',
    'rate(container_cpu_usage_seconds_total{{service="{s}"}})',
    'process_resident_memory_bytes{{service="{s}"}}',
    'db_pool_in_use{{service="{s}",pool="main"}}',
)


def stamp(moment):
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sample(seed=1, services=12, days=14, findings=57, alerts=143, *, simulated=False, rules=True, rename=str):
    """A result: `rename` is given every name of others, so that a test can make them hostile."""
    dice = random.Random(seed)  # noqa: S311 (no secret)
    names = [rename(NAMES[i] if i < len(NAMES) else f"service-{i}") for i in range(services)]
    end = START + timedelta(days=days)
    found = [_finding(dice, names, days, rename) for _ in range(findings)]
    found.sort(key=lambda f: f["start"])
    for at, finding in enumerate(found):
        finding["id"] = at
    if found:
        found[-1]["end"] = None
    fired = _alerts(dice, names, found, days, alerts if rules else 0, rename)
    result = {
        "source": rename("metrics.parquet"),
        "isSimulated": simulated,
        "start": stamp(START),
        "end": stamp(end),
        "days": float(days),
        "series": 970,
        "signals": 820,
        "samples": 78_906_412,
        "seconds": 61.2,
        "samplesPerSecond": 1_289_320.5,
        "missing": [],
        "raw": _raw(rules, len(fired), rename),
        "ours": {"findings": len(found), "incidents": None, "notBuilt": ["incidents", "causes"]},
        "perDay": _per_day(dice, found, fired, days),
    }
    result["raw"]["notifications"] = sum(d["notifications"] for d in result["perDay"])
    result["ours"]["anomalies"] = sum(d["anomalies"] for d in result["perDay"])
    result["perService"] = _per_service(dice, names, found, fired)
    listed = sorted(sorted(found, key=lambda f: -f["peak"])[:200], key=lambda f: f["start"])
    places = {f["id"]: i for i, f in enumerate(listed)}
    for finding in listed:
        finding["id"] = places[finding["id"]]
    for alert in fired:
        alert["findings"] = [places[i] for i in alert["findings"] if i in places]
    highest = sorted(listed, key=lambda f: -f["peak"])[:12]
    result["charts"] = [_chart(dice, f, m["name"], end) for f in highest for m in f["metrics"][:3]]
    result["findings"] = [{k: v for k, v in f.items() if k != "from"} for f in listed]
    result["alerts"] = fired[:1000]
    return result


def empty(**given):
    """A result of a history in which there was nothing."""
    nothing = sample(findings=0, alerts=0, **given)
    return {**nothing, "perDay": [], "perService": [], "samples": 0, "samplesPerSecond": None, "days": 0.0}


def gaps(rename=str):
    day = timedelta(days=1)
    return [
        {
            "start": stamp(START + 3 * day),
            "end": stamp(START + 3 * day + timedelta(hours=5)),
            "what": rename('{__name__=~"node_.*"}'),
            "why": rename("the source answered 503 for 10 min"),
        },
        {
            "start": stamp(START + 9 * day),
            "end": stamp(START + 10 * day),
            "what": rename("all series"),
            "why": rename("older than the source keeps"),
        },
    ]


def _finding(dice, names, days, rename):
    begin = START + timedelta(minutes=dice.uniform(60, days * 1440 - 60))
    lasting = timedelta(minutes=dice.choice([5, 12, 30, 45, 80, 140, 400]) * dice.uniform(0.7, 1.3))
    service = dice.choice(names[: max(2, len(names) * 2 // 3)])
    shares = sorted((dice.random() for _ in range(dice.randint(1, 5))), reverse=True)
    metrics = [
        {"name": rename(METRICS[k].format(s=service[:40])), "share": round(0.95 * x / sum(shares), 4)}
        for k, x in enumerate(shares)
    ]
    return {
        "id": 0,
        "entity": service,
        "start": stamp(begin),
        "end": stamp(begin + lasting),
        "peak": round(dice.uniform(0.8, 1), 4),
        "peakAt": stamp(begin + lasting / 3),
        "metrics": metrics,
        "alerts": [],
        "from": (begin, begin + lasting),
    }


def _alerts(dice, names, found, days, count, rename):
    fired = []
    for _ in range(count):
        near = [f for f in found if f["id"] % 3 and f["end"]]
        if near and dice.random() < 0.7:
            finding = dice.choice(near)
            begin = finding["from"][0] + timedelta(minutes=dice.uniform(1, 10))
            service, ids = finding["entity"], [finding["id"]]
        else:
            begin = START + timedelta(minutes=dice.uniform(0, days * 1440 - 60))
            service, ids = dice.choice(names), []
        name = rename(dice.choice(RULES))
        for at in ids:
            found[at]["alerts"].append(name)
        fired.append(
            {
                "name": name,
                "service": service,
                "labels": {"alertname": name, "service": service, "severity": "page"},
                "start": stamp(begin),
                "end": stamp(begin + timedelta(minutes=dice.uniform(2, 50))) if dice.random() > 0.02 else None,
                "findings": ids,
                "isSeen": bool(ids),
            }
        )
    return sorted(fired, key=lambda a: a["start"])


def _raw(rules, alerts, rename):
    if not rules:
        why = "no rule files were given and the source holds no ALERTS that fire"
        return {"from": None, "why": why, "alerts": 0, "notifications": 0, "grouping": None, "faults": []}
    return {
        "from": "rule files",
        "why": "",
        "alerts": alerts,
        "grouping": {"by": ["alertname"], "waitSeconds": 30, "intervalSeconds": 300, "repeatSeconds": 14400},
        "faults": [
            {"group": rename("nodes"), "rule": rename("DiskWillFill"), "error": rename("many-to-many matching")},
        ],
    }


def _per_day(dice, found, fired, days):
    by_finding, by_alert = Counter(f["start"][:10] for f in found), Counter(a["start"][:10] for a in fired)
    every = [f"{START + timedelta(days=n):%Y-%m-%d}" for n in range(days)]
    return [
        {
            "day": day,
            "alerts": by_alert[day],
            "notifications": math.ceil(by_alert[day] * 0.4),
            "anomalies": dice.randint(40, 140) + 30 * by_finding[day],
            "findings": by_finding[day],
        }
        for day in every
    ]


def _per_service(dice, names, found, fired):
    by_finding, by_alert = Counter(f["entity"] for f in found), Counter(a["service"] for a in fired)
    return [
        {
            "service": name,
            "alerts": by_alert[name],
            "anomalies": dice.randint(0, 60) + 20 * by_finding[name],
            "findings": by_finding[name],
        }
        for name in names
    ]


def _chart(dice, finding, name, end):
    begin, until = finding["from"]
    first, last = begin - timedelta(hours=3), min(until + timedelta(hours=2), end)
    base, size = 10 ** dice.uniform(-2, 7), dice.uniform(1.5, 4)
    t = [round(first.timestamp() * 1000) + 60_000 * k for k in range(int((last - first).total_seconds() // 60))]
    inside = (round(begin.timestamp() * 1000), round(until.timestamp() * 1000))
    value = [
        base * (1 + 0.1 * math.sin(x / 4e6) + dice.gauss(0, 0.03)) * (size if inside[0] <= x <= inside[1] else 1)
        for x in t
    ]
    hole = dice.randrange(len(t))
    value[hole : hole + 12] = [None] * len(value[hole : hole + 12])
    return {"finding": finding["id"], "name": name, "t": t, "value": value, "from": inside[0], "to": inside[1]}
