"""Starts real servers on 127.0.0.1 for live tests and benchmarks, each on a free port and with its own folder.

Every starter is a context manager: what it started has ended, and what it wrote is gone, when its block is left.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {
    "redis-server": "redis-server",
    "postgres": "postgresql",
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "victoria-metrics": "victoria-metrics",
    "stress-ng": "stress-ng",
}
"""The Debian package of each program."""
START_S = 30.0
COMPILE_S = 400.0
"""Our own first start compiles kernels; a busy machine of two cores takes minutes for it."""
STOP_S = 20.0


class Missing(Exception):
    """A program is not installed; the message is the line that installs it."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its process, the URL it answers at, and the folder it writes to."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return log_of(self.folder)


def program(name: str) -> str:
    """The path of an installed program. Raises Missing."""
    places = os.environ.get("PATH", "") + ":/usr/sbin"
    newest_postgres = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name, path=places) or (str(newest_postgres[-1]) if newest_postgres else None)
    if found is None:
        raise Missing(f"{name} is not installed: sudo apt-get install -y {PACKAGES.get(name, name)}")
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def log_of(folder: Path) -> str:
    """What the server of a folder has printed."""
    return (folder / "server.log").read_text(errors="replace") if (folder / "server.log").exists() else ""


def answers(url: str) -> bool:
    """Whether a GET of the URL is answered with a 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=2) as r:
            return bool(200 <= r.status < 300)
    except (urllib.error.URLError, OSError):
        return False


def listens(port: int) -> bool:
    """Whether something accepts connections on the port of 127.0.0.1."""
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], folder: Path, start_s: float = START_S
) -> None:
    """Returns when `ready` holds. Raises RuntimeError with the log when the process ends or `start_s` passes first."""
    deadline = time.monotonic() + start_s
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            state = "still starting" if process.poll() is None else f"ended with {process.returncode}"
            raise RuntimeError(f"{process.args!r} {state} after {start_s:.0f} s at most:\n{log_of(folder)[-4000:]}")
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes], first: signal.Signals = signal.SIGTERM) -> int:
    """Ends a process, politely at first; answers its exit code."""
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


@contextmanager
def folder(user: str | None = None) -> Iterator[Path]:
    """A temporary folder, its owner `user`; gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="airis-"))
    try:
        if user is not None:
            shutil.chown(path, user)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def running(
    args: Sequence[str],
    where: Path,
    *,
    url: str = "",
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
    start_s: float = START_S,
) -> Iterator[Server]:
    """A process that is ready when the block begins and has ended when it is left; its output goes to a log."""
    with (where / "server.log").open("ab") as log:
        process = subprocess.Popen(
            args,
            cwd=where,
            env={**os.environ, **(env or {})},
            stdout=log,
            stderr=log,
            user=user,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_until(ready, process, where, start_s)
        yield Server(process, url, where)
    finally:
        end(process, stop)


@contextmanager
def redis() -> Iterator[Server]:
    """A Redis without persistence; `url` is what `redis.from_url` takes."""
    port = free_port()
    args = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with folder() as where, running(args, where, url=f"redis://127.0.0.1:{port}/0", ready=lambda: listens(port)) as it:
        yield it


@contextmanager
def postgres() -> Iterator[Server]:
    """A PostgreSQL with the database `postgres` and no password; `url` is SQLAlchemy's with asyncpg."""
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    port = free_port()
    with folder(user) as where:
        data = where / "data"
        make = [program("initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]
        subprocess.run(make, cwd=where, check=True, capture_output=True, user=user)
        args = [program("postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(where), "-F"]
        ping = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        url = f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"

        def ready() -> bool:
            return subprocess.run(ping, check=False).returncode == 0

        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        with running(args, where, url=url, ready=ready, user=user, stop=signal.SIGINT) as it:
            yield it


@contextmanager
def prometheus(
    config: str = "", *, flags: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A Prometheus that also receives remote writes; `config` is the text of prometheus.yml."""
    port = free_port()
    with folder() as where:
        (where / "prometheus.yml").write_text(config or "global: {}\n")
        args = [program("prometheus"), f"--config.file={where}/prometheus.yml", f"--storage.tsdb.path={where}/data"]
        args += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"]
        args += ["--web.enable-admin-api", "--log.level=warn", *flags]
        url = f"http://127.0.0.1:{port}"
        with running(args, where, url=url, ready=lambda: answers(f"{url}/-/ready"), env=env) as it:
            yield it


@contextmanager
def victoria(*, flags: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A single-node VictoriaMetrics."""
    port = free_port()
    with folder() as where:
        args = [program("victoria-metrics"), f"-storageDataPath={where}/data", f"-httpListenAddr=127.0.0.1:{port}"]
        url = f"http://127.0.0.1:{port}"
        with running([*args, *flags], where, url=url, ready=lambda: answers(f"{url}/health"), env=env) as it:
            yield it


@contextmanager
def node_exporter() -> Iterator[Server]:
    """Prometheus' exporter of this host's metrics."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    args = [program("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with folder() as where, running(args, where, url=url, ready=lambda: answers(f"{url}/metrics")) as it:
        yield it


@contextmanager
def airis_mon(
    data: Path, *flags: str, env: Mapping[str, str] | None = None, port: int | None = None, python: str = sys.executable
) -> Iterator[Server]:
    """`airis-mon serve` on a data folder that outlives it; ready when GET /ready says so."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    args = [
        python,
        "-m",
        "airis_mon",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--data-dir",
        str(data),
        *flags,
    ]
    data.mkdir(parents=True, exist_ok=True)

    def ready() -> bool:
        return answers(f"{url}/ready")

    with folder() as where, running(args, where, url=url, ready=ready, env=env, start_s=COMPILE_S) as it:
        yield it
