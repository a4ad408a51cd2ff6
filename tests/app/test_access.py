from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from airis_mon.app.access import Access
from airis_mon.config.settings import load
from airis_mon.errors import AirisError


def access(tmp_path: Path, **settings: str) -> Access:
    given = {"data_dir": str(tmp_path)} | {k.replace("__", "."): v for k, v in settings.items()}
    return Access(load(Path("/dev/null"), {}, given).settings, lambda: 1_000)


async def test_callers_that_come_together_share_the_keys_and_one_saving_task(tmp_path: Path) -> None:
    shared = access(tmp_path)
    keys = await asyncio.gather(*(shared.keys() for _ in range(5)))
    assert len(set(map(id, keys))) == 1
    assert [t.get_name() for t in asyncio.all_tasks()].count("key usage") == 1
    await shared.close()


async def test_records_that_could_not_be_brought_up_to_date_are_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    wrong = access(tmp_path, records__url=f"sqlite:///{tmp_path / 'file' / 'records.db'}")
    for _ in range(2):
        with pytest.raises((AirisError, OSError)):
            await wrong.records()
    (tmp_path / "file").unlink()
    await wrong.records()
    await wrong.close()
