from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from airis_mon.cli.serve import address


def serve(tmp_path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    args = [sys.executable, "-m", "airis_mon", "serve", "--data-dir", str(tmp_path / "data"), *flags]
    return subprocess.run(args, check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path)


@pytest.mark.slow
def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = serve(tmp_path, "--port", str(port))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"airis-mon: cannot listen on 127.0.0.1:{port} (Address already in use)")
    assert "--port" in ended.stderr


@pytest.mark.slow
def test_an_address_that_others_reach_demands_a_key(tmp_path: Path) -> None:
    ended = serve(tmp_path, "--host", "0.0.0.0", "--port", "0")
    assert ended.returncode == 2
    assert "airis-mon keys create" in ended.stderr


def test_addresses_are_written_so_that_they_can_be_opened() -> None:
    assert address("127.0.0.1", 8765) == "http://127.0.0.1:8765"
    assert address("::1", 8765) == "http://[::1]:8765"


@pytest.mark.slow
def test_an_address_of_a_prometheus_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    ended = serve(tmp_path, "--port", "0", "--prometheus", "prometheus:9090")
    assert ended.returncode == 2
    assert "ingest.prometheus" in ended.stderr
    assert "http:// or https://" in ended.stderr
