"""The model of Alertmanager's grouping against the program: the same alerts, the same messages at the same times."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from airis_mon.correlate.group import Firing, Grouping, Notification, group_of, notifications
from airis_mon.series.labels import Labels
from tools import servers

UNIT_MS = 1000
"""Alerts change at multiples of it; the waits below put every flush in the middle between two of them."""
LENGTH = 46
NEAR_MS = 450


def _grouping(*by: str, wait: float, interval: float, repeat: float = 1000) -> Grouping:
    """In units."""
    return Grouping(by, round(wait * UNIT_MS), round(interval * UNIT_MS), round(repeat * UNIT_MS))


GROUPINGS = (
    _grouping("history", "alertname", wait=1.5, interval=2, repeat=9.25),
    _grouping("history", "alertname", wait=1.5, interval=4),
    _grouping("history", wait=2.5, interval=3, repeat=11.25),
    _grouping("...", wait=0.5, interval=5, repeat=13.75),
    _grouping("history", "nobody_has_it", wait=3.5, interval=7),
    _grouping("history", "instance", wait=1.5, interval=4, repeat=6.25),
    _grouping("history", "alertname", wait=0.5, interval=7),
)
SWEPT = len(GROUPINGS) - 1
"""Its groups are empty from 9.5 units on; one gets an alert before the sweep at 30 s, the other one after it."""
Event = tuple[int, Labels, bool]  # (unit, alert, whether it begins)


class Receiver:
    """A webhook that remembers what it was sent, and when."""

    def __init__(self) -> None:
        self.got: list[tuple[int, dict[str, Any]]] = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append((_now(), json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def of(self, history: str) -> list[Notification]:
        """The messages of a history, in order of arrival."""
        return [_read(t, body) for t, body in self.got if body["commonLabels"].get("history") == history]


@contextmanager
def listening() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


@contextmanager
def alertmanager(receiver: Receiver) -> Iterator[servers.Server]:
    url = f"http://127.0.0.1:{servers.free_port()}"
    with servers.folder() as where:
        (where / "alertmanager.yml").write_text(_config(receiver.url))
        args = [servers.program("prometheus-alertmanager"), f"--config.file={where}/alertmanager.yml"]
        args += [f"--storage.path={where}/data", f"--web.listen-address={url[7:]}", "--cluster.listen-address="]
        with servers.running(args, where, url=url, ready=lambda: servers.answers(f"{url}/-/ready")) as it:
            yield it


def _config(hook: str) -> str:
    routes = [
        f'  - matchers: [history="{i}"]\n    group_by: {json.dumps(g.by)}\n    group_wait: {g.wait_ms}ms\n'
        f"    group_interval: {g.interval_ms}ms\n    repeat_interval: {g.repeat_ms}ms\n"
        for i, g in enumerate(GROUPINGS)
    ]
    receivers = f"receivers:\n- name: hook\n  webhook_configs: [{{url: '{hook}'}}]\n"
    return f"route:\n  receiver: hook\n  routes:\n{''.join(routes)}{receivers}"


def _read(t: int, body: dict[str, Any]) -> Notification:
    def labels(status: str) -> tuple[Labels, ...]:
        return tuple(sorted(_labels(a["labels"]) for a in body["alerts"] if a["status"] == status))

    return Notification(t, _labels(body["groupLabels"]), labels("firing"), labels("resolved"))


def _labels(pairs: dict[str, str]) -> Labels:
    return tuple(sorted(pairs.items()))


def _now() -> int:
    return time.time_ns() // 1_000_000


def history(index: int, grouping: Grouping) -> list[Event]:
    """Alerts that come and go at whole units: often, or seldom enough for groups to be empty for long."""
    if index == SWEPT:
        high, low = (_labels({"alertname": name, "history": str(index)}) for name in ("High", "Low"))
        both = [(unit, alert, begins) for alert in (high, low) for unit, begins in ((2, True), (4, False))]
        return sorted([*both, (11, high, True), (33, low, True)])
    for seed in range(1000):
        events = _drawn(index, np.random.default_rng((index, seed)))
        # No answer must hang on what happens at the very moment of a sweep.
        answers = {
            str([(n.t, *_content(n)) for n in _expected(events, grouping, off)]) for off in (-NEAR_MS, 0, NEAR_MS)
        }
        if len(answers) == 1:
            return events
    raise AssertionError("no history without a doubt was found")


def _drawn(index: int, rng: np.random.Generator) -> list[Event]:
    events: list[Event] = []
    for name, instance in (("High", "a"), ("High", "b"), ("Low", "a"), ("Low", "c")):
        alert = _labels({"alertname": name, "instance": instance, "history": str(index)})
        unit, longest = int(rng.integers(1, 9)), int(rng.choice((3, 8, 20)))
        while unit < LENGTH - 2:
            length = int(rng.integers(1, longest + 1))
            events += [(unit, alert, True)] + ([(unit + length, alert, False)] if unit + length < LENGTH - 2 else [])
            unit += length + int(rng.integers(1, longest + 1))
    return sorted(events)


def _expected(events: list[Event], grouping: Grouping, swept_from: int) -> list[Notification]:
    return notifications(
        _firings([(u * UNIT_MS, *e) for u, *e in events]), grouping, LENGTH * UNIT_MS, swept_from=swept_from
    )


def _firings(changes: list[tuple[int, Labels, bool]]) -> list[Firing]:
    begun: dict[Labels, int] = {}
    found = []
    for t, alert, begins in changes:
        if begins:
            begun[alert] = t
        else:
            found.append(Firing(alert, begun.pop(alert), t))
    return found + [Firing(alert, t, None) for alert, t in begun.items()]


def _content(one: Notification) -> tuple[Labels, tuple[Labels, ...], tuple[Labels, ...]]:
    return one.group, one.firing, one.resolved


def _play(url: str, histories: list[list[Event]]) -> tuple[list[tuple[int, Labels, bool]], int]:
    """Posts every change at its time: (what was posted when, by how many ms the slowest was late)."""
    origin, posted, late = _now(), [], 0
    begun: dict[Labels, int] = {}
    for unit in sorted({u for events in histories for u, _, _ in events} | {LENGTH}):
        time.sleep(max(0, origin + unit * UNIT_MS - _now()) / 1000)
        now = _now()
        changes = [(alert, begins) for events in histories for u, alert, begins in events if u == unit]
        begun |= {alert: now for alert, begins in changes if begins}
        _post(url, [(alert, begun[alert], None if begins else now) for alert, begins in changes])
        posted += [(now, alert, begins) for alert, begins in changes]
        late = max(late, _now() - origin - unit * UNIT_MS)
    return posted, late


def _post(url: str, alerts: list[tuple[Labels, int, int | None]]) -> None:
    body = [
        {"labels": dict(labels), "startsAt": _rfc(start)} | ({"endsAt": _rfc(end)} if end is not None else {})
        for labels, start, end in alerts
    ]
    request = urllib.request.Request(
        f"{url}/api/v2/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def _rfc(t: int) -> str:
    return datetime.fromtimestamp(t / 1000, UTC).isoformat(timespec="milliseconds")


def _started(url: str) -> int:
    with urllib.request.urlopen(f"{url}/api/v2/status", timeout=10) as answer:
        return round(datetime.fromisoformat(json.load(answer)["uptime"]).timestamp() * 1000)


@pytest.mark.live
@pytest.mark.slow
def test_model_tells_what_alertmanager_tells() -> None:
    histories = [history(i, grouping) for i, grouping in enumerate(GROUPINGS)]
    with listening() as receiver, alertmanager(receiver) as server:
        started = _started(server.url)
        posted, late = _play(server.url, histories)
        end = _now()
    if late > NEAR_MS:
        pytest.skip(f"the machine is too busy to judge times: alerts were posted {late} ms late")
    assert [n.t // UNIT_MS for n in _expected(histories[SWEPT], GROUPINGS[SWEPT], 0)] == [2, 2, 9, 9, 16, 33]
    for i, grouping in enumerate(GROUPINGS):
        mine = [change for change in posted if dict(change[1])["history"] == str(i)]
        expected = notifications(_firings(mine), grouping, end, swept_from=started)
        _compare(expected, receiver.of(str(i)), grouping)


def _compare(expected: list[Notification], got: list[Notification], grouping: Grouping) -> None:
    groups = {n.group for n in (*expected, *got)}
    assert groups
    for group in groups:
        ours, theirs = ([n for n in some if n.group == group] for some in (expected, got))
        assert [_content(n) for n in ours] == [_content(n) for n in theirs], (grouping, group)
        assert max(abs(a.t - b.t) for a, b in zip(ours, theirs, strict=True)) < NEAR_MS, (grouping, group)
        assert all(group_of(labels, grouping.by) == group for n in ours for labels in (*n.firing, *n.resolved))
