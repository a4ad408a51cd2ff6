"""Connections to ClickHouse, embedded or a server, and its errors in our words.

A client serves one call at a time and chDB allows one data directory per process, so calls borrow a client from a pool.
"""

from __future__ import annotations

import fcntl
import math
import os
import queue
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from clickhouse_connect import get_client
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, Error, OperationalError

from airis_mon.errors import AirisError, ConfigError, InputError, MissingExtra, QueryTimeout, StoreBusy, StoreError
from airis_mon.store.native import Array, read
from airis_mon.store.patience import ENDLESS, TIMED_OUT, Patience, TooMuch

LOCK_FILE = "airis-mon.lock"
_TIMEOUT, _MEMORY = 159, 241
# ClickHouse's error codes (src/Common/ErrorCodes.cpp): those after which the same call may succeed later,
_BUSY = {
    _TIMEOUT: "took too long",  # TIMEOUT_EXCEEDED
    202: "serves too many queries",  # TOO_MANY_SIMULTANEOUS_QUERIES
    209: "did not answer in time",  # SOCKET_TIMEOUT
    210: "cannot be reached",  # NETWORK_ERROR
    _MEMORY: "has no memory left for this (store.memory_bytes)",  # MEMORY_LIMIT_EXCEEDED
    242: "is read-only for now",  # TABLE_IS_READ_ONLY
    243: "has no disk space left",  # NOT_ENOUGH_SPACE
    252: "has too many unmerged parts",  # TOO_MANY_PARTS
    279: "cannot be reached",  # ALL_CONNECTION_TRIES_FAILED
    319: "does not know whether it wrote",  # UNKNOWN_STATUS_OF_INSERT
    999: "has lost its Keeper",  # KEEPER_EXCEPTION
}
# and those that somebody must mend.
_REFUSED = {
    81: "does not know the database; create it or correct store.url",  # UNKNOWN_DATABASE
    192: "does not know the user; correct store.url",  # UNKNOWN_USER
    193: "refuses the password; correct store.url",  # WRONG_PASSWORD
    194: "wants a password; add it to store.url",  # REQUIRED_PASSWORD
    497: "refuses: the user of store.url lacks a right",  # ACCESS_DENIED
    516: "refuses user or password; correct store.url",  # AUTHENTICATION_FAILED
}
_BAD_REGEX = 427  # CANNOT_COMPILE_REGEXP
_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the engine is. `place` may be shown to anyone; the password is kept out of every message and repr."""

    path: Path | None = None  # embedded
    host: str = ""
    port: int = 8123
    is_tls: bool = False
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = ""

    @property
    def place(self) -> str:
        """The address without user and password."""
        return str(self.path) if self.path else f"{'https' if self.is_tls else 'http'}://{self.host}:{self.port}"


def parse_address(url: str) -> Address:
    """`chdb:///path`, a bare path, or `http(s)://user:password@host:8123/database`.

    Raises ConfigError for any other scheme; the message does not repeat the URL, which may hold a password.
    """
    scheme, has_scheme, rest = url.partition("://")
    if not has_scheme or scheme == "chdb":
        return Address(path=Path(rest if has_scheme else url).expanduser().resolve())
    parts = urlsplit(url)
    if scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"store.url begins with {scheme!r}; use chdb:///path or http(s)://user:password@host/database"
        )
    is_tls = scheme == "https"
    return Address(
        host=parts.hostname,
        port=parts.port or (8443 if is_tls else 8123),
        is_tls=is_tls,
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.strip("/")),
    )


class DirectoryLock:
    """Holds a data directory for this process, as chDB demands; several stores of one process share it."""

    _held: dict[Path, tuple[IO[str], int]] = {}  # noqa: RUF012  one table for the process is the point
    _guard = threading.Lock()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_held = False

    def acquire(self) -> None:
        """Raises StoreError when another process holds the directory or it cannot be written. Again changes nothing."""
        with self._guard:
            if self._is_held:
                return
            file, users = self._held[self.path] if self.path in self._held else (self._lock(), 0)
            self._held[self.path] = (file, users + 1)
            self._is_held = True

    def release(self) -> None:
        """Lets the directory go when the last store of this process has. Again changes nothing."""
        with self._guard:
            if not self._is_held:
                return
            self._is_held = False
            file, users = self._held.pop(self.path)
            if users > 1:
                self._held[self.path] = (file, users - 1)
            else:
                file.close()

    def _lock(self) -> IO[str]:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / LOCK_FILE).open("a+")
        except OSError as error:
            raise StoreError(f"cannot write to {self.path}: {error.strerror}; set data_dir to another folder") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise _taken(self.path, holder) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file


class ClientPool:
    """Up to `size` clients, made when first needed and lent to one call at a time; one more is kept for writing."""

    def __init__(
        self, address: Address, database: str, settings: Mapping[str, Any], memory_bytes: int, size: int
    ) -> None:
        self.address = address
        self.database = database
        self.settings = dict(settings)
        self.memory_bytes = memory_bytes
        self._anchor: Client | None = None
        self._idle: queue.LifoQueue[Client | None] = queue.LifoQueue()
        self._writers: queue.LifoQueue[Client | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)
        self._writers.put(None)

    @contextmanager
    def client(self, *, is_writer: bool = False, wait_s: float = _WAIT_S) -> Iterator[Client]:
        """A client for one call; its errors leave as ours. Raises StoreBusy when none comes free in time."""
        idle = self._writers if is_writer else self._idle
        try:
            client = idle.get(timeout=min(wait_s, _WAIT_S))
        except queue.Empty:
            raise StoreBusy(f"all connections to {self.address.place} are in use", 5.0) from None
        keeps = (
            False  # after an error: a connection may be lost, and chDB gives a failed query's output to the next one
        )
        try:
            with self.translated():
                if client is None:
                    client = self.connect(self.database)
                yield client
            keeps = True
        finally:
            if client is not None and not keeps:
                client.close()
            idle.put(client if keeps else None)

    def ask(
        self,
        sql: str,
        parameters: dict[str, Any],
        form: str,
        patience: Patience = ENDLESS,
        settings: Sequence[str] = (),
    ) -> bytes:
        """The answer to a query in a ClickHouse format; settings: as `name = value`.

        With a limited patience the engine ends the query in time: raises QueryTimeout, and TooMuch when it needs more
        memory than there is. Without one both are StoreBusy.
        """
        with self.client(wait_s=patience.left_s()) as client:
            if is_limited := math.isfinite(left_s := patience.left_s()):
                settings = [*settings, f"max_execution_time = {left_s + 0.001:.3f}"]
            # In the text: the client would set each setting by a query of its own.
            tail = f" SETTINGS {', '.join(settings)}" if settings else ""
            try:
                answer: bytes = client.raw_query(sql + tail, parameters, fmt=form)
            except DatabaseError as error:
                if is_limited and error.code == _TIMEOUT:
                    raise QueryTimeout(TIMED_OUT) from None
                if is_limited and error.code == _MEMORY:
                    raise TooMuch from None
                raise
        return answer

    def columns(
        self, sql: str, parameters: dict[str, Any], patience: Patience = ENDLESS, settings: Sequence[str] = ()
    ) -> list[Array]:
        """The columns of numbers and times that a query gives; raises as `ask` does."""
        answer = self.ask(sql, parameters, "Native", patience, settings)
        try:
            return read(answer)
        except (ValueError, IndexError):  # a server that fails midway writes its error into the answer
            raise StoreBusy(f"the store at {self.address.place} broke off its answer", 1.0) from None

    def anchor(self) -> Client:
        """A client without a database, for the first contact. It stays: chDB ends with its last client."""
        if self._anchor is None:
            self._anchor = self.connect(None)
        return self._anchor

    def connect(self, database: str | None) -> Client:
        """A new client. Its engine errors are ClickHouse's own: call it inside `translated()`."""
        address = self.address
        if address.path:
            return _connect_embedded(address.path, database, self.settings, self.memory_bytes)
        return get_client(
            host=address.host,
            port=address.port,
            secure=address.is_tls,
            username=address.user,
            password=address.password,
            database=database or "default",
            compress="lz4",
            settings=self.settings,
            autogenerate_session_id=False,
            query_retries=0,
            connect_timeout=5,
            send_receive_timeout=120,
        )

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turns the driver's errors into ours, without password and address details."""
        try:
            yield
        except ClickHouseError as error:
            raise translate(error, self.address) from None
        except OSError as error:  # the embedded engine is handed inserts in temporary files
            raise StoreBusy(f"cannot hand samples to the store: {error.strerror}", 5.0) from None

    def close(self) -> None:
        """Closes the clients that are not lent out; the next call makes a new one."""
        for idle in (self._idle, self._writers):
            for client in [idle.get() for _ in range(idle.qsize())]:
                if client is not None:
                    client.close()
                idle.put(None)
        if self._anchor is not None:
            self._anchor.close()
            self._anchor = None


