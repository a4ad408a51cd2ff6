from __future__ import annotations

from pathlib import Path

from airis_mon.store.migrate import fill, migrations, templates
from tests.store.conftest import Open

ALONE = templates("airis", None, 15, 400)
CLUSTER = templates("airis", "main", 15, 400)


def test_files_are_numbered_without_gaps_and_statements_can_be_repeated() -> None:
    files = migrations()
    assert [m.version for m in files] == list(range(1, len(files) + 1))
    assert all(" IF NOT EXISTS " in s or s.startswith("ALTER") for m in files for s in m.statements)


def test_no_template_is_left_over() -> None:
    for values in (ALONE, CLUSTER):
        for migration in migrations():
            for statement in migration.statements:
                assert "{" not in fill(statement, values)


def test_alone_tables_are_plain_and_on_a_cluster_replicated_below_distributed_ones() -> None:
    first, second = migrations()[:2]
    assert not first.is_for_cluster
    assert second.is_for_cluster
    alone, cluster = fill(first.statements[0], ALONE), fill(first.statements[0], CLUSTER)
    assert "CREATE TABLE IF NOT EXISTS samples \n" in alone
    assert "ENGINE = MergeTree\n" in alone
    assert " non_replicated_deduplication_window = 1000" in alone
    assert "CREATE TABLE IF NOT EXISTS samples_local ON CLUSTER 'main'\n" in cluster
    assert "ENGINE = ReplicatedMergeTree\n" in cluster
    assert " replicated_deduplication_window = 1000" in cluster
    assert fill(second.statements[0], CLUSTER).endswith("Distributed('main', 'airis', 'samples_local', fp)")


def test_every_statement_is_sql_that_the_engine_can_parse(open_store: Open) -> None:
    store = open_store()
    with store._clients.client() as client:
        for migration in migrations():
            for statement in migration.statements:
                sql = fill(statement, CLUSTER)
                assert client.query("SELECT formatQuery({sql:String})", {"sql": sql}).result_rows


def test_comments_and_blank_lines_are_no_statements(tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("-- a comment; with a semicolon\n\nSELECT 1;\n\n-- more\nSELECT\n 2;\n")
    (tmp_path / "notes.txt").write_text("no migration")
    (one,) = migrations(tmp_path)
    assert (one.version, one.name, one.statements) == (1, "first", ("SELECT 1", "SELECT\n 2"))
