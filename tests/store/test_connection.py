"""Addresses, and what a user hears when the engine is away or refuses."""

from __future__ import annotations

import fcntl
import re
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from airis_mon.errors import AirisError, ConfigError, InputError, QueryTimeout, StoreBusy, StoreError
from airis_mon.store.backends.clickhouse import ClickHouse
from airis_mon.store.connection import LOCK_FILE, Address, ClientPool, DirectoryLock, parse_address, translate
from airis_mon.store.patience import ENDLESS, Patience, TooMuch

SERVER = Address(host="db", port=8123, user="u", password="hunter2")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("/var/lib/airis", Address(path=Path("/var/lib/airis"))),
        ("chdb:///var/lib/airis/", Address(path=Path("/var/lib/airis"))),
        ("http://db", Address(host="db")),
        ("https://db/main", Address(host="db", port=8443, is_tls=True, database="main")),
        ("http://u:p%40ss%2F@db:9000/x", Address(host="db", port=9000, user="u", password="p@ss/", database="x")),
    ],
)
def test_an_address_is_read_from_a_url(url: str, address: Address) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize("url", ["ftp://u:hunter2@db", "http://", "postgresql://u:hunter2@db/x"])
def test_another_scheme_is_refused_without_repeating_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match="use chdb:///path or http") as caught:
        parse_address(url)
    assert "hunter2" not in str(caught.value)


def test_a_password_is_in_no_repr() -> None:
    assert "hunter2" not in repr(SERVER)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            OperationalError("Error [Errno 111] Connection refused (hunter2)"),
            StoreBusy,
            "does not answer: Connection refused",
        ),
        (DatabaseError("hunter2", code=252), StoreBusy, "has too many unmerged parts: ***"),
        (DatabaseError("x", code=243), StoreBusy, "has no disk space left"),
        (DatabaseError("x", code=516), StoreError, "refuses user or password; correct store.url"),
        (DatabaseError("x", code=81), StoreError, "does not know the database; create it or correct store.url"),
        (DatabaseError("cannot compile re2: a(, error: missing ): a(. Look", code=427), InputError, "error: missing"),
        (DatabaseError("syntax", code=62), StoreError, "the store at http://db:8123 refused: syntax"),
    ],
)
def test_errors_of_the_engine_say_what_to_do(error: DatabaseError, kind: type[AirisError], words: str) -> None:
    said = translate(error, SERVER)
    assert type(said) is kind
    assert words in str(said)
    assert "hunter2" not in str(said)


@pytest.mark.live
@pytest.mark.slow
def test_a_server_that_is_down_is_busy_and_a_wrong_password_is_refused(front: str) -> None:
    with pytest.raises(StoreBusy, match=r"http://127.0.0.1:1 does not answer") as down:
        ClickHouse(url="http://default:hunter2@127.0.0.1:1").open()
    with pytest.raises(StoreError, match=r"refuses user or password; correct store.url") as wrong:
        ClickHouse(url=f"http://default:hunter2@{front}").open()
    for caught in (down, wrong):
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.live
@pytest.mark.slow
def test_a_store_that_could_not_be_opened_can_be_opened_later(embedded_folder: Path) -> None:
    store = ClickHouse(url=str(embedded_folder), database="later")
    newer = ClickHouse(url=str(embedded_folder), database="later")
    newer.open()
    newer._execute("INSERT INTO migrations (version, name) SELECT 99, 'x'", {})
    with pytest.raises(StoreError, match="schema 99"):
        store.open()
    newer._execute("ALTER TABLE migrations DELETE WHERE version = 99 SETTINGS mutations_sync = 2", {})
    newer.close()
    store.open()
    store.ping()
    store.close()


def is_free(path: Path) -> bool:
    with (path / LOCK_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def test_a_store_that_was_opened_twice_lets_its_directory_go_at_once(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    lock.acquire()
    assert not is_free(tmp_path)
    lock.release()
    assert is_free(tmp_path)
    lock.release()


def test_stores_of_one_process_share_a_directory_until_the_last_one_lets_it_go(tmp_path: Path) -> None:
    one, other = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    one.acquire()
    other.acquire()
    one.release()
    one.release()
    assert not is_free(tmp_path)
    other.release()
    assert is_free(tmp_path)


class Refusing(ClientPool):
    """Its clients fail with a code of ClickHouse."""

    def __init__(self, code: int) -> None:
        super().__init__(SERVER, "airis", {}, 1, 1)
        self.code, self.asked = code, ""

    def connect(self, database: str | None) -> Any:
        return self

    def raw_query(self, sql: str, parameters: Any, fmt: str) -> bytes:
        self.asked = sql
        raise DatabaseError("x", code=self.code)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("code", "kind"), [(159, QueryTimeout), (241, TooMuch), (252, StoreBusy)])
def test_a_query_with_an_end_of_its_own_is_over_when_the_engine_ends_it(code: int, kind: type[AirisError]) -> None:
    pool = Refusing(code)
    with pytest.raises(kind):
        pool.columns("SELECT 1", {}, Patience.of(1.0, lambda: None), ["a = 1"])
    assert re.fullmatch(r"SELECT 1 SETTINGS a = 1, max_execution_time = (1\.00|0\.)\d+", pool.asked)
    with pytest.raises(StoreBusy):
        pool.columns("SELECT 1", {}, ENDLESS)
    assert pool.asked == "SELECT 1"
