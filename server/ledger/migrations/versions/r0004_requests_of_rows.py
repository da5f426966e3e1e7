"""Which request is on its way with a row, so that an answer that comes too late changes nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column."""
    op.add_column("outcome", sa.Column("request_id", _TEXT, nullable=False, server_default=sa.text("''")))
