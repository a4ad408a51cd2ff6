"""Runs the migrations of the records database on the connection that `Sql.migrate` gives."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from airis_mon.store.tables import METADATA

LOCK = 0x6169726973  # "airis"; any fixed number that other users of the database do not take

connection: Connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    # Two servers that start at once: the second waits, then finds nothing left to do.
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
else:
    # Python's driver opens no transaction for DDL: without this a crash would leave half a schema behind.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
context.run_migrations()
