"""The ledger's tables. Times are text, ISO 8601 in UTC with milliseconds, so that they sort as they are."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = 2

metadata = sa.MetaData()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=False, default="", server_default="")


outcomes = sa.Table(
    "outcome",
    metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),  # the derived id, which is the identifier's (or tag's) value too
    sa.Column("response_id", sa.String, nullable=False),  # empty for a Device
    sa.Column("patient_id", sa.String, nullable=False),
    sa.Column("response_version", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("resource_type", sa.String, nullable=False),  # as the site takes it
    sa.Column("observations", sa.Integer, nullable=False),  # of the books that it stands for
    sa.Column("dropped", sa.String, nullable=False),  # paths of the canonical form, comma-separated
    sa.Column("content", sa.LargeBinary, nullable=False),  # desired, in the site's shape
    sa.Column("content_hash", sa.String, nullable=False),  # of what was planned
    sa.Column("is_withdrawn", sa.Boolean, nullable=False, default=False),
    sa.Column("state", sa.String, nullable=False),
    _text("reason"),
    _text("due"),  # of `waiting`
    _text("sent_hash"),  # what may have reached the server, unproven
    sa.Column("sent_content", sa.LargeBinary),  # of a request on its way: the desired content may change meanwhile
    _text("sent_at"),
    sa.Column("is_open", sa.Boolean, nullable=False, default=False),  # must be read before it may be sent again
    _text("ehr_id"),
    _text("ehr_version"),
    sa.Column("ehr_content", sa.LargeBinary),  # what the chart is known to hold, as it was sent or read
    _text("delivered_hash"),  # what the server said it took
    sa.Column("planned_at", sa.String, nullable=False),
    sa.Column("changed_at", sa.String, nullable=False),
    sa.Index("outcome_by_state", "site", "state", "response_id"),
    sa.Index("outcome_by_response", "site", "response_id"),
    sa.Index(
        "outcome_open",
        "site",
        "response_id",
        sqlite_where=sa.text("is_open IS 1"),  # a few rows at most, found without reading the others
        postgresql_where=sa.text("is_open"),
    ),
)

attempts = sa.Table(
    "attempt",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("site", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("request_id", sa.String, nullable=False),
    sa.Column("interaction", sa.String, nullable=False),  # create, update, transaction
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("sent_at", sa.String, nullable=False),
    _text("settled_at"),
    sa.Column("http_status", sa.Integer),  # null: no answer
    sa.Column("result", sa.String, nullable=False),  # the state that followed
    _text("reason"),
    sa.Index("attempt_by_request", "site", "request_id"),
    sa.Index("attempt_by_outcome", "site", "key"),
)

responses = sa.Table(
    "response",
    metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("response_id", sa.String, primary_key=True),  # empty: the site's Devices
    sa.Column("observations", sa.Integer, nullable=False, default=0),  # called for since it was first seen
    _text("reason"),  # empty: scored
    _text("leased_by"),  # the worker that alone may send what belongs to it
    _text("leased_until"),
    sa.Column("release", sa.Integer),  # by which a person let it be sent
)

releases = sa.Table(
    "release",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("site", sa.String, nullable=False),
    sa.Column("who", sa.String, nullable=False),
    sa.Column("why", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),  # release, again, done, accept
    sa.Column("what", sa.String, nullable=False),  # a response id, an outcome's key, or a count
    sa.Column("at", sa.String, nullable=False),
)
"""What persons decided; never changed, never deleted."""

patients = sa.Table(
    "patient",
    metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("patient_id", sa.String, primary_key=True),
    sa.Column("problem", sa.String, nullable=False),  # why nothing is written; empty: the EHR's Patient agrees
    sa.Column("checked_at", sa.String, nullable=False),
)

sites = sa.Table(
    "site",
    metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False, default=0),  # openings of the breaker in a row
    _text("open_until"),  # nothing is asked of the server before
    _text("origin"),  # software, mapping and profile of the last plan
)
