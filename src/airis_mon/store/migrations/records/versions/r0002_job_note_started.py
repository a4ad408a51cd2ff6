"""What a job is at, and since when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two columns to the jobs."""
    op.add_column("job", sa.Column("note", sa.Text, nullable=False, server_default=""))
    op.add_column("job", sa.Column("started_ms", sa.BigInteger))
