"""How the records lie in a database.

A change here needs a new file in `migrations/records/versions` and a new REVISION (a test compares them). Times are ms
UTC in BIGINT columns: both databases compare and add them alike.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

REVISION = "0002"
"""The newest migration. Kept here so that a start with a current schema need not import alembic (1.2 s)."""

METADATA = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
)
DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

JOB = sa.Table(
    "job",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", DOCUMENT, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("run_at_ms", sa.BigInteger, nullable=False),
    sa.Column("lease_until_ms", sa.BigInteger),
    sa.Column("holder", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("max_attempts", sa.Integer, nullable=False),
    sa.Column("idempotency_key", sa.Text, unique=True),
    sa.Column("progress", sa.Double, nullable=False),
    sa.Column("result", DOCUMENT),
    sa.Column("error", sa.Text),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("started_ms", sa.BigInteger),
    sa.Index(None, "state", "run_at_ms"),
    sa.Index(None, "kind", "created_ms"),
)

LEASE = sa.Table(
    "lease",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("expires_ms", sa.BigInteger, nullable=False),
)

API_KEY = sa.Table(
    "api_key",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("scopes", DOCUMENT, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("last_used_ms", sa.BigInteger),
    sa.Column("revoked_ms", sa.BigInteger),
)

AUDIT = sa.Table(
    "audit",
    METADATA,
    # SQLite numbers rows by itself only in an INTEGER primary key.
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("t", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("detail", DOCUMENT, nullable=False),
    sqlite_autoincrement=True,  # never give the number of a removed row again
)
