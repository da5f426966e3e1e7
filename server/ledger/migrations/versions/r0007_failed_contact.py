"""Since when a site's server cannot be reached."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column."""
    op.add_column("site", sa.Column("failed_contact", _TEXT, nullable=False, server_default=sa.text("''")))
