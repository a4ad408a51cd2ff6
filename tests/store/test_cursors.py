from pathlib import Path

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
