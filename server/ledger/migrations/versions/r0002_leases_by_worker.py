"""An index by which a worker finds its leases, whatever else the ledger holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the index."""
    is_leased = sa.text("leased_by <> ''")
    op.create_index(
        "response_leased", "response", ["site", "leased_by"], sqlite_where=is_leased, postgresql_where=is_leased
    )
