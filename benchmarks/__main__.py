"""`python -m benchmarks [PART ...] [--quick]`: measures, keeps each result as a file, prints one table.

A part is a module of this folder with `measure(quick=...) -> dict`. A result names machine, versions, command and
workload; `--quick` shortens what can be shortened, and its results are printed but not kept.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from airis_mon.app.ground import keep_kernels
from benchmarks.bars import BARS, PARTS
from benchmarks.usage import spin_ms

RESULTS = Path(__file__).parent / "results"
READMES = tuple(Path(__file__).parents[1] / name for name in ("README.md", "README.ko.md"))
MARK = "<!-- bench -->\n"
LIBRARIES = ("airis-mon", "chdb", "clickhouse-connect", "cramjam", "litestar", "numba", "numpy", "uvicorn", "uvloop")


def main(argv: Sequence[str] | None = None) -> int:
    """Answers 1 when a part failed; a missed bar is a result, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"default: all of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="a few minutes in all; results are not kept")
    parser.add_argument("--results", action="store_true", help="measure nothing: print the table of the kept results")
    parser.add_argument("--readme", action="store_true", help="put the table of the kept results into the READMEs")
    args = parser.parse_args(argv)
    if unknown := [p for p in args.parts if p not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if args.readme:
        for page in READMES:
            page.write_text(with_table(page.read_text(), table(kept())))
        return 0
    if args.results:
        print(table(kept(args.parts)))
        return 0
    keep_kernels(Path(__file__).parent.parent / ".kernels")  # numba alone would not notice every change of the code
    results = {}
    failed = False
    for part in args.parts or PARTS:
        print(f"{part} ...", file=sys.stderr, flush=True)
        began = time.perf_counter()
        try:
            results[part] = run(part, quick=args.quick)
        except FileNotFoundError as error:
            print(f"{part} left out: {error}", file=sys.stderr)
        except (RuntimeError, OSError, AssertionError, ImportError) as error:
            print(f"{part} failed: {error}", file=sys.stderr)
            failed = True
        print(f"{part}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    print(table(results))
    return int(failed)


def run(part: str, *, quick: bool) -> dict[str, Any]:
    """What the part measures; kept as a file unless it was quick."""
    result: dict[str, Any] = import_module(f"benchmarks.{part}").measure(quick=quick)
    gc.collect()
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        file = {"part": part, "command": f"python -m benchmarks {part}", **machine(), "result": result}
        (RESULTS / f"{part}.json").write_text(json.dumps(rounded(file), indent=1) + "\n")
    return result


def kept(parts: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """The results on file, of all parts or some."""
    files = {part: RESULTS / f"{part}.json" for part in parts or PARTS}
    return {part: json.loads(file.read_text())["result"] for part, file in files.items() if file.exists()}


def machine() -> dict[str, Any]:
    """Where and with what a result was made."""
    cpu = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) // 1024 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    git = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty", "--exclude=*"]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip(),
        "machine": {
            "cpu": cpu[0] if cpu else platform.machine(),
            "cores": os.cpu_count(),
            "memory_mib": memory[0] if memory else None,
            "system": f"{platform.system()} {platform.release()}",
            "load_before": os.getloadavg()[0],
            "spin_ms": spin_ms(),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def rounded(value: Any) -> Any:
    """Floats with five significant digits: no more is known."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list | tuple) else value


def table(results: dict[str, dict[str, Any]]) -> str:
    """One line per bar of the parts that ran."""
    lines = [f"{'':44}{'value':>12}{'bar':>10}{'aim':>10}  verdict"]
    for b in BARS:
        if b.part in results and (value := b.value(results[b.part])) is not None:
            shown = f"{short(value)}{b.unit and ' ' + b.unit}"
            row = f"{b.subject:44}{shown:>12}{short(b.bar):>10}{short(b.aim):>10}  {b.verdict(value)}"
            lines.append(row.rstrip())
    return "\n".join(lines)


def with_table(page: str, figures: str) -> str:
    """The page with the block below its mark replaced by the table."""
    before, mark, after = page.partition(MARK)
    if after.startswith("```"):
        after = after.removeprefix("```").partition("```\n")[2]
    return f"{before}{mark}```\n{figures}\n```\n{after}"


def short(value: float | None) -> str:
    """Three digits that a person reads: 1.23 M, 45.6k, 0.789; a dash for nothing."""
    if value is None:
        return "-"
    for limit, unit in ((1e6, " M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e6 if unit == ' M' else 1e3):.3g}{unit}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


if __name__ == "__main__":
    raise SystemExit(main())
