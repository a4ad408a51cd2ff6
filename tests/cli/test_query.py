"""`airis-mon query`: whom it asks, how, and what it says."""

import argparse
import io
import json
import os
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest

from airis_mon.cli import query
from airis_mon.cli.ask import Span, local_server
from airis_mon.cli.main import main
from airis_mon.config.settings import load
from airis_mon.errors import ConfigError
from tools import servers

UTC = ZoneInfo("UTC")
NOW = 1_790_000_000_000
VECTOR = {"resultType": "vector", "result": [{"metric": {"__name__": "up", "job": "서울"}, "value": [1790000000, "1"]}]}
POINTS = [[1790000000 + 15 * i, str(i)] for i in range(5)]
MATRIX = {"resultType": "matrix", "result": [{"metric": {"__name__": "up"}, "values": POINTS}]}


class Fake(BaseHTTPRequestHandler):
    """Answers every request with the same, and keeps what it was asked."""

    status = 200
    body = b""
    asked: list  # of (path, form, key)

    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append((self.path, dict(parse_qsl(form)), self.headers.get("Authorization")))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args):
        pass


@contextmanager
def serving(data=None, status=200, **more):
    said = {"status": "success", "data": data, **more} if data is not None else more
    given = {"status": status, "body": json.dumps(said).encode(), "asked": []}
    handler = type("Handler", (Fake,), given)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", handler.asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """No settings, no server and no data of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("AIRIS_") or name in {"PORT", "NO_COLOR", "COLUMNS"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("TZ", "Asia/Seoul")
    monkeypatch.setenv("AIRIS_SERVER__PORT", str(servers.free_port()))


def parsed(*words):
    parser = argparse.ArgumentParser()
    query.add_parser(parser.add_subparsers())
    return parser.parse_args(["query", *words])


def asked(*words):
    return query.asked(parsed(*words), NOW, UTC)


# ---- arguments


def test_without_a_start_it_is_one_moment():
    assert (asked("up").at, asked("up").span) == (None, None)
    assert asked("up", "--time", "-30m").at == NOW - 1_800_000


def test_with_a_start_it_is_a_range_until_now_of_some_240_points():
    assert asked("up", "--start", "1h").span == Span(NOW - 3_600_000, NOW, 15_000)
    assert asked("up", "--start", "-1h", "--end", "-30m", "--step", "1m").span == Span(
        NOW - 3_600_000, NOW - 1_800_000, 60_000
    )


def test_a_range_until_now_stands_on_whole_seconds():
    asked = query.asked(parsed("up", "--start", "1h"), NOW + 999, UTC)
    assert asked.span == Span(NOW - 3_600_000, NOW, 15_000)


def test_a_picture_shows_the_last_hour():
    assert asked("up", "--plot").span == Span(NOW - 3_600_000, NOW, 15_000)
    assert asked("up", "--plot", "--end", "1h").span == Span(NOW - 7_200_000, NOW - 3_600_000, 15_000)


def test_an_expression_may_begin_with_a_minus():
    assert asked("-1 * up", "--start", "5m").expr == "-1 * up"


@pytest.mark.parametrize(
    ("length_ms", "step_ms"),
    [(0, 1000), (60_000, 1000), (21_600_000, 120_000), (86_400_000, 300_000), (604_800_000, 1_800_000)],
)
def test_steps_are_distances_that_people_count_in(length_ms, step_ms):
    assert query.step_of(length_ms) == step_ms


@pytest.mark.parametrize("days", [1, 3, 15, 60, 400])
def test_a_long_range_keeps_some_240_points(days):
    assert 120 <= days * 86_400_000 / query.step_of(days * 86_400_000) <= 480


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--time", "now", "--plot"], "one or the other"),
        (["--time", "now", "--start", "1h"], "one or the other"),
        (["--step", "15s"], "--start 1h"),
        (["--end", "now"], "--start 1h"),
        (["--start", "1h", "--end", "2h"], "exchange them"),
        (["--start", "soon"], "is no time"),
        (["--start", "1h", "--step", "0"], "duration"),
        (["--timeout", "never"], "is no duration"),
    ],
)
def test_contradictions_are_wrong_use(words, said):
    with pytest.raises(ConfigError, match=said):
        asked("up", *words)


