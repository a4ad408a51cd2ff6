"""The noun alert."""

import json

from airis_mon.events.alert import Alert

LABELS = (("alertname", "Down"), ("instance", "a"))


def test_an_alert_is_known_by_its_labels_alone():
    one = Alert(LABELS, (), "pending", 0, None, None, 1.0)
    other = Alert(LABELS, (("summary", "x"),), "firing", 5, 9, None, 2.0)
    assert one.id == other.id != Alert((("alertname", "Down"),), (), "pending", 0, None, None, 1.0).id
    assert one.name == "Down"


def test_the_payload_is_ready_for_json():
    alert = Alert(LABELS, (("summary", "x"),), "resolved", 1500, 2000, 3000, float("nan"))
    assert json.loads(json.dumps(alert.payload)) == {
        "id": alert.id,
        "name": "Down",
        "labels": {"alertname": "Down", "instance": "a"},
        "annotations": {"summary": "x"},
        "state": "resolved",
        "activeAt": "1970-01-01T00:00:01.500Z",
        "firedAt": "1970-01-01T00:00:02.000Z",
        "resolvedAt": "1970-01-01T00:00:03.000Z",
        "value": None,
    }
