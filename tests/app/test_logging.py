from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import structlog

from airis_mon.app.logging import QUIET, configure

LIBRARIES = ("uvicorn", "uvicorn.error", "uvicorn.access", "litestar", *QUIET)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_its_fields():
    out = io.StringIO()
    configure("info", "auto", out)
    structlog.get_logger("airis_mon.test").info(
        "incident.opened", incident_id="i1", score=np.float32(0.5), gap=float("nan")
    )
    [line] = lines(out)
    assert list(line)[:3] == ["t", "level", "event"]
    assert str(line.pop("t")).endswith("Z")
    assert line == {
        "level": "info",
        "event": "incident.opened",
        "logger": "airis_mon.test",
        "incident_id": "i1",
        "score": 0.5,
        "gap": None,
    }


def test_a_level_silences_what_is_below():
    out = io.StringIO()
    configure("warning", "json", out)
    structlog.get_logger("a").info("not.heard")
    logging.getLogger("uvicorn").info("not heard")
    structlog.get_logger("a").warning("was.heard")
    assert [line["event"] for line in lines(out)] == ["was.heard"]


def test_other_libraries_join_with_their_sentence_as_a_field():
    out = io.StringIO()
    logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(io.StringIO()))
    configure("info", "json", out)
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    [line] = lines(out)
    assert (line["event"], line["message"]) == ("uvicorn.logged", "Started server process [7]")


def test_libraries_that_tell_every_step_are_quiet_until_debug():
    for level, heard in (("info", 0), ("debug", 1)):
        out = io.StringIO()
        configure(level, "json", out)
        logging.getLogger("httpx2").info("GET http://h")
        assert len(lines(out)) == heard


def test_secrets_are_masked_in_fields_sentences_and_tracebacks():
    out = io.StringIO()
    configure("info", "json", out)
    log = structlog.get_logger("a")
    log.info("scrape.failed", url="http://u:hunter2@h", headers={"Authorization": "Bearer hunter2"}, token="hunter2")
    logging.getLogger("lib").warning("cannot reach http://u:hunter2@h")
    try:
        int("http://u:hunter2@h")
    except ValueError:
        log.exception("handler.failed")
    assert "hunter2" not in out.getvalue()
    assert "Traceback" in str(lines(out)[-1]["exception"])


def test_locals_of_a_traceback_are_not_shown():
    out = io.StringIO()
    configure("info", "text", out)
    secret = "hunter" + "2"
    try:
        int(secret[0])
    except ValueError:
        structlog.get_logger("a").exception("handler.failed")
    assert "Traceback" in out.getvalue()
    assert "hunter2" not in out.getvalue()


def test_text_is_for_people():
    out = io.StringIO()
    configure("info", "text", out)
    structlog.get_logger("a").info("engine.stopped", samples=3)
    assert "engine.stopped" in out.getvalue()
    assert "samples=3" in out.getvalue()
    assert "{" not in out.getvalue()


def test_context_is_on_every_line():
    out = io.StringIO()
    configure("info", "json", out)
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger("a").info("request.done")
    assert lines(out)[0]["request_id"] == "r1"


def test_warnings_are_logged():
    out = io.StringIO()
    configure("info", "json", out)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert lines(out)[0]["event"] == "py.logged"


def test_a_second_call_replaces_the_first():
    log, one, two = structlog.get_logger("a"), io.StringIO(), io.StringIO()
    configure("info", "json", one)
    log.info("first.said")
    configure("info", "json", two)
    log.info("second.said")
    assert [line["event"] for line in lines(one) + lines(two)] == ["first.said", "second.said"]
