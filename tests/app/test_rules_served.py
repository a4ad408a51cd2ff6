"""Rules of a whole server with its store, seen through its API, beside a Prometheus with the same file and samples.

Both evaluate every second and are sent the same samples at once, those of the next minute too: what counts at a moment
does not depend on who is busy then. Samples lie on whole seconds, so that the evaluations of a second see the same
wherever they lie in it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import httpx2
import numpy as np
import pytest

from airis_mon.client import AIOpsClient
from airis_mon.errors import Transient
from airis_mon.series.encode import label_block, write_request
from airis_mon.series.labels import canonical
from tests.query.differential.oracle import Server
from tools import servers

pytestmark = [pytest.mark.live, pytest.mark.slow]

RULES = """
groups:
- name: group
  rules:
  - record: job:load:sum
    expr: sum by (job) (load)
    labels: {kind: made}
  - record: load:peak
    expr: max_over_time(load[5s]) > 2
  - alert: High
    expr: load > 10
    for: 4s
    labels:
      of: '{{ $labels.job }} {{ if gt $value 12.0 }}page{{ end }}'
    annotations:
      summary: >-
        {{ $labels.host }} holds {{ $value }} of
        {{ with query "job:load:sum" }}{{ . | first | value }}{{ end }}
  - alert: Graded
    expr: load > 10
    labels:
      grade: '{{ if gt $value 20.0 }}bad{{ else }}fair{{ end }}'
  - alert: Sum
    expr: job:load:sum > 12
    keep_firing_for: 3s
  - alert: Same
    expr: load > -1
    labels: {host: ''}
"""
PATIENT = """
  - alert: Patient
    expr: load >= 0
    for: 1h
    labels: {text: 'a "quoted" 메모리'}
"""
RISE, FALL, END = 7, 17, 60
"""Seconds after the first sample: host a is high from RISE on, and no longer at FALL."""
RECORDED = {"job:load:sum": "sum by (job) (load)", "load:peak": "max_over_time(load[5s]) > 2"}
SETTINGS = {
    "AIRIS_INGEST__HOST__ENABLED": "false",
    "AIRIS_RATE_LIMIT__ENABLED": "false",
    "AIRIS_RULES__INTERVAL_S": "1",
}


def body(start: int) -> bytes:
    """A minute of two hosts' loads, a sample a second."""
    hosts = [canonical([("__name__", "load"), ("job", "web"), ("host", host)]) for host in "ab"]
    second = np.arange(END)
    is_high = (second >= RISE) & (second < FALL)
    of_a = np.where(is_high, 15 + second % 2 * 10, 1 + second % 3)
    value = np.column_stack([of_a, np.full(END, 2)]).astype(float)
    sid = np.tile(np.arange(2, dtype=np.int32), END)
    return write_request(
        [label_block(host) for host in hosts], sid, np.repeat((start + second) * 1000, 2), value.ravel()
    )


class Side:
    """One of the two servers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.Client(base_url=url, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        answer = self._http.get(f"/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def active(self, name: str, state: str = "") -> list[Any]:
        """Its alerts of a name, and of a state if one is named."""
        alerts = [alert for alert in self.get("alerts")["alerts"] if alert["labels"]["alertname"] == name]
        return [alert for alert in alerts if state in alert["state"]]

    def rule(self, name: str) -> Any:
        (group,) = self.get("rules")["groups"]
        return next((rule for rule in group["rules"] if rule["name"] == name), None)

    def stored(self, metric: str, at: float) -> dict[str, dict[float, str]]:
        """The stored samples of a metric by its labels."""
        found = self.get("query", query=f"{metric}[2m]", time=at)["result"]
        return {str(sorted(row["metric"].items())): dict(row["values"]) for row in found}

    def moments(self, at: float) -> dict[int, float]:
        """When the group was evaluated: second -> the moment."""
        (values,) = self.stored("job:load:sum", at).values()
        return {int(t): t for t in values}

    def metric(self, name: str) -> float:
        """A value of GET /metrics."""
        lines = self._http.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(name)).rsplit(" ", 1)[1])

    def degraded(self) -> list[str]:
        return list(self._http.get("/api/v1/aiops/health").json()["degraded"])


class Listener(threading.Thread):
    """Hears of alerts until the server ends: (name, state, grade), in order."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.heard: list[dict[str, Any]] = []
        self.start()

    def run(self) -> None:
        with AIOpsClient(self.url) as client, contextlib.suppress(Transient):
            for event in client.events(["alert_triggered"], last_seq=0):
                self.heard.append(event["payload"])

    def of(self, name: str) -> list[dict[str, Any]]:
        return [alert for alert in self.heard if alert["name"] == name]