def _connect_embedded(path: Path, database: str | None, settings: Mapping[str, Any], memory_bytes: int) -> Client:
    try:
        import chdb  # noqa: F401  asked for here so that the error can name the extra
    except ImportError:
        raise MissingExtra("chdb", "embedded") from None
    # The engine's own caches default to gigabytes; they count against the cap, so they get an eighth of it each.
    options = {"max_server_memory_usage": memory_bytes, "mark_cache_size": memory_bytes // 8}
    return get_client(
        interface="chdb", path=str(path), database=database, settings=dict(settings), chdb_options=options
    )


def translate(error: ClickHouseError, address: Address) -> AirisError:
    """The error in our words: StoreBusy when trying again may help, InputError for a regex, else StoreError."""
    code = error.code if isinstance(error, Error) else None
    said = _said(error, address)
    name = f"the store at {address.place}"
    if code is None and isinstance(error, OperationalError):
        found = re.search(r"\[Errno -?\d+\] ([\w ]+)", said)
        return StoreBusy(f"{name} does not answer: {found[1] if found else said}", 5.0)
    if code in _BUSY:
        return StoreBusy(f"{name} {_BUSY[code]}: {said}", 5.0)
    if code in _REFUSED:
        return StoreError(f"{name} {_REFUSED[code]}")
    if code == _BAD_REGEX:
        found = re.search(r"cannot compile re2: (.*?, error: .*?)(\.|$)", said)
        return InputError(f"not a regular expression (RE2): {found[1] if found else said}")
    if address.path and "EmbeddedServer" in said:  # chDB has no code of its own for these two
        return _taken(address.path, "") if "different path" not in said else _second_path(address.path)
    return StoreError(f"{name} refused: {said}")


def _said(error: ClickHouseError, address: Address) -> str:
    words = " ".join(str(error).split())
    for secret in filter(None, (address.password,)):
        words = words.replace(secret, "***")
    return words[:400]


def _taken(path: Path, pid: str) -> StoreError:
    who = f"another airis-mon (process {pid})" if pid else "another airis-mon"
    return StoreError(f"{who} is using {path}; stop it or set data_dir to another folder")


def _second_path(path: Path) -> StoreError:
    return StoreError(f"this process has another embedded store open; {path} needs a process of its own")
