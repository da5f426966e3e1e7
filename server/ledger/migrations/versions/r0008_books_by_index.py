"""The books, the oldest and what is withheld, read from indexes without the rows and their content."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_IS_DOCUMENT = "kind = 'document' AND is_withdrawn IS "
_IS_WITHHELD = sa.text("state = 'planned' AND reason <> ''")


def upgrade() -> None:
    """Widen the index by state, and add one of withdrawn documents and one of what is withheld."""
    op.drop_index("outcome_by_state", "outcome")
    op.create_index("outcome_by_state", "outcome", ["site", "state", "response_id", "observations", "changed_at"])
    op.create_index(
        "outcome_withdrawn_document",
        "outcome",
        ["site", "state"],
        sqlite_where=sa.text(f"{_IS_DOCUMENT}1"),
        postgresql_where=sa.text(f"{_IS_DOCUMENT}true"),
    )
    op.create_index(
        "outcome_withheld",
        "outcome",
        ["site", "reason", "response_id"],
        sqlite_where=_IS_WITHHELD,
        postgresql_where=_IS_WITHHELD,
    )
