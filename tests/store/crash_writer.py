"""For the crash test: commits batches as fast as they are acknowledged and prints the number of each that was.

Run: python tests/store/crash_writer.py FOLDER FIRST; batches are numbered from FIRST until the process is killed.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time

import numpy as np

from airis_mon.series.batch import Batch
from airis_mon.series.catalogue import Catalogue
from airis_mon.series.labels import canonical
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.commit import GroupCommit

SERIES, ROWS, START = 40, 500, 1_760_000_400_000


def catalogue() -> Catalogue:
    known = Catalogue()
    for i in range(SERIES):
        known.intern(canonical([("__name__", f"m{i % 3}"), ("i", str(i))]))
    return known


def numbered(n: int) -> Batch:
    """Batch `n`: its rows are its own, so that each can be asked for."""
    row = np.arange(ROWS)
    return Batch((row % SERIES).astype(np.int32), START + n * 1000 + row // SERIES, np.full(ROWS, n + 0.25))


def main() -> None:
    folder, first = sys.argv[1], int(sys.argv[2])
    known = catalogue()
    store = ClickHouse(url=folder, retention_days=10_000)
    store.open()
    commit = GroupCommit(store, known, clock=time.monotonic, interval_s=0.01)
    numbers, lock = itertools.count(first), threading.Lock()

    def send() -> None:
        while True:
            n = next(numbers)
            commit.add(numbered(n)).result()
            with lock:
                print(n, flush=True)

    for _ in range(3):
        threading.Thread(target=send).start()


if __name__ == "__main__":
    main()
