from __future__ import annotations

import subprocess
import sys
from urllib.request import urlopen

import pytest

from tools import servers


def test_a_missing_program_names_the_line_that_installs_it():
    with pytest.raises(servers.Missing, match="apt-get install -y no-such-program"):
        servers.program("no-such-program")


def test_a_process_that_ends_before_it_is_ready_is_an_error_with_its_last_words(tmp_path):
    args = [sys.executable, "-c", "print('no luck'); raise SystemExit(3)"]
    with pytest.raises(RuntimeError, match=r"(?s)ended with 3.*no luck"), servers.running(args, tmp_path, ready=bool):
        pass


def test_what_was_started_has_ended_when_its_block_is_left(tmp_path):
    args = [sys.executable, "-c", "import sys; sys.stdin.read(); import signal; signal.pause()"]
    with servers.running(args, tmp_path, ready=lambda: True) as it:
        assert it.process.poll() is None
    assert it.process.poll() is not None


@pytest.mark.live
def test_redis_answers(redis_server):
    import redis

    with redis.from_url(redis_server.url) as client:
        assert client.ping()


@pytest.mark.live
@pytest.mark.slow
def test_postgres_answers(postgres_server):
    port = postgres_server.url.split(":")[-1].split("/")[0]
    psql = [servers.program("psql"), "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-tAc", "select 1"]
    assert subprocess.run(psql, check=True, capture_output=True, text=True).stdout.strip() == "1"


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("fixture, path", [("prometheus_server", "/-/ready"), ("victoria_server", "/health")])
def test_a_metrics_server_answers(request, fixture, path):
    it = request.getfixturevalue(fixture)
    with urlopen(it.url + path, timeout=5) as r:
        assert r.status == 200


@pytest.mark.live
def test_node_exporter_answers(node_exporter):
    with urlopen(node_exporter.url + "/metrics", timeout=5) as r:
        assert b"node_cpu_seconds_total" in r.read()
