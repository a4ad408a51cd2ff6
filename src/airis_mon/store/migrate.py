"""Brings a ClickHouse database to the schema of this version: numbered SQL files, each applied once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver import Client

from airis_mon.errors import StoreError

FOLDER = Path(__file__).parent / "migrations" / "clickhouse"
_ONLY_CLUSTER = "-- only on a cluster"
_TABLE = """CREATE TABLE IF NOT EXISTS migrations {on_cluster}
(version UInt32, name String, applied DateTime('UTC') DEFAULT now())
ENGINE = {replicated}ReplacingMergeTree ORDER BY version"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name, its statements with the templates still in them."""

    version: int
    name: str
    statements: tuple[str, ...]
    is_for_cluster: bool


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """The files `NNNN_name.sql` in the order of their numbers."""
    return [_read(path) for path in sorted(folder.glob("[0-9]*.sql"))]


def _read(path: Path) -> Migration:
    sql = path.read_text()
    body = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    statements = tuple(s.strip() for s in re.split(r";\s*$", body, flags=re.MULTILINE) if s.strip())
    number, _, name = path.stem.partition("_")
    return Migration(int(number), name, statements, sql.startswith(_ONLY_CLUSTER))


def templates(database: str, cluster: str | None, retention_days: int, history_days: int) -> dict[str, str]:
    """What the templates of the files stand for; a cluster gets replicated local tables."""
    return {
        "database": database,
        "cluster": cluster or "",
        "on_cluster": f"ON CLUSTER '{cluster}'" if cluster else "",
        "replicated": "Replicated" if cluster else "",
        "local": "_local" if cluster else "",
        "dedup_window": "replicated_deduplication_window" if cluster else "non_replicated_deduplication_window",
        "retention_days": str(retention_days),
        "rollup_days": str(max(retention_days, history_days // 4)),
        "history_days": str(history_days),
        "spare_days": str(max(2, retention_days // 5)),
    }


def fill(statement: str, values: dict[str, str]) -> str:
    """The statement with its templates replaced."""
    for name, value in values.items():
        statement = statement.replace(f"{{{name}}}", value)
    return statement


def migrate(client: Client, values: dict[str, str], files: list[Migration] | None = None) -> int:
    """Applies what is missing; answers the schema's version.

    Raises StoreError when the database's schema is newer than this program.
    """
    files = migrations() if files is None else files
    client.command(fill(_TABLE, values))
    applied = {row[0] for row in client.query("SELECT DISTINCT version FROM migrations").result_rows}
    newest = max(m.version for m in files)
    if applied and max(applied) > newest:
        raise StoreError(
            f"the store has schema {max(applied)}, this airis-mon knows {newest}; install a newer airis-mon "
            "or use another data_dir"
        )
    for migration in files:
        if migration.version in applied or (migration.is_for_cluster and not values["cluster"]):
            continue
        for statement in migration.statements:
            client.command(fill(statement, values))
        client.command(
            "INSERT INTO migrations (version, name) SELECT {version:UInt32}, {name:String}",
            {"version": migration.version, "name": migration.name},
        )
    return newest
