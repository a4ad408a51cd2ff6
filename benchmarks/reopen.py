"""`python -m benchmarks.reopen WHAT DATA [...]`: looks into a data folder from a fresh process, without AIRIS-MON.

parts: rows and bytes on disk per table, active parts only (what merges have replaced is still there for minutes).
samples START END FILE: every stored sample of that time (ms) into an .npz. anomalies: stored rows and distinct ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

STORE = "store"
DATABASE = "airis"


def ask(what: str, data: Path, *args: str | int, timeout_s: float = 240) -> Any:
    """Runs this module in a process of its own; answers what it printed."""
    command = [sys.executable, "-m", "benchmarks.reopen", what, str(data), *map(str, args)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    if said.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{said.stderr[-3000:]}")
    return json.loads(said.stdout.splitlines()[-1])


def _client(data: Path) -> Any:
    import clickhouse_connect

    return clickhouse_connect.get_client(interface="chdb", path=str((data / STORE).resolve()), database=DATABASE)


def _parts(client: Any) -> dict[str, dict[str, int]]:
    rows = client.query(
        "SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts"
        " WHERE active AND database = {d:String} GROUP BY table ORDER BY table",
        parameters={"d": DATABASE},
    ).result_rows
    return {table: {"rows": rows, "bytes": size, "parts": parts} for table, rows, size, parts in rows}


def _samples(client: Any, start: int, end: int, file: str) -> int:
    raw = client.raw_query(
        "SELECT fp, toUnixTimestamp64Milli(ts), reinterpretAsUInt64(value) FROM samples WHERE ts BETWEEN"
        " fromUnixTimestamp64Milli({s:Int64}, 'UTC') AND fromUnixTimestamp64Milli({e:Int64}, 'UTC')",
        parameters={"s": start, "e": end},
        fmt="RowBinary",
    )
    rows = np.frombuffer(raw, [("fp", "<u8"), ("t", "<i8"), ("bits", "<u8")])
    np.savez(file, fp=rows["fp"], t=rows["t"], bits=rows["bits"])
    return len(rows)


def _anomalies(client: Any) -> dict[str, int]:
    stored, distinct = client.query("SELECT count(), uniqExact(fp, signal, ts) FROM anomalies").result_rows[0]
    return {"stored": stored, "distinct": distinct}


def main() -> None:
    """Prints one line of JSON."""
    what, data, *args = sys.argv[1:]
    client = _client(Path(data))
    if what == "parts":
        found: Any = _parts(client)
    elif what == "samples":
        found = _samples(client, int(args[0]), int(args[1]), args[2])
    else:
        found = _anomalies(client)
    client.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