def until(ready: Callable[[], Any], within_s: float = 30) -> Any:
    """What it answers as soon as that is something."""
    deadline = time.monotonic() + within_s
    while not (found := ready()):
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.1)
    return found


def test_rules_give_what_prometheus_gives_and_outlive_changes_and_restarts(tmp_path: Path) -> None:
    file, data = tmp_path / "rules.yml", tmp_path / "data"
    file.write_text(RULES)
    env = SETTINGS | {"AIRIS_RULES__FILES": str(file)}
    with servers.airis_mon(data, env=env) as server, Side(server.url) as ours:
        listener = Listener(server.url)
        beside_prometheus(ours, file)
        told(listener)
        patient = changed(ours, file)
        seen_at = float(until(lambda: waited(ours))[0]["value"][1])
    restarted(data, env, patient["activeAt"], seen_at)


# --- beside Prometheus -----------------------------------------------------------------------------------------------


def beside_prometheus(ours: Side, file: Path) -> None:
    config = f"global: {{evaluation_interval: 1s}}\nrule_files: ['{file}']\n"
    try:
        with servers.prometheus(config) as server, Side(server.url) as theirs:
            compared(ours, theirs)
    except servers.Missing as e:
        if os.environ.get("CI"):
            pytest.fail(str(e), pytrace=False)
        pytest.skip(str(e))


def compared(ours: Side, theirs: Side) -> None:
    start = int(time.time())
    for side in (ours, theirs):
        Server(side.url).write(body(start))
    until(lambda: all(side.active("High", "firing") for side in (ours, theirs)))
    shown(ours, theirs)
    at = start + FALL + 6
    time.sleep(max(0.0, at - time.time()))
    seconds = set(ours.moments(at)) & set(theirs.moments(at))
    assert len(seconds) > 12, "too few moments at which both evaluated"
    for one, other in ((ours, theirs), (theirs, ours)):
        computed(one, other, at, sorted(seconds)[::4])
    for metric in (*RECORDED, "ALERTS", "ALERTS_FOR_STATE"):
        assert stored(ours, metric, at, seconds) == stored(theirs, metric, at, seconds)
    text = " ".join(stored(ours, "ALERTS", at, seconds))
    assert all(f"('{n}', '{v}')" in text for n, v in (("alertstate", "pending"), ("grade", "bad"), ("of", "web page")))


def shown(ours: Side, theirs: Side) -> None:
    """What is said of rules and alerts while one fires."""
    (group,), (group_there,) = ours.get("rules")["groups"], theirs.get("rules")["groups"]
    for key in ("name", "file", "interval", "limit"):
        assert group[key] == group_there[key]
    for rule, there in zip(group["rules"], group_there["rules"], strict=True):
        for key in ("name", "query", "type", "health", "duration", "annotations", "state"):
            assert rule.get(key) == there.get(key)
    same = ours.rule("Same")
    assert same["lastError"] == theirs.rule("Same")["lastError"]
    assert "the same labelset" in same["lastError"]
    assert ours.degraded() == ["rules"]
    (alert,) = ours.active("High")
    assert alert["labels"] == {"alertname": "High", "host": "a", "job": "web", "of": "web page"}
    assert alert["annotations"]["summary"] in {"a holds 15 of 17", "a holds 25 of 27"}


