"""Replays over HTTP: what is asked, where it is seen, and what a page of it may do in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from airis_mon.app.replays import Request
from airis_mon.errors import Conflict, InputError, Refusal, StoreBusy
from airis_mon.store.records import JobState
from tests.api.fake import REPLAY, REPLAY_ID, RESULT, V1, T

ONE = f"{V1}/replays/{REPLAY_ID}"


async def test_a_replay_is_accepted_and_says_where_it_is_seen(client, mounted):
    answer = await client.post(f"{V1}/replays", json={})
    assert (answer.status_code, answer.headers["location"]) == (202, ONE)
    body = answer.json()
    assert body["success"] is True
    assert body["replay"] == {
        "id": REPLAY_ID,
        "state": "queued",
        "progress": 0.0,
        "note": "",
        "request": {
            "source": "store",
            "name": "",
            "start": "2026-03-01T11:00:00.000Z",
            "end": "2026-03-01T12:00:00.000Z",
            "match": ["up"],
            "rules": "server",
        },
        "createdAt": "2026-03-01T12:00:00.000Z",
        "startedAt": None,
        "endedAt": None,
        "error": None,
    }
    assert (await mounted.post("/replays", json={})).headers["location"] == f"/replays/{REPLAY_ID}"


async def test_the_place_of_a_replay_stands_below_the_mount(engine):
    from airis_mon.api.app import build
    from tests.api.fake import client_of

    app = build(engine, version="1")

    async def host(scope, receive, send):
        await app({**scope, "root_path": "/aiops"}, receive, send)

    async with client_of(host) as client:
        place = (await client.post("/aiops/replays", json={})).headers["location"]
        assert place == f"/aiops/replays/{REPLAY_ID}"
        assert (await client.get(place)).status_code == 200


SENT: list[tuple[dict[str, Any], Request]] = [
    ({}, Request()),
    (
        {"source": "prometheus", "name": "http://prom:9090", "days": 7, "match": ["up", '{job="a"}'], "rules": "none"},
        Request("prometheus", "http://prom:9090", days=7.0, match=("up", '{job="a"}'), rules="none"),
    ),
    (
        {"start": "2026-03-01T12:00:00+00:00", "end": T / 1000 + 60, "rulesText": "groups: []", "idempotencyKey": "k"},
        Request(start=T, end=T + 60_000, rules="text", rules_text="groups: []", idempotency_key="k"),
    ),
    ({"start": T, "end": float(T + 1)}, Request(start=T, end=T + 1)),
]


@pytest.mark.parametrize(("sent", "asked"), SENT)
async def test_what_is_asked_reaches_the_engine(client, engine, sent, asked):
    assert (await client.post(f"{V1}/replays", json=sent)).status_code == 202
    assert engine.calls == [("start_replay", asked)]


REFUSED = [
    (b"", "$", "no JSON"),
    (b"[", "$", "no JSON"),
    (b"[1]", "$", "is no object"),
    (b'"\xff"', "$", "no JSON"),
    (b"[" * 100_000, "$", "no JSON"),
    (b'{"sources": "store"}', "$.sources", "did you mean source?"),
    (b'{"file": "/etc/passwd"}', "$.file", "a replay takes source, name, start"),
    (b'{"url": "http://169.254.169.254/"}', "$.url", "is no field here"),
    (b'{"source": "file"}', "$.source", "Invalid enum value"),
    (b'{"source": null}', "$.source", "Expected `str`"),
    (b'{"days": "7"}', "$.days", "Expected `float`"),
    (b'{"days": true}', "$.days", "Expected `float`"),
    (b'{"start": "yesterday"}', "$.start", "is no time"),
    (b'{"end": 1e300}', "$.end", "is no time"),
    (b'{"end": []}', "$.end", "Expected `float | str`"),
    (b'{"match": "up"}', "$.match", "Expected `array`"),
    (b'{"match": [1]}', "$.match[0]", "Expected `str`"),
    (b'{"rules": "text"}', "$.rules", "Invalid enum value"),
    (b'{"rules": "none", "rulesText": "x"}', "$.rules", "beside rulesText"),
    (b'{"rulesText": ""}', "$.rulesText", "length >= 1"),
    (b'{"idempotencyKey": "a b"}', "$.idempotencyKey", "matching regex"),
    (b'{"idempotencyKey": "a\\n"}', "$.idempotencyKey", "matching regex"),
    (b'{"days": ' + b"9" * 400 + b"}", "$.days", "out of range"),
]


@pytest.mark.parametrize(("body", "path", "reason"), REFUSED)
async def test_a_body_that_is_no_request_is_refused_by_field(client, engine, body, path, reason):
    answer = await client.post(f"{V1}/replays", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"] == "Validation Error"
    (detail,) = answer.json()["details"]
    assert detail["path"] == path
    assert reason in detail["reason"]
    assert engine.calls == []


async def test_a_body_of_another_kind_is_refused(client, engine):
    answer = await client.post(f"{V1}/replays", content="source=store", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert engine.calls == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("days is not", (Refusal("$.days", "0", "is not"),)), 400),
        (Conflict("the key belongs to another"), 409),
        (StoreBusy("20 replays wait already", 60), 503),
    ],
)
async def test_what_the_engine_refuses_is_told_by_its_status(client, engine, error, status):
    engine.fails_with = error
    answer = await client.post(f"{V1}/replays", json={})
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == ("60" if status == 503 else None)


async def test_lists_have_no_results_and_say_when_there_is_more(client, engine):
    body = (await client.get(f"{V1}/replays", params={"limit": 1})).json()
    assert body["metadata"] == {"count": 1, "limit": 1, "truncated": True}
    assert [r["id"] for r in body["replays"]] == [REPLAY_ID]
    assert "result" not in body["replays"][0]
    assert engine.calls == [("replays", 2)]
    assert (await client.get(f"{V1}/replays", params={"limit": 51})).status_code == 400


async def test_one_replay_has_its_result(client, engine):
    replay = (await client.get(ONE)).json()["replay"]
    assert (replay["state"], replay["endedAt"]) == ("done", "2026-03-01T12:01:01.200Z")
    assert replay["result"] == RESULT
    engine.replays.replay = replace(
        REPLAY, state=JobState.RUNNING, progress=0.4, note="5 of 14 days", started_ms=T, ended_ms=None, result=None
    )
    running = (await client.get(ONE)).json()["replay"]
    assert (running["state"], running["progress"], running["note"]) == ("running", 0.4, "5 of 14 days")
    assert (running["startedAt"], running["endedAt"], running["result"]) == ("2026-03-01T12:00:00.000Z", None, None)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(("replay_id", "status"), [("0" * 32, 404), ("0" * 31, 400), ("A" * 32, 400), ("x%0A", 400)])
async def test_an_unknown_replay_is_404_and_what_is_no_id_400(client, method, replay_id, status):
    answer = await client.request(method, f"{V1}/replays/{replay_id}")
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["details"][0]["path"] == "replay_id"


async def test_a_replay_is_cancelled_and_one_that_has_ended_is_a_conflict(client, engine):
    answer = await client.delete(ONE)
    assert (answer.status_code, answer.json()["replay"]["state"]) == (200, "cancelled")
    assert "result" not in answer.json()["replay"]
    engine.fails_with = Conflict("the job is done already")
    assert (await client.delete(ONE)).status_code == 409


@pytest.mark.parametrize(("lang", "is_korean"), [(None, False), ("en", False), ("ko", True)])
async def test_the_report_is_a_page_in_the_language_that_was_asked_for(client, lang, is_korean):
    answer = await client.get(f"{ONE}/report", params={} if lang is None else {"lang": lang})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert bool(re.search("[가-힣]", answer.text)) is is_korean
    assert f'<html lang="{"ko" if is_korean else "en"}">' in answer.text


async def test_a_page_of_a_report_may_use_its_own_style_sheet_and_nothing_else(client):
    answer = await client.get(f"{ONE}/report")
    policy = dict(part.partition(" ")[::2] for part in answer.headers["content-security-policy"].split("; "))
    sheets = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(sheets[0].encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "sandbox": "",
    }
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    assert len(sheets) == 1


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.FAILED, JobState.CANCELLED])
async def test_a_replay_without_a_result_has_no_report(client, engine, state):
    engine.replays.replay = replace(REPLAY, state=state, result=None)
    answer = await client.get(f"{ONE}/report")
    assert answer.status_code == 409
    assert state in answer.json()["message"]


async def test_a_report_in_another_language_is_refused(client):
    answer = await client.get(f"{ONE}/report", params={"lang": "fr"})
    assert answer.status_code == 400
    assert "en, ko" in msgspec.json.encode(answer.json()).decode()
