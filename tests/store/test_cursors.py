from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airis_mon.store.cursors import Cursors


def test_a_cursor_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "cursors.json"
    Cursors(path).keep("orders", "2026-01-01T00:00:00Z")
    assert Cursors(path).get("orders") == "2026-01-01T00:00:00Z"
    assert Cursors(path).get("other") == ""


def test_a_cursor_that_did_not_move_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "cursors.json"
    cursors = Cursors(path)
    cursors.keep("orders", "1")
    path.unlink()
    cursors.keep("orders", "1")
    assert not path.exists()


def test_a_broken_file_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "cursors.json"
    path.write_text("{broken")
    assert Cursors(path).get("orders") == ""


def test_a_cursor_that_could_not_be_written_is_written_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "away" / "cursors.json"
    cursors = Cursors(path)
    with pytest.raises(FileNotFoundError):
        cursors.keep("orders", "1")
    path.parent.mkdir()
    cursors.keep("orders", "1")
    assert Cursors(path).get("orders") == "1"


def test_cursors_kept_by_many_threads_are_all_there(tmp_path: Path) -> None:
    cursors = Cursors(tmp_path / "cursors.json")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: cursors.keep(f"source {i}", str(i)), range(40)))
    assert [Cursors(tmp_path / "cursors.json").get(f"source {i}") for i in range(40)] == [str(i) for i in range(40)]
