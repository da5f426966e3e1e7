"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=False)


def _text_or_empty(name: str) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=False, server_default=sa.text("''"))


def upgrade() -> None:
    """Make all tables."""
    _make_outcomes()
    _make_attempts()
    _make_responses()
    _make_releases()
    _make_patients_and_sites()


def _make_outcomes() -> None:
    op.create_table(
        "outcome",
        *(_text(name) for name in ("site", "key", "response_id", "patient_id", "response_version", "kind")),
        _text("resource_type"),
        sa.Column("observations", sa.Integer, nullable=False),
        _text("dropped"),
        sa.Column("content", sa.LargeBinary, nullable=False),
        _text("content_hash"),
        sa.Column("is_withdrawn", sa.Boolean, nullable=False),
        _text("state"),
        *(_text_or_empty(name) for name in ("reason", "due", "sent_hash")),
        sa.Column("sent_content", sa.LargeBinary),
        _text_or_empty("sent_at"),
        sa.Column("is_open", sa.Boolean, nullable=False),
        *(_text_or_empty(name) for name in ("ehr_id", "ehr_version")),
        sa.Column("ehr_content", sa.LargeBinary),
        _text_or_empty("delivered_hash"),
        *(_text(name) for name in ("planned_at", "changed_at")),
        sa.PrimaryKeyConstraint("site", "key"),
    )
    op.create_index("outcome_by_state", "outcome", ["site", "state", "response_id"])
    op.create_index("outcome_by_response", "outcome", ["site", "response_id"])
    op.create_index(
        "outcome_open",
        "outcome",
        ["site", "response_id"],
        sqlite_where=sa.text("is_open IS 1"),
        postgresql_where=sa.text("is_open IS true"),
    )


def _make_attempts() -> None:
    op.create_table(
        "attempt",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        *(_text(name) for name in ("site", "key", "request_id", "interaction", "content_hash", "sent_at")),
        _text_or_empty("settled_at"),
        sa.Column("http_status", sa.Integer),
        _text("result"),
        _text_or_empty("reason"),
    )
    op.create_index("attempt_by_request", "attempt", ["site", "request_id"])
    op.create_index("attempt_by_outcome", "attempt", ["site", "key"])


def _make_responses() -> None:
    op.create_table(
        "response",
        *(_text(name) for name in ("site", "response_id")),
        sa.Column("observations", sa.Integer, nullable=False),
        *(_text_or_empty(name) for name in ("reason", "leased_by", "leased_until")),
        sa.Column("release", sa.Integer),
        sa.PrimaryKeyConstraint("site", "response_id"),
    )


def _make_releases() -> None:
    op.create_table(
        "release",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        *(_text(name) for name in ("site", "who", "why", "action", "what", "at")),
    )


def _make_patients_and_sites() -> None:
    op.create_table(
        "patient",
        *(_text(name) for name in ("site", "patient_id", "problem", "checked_at")),
        sa.PrimaryKeyConstraint("site", "patient_id"),
    )
    op.create_table(
        "site",
        _text("site"),
        sa.Column("failures", sa.Integer, nullable=False),
        *(_text_or_empty(name) for name in ("open_until", "origin")),
        sa.PrimaryKeyConstraint("site"),
    )
