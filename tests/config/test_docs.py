from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from airis_mon.config.docs import render
from airis_mon.config.sections import Section
from airis_mon.config.settings import entry_of, schema

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def paths() -> list[str]:
    found: list[str] = []

    def add(section: type[Section], prefix: str) -> None:
        for path, setting in schema(section).items():
            found.append(prefix + path)
            if entry := entry_of(setting.type):
                add(entry, f"{prefix}{path}[].")

    from airis_mon.config.settings import Settings

    add(Settings, "")
    return found


def test_every_setting_has_its_paragraph():
    page = PAGE.read_text()
    assert [p for p in paths() if f"**`{p}`**" not in page] == []


def test_every_setting_has_a_sentence():
    assert [s.path for s in schema().values() if not s.doc.endswith(".")] == []


def test_the_page_is_what_the_tree_writes():
    assert PAGE.read_text() == render(), "run: python -m airis_mon.config.docs > docs/settings.md"


def test_loading_settings_brings_no_heavy_library():
    code = (
        "import sys; from airis_mon.config.settings import load; load(None, {}, {});"
        "print([m for m in ('numpy', 'sqlalchemy', 'litestar', 'structlog', 'redis', 'asyncio') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
