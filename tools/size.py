"""`python -m tools.size`: lines of code per package beside its budget, and whatever is longer than a reader likes.

A line of code is one that holds a token other than a comment or a docstring. Budgets are a guide and only shown; two
things fail: a function of more than 60 lines that no comment `# long: <why>` excuses, and a file of more than 600.
"""

from __future__ import annotations

import ast
import io
import statistics
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "airis_mon"
BUDGETS = {
    "errors plugins": 140,
    "series": 500,
    "events": 400,
    "forecast": 900,
    "detect": 1600,
    "correlate simulate analyze": 2400,
    "resilience": 400,
    "security": 350,
    "store": 1500,
    "knowledge llm query": 2600,
    "ingest": 900,
    "explain": 500,
    "act": 700,
    "mlops": 1200,
    "config": 400,
    "checks": 400,
    "app": 600,
    "api": 1000,
    "ui": 300,
    "cli": 400,
    "yardstick": 1500,
}
LONG_FUNCTION, LONG_FILE = 60, 600
EXCUSE = "# long:"
_SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


@dataclass(frozen=True, slots=True)
class Function:
    """A function: where it stands, its lines from `def` to its end, and whether a comment excuses its length."""

    place: str
    lines: int
    is_excused: bool


def code_lines(text: str) -> int:
    """Lines that hold code: no blanks, comments or docstrings."""
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _SILENT and token.type != tokenize.ENDMARKER:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - docstring_lines(ast.parse(text)))


def docstring_lines(tree: ast.Module) -> set[int]:
    """Line numbers of all docstrings, and of strings that stand alone below a name they explain."""
    alone = (n.value for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
    return {i for n in alone if isinstance(n.value, str) for i in range(n.lineno, (n.end_lineno or n.lineno) + 1)}


def functions(path: Path, text: str) -> Iterator[Function]:
    """Every function of a file."""
    lines = text.splitlines()
    for n in ast.walk(ast.parse(text)):
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef):
            end = n.end_lineno or n.lineno
            body = lines[max(0, n.lineno - 2) : end]
            place = f"{path.relative_to(ROOT)}:{n.lineno} {n.name}"
            yield Function(place, end - n.lineno + 1, any(EXCUSE in line for line in body))


def package_of(path: Path) -> str:
    """The budget's row that a file belongs to, `other` for files without one."""
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return next((row for row in BUDGETS if first in row.split()), "other")


def on_main(path: Path) -> int:
    """Lines of code that the file has on main, 0 when it isn't there."""
    name = path.relative_to(ROOT).as_posix()
    git = ["git", "-C", str(ROOT), "show", f"main:{name}"]
    shown = subprocess.run(git, capture_output=True, text=True, check=False)
    return code_lines(shown.stdout) if shown.returncode == 0 else 0


def table(now: dict[Path, int]) -> list[str]:
    """The table's lines: package, lines, budget, change against main."""
    rows = []
    for row in [*BUDGETS, "other"]:
        mine = [p for p in now if package_of(p) == row]
        if mine:
            lines, before = sum(now[p] for p in mine), sum(on_main(p) for p in mine)
            budget = BUDGETS.get(row)
            share = f"{lines / budget:7.0%}" if budget else " " * 7
            rows.append(f"{row:28}{len(mine):6}{lines:8}{budget or '':>8}{share}{lines - before:+8}")
    total = sum(now.values())
    head = f"{'package':28}{'files':>6}{'lines':>8}{'budget':>8}{'used':>7}{'change':>8}"
    return [head, *rows, f"{'all':28}{len(now):6}{total:8}"]


def main() -> int:
    """Prints the table; answers 1 when a function or file is too long."""
    texts = {p: p.read_text() for p in sorted(SOURCE.rglob("*.py"))}
    print("\n".join(table({p: code_lines(t) for p, t in texts.items()})))
    every = [f for p, t in texts.items() for f in functions(p, t)]
    sizes = sorted(f.lines for f in every)
    ninth = sizes[len(sizes) * 9 // 10]
    print(f"functions: {len(sizes)}, median {statistics.median(sizes):.0f} lines, nine in ten within {ninth}")
    faults = [f"{f.place}: {f.lines} lines" for f in every if f.lines > LONG_FUNCTION and not f.is_excused]
    faults += [
        f"{p.relative_to(ROOT)}: {len(t.splitlines())} lines"
        for p, t in texts.items()
        if len(t.splitlines()) > LONG_FILE
    ]
    for fault in faults:
        print("too long:", fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
