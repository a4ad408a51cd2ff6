"""Rules of the house that import-linter cannot say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "airis_mon"
PURE = [
    p for p in ("series", "events", "forecast", "detect", "analyze", "correlate", "simulate") if (SOURCE / p).is_dir()
]
IMPURE_CALLS = re.compile(
    r"""(datetime|dt)\.(datetime\.)?(now|utcnow|today)\Z  # the clock is given
      | (date|datetime)\.today\Z
      | open\Z | print\Z | input\Z                        # no file, no terminal
      | (np|numpy)\.(load|save|savez|savetxt|loadtxt|fromfile)\Z
      | (np|numpy)\.random\.(?!Generator)                 # a generator is given
    """,
    re.VERBOSE,
)
VAGUE = {"utils", "util", "common", "core", "helpers", "helper", "manager", "service", "misc"}


def calls(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    return [f"{ast.unparse(n.func)} in line {n.lineno}" for n in ast.walk(tree) if isinstance(n, ast.Call)]


@pytest.mark.parametrize("package", PURE)
def test_a_pure_package_takes_its_clock_files_and_chance_as_arguments(package):
    found = [
        f"{p.name}: {c}" for p in (SOURCE / package).rglob("*.py") for c in calls(p) if IMPURE_CALLS.match(c.split()[0])
    ]
    assert found == []


@pytest.mark.parametrize(
    "call", ["datetime.now", "dt.datetime.utcnow", "date.today", "open", "np.random.rand", "np.load"]
)
def test_the_rule_sees_each_kind_of_impure_call(call):
    assert IMPURE_CALLS.match(call)


def test_the_environment_is_read_where_settings_are_read_only():
    readers = {
        p.relative_to(SOURCE).parts[0]
        for p in SOURCE.rglob("*.py")
        if re.search(r"\bos\.(environ|getenv|putenv)\b", p.read_text())
    }
    assert readers <= {"app", "cli", "config", "manager.py"}


def test_no_folder_has_a_name_that_hides_what_is_inside():
    assert [p for p in SOURCE.rglob("*") if p.is_dir() and p.name in VAGUE] == []


def test_no_room_is_empty():
    assert [p.parent.name for p in SOURCE.rglob("__init__.py") if not list(p.parent.glob("[!_]*"))] == []
