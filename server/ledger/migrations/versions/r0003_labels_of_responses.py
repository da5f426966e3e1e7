"""The security labels of a response's outcome, which not every site's shape of it carries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column."""
    op.add_column("response", sa.Column("labels", _TEXT, nullable=False, server_default=sa.text("''")))