def computed(one: Side, other: Side, at: float, seconds: list[int]) -> None:
    """What one recorded the other computes, at the very moments."""
    moments = one.moments(at)
    for metric, expr in RECORDED.items():
        recorded = one.stored(metric, at).values()
        for t in [moments[second] for second in seconds]:
            found = sorted(row["value"][1] for row in other.get("query", query=expr, time=t)["result"])
            assert sorted(values[t] for values in recorded if t in values) == found


def stored(side: Side, metric: str, at: float, seconds: set[int]) -> dict[str, dict[int, str]]:
    """The samples of a metric by labels and by second."""
    kept = {
        labels: {int(t): value for t, value in values.items() if int(t) in seconds}
        for labels, values in side.stored(metric, at).items()
    }
    return {labels: values for labels, values in kept.items() if values}


# --- events, changes, restart ----------------------------------------------------------------------------------------


def told(listener: Listener) -> None:
    until(lambda: listener.of("Sum")[1:])
    high, total = listener.of("High"), listener.of("Sum")
    assert [alert["state"] for alert in high] == [alert["state"] for alert in total] == ["firing", "resolved"]
    assert high[0]["annotations"]["summary"] in {"a holds 15 of 17", "a holds 25 of 27"}
    assert high[1]["resolvedAt"] > high[1]["firedAt"] > high[1]["activeAt"]
    graded = listener.of("Graded")
    assert len(graded) >= 6
    assert {(alert["labels"]["grade"], alert["state"]) for alert in graded} == {
        (grade, state) for grade in ("fair", "bad") for state in ("firing", "resolved")
    }


def changed(ours: Side, file: Path) -> Any:
    """Another rule is taken over, a faulty file is not; an alert of the new rule."""
    count = ours.metric("airis_rule_evaluations_total")
    file.write_text(RULES.replace("record: load:peak", "record: load:top") + PATIENT)
    (patient, _) = until(lambda: ours.active("Patient", "pending"))
    assert (ours.rule("load:peak"), ours.rule("Patient")["duration"]) == (None, 3600)
    assert ours.get("query", query="load:peak", time=time.time())["result"] == []
    assert (ours.metric("airis_rules_loaded"), ours.metric("airis_rules_reload_ok")) == (7, 1)
    file.write_text("groups: 5")
    until(lambda: ours.metric("airis_rules_reload_ok") == 0)
    assert ours.rule("Patient")
    file.write_text(RULES + PATIENT)
    until(lambda: ours.metric("airis_rules_reload_ok") == 1)
    assert ours.metric("airis_rule_evaluations_total") > count > 60
    assert ours.metric("airis_rule_failures_total") > 0
    assert ours.metric("airis_rule_group_last_evaluation_timestamp_seconds") == pytest.approx(time.time(), abs=20)
    assert (
        next(a for a in ours.active("Patient") if a["labels"] == patient["labels"])["activeAt"] == patient["activeAt"]
    )
    return patient


def waited(side: Side) -> list[Any]:
    """When `Patient` was stored last, once it has waited for five seconds."""
    selector = 'ALERTS_FOR_STATE{alertname="Patient",host="a"}'
    return side.get("query", query=f"timestamp({selector}) and time() - {selector} > 5")["result"]


def restarted(data: Path, env: dict[str, str], active_at: str, seen_at: float) -> None:
    """An alert goes on waiting where it was, but for the time of the outage."""
    since = datetime.fromisoformat(active_at).timestamp()
    began = time.time()
    with servers.airis_mon(data, env=env) as server, Side(server.url) as ours:

        def restored() -> list[float]:
            times = [datetime.fromisoformat(alert["activeAt"]).timestamp() for alert in ours.active("Patient")]
            return [t for t in times if t < began]

        assert until(restored) == [pytest.approx(time.time() - (seen_at - since), abs=6)] * 2
        assert until(lambda: ours.get("query", query='ALERTS{alertname="Patient"}', time=time.time())["result"])
