"""Work in a child process: results, errors, death on either side, idleness, Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from airis_mon.app.workers import Worker
from airis_mon.errors import InputError, MissingExtra, ModelError, Refusal


def total(values: np.ndarray) -> float:
    return float(values.sum())


def whoami() -> tuple[int, int, bool]:
    return os.getpid(), os.nice(0), "chdb" in sys.modules


def die(marker: str, times: int) -> str:
    """Ends the process the first so many times it is called."""
    path = Path(marker)
    before = len(path.read_text()) if path.exists() else 0
    if before < times:
        path.write_text("x" * (before + 1))
        os._exit(9)
    return "alive"


def refuse() -> None:
    raise InputError("$.horizon: is too long", (Refusal("$.horizon", "9", "is too long"),))


def lack() -> None:
    raise MissingExtra("lightgbm", "forecast")


def blunder() -> None:
    raise KeyError("x")


def chatter() -> str:
    os.write(1, b"a library that prints")
    print("and another")
    return "unharmed"


def stay(marker: str) -> None:
    Path(marker).write_text(str(os.getpid()))
    time.sleep(60)


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def gone(pid: int) -> bool:
    for _ in range(500):
        if not is_alive(pid):
            return True
        await asyncio.sleep(0.01)
    return False


def told(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def written(path: Path) -> int:
    for _ in range(1000):
        if pid := told(path):
            return int(pid)
        await asyncio.sleep(0.01)
    raise AssertionError("the child never began")


async def test_arrays_go_in_and_results_come_out_of_another_nicer_process() -> None:
    worker = Worker()
    try:
        assert worker.pid is None
        assert await worker.run(total, np.arange(1_000_000.0)) == 499_999_500_000
        pid, niceness, has_store = await worker.run(whoami)
        assert pid == worker.pid != os.getpid()
        assert niceness >= 10
        assert not has_store
        assert await worker.run(chatter) == "unharmed"
        assert worker.started == 1
    finally:
        await worker.close()
    assert await gone(pid)
    with pytest.raises(ModelError, match="the server stops"):
        await worker.run(whoami)


async def test_errors_of_ours_come_back_whole_others_in_words() -> None:
    worker = Worker()
    try:
        with pytest.raises(InputError, match="too long") as refused:
            await worker.run(refuse)
        assert str(refused.value) == "$.horizon: is too long"
        with pytest.raises(ModelError, match="KeyError: 'x'"):
            await worker.run(blunder)
        with pytest.raises(ModelError, match=r"airis-mon\[forecast\]"):
            await worker.run(lack)
        assert worker.started == 1
    finally:
        await worker.close()


@pytest.mark.slow
async def test_a_child_that_dies_is_made_anew_and_told_once_more_but_not_for_ever(tmp_path: Path) -> None:
    worker = Worker()
    try:
        assert await worker.run(die, str(tmp_path / "once"), 1) == "alive"
        assert worker.started == 2
        with pytest.raises(ModelError, match="ended twice"):
            await worker.run(die, str(tmp_path / "always"), 9)
        assert await worker.run(total, np.ones(2)) == 2
    finally:
        await worker.close()


@pytest.mark.slow
async def test_a_call_that_is_cancelled_ends_its_child_and_the_next_one_works(tmp_path: Path) -> None:
    worker = Worker()
    try:
        call = asyncio.create_task(worker.run(stay, str(tmp_path / "pid")))
        pid = await written(tmp_path / "pid")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await gone(pid)
        assert await worker.run(total, np.ones(3)) == 3
    finally:
        await worker.close()


@pytest.mark.slow
async def test_an_idle_child_ends(tmp_path: Path) -> None:
    worker = Worker(idle_s=0.05)
    try:
        pid, _, _ = await worker.run(whoami)
        assert await gone(pid)
        assert worker.pid is None
        assert (await worker.run(whoami))[0] != pid
    finally:
        await worker.close()


PARENT = """
import asyncio, sys
sys.path.insert(0, sys.argv[2])
from airis_mon.app.workers import Worker
from tests.app.test_workers import stay
asyncio.run(Worker().run(stay, sys.argv[1]))
"""


def begun(marker: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PARENT, str(marker), str(Path(__file__).parents[2])]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_the_child_ends_with_its_parent_and_says_nothing(tmp_path: Path, how: signal.Signals) -> None:
    with begun(tmp_path / "pid") as parent:
        pid = await written(tmp_path / "pid")
        os.killpg(parent.pid, how)  # as Ctrl-C does: all of the terminal's group
        said = parent.communicate()[1]
    assert await gone(pid)
    assert "in serve" not in said  # no traceback of the child
