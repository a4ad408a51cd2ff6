from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import airis_mon
from airis_mon.app.ground import WITH_KERNELS, prepare
from airis_mon.errors import ConfigError

SHOW = "import os; from airis_mon.app.ground import *; from pathlib import Path; "


def shown(code: str, **env: str) -> str:
    environ = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | env
    return subprocess.run(
        [sys.executable, "-c", SHOW + code], env=environ, text=True, capture_output=True, check=True
    ).stdout


def test_kernels_are_cached_under_the_data_directory_apart_for_each_state_of_the_code(tmp_path: Path) -> None:
    code = f"prepare(Path({str(tmp_path)!r})); prepare(Path('elsewhere')) ; print(os.environ['NUMBA_CACHE_DIR'])"
    folder = Path(shown(code.replace("elsewhere", str(tmp_path / "b"))).strip())
    assert folder.parent == tmp_path / "kernels"
    assert len(folder.name) == 16


def test_a_cache_directory_that_was_set_is_kept_to(tmp_path: Path) -> None:
    code = f"prepare(Path({str(tmp_path / 'data')!r})); print(os.environ['NUMBA_CACHE_DIR'])"
    assert Path(shown(code, NUMBA_CACHE_DIR=str(tmp_path / "mine")).strip()).parent == tmp_path / "mine"


def test_kernels_are_complete_once_noted_and_those_of_other_code_are_dropped(tmp_path: Path) -> None:
    old = tmp_path / "kernels" / "other"
    old.mkdir(parents=True)
    (old / "complete").touch()
    code = (
        f"prepare(Path({str(tmp_path)!r})); k = KernelCache(); print(k.is_complete); k.complete(); print(k.is_complete)"
    )
    assert shown(code).split() == ["False", "True"]
    assert not old.exists()


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/data.*cannot be written"):
        prepare(tmp_path / "file" / "data")


def test_every_package_with_a_kernel_counts_as_code_of_the_cache() -> None:
    home = Path(airis_mon.__file__).parent
    users = {
        f.relative_to(home).parts[0] for f in home.rglob("*.py") if "airis_mon.series.kernel import" in f.read_text()
    }
    assert users <= set(WITH_KERNELS)


def test_a_cache_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = f"[prepare(Path({str(tmp_path)!r})) for _ in range(3)]"
    said = shown(code, NUMBA_CACHE_DIR=str(tmp_path / "file" / "kernels"))
    assert said.count("kernels.not_cached") == 1
    assert "compiles anew" in said
    assert shown(code) == ""
