"""Heavy work in a process of its own: the engine's loop, ingest and queries keep their processor and memory.

The child is a fresh interpreter, never a fork: a fork of a process that has the embedded store open hangs. It is told
what to do over its standard input and ends when that ends, so also when its parent was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import queue
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import structlog

from airis_mon.errors import AirisError, ModelError

log = structlog.get_logger()
R = TypeVar("R")

IDLE_S = 180.0
"""A child that had nothing to do for so long ends, and its memory returns."""
NICENESS = 10
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_SIZE = struct.Struct("<Q")


class Worker:
    """One child process, made when it is first needed; one call at a time, others wait for their turn.

    A child that dies under a call is made anew and told once more, so calls must be repeatable. idle_s: how long a
    child without work stays.
    """

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self.started = 0  # children so far
        self._idle_s = idle_s
        self._turn = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Of the child, while there is one."""
        return None if self._child is None else self._child.pid

    async def run(self, function: Callable[..., R], *args: Any) -> R:
        """What a module-level function gives in the child; when this is cancelled, the child is killed.

        Raises what the function raises (of errors that are not ours a ModelError with their text), ModelError when
        the child ends twice under it.
        """
        asked = pickle.dumps((function, args), protocol=5)
        async with self._turn:
            self._stay()
            try:
                answer = await self._told_twice(asked)
            except BaseException:
                await self._end()
                raise
            self._idle = asyncio.get_running_loop().call_later(self._idle_s, self._give_up)
        is_result, found = pickle.loads(answer)  # noqa: S301  our own child wrote it
        if is_result:
            return found  # type: ignore[no-any-return]
        raise found

    async def close(self) -> None:
        """Ends the child, at once; nothing is taken any more."""
        self._is_closed = True
        self._stay()
        await self._end()

    async def _told_twice(self, asked: bytes) -> bytes:
        for attempt in (1, 2):
            child = await self._living()
            try:
                return await _told(child, asked)
            except (asyncio.IncompleteReadError, ConnectionError, BrokenPipeError):
                code = await child.wait()
                await self._end()
                log.warning("worker.ended", code=code, attempt=attempt)
        raise ModelError(f"the process for heavy work ended twice (code {code}); is there memory enough?")

    async def _living(self) -> asyncio.subprocess.Process:
        if self._is_closed:
            raise ModelError("the server stops; ask again when it is back")
        if self._child is not None and self._child.returncode is None:
            return self._child
        self.started += 1
        # A session of its own: Ctrl-C on the terminal is meant for the parent, which ends the child in its own way.
        self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "airis_mon.app.workers"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=_environment(),
        )
        return self._child

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _give_up(self) -> None:
        self._idle = None
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.close()  # by which it ends itself
            self._child = None

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await asyncio.shield(child.wait())


async def _told(child: asyncio.subprocess.Process, asked: bytes) -> bytes:
    if child.stdin is None or child.stdout is None:
        raise ValueError("a child without pipes")
    child.stdin.write(_SIZE.pack(len(asked)))
    child.stdin.write(asked)
    await child.stdin.drain()
    (size,) = _SIZE.unpack(await child.stdout.readexactly(_SIZE.size))
    return await child.stdout.readexactly(size)


def _environment() -> dict[str, str]:
    """Ours, with our module path: the child must find what the parent finds, wherever it was started from."""
    path = os.pathsep.join(p for p in sys.path if p)
    return {**os.environ, "PYTHONPATH": path, **dict.fromkeys(_ONE_THREAD, "1")}


# -- in the child ---------------------------------------------------------------------------------------------------


def serve() -> None:
    """Does what comes in over standard input until that ends; what libraries print goes to standard error."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.nice(NICENESS)
    todo: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, todo), daemon=True).start()
    while True:
        answer = answered(todo.get())
        sink.write(_SIZE.pack(len(answer)) + answer)
        sink.flush()


def answered(asked: bytes) -> bytes:
    """(True, result) or (False, error) of a call, pickled."""
    try:
        function, args = pickle.loads(asked)  # noqa: S301  our own parent wrote it
        return pickle.dumps((True, function(*args)), protocol=5)
    except Exception as error:  # noqa: BLE001  boundary: of the process; the parent raises it
        return _failed(error)


def _failed(error: Exception) -> bytes:
    said = pickle.dumps((False, ModelError(f"{type(error).__name__}: {error}")))
    if not isinstance(error, AirisError):
        return said
    try:
        found = pickle.dumps((False, error))
        pickle.loads(found)  # noqa: S301  some errors cannot be made from their message alone
    except Exception:  # noqa: BLE001  boundary: whatever a constructor demands
        return said
    return found


def _listen(source: BinaryIO, todo: queue.SimpleQueue[bytes]) -> None:
    while len(head := source.read(_SIZE.size)) == _SIZE.size:
        todo.put(source.read(_SIZE.unpack(head)[0]))
    os._exit(0)  # the parent has gone or given us up: nobody waits for what is under way


if __name__ == "__main__":
    serve()
