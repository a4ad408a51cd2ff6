"""A prediction as events and answers carry it."""

from __future__ import annotations

import json
from dataclasses import replace

from airis_mon.events.event import NAMES
from airis_mon.events.prediction import DEADLINE, Prediction

T = 1_772_366_400_000  # 2026-03-01T12:00:00Z
DISK = Prediction(
    id="b49e0e7bfd325e7e",
    kind="disk",
    name="/var on web-1",
    labels=(("instance", "web-1"), ("mountpoint", "/var")),
    started_ms=T - 60_000,
    updated_ms=T,
    ended_ms=None,
    used=43.0,
    limit=50.0,
    eta_ms=T + 3_600_000,
    earliest_ms=T + 1_800_000,
    latest_ms=None,
    rate_per_h=7.0,
    basis="day",
    is_recurring=False,
    used_query="used",
    limit_query="size",
    unit="bytes",
)


def test_its_event_has_a_name_that_can_be_subscribed_to() -> None:
    assert "failure_predicted" in NAMES


def test_the_payload_is_json_with_times_in_utc_and_null_for_what_is_unknown() -> None:
    found = json.loads(json.dumps(DISK.payload))
    assert found["state"] == "open"
    assert (found["eta"], found["latest"], found["endedAt"]) == ("2026-03-01T13:00:00.000Z", None, None)
    assert (found["share"], found["leadTimeS"], found["everyS"], found["whyEnded"]) == (0.86, 3600.0, None, None)
    assert found["labels"] == {"instance": "web-1", "mountpoint": "/var"}
    assert found["queries"] == {"used": "used", "limit": "size"}


def test_an_ended_one_says_when_and_why() -> None:
    found = replace(DISK, ended_ms=T, why_ended="fell").payload
    assert (found["state"], found["endedAt"], found["whyEnded"]) == ("ended", "2026-03-01T12:00:00.000Z", "fell")


def test_a_deadline_has_no_share_and_what_is_over_no_time_left() -> None:
    assert replace(DISK, basis=DEADLINE).share is None
    assert replace(DISK, limit=0.0).share is None
    assert replace(DISK, eta_ms=T - 1).lead_ms == 0
