"""One patient's outcomes, found without reading the others."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the index."""
    op.create_index("outcome_by_patient", "outcome", ["site", "patient_id"])
