"""What the documents say exists, exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from airis_mon.cli.main import COMMANDS
from benchmarks.__main__ import kept, table
from benchmarks.bars import PARTS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README, KOREAN = ROOT / "README.md", ROOT / "README.ko.md"


def by_name(page):
    return str(page.relative_to(ROOT))


def said(page, pattern):
    return set(re.findall(pattern, page.read_text()))


def blocks(page):
    return re.findall(r"```(\w*)\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_somewhere(page):
    links = said(page, r"\]\((?!https?:|#)([^)#]+)")
    assert [x for x in links if not (page.parent / x).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_commands_exist(page):
    assert said(page, r"(?m)(?:`|^ *)airis-mon ([a-z]+)") <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert said(page, r"(?:`|^)make ([a-z]+)") <= targets
    assert said(page, r"make bench ARGS=\"?([a-z0-9_]+)") <= set(PARTS)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_settings_exist(page):
    known = said(ROOT / "docs" / "settings.md", r"\*\*`([a-z_.\[\]]+)`\*\*")
    sections = {k.split(".")[0].rstrip("[]") for k in known}
    named = {n for n in said(page, r"`([a-z_]+\.[a-z_]+)(?: = [^`]*)?`") if n.split(".")[0] in sections}
    assert named - {"airis.toml"} <= {k.replace("[]", "") for k in known}


def test_both_readmes_show_the_same_code_and_figures():
    assert blocks(README) == blocks(KOREAN)


def test_python_in_the_documents_compiles_and_its_imports_exist():
    for page in PAGES:
        for language, code in blocks(page):
            if language == "python":
                tree = ast.parse(code)
                imports = [n for n in tree.body if isinstance(n, ast.ImportFrom | ast.Import)]
                exec(compile(ast.Module(imports, []), by_name(page), "exec"), {})  # noqa: S102 - our own documents


def test_the_figures_are_those_of_the_kept_results():
    assert table(kept()) in README.read_text()