def test_a_picture_is_no_json(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["query", "up", "--plot", "--json"])
    assert ended.value.code == 2


# ---- a server


def test_a_table_goes_to_stdout_and_its_source_to_stderr(capsys):
    with serving(VECTOR) as (url, requests):
        assert main(["query", "up", "--server", url]) == 0
    said = capsys.readouterr()
    assert said.out == ('series          value  time\nup{job="서울"}      1  2026-09-21T23:13:20+09:00\n')
    assert said.err == f"1 series, from {url}\n"
    assert requests == [("/api/v1/query", {"query": "up", "timeout": "120"}, None)]


def test_a_range_is_asked_with_its_step(capsys):
    with serving(MATRIX) as (url, requests):
        words = ["--start", "1790000000", "--end", "1790000060", "--step", "15s", "--timeout", "5s"]
        assert main(["query", "up", "--server", url, *words]) == 0
    ((path, form, _),) = requests
    assert path == "/api/v1/query_range"
    assert form == {
        "query": "up",
        "start": "1790000000.000",
        "end": "1790000060.000",
        "step": "15.0",
        "timeout": "5",
    }
    assert capsys.readouterr().out.splitlines()[1].split() == ["up", "0", "4", "4", "▁▃▅▆█"]


def test_a_picture_is_drawn_in_black_where_no_terminal_looks_on(capsys):
    with serving(MATRIX) as (url, _):
        words = ["--start", "1790000000", "--end", "1790000060", "--step", "15"]
        assert main(["query", "up", "--plot", "--server", url, *words]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert re.search(r"23:13:\d0 +23:1", out)
    assert "2026-09-21T23:13:20+09:00 to 2026-09-21T23:14:20+09:00, every 15s" in out


def test_json_is_the_data_as_it_came(capsys):
    with serving(VECTOR, warnings=["partly\x1b"]) as (url, _):
        assert main(["query", "up", "--json", "--server", url]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == VECTOR
    assert "서울" in said.out
    assert "warning: partly\\x1b\n" in said.err


def test_json_steers_no_terminal_and_stays_json(capsys):
    evil = {"resultType": "string", "result": [1, "a\x1b[31m\x9b\u202e\x7fb"]}
    with serving(evil) as (url, _):
        main(["query", "x", "--json", "--server", url])
    out = capsys.readouterr().out
    assert out.rstrip("\n").isprintable()
    assert json.loads(out) == evil


def test_nothing_found_is_no_failure(capsys):
    with serving({"resultType": "vector", "result": []}) as (url, _):
        assert main(["query", "nope", "--server", url]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("nothing matched, from ")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(400, "bad_data", 2), (422, "execution", 1), (503, "timeout", 1), (503, "unavailable", 1), (500, "internal", 1)],
)
def test_what_the_server_refuses_is_one_sentence_and_an_exit_code(status, kind, code, capsys):
    with serving(status=status, errorType=kind, error="parse\x1b error:\n  here") as (url, _):
        assert main(["query", "up", "--server", url]) == code
    assert capsys.readouterr().err == "airis-mon: parse\\x1b error: here\n"


def test_the_key_of_the_settings_is_sent_and_a_missing_one_is_asked_for(capsys, monkeypatch):
    with serving(status=401, error="Authentication Error", message="an API key is needed") as (url, requests):
        assert main(["query", "up", "--server", url]) == 1
        assert "AIRIS_CLIENT__API_KEY" in capsys.readouterr().err
        monkeypatch.setenv("AIRIS_CLIENT__API_KEY", "airis_secret")
        main(["query", "up", "--server", url])
    assert [key for *_, key in requests] == [None, "Bearer airis_secret"]


def test_something_else_at_the_address_is_said(capsys):
    with serving([]) as (url, _):
        assert main(["query", "up", "--server", url]) == 1
    assert "is the address right?" in capsys.readouterr().err


def test_a_server_that_was_named_is_the_only_one_asked(capsys, tmp_path):
    url = f"http://user:hidden@127.0.0.1:{servers.free_port()}"
    assert main(["query", "up", "--server", url]) == 1
    said = capsys.readouterr().err
    assert "cannot be reached" in said
    assert "hidden" not in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("url", ["localhost:8765", "ftp://x", "http://", "http://x:no", "", "http://[::1"])
def test_an_address_that_is_none_is_wrong_use(url, capsys):
    assert main(["query", "up", "--server", url]) == 2


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:9"), ("0.0.0.0", "http://127.0.0.1:9"), ("::", "http://[::1]:9")],
)
def test_the_local_server_is_where_the_settings_let_it_listen(host, url):
    flags = {"server.host": host, "server.port": 9}
    assert local_server(load(None, {}, flags).settings) == url


