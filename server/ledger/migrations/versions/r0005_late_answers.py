"""Ids out of answers that came too late, whose a resource in the chart is, and which release another decision ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_HAS_ID = sa.text("ehr_id <> ''")


def upgrade() -> None:
    """Add two columns and an index."""
    op.add_column("attempt", sa.Column("ehr_id", _TEXT, nullable=False, server_default=sa.text("''")))
    op.add_column("release", sa.Column("ended", sa.Integer))
    op.create_index("outcome_by_ehr_id", "outcome", ["site", "ehr_id"], sqlite_where=_HAS_ID, postgresql_where=_HAS_ID)
