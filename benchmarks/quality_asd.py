"""ASD (application servers, 19 metrics each, 5 min): as `quality_smd`, with the same constants and the same line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.scoring.judging import folder
from benchmarks.scoring.machines import load
from benchmarks.scoring.machines import measure as measure_machines


def measure(data: Path | None = None, *, quick: bool = False) -> dict[str, Any]:
    """Six servers; quick only draws fewer samples for the interval."""
    return measure_machines(load(folder("asd", data), "omi-*.parquet", "server", True), 300_000, 100 if quick else 1000)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
