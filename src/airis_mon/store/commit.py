"""Group commit: samples of many requests become one insert, and a request is acknowledged after the one that holds it.

There is no second log: what an insert has taken survives the end of the process, the rest was never acknowledged.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

import structlog

from airis_mon.errors import StoreBusy, StoreError
from airis_mon.series.batch import Batch, join
from airis_mon.series.catalogue import Catalogue
from airis_mon.store.base import SeriesRow, SeriesStore
from airis_mon.store.seen import Seen

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Request:
    batch: Batch
    future: Future[None]


class GroupCommit:
    """One writer thread that commits what has gathered; the thread starts with the first batch.

    A commit starts at once when the last one began at least `interval_s` ago, otherwise then or when `rows` rows have
    gathered. At most `queue_rows` rows of `queue_bytes` bytes wait. clock: seconds, never going back. on_commit is
    called in the writer thread, in the order of the commits, after the requests were acknowledged.
    """

    def __init__(
        self,
        store: SeriesStore,
        catalogue: Catalogue,
        *,
        clock: Callable[[], float],
        on_commit: Callable[[Batch], None] | None = None,
        interval_s: float = 0.1,
        rows: int = 80_000,
        queue_rows: int = 2_000_000,
        queue_bytes: int = 100_000_000,
    ) -> None:
        self.interval_s, self.rows, self.queue_rows, self.queue_bytes = interval_s, rows, queue_rows, queue_bytes
        self.on_commit = on_commit
        self.commits = 0
        self.committed_rows = 0
        self.retries = 0
        self.failures = 0
        self.failures_in_a_row = 0
        self.last_duration_s = 0.0
        self.waiting_rows = 0
        self.waiting_bytes = 0
        self._store, self._catalogue, self._clock = store, catalogue, clock
        self._seen = Seen(catalogue)
        self._queue: deque[_Request] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._began = -float("inf")
        self._run_id = uuid.uuid4().hex
        self._sequence = 0

    @property
    def is_alive(self) -> bool:
        """Whether batches are taken: the writer has not died and was not closed."""
        return not self._is_closing and (self._thread is None or self._thread.is_alive())

    @property
    def is_failing(self) -> bool:
        """Whether two commits in a row have failed."""
        return self.failures_in_a_row >= 2

    def remember(self, rows: Iterable[SeriesRow]) -> None:
        """Series that the store already holds, so that they need not be written again; before the first `add`."""
        self._seen.remember(rows)

    def add(self, batch: Batch) -> Future[None]:
        """Queues a batch; the future ends when it is committed, or fails with StoreBusy or StoreError.

        Raises StoreBusy when the queue is full or the commit is closed. Any thread may call.
        """
        size = batch.sid.nbytes + batch.t.nbytes + batch.value.nbytes
        with self._wake:
            self._check(len(batch), size)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
                self._thread.start()
            request = _Request(batch, Future())
            self._queue.append(request)
            self.waiting_rows += len(batch)
            self.waiting_bytes += size
            self._wake.notify()
        return request.future

    def _check(self, rows: int, size: int) -> None:
        if self._is_closing:
            raise StoreBusy("the store is closing; send again after the restart", 5.0)
        if not self._queue:
            return  # one batch always fits: else one larger than the queue would never be taken
        if self.waiting_rows + rows > self.queue_rows or self.waiting_bytes + size > self.queue_bytes:
            wait_s = max(1.0, self.last_duration_s)
            raise StoreBusy(f"{self.waiting_rows} samples wait for the store already; send again later", wait_s)

    def close(self) -> None:
        """Takes nothing more, commits what waits, and returns when that is done."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while requests := self._take():
            self._began = self._clock()
            batch = join([r.batch for r in requests])
            failure = self._commit(batch)
            self.last_duration_s = self._clock() - self._began
            for request in requests:
                if failure is None:
                    request.future.set_result(None)
                else:
                    request.future.set_exception(failure)
            if failure is None:
                self._tell(batch)

    def _take(self) -> list[_Request]:
        """Waits until a commit is due; [] when closed and empty. Requests that were given up meanwhile fall out."""
        while True:
            with self._wake:
                while not self._is_due():
                    wait_s = self._began + self.interval_s - self._clock() if self._queue else None
                    self._wake.wait(wait_s)
                if not self._queue:
                    return []
                requests = list(self._queue)
                self._queue.clear()
                self.waiting_rows = self.waiting_bytes = 0
            if wanted := [r for r in requests if r.future.set_running_or_notify_cancel()]:
                return wanted

    def _is_due(self) -> bool:
        if self._is_closing:
            return True
        is_time = self._clock() - self._began >= self.interval_s
        return bool(self._queue) and (is_time or self.waiting_rows >= self.rows)

    def _commit(self, batch: Batch) -> StoreError | None:
        self._sequence += 1
        token = f"{self._run_id}-{self._sequence}"
        try:
            try:
                self._write(batch, token)
            except StoreError as error:
                log.warning("commit.retried", rows=len(batch), error=str(error))
                self.retries += 1
                self._write(batch, token)
        except Exception as error:  # the writer outlives whatever one commit runs into
            self.failures += 1
            self.failures_in_a_row += 1
            log.exception("commit.failed", rows=len(batch))
            return error if isinstance(error, StoreError) else StoreError(f"commit failed: {error!r}; see the log")
        self.commits += 1
        self.committed_rows += len(batch)
        self.failures_in_a_row = 0
        return None

    def _write(self, batch: Batch, token: str) -> None:
        """Series first: a crash in between leaves a series without samples, never samples without a series."""
        if rows := self._seen.due(batch):
            try:
                self._store.write_series(rows)
            except BaseException:
                self._seen.forget(rows)
                raise
        self._store.write(self._catalogue, batch, token)

    def _tell(self, batch: Batch) -> None:
        if self.on_commit is None:
            return
        try:
            self.on_commit(batch)
        except Exception:  # what listens must not stop the writing
            log.exception("commit.listener.failed")
