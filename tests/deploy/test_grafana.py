"""The dashboard that ships: it hangs together, and our server answers everything that it asks."""

from __future__ import annotations

import itertools
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from airis_mon.query.parse import parse
from tools import servers

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "airis-mon.json").read_text())
PANELS = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
VARIABLES = {v["name"]: v for v in DASHBOARD["templating"]["list"]}
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
HOST = "web-1"


def filled(text: str, chosen: dict[str, str]) -> str:
    """An expression as Grafana sends it: its variables replaced."""
    chosen = {"__rate_interval": "1m0s", **chosen}
    for name, value in chosen.items():
        text = re.sub(rf"\$\{{{name}(:\w+)?\}}|\${name}\b", lambda _, value=value: value, text)
    assert "$" not in text, text
    return text


CHOSEN = {
    "metric": "cpu_usage",
    "signal": "value",
    "instance": VARIABLES["instance"]["allValue"],
    "series": f'for="cpu_usage",instance="{HOST}",signal="value"',
}


# --- the files --------------------------------------------------------------------------------------------------------


def test_the_data_source_is_the_one_that_the_dashboard_begins_with() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "airis.yaml").read_text())["datasources"]
    assert (source["type"], source["access"]) == ("prometheus", "proxy")
    assert source["uid"] == VARIABLES["datasource"]["current"]["value"]
    assert VARIABLES["datasource"]["query"] == source["type"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "airis.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    assert Path(provider["options"]["path"]).is_absolute()


def test_panels_have_a_place_and_a_number_of_their_own() -> None:
    numbers = [p["id"] for p in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells


def test_every_query_goes_to_the_chosen_data_source() -> None:
    asking = [*PANELS, *(t for _, t in TARGETS), *(v for v in VARIABLES.values() if v["type"] == "query")]
    assert {(a["datasource"]["type"], a["datasource"]["uid"]) for a in asking} == {("prometheus", "${datasource}")}
    for panel in PANELS:
        refs = [t["refId"] for t in panel["targets"]]
        assert len(set(refs)) == len(refs)
        assert all(t["range"] != t["instant"] for t in panel["targets"])


def test_overrides_and_bands_name_lines_that_exist() -> None:
    for panel in PANELS:
        lines = {t["legendFormat"] for t in panel["targets"]} | {"Value", "for"}
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["options"] in lines
            bands = [p["value"] for p in override["properties"] if p["id"] == "custom.fillBelowTo"]
            assert set(bands) <= lines


def test_the_alarm_line_is_drawn_at_its_place() -> None:
    (score,) = [p for p in PANELS if p["title"].startswith("Score")]
    assert score["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == 0.8
    assert score["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "line"


def test_titles_are_in_two_languages() -> None:
    for title in (*(p["title"] for p in DASHBOARD["panels"]), *(v["label"] for v in VARIABLES.values())):
        assert re.search(r"[가-힣]", title), title
        assert re.search(r"[A-Za-z]", title), title


@pytest.mark.parametrize(("title", "target"), TARGETS, ids=[f"{t} {g['refId']}" for t, g in TARGETS])
def test_every_expression_is_promql(title: str, target: dict[str, Any]) -> None:
    parse(filled(target["expr"], CHOSEN))


# --- what Grafana asks ------------------------------------------------------------------------------------------------


class Grafana:
    """The calls of its Prometheus data source, to one server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = time.time()

    def call(self, path: str, form: dict[str, Any] | None = None) -> Any:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", data), timeout=60) as answer:
            said = json.load(answer)
        assert said["status"] == "success"
        return said["data"]

    def send(self, path: str, items: list[dict[str, Any]]) -> None:
        body = json.dumps(items).encode()
        request = urllib.request.Request(f"{self.url}{path}", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["success"]

    def choices(self, variable: dict[str, Any], chosen: dict[str, str]) -> list[str]:
        """What a variable offers, given those before it."""
        query = filled(variable["query"]["query"], chosen)
        span = {"start": int(self.now) - 3600, "end": int(self.now)}
        if found := re.fullmatch(r"label_values\((.+), (\w+)\)", query):
            asked = urllib.parse.urlencode({"match[]": found[1], **span})
            return self.call(f"/api/v1/label/{found[2]}/values?{asked}")
        found = re.fullmatch(r"query_result\((.+)\)", query)
        assert found, query
        texts = [self.text(row) for row in self.call("/api/v1/query", {"query": found[1], "time": self.now})["result"]]
        pattern = re.compile(variable["regex"].strip("/"))
        return [match[1] for text in texts if (match := pattern.search(text))]

    def text(self, row: dict[str, Any]) -> str:
        """A row of query_result as the data source writes it."""
        labels = ",".join(f'{n}="{v}"' for n, v in row["metric"].items() if n != "__name__")
        return f"{row['metric'].get('__name__', '')}{{{labels}}} {row['value'][1]} {row['value'][0] * 1000}"

    def ask(self, target: dict[str, Any], chosen: dict[str, str]) -> list[dict[str, Any]]:
        query = filled(target["expr"], chosen)
        if target["instant"]:
            return self.call("/api/v1/query", {"query": query, "time": self.now})["result"]
        span = {"start": int(self.now) // 15 * 15 - 3600, "end": int(self.now) // 15 * 15, "step": 15}
        return self.call("/api/v1/query_range", {"query": query, **span})["result"]


def load(now: float) -> Iterator[dict[str, Any]]:
    """An hour and a half of a signal with a fault five minutes ago, and an alert about it."""
    rng = np.random.default_rng(7)
    for i in range(360):
        t = int((now - (359 - i) * 15) * 1000)
        value = 95.5 if i == 340 else round(40 + 2 * float(rng.normal()), 3)
        yield {"metricName": "cpu_usage", "value": value, "labels": {"instance": HOST}, "timestamp": t}
        if i >= 340:
            alert = {"alertname": "HighCpu", "alertstate": "pending" if i < 350 else "firing", "instance": HOST}
            yield {"metricName": "ALERTS", "value": 1, "labels": alert, "timestamp": t}


def own(page: str, now: float) -> Iterator[dict[str, Any]]:
    """Our own metrics, as two scrapes of them would be stored."""
    for family in text_string_to_metric_families(page):
        for s in family.samples:
            if s.name.startswith("airis_"):
                for age in (45, 30):
                    t = int((now - age) * 1000)
                    yield {"metricName": s.name, "value": s.value, "labels": s.labels, "timestamp": t}


@pytest.mark.live
@pytest.mark.slow
def test_a_server_answers_everything_that_the_dashboard_asks(tmp_path: Path) -> None:
    with servers.airis_mon(tmp_path, env={"AIRIS_INGEST__HOST__ENABLED": "false"}) as server:
        grafana = Grafana(server.url)
        grafana.send("/api/v1/aiops/metrics", list(load(grafana.now)))
        deadline = time.monotonic() + 120
        while not grafana.choices(VARIABLES["metric"], {}):
            assert time.monotonic() < deadline, "nothing is watched"
            time.sleep(1)
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
            grafana.send("/api/v1/aiops/metrics", list(own(answer.read().decode(), grafana.now)))

        chosen: dict[str, str] = {}
        for name in ("metric", "signal", "instance", "series"):
            (chosen[name],) = grafana.choices(VARIABLES[name], chosen)
        assert chosen == CHOSEN | {"instance": HOST}
        chosen["instance"] = CHOSEN["instance"]

        found = {(title, t["refId"]): grafana.ask(t, chosen) for title, t in TARGETS}
        empty = {target["expr"] for (_, target), rows in zip(TARGETS, found.values(), strict=True) if not rows}
        late = {t["expr"] for _, t in TARGETS if t["expr"].startswith("airis_forecast")}  # a signal of an hour has none
        assert empty <= {"airis_store_bytes", *late}  # measured once a minute
        band = {key[1]: rows for key, rows in found.items() if key[0].startswith("Line and band")}
        assert all(len(rows) == 1 for rows in band.values())
        points = {ref: dict(rows[0]["values"]) for ref, rows in band.items()}
        for t in points["C"].keys() & points["D"].keys():
            assert float(points["D"][t]) <= float(points["B"][t]) <= float(points["C"][t])
        peak = max(float(v) for v in points["A"].values())
        assert peak == 95.5
        (score,) = found["Score · 점수", "A"]
        assert max(float(v) for _, v in score["values"]) >= 0.8
        (row,) = found["Highest scores now · 지금 높은 점수", "A"]
        assert float(row["value"][1]) >= 0.8
        assert row["metric"]["for"] == "cpu_usage"
        counts = [found[panel["title"], "A"][0]["value"][1] for panel in PANELS if panel["type"] == "stat"]
        assert counts == ["1", "1", "1"]
