"""The ledger's tables. Times are text, ISO 8601 in UTC with milliseconds, so that they sort as they are."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = 1

_OPEN = sa.text("is_open IS 1")  # a few rows at most, found without reading the others

metadata = sa.MetaData()

outcomes = sa.Table(
    "outcome",
    metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),  # the derived id, which is the identifier's (or tag's) value too
    sa.Column("response_id", sa.String, nullable=False),  # empty for a Device
    sa.Column("patient_id", sa.String, nullable=False),
    sa.Column("response_version", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("resource_type", sa.String, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),  # desired, canonical form
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("is_withdrawn", sa.Boolean, nullable=False, default=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False, default=""),
    sa.Column("due", sa.String, nullable=False, default=""),  # of `waiting`
    sa.Column("sent_hash", sa.String, nullable=False, default=""),  # what may have reached the server, unproven
    sa.Column("sent_content", sa.LargeBinary),  # of an update on its way: the desired content may change meanwhile
    sa.Column("sent_at", sa.String, nullable=False, default=""),
    sa.Column("is_open", sa.Boolean, nullable=False, default=False),  # must be read before it may be sent again
    sa.Column("ehr_id", sa.String, nullable=False, default=""),
    sa.Column("ehr_version", sa.String, nullable=False, default=""),
    sa.Column("delivered_hash", sa.String, nullable=False, default=""),  # what the server said it took
    sa.Column("planned_at", sa.String, nullable=False),
    sa.Column("changed_at", sa.String, nullable=False),
    sa.Index("outcome_by_state", "site", "state", "response_id"),
    sa.Index("outcome_by_response", "site", "response_id"),
    sa.Index("outcome_open", "site", "key", sqlite_where=_OPEN, postgresql_where=_OPEN),
)

attempts = sa.Table(
    "attempt",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("site", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("request_id", sa.String, nullable=False),
    sa.Column("interaction", sa.String, nullable=False),  # create, update, transaction
    sa.Column("sent_content", sa.LargeBinary),  # of an update on its way: the desired content may change meanwhile
    sa.Column("sent_at", sa.String, nullable=False),
    sa.Column("settled_at", sa.String, nullable=False, default=""),
    sa.Column("http_status", sa.Integer),  # null: no answer
    sa.Column("result", sa.String, nullable=False),  # the state that followed
    sa.Column("reason", sa.String, nullable=False, default=""),
    sa.Index("attempt_by_request", "site", "request_id"),
    sa.Index("attempt_by_outcome", "site", "key"),
)

responses = sa.Table(
    "response",
    metadata,
    sa.Column("site", sa.String, primary_key=True),
    sa.Column("response_id", sa.String, primary_key=True),
    sa.Column("observations", sa.Integer, nullable=False, default=0),  # called for since it was first seen
    sa.Column("reason", sa.String, nullable=False, default=""),  # empty: scored
)