def test_a_port_that_changes_must_be_named(capsys, monkeypatch):
    monkeypatch.setenv("AIRIS_SERVER__PORT", "0")
    assert main(["query", "up"]) == 2
    assert "--server URL" in capsys.readouterr().err


def test_characters_that_the_terminal_lacks_are_escaped(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    with serving(VECTOR) as (url, _):
        assert main(["query", "up", "--server", url]) == 0
    assert rb'up{job="\uc11c\uc6b8"}' in raw.getvalue()


# ---- no server


def test_without_server_and_store_both_ways_on_are_told(capsys, tmp_path):
    assert main(["query", "up"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.match(r"airis-mon: no server answers at http://127.0.0.1:\d+, and nothing is stored at ", said.err)
    assert "airis-mon serve" in said.err
    assert "--server URL" in said.err
    assert not (tmp_path / "data").exists()


# ---- who looks on


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("variables", "has_colours"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(variables, has_colours, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    view = query.view_of(Terminal(), UTC)
    assert view.pen.has_colours is has_colours
    assert view.pen.has_unicode
    assert query.view_of(io.StringIO(), UTC).columns is None


def test_a_terminal_has_the_width_it_says(monkeypatch):
    monkeypatch.setenv("COLUMNS", "132")
    assert query.view_of(Terminal(), UTC).columns == 132


def test_a_zone_that_is_unknown_is_utc():
    assert str(query.zone_of("Nowhere/Else")) == "UTC"


# ---- a real Prometheus


@pytest.mark.live
@pytest.mark.parametrize(
    ("expr", "words", "code", "said"),
    [
        ("vector(7)", [], 0, r"^\{\} +7  20\d\d-"),
        ("1 + 1", [], 0, r"^2  20\d\d-"),
        ('"text"', [], 0, "^text$"),
        ("-1 * vector(2)", [], 0, "-2"),
        ('label_replace(vector(1), "host", "a", "", "")', ["--start", "1h"], 0, r'\{host="a"\} +1 +1 +1  ▁{24}'),
        ("vector(time())", ["--plot", "--start", "-10m"], 0, "every 3s|every 2s"),
        ("nope", [], 0, "nothing matched"),
        ("sum(", [], 2, "parse error: unclosed left parenthesis"),
        ("vector(1)", ["--start", "1h", "--step", "100ms"], 2, "exceeded maximum resolution of 11,000 points"),
        ('label_replace(vector(1), "~", "", "", "")', [], 1, "invalid destination label name"),
        ('"text"', ["--start", "1h"], 2, "invalid expression type"),
    ],
)
def test_prometheus_itself_can_be_asked(prometheus_server, expr, words, code, said, capsys):
    assert main(["query", expr, "--server", prometheus_server.url, *words]) == code
    shown = capsys.readouterr()
    assert re.search(said, shown.out + shown.err, re.MULTILINE)
