from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airis_mon.series.labels import Labels
from tests.api.fake import T

LABELS = (("alertname", "HostDown"), ("host", "web-1"))


@dataclass
class Alert:
    state: str = "firing"
    labels: Labels = LABELS
    annotations: Labels = (("summary", "web-1 is down"),)
    active_at: int = T
    value: float = 1.0


@dataclass
class Rule:
    name: str
    type: str = "alerting"
    query: str = "up == 0"
    duration_s: float = 300
    keep_firing_for_s: float = 0
    labels: Labels = (("severity", "page"),)
    annotations: Labels = (("summary", "{{ $labels.host }} is down"),)
    alerts: list[Alert] = field(default_factory=list)
    health: str = "ok"
    last_error: str = ""
    evaluation_s: float = 0.25
    last_evaluation: int | None = T


@dataclass
class Group:
    name: str
    rules: list[Rule]
    file: str = "/etc/rules.yml"
    interval_s: float = 15
    limit: int = 0
    evaluation_s: float = 0.5
    last_evaluation: int | None = T


GROUPS = [
    Group("hosts", [Rule("HostDown", alerts=[Alert()]), Rule("HostSlow", alerts=[Alert("pending")]), Rule("Quiet")]),
    Group("sums", [Rule("job:up:sum", "recording", "sum by (job) (up)", labels=())], last_evaluation=None),
]


async def rules(client: Any, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get("/api/v1/rules", params=params)
    assert answer.status_code == 200
    assert answer.json()["status"] == "success"
    return answer.json()["data"]["groups"]


async def test_groups_rules_and_alerts_are_shown_as_prometheus_shows_them(client, engine):
    engine.groups = GROUPS
    hosts, sums = await rules(client)
    down = hosts.pop("rules")[0]
    assert hosts == {
        "name": "hosts",
        "file": "/etc/rules.yml",
        "interval": 15,
        "limit": 0,
        "evaluationTime": 0.5,
        "lastEvaluation": "2026-03-01T12:00:00.000Z",
    }
    assert down == {
        "name": "HostDown",
        "query": "up == 0",
        "labels": {"severity": "page"},
        "health": "ok",
        "evaluationTime": 0.25,
        "lastEvaluation": "2026-03-01T12:00:00.000Z",
        "type": "alerting",
        "state": "firing",
        "duration": 300,
        "keepFiringFor": 0,
        "annotations": {"summary": "{{ $labels.host }} is down"},
        "alerts": [
            {
                "labels": dict(LABELS),
                "annotations": {"summary": "web-1 is down"},
                "state": "firing",
                "activeAt": "2026-03-01T12:00:00.000Z",
                "value": "1e+00",
            }
        ],
    }
    assert sums["lastEvaluation"] == "0001-01-01T00:00:00Z"
    assert sums["rules"] == [
        {
            "name": "job:up:sum",
            "query": "sum by (job) (up)",
            "labels": {},
            "health": "ok",
            "evaluationTime": 0.25,
            "lastEvaluation": "2026-03-01T12:00:00.000Z",
            "type": "recording",
        }
    ]


async def test_a_rule_is_as_its_worst_alert_is(client, engine):
    engine.groups = GROUPS
    states = [rule["state"] for rule in (await rules(client))[0]["rules"]]
    assert states == ["firing", "pending", "inactive"]


async def test_an_error_stands_only_where_there_was_one(client, engine):
    engine.groups = [Group("g", [Rule("a", health="err", last_error="many-to-many"), Rule("b")])]
    failed, fine = (await rules(client))[0]["rules"]
    assert (failed["health"], failed["lastError"]) == ("err", "many-to-many")
    assert "lastError" not in fine


async def test_rules_are_chosen_by_kind_name_group_and_file(client, engine):
    engine.groups = GROUPS

    async def names(**params: Any) -> list[list[str]]:
        return [[rule["name"] for rule in group["rules"]] for group in await rules(client, **params)]

    assert await names(type="record") == [[], ["job:up:sum"]]
    assert await names(type="ALERT") == [["HostDown", "HostSlow", "Quiet"], []]
    assert await names(**{"rule_name[]": ["Quiet", "HostDown"]}) == [["HostDown", "Quiet"]]
    assert await names(**{"rule_group[]": "sums"}) == [["job:up:sum"]]
    assert await names(**{"file[]": "/etc/other.yml"}) == []
    assert (await client.get("/api/v1/rules?type=x")).json()["error"] == (
        'invalid parameter "type": not supported value "x"'
    )


async def test_alerts_can_be_left_out(client, engine):
    engine.groups = GROUPS
    hosts, _ = await rules(client, exclude_alerts="true")
    assert [(rule["state"], rule["alerts"]) for rule in hosts["rules"]] == [
        ("firing", []),
        ("pending", []),
        ("inactive", []),
    ]


async def test_all_alerts_stand_in_one_list(client, engine):
    engine.groups = GROUPS
    answer = (await client.get("/api/v1/alerts")).json()
    assert [alert["state"] for alert in answer["data"]["alerts"]] == ["firing", "pending"]


async def test_without_rules_both_lists_are_empty(client):
    assert (await client.get("/api/v1/rules")).json() == {"status": "success", "data": {"groups": []}}
    assert (await client.get("/api/v1/alerts")).json() == {"status": "success", "data": {"alerts": []}}
