from __future__ import annotations

import pytest
import structlog

from airis_mon.errors import (
    AuthError,
    Conflict,
    InputError,
    MissingExtra,
    NotFound,
    Permanent,
    Refusal,
    StoreBusy,
    StoreError,
    TooLarge,
    Transient,
)
from tests.api.fake import V1

REFUSALS = (Refusal("$[3].value", "x" * 500, "is no number"),)


def check_envelope(answer, status, kind):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error", "message", "details", "timestamp"]
    assert body["error"] == kind
    assert body["message"]
    assert body["timestamp"].endswith("Z")
    assert all(set(d) == {"path", "value", "reason"} for d in body["details"])
    return body


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InputError("wrong", REFUSALS), 400, "Validation Error"),
        (AuthError("who?"), 401, "Authentication Error"),
        (AuthError("no", forbidden=True), 403, "Authorization Error"),
        (NotFound("gone"), 404, "Not Found"),
        (Conflict("taken"), 409, "Conflict"),
        (TooLarge("too much"), 413, "Payload Too Large"),
        (StoreBusy("full", 2.3), 503, "Service Unavailable"),
        (Transient("later", 7), 503, "Service Unavailable"),
        (Transient("later"), 503, "Service Unavailable"),
    ],
)
async def test_each_error_has_its_status_and_words(client, engine, error, status, kind):
    engine.fails_with = error
    body = check_envelope(await client.get(f"{V1}/anomalies"), status, kind)
    assert body["message"] == str(error)


@pytest.mark.parametrize(
    "error", [StoreError("secret"), Permanent("secret"), MissingExtra("secret", "x"), KeyError("secret"), OSError(5)]
)
async def test_an_unforeseen_error_is_logged_and_nothing_of_it_is_told(client, engine, error):
    engine.fails_with = error
    with structlog.testing.capture_logs() as logs:
        body = check_envelope(await client.get(f"{V1}/anomalies"), 500, "Internal Server Error")
    assert "secret" not in str(body)
    assert [entry["event"] for entry in logs] == ["request.failed"]
    assert logs[0]["exc_info"] is error
    assert logs[0]["reference"] in body["message"]


async def test_a_busy_store_says_when_to_come_back(client, engine):
    engine.fails_with = StoreBusy("full", 2.3)
    assert (await client.get(f"{V1}/series")).headers["retry-after"] == "3"


async def test_details_name_path_value_and_reason_and_long_values_are_cut(client, engine):
    engine.fails_with = InputError("wrong", REFUSALS)
    (detail,) = (await client.get(f"{V1}/series")).json()["details"]
    assert detail["path"] == "$[3].value"
    assert detail["reason"] == "is no number"
    assert detail["value"] == "x" * 200 + "... (500 characters)"


async def test_an_unknown_path_is_404_in_the_envelope(client):
    body = check_envelope(await client.get("/nothing/here"), 404, "Not Found")
    assert "/nothing/here" in body["message"]


async def test_a_wrong_method_is_405_in_the_envelope_and_names_the_right_ones(client):
    answer = await client.delete(f"{V1}/metrics")
    check_envelope(answer, 405, "Method Not Allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "POST", "OPTIONS"}


async def test_an_impossible_host_header_is_refused_in_the_envelope(mounted):
    answer = await mounted.get("/health", headers={"Host": "a b"})
    check_envelope(answer, 400, "Validation Error")


async def test_partly_refused_metrics_are_400_with_counts_and_details(client, engine):
    engine.refuses = REFUSALS
    sent = [{"metricName": "m", "value": 1}] * 5
    answer = await client.post(f"{V1}/metrics", json=sent)
    assert answer.status_code == 400
    body = answer.json()
    assert body["error"] == "Validation Error"
    assert (body["accepted"], body["refused"]) == (4, 1)
    assert body["details"][0]["path"] == "$[3].value"
    assert "the others are stored" in body["message"]
