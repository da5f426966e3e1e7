"""The ledger's tables, as the newest of `migrations` leaves them.

Times are text, ISO 8601 in UTC with milliseconds, so that they sort as they are. All text is ordered by code point, as
Python and SQLite order it, so that reading on `after` a key means the same everywhere.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

TEXT: Final = sa.String().with_variant(sa.String(collation="C"), "postgresql")

_HAS_ID: Final = sa.text("ehr_id <> ''")
_IS_DOCUMENT: Final = "kind = 'document' AND is_withdrawn IS "
IS_WITHHELD: Final = sa.text("state = 'planned' AND reason <> ''")
"""Whether a delivery held an outcome back; a query in these words finds it by an index."""
_IS_LEASED: Final = sa.text("leased_by <> ''")  # a few rows, found without reading the others

metadata = sa.MetaData()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, TEXT, nullable=False, default="", server_default=sa.text("''"))


outcomes = sa.Table(
    "outcome",
    metadata,
    sa.Column("site", TEXT, primary_key=True),
    sa.Column("key", TEXT, primary_key=True),  # the derived id, which is the identifier's (or tag's) value too
    sa.Column("response_id", TEXT, nullable=False),  # empty for a Device
    sa.Column("patient_id", TEXT, nullable=False),
    sa.Column("response_version", TEXT, nullable=False),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("resource_type", TEXT, nullable=False),  # as the site takes it
    sa.Column("observations", sa.Integer, nullable=False),  # of the books that it stands for
    sa.Column("dropped", TEXT, nullable=False),  # paths of the canonical form, comma-separated
    sa.Column("content", sa.LargeBinary, nullable=False),  # desired, in the site's shape
    sa.Column("content_hash", TEXT, nullable=False),  # of what was planned
    sa.Column("is_withdrawn", sa.Boolean, nullable=False, default=False),
    sa.Column("state", TEXT, nullable=False),
    _text("reason"),
    _text("due"),  # of `waiting`
    _text("sent_hash"),  # what may have reached the server, unproven
    sa.Column("sent_content", sa.LargeBinary),  # of a request on its way: the desired content may change meanwhile
    _text("sent_at"),
    _text("request_id"),  # on its way with this row; empty: none, or one that was taken over
    sa.Column("is_open", sa.Boolean, nullable=False, default=False),  # must be read before it may be sent again
    _text("ehr_id"),
    _text("ehr_version"),
    sa.Column("ehr_content", sa.LargeBinary),  # what the chart is known to hold, as it was sent or read
    _text("delivered_hash"),  # what the server said it took
    sa.Column("planned_at", TEXT, nullable=False),
    sa.Column("changed_at", TEXT, nullable=False),
    sa.Index("outcome_by_state", "site", "state", "response_id", "observations", "changed_at"),  # the books' and ages'
    sa.Index(
        "outcome_withdrawn_document",
        "site",
        "state",
        sqlite_where=sa.text(f"{_IS_DOCUMENT}1"),
        postgresql_where=sa.text(f"{_IS_DOCUMENT}true"),
    ),
    sa.Index(
        "outcome_withheld",
        "site",
        "reason",
        "response_id",
        sqlite_where=IS_WITHHELD,
        postgresql_where=IS_WITHHELD,
    ),
    sa.Index("outcome_by_response", "site", "response_id"),
    sa.Index("outcome_by_patient", "site", "patient_id"),
    sa.Index("outcome_by_ehr_id", "site", "ehr_id", sqlite_where=_HAS_ID, postgresql_where=_HAS_ID),
    sa.Index(
        "outcome_open",
        "site",
        "response_id",
        sqlite_where=sa.text("is_open IS 1"),  # a few rows at most, found without reading the others
        postgresql_where=sa.text("is_open IS true"),
    ),
)

attempts = sa.Table(
    "attempt",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("site", TEXT, nullable=False),
    sa.Column("key", TEXT, nullable=False),
    sa.Column("request_id", TEXT, nullable=False),
    sa.Column("interaction", TEXT, nullable=False),  # create, update, transaction
    sa.Column("content_hash", TEXT, nullable=False),
    sa.Column("sent_at", TEXT, nullable=False),
    _text("settled_at"),
    sa.Column("http_status", sa.Integer),  # null: no answer
    sa.Column("result", TEXT, nullable=False),  # the state that followed
    _text("reason"),
    _text("ehr_id"),  # out of an answer that came too late to be the row's: in the chart, perhaps beside another
    sa.Index("attempt_by_request", "site", "request_id"),
    sa.Index("attempt_by_outcome", "site", "key"),
)

responses = sa.Table(
    "response",
    metadata,
    sa.Column("site", TEXT, primary_key=True),
    sa.Column("response_id", TEXT, primary_key=True),  # empty: the site's Devices
    sa.Column("observations", sa.Integer, nullable=False, default=0),  # called for since it was first seen
    _text("reason"),  # empty: scored
    _text("leased_by"),  # the worker that alone may send what belongs to it
    _text("leased_until"),
    sa.Column("release", sa.Integer),  # by which a person let what is planned now be sent
    _text("labels"),  # codes of the canonical outcome's security labels, one a line
    sa.Index("response_leased", "site", "leased_by", sqlite_where=_IS_LEASED, postgresql_where=_IS_LEASED),
)

releases = sa.Table(
    "release",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("site", TEXT, nullable=False),
    sa.Column("who", TEXT, nullable=False),
    sa.Column("why", TEXT, nullable=False),
    sa.Column("action", TEXT, nullable=False),  # release, again, done, accept, ended
    sa.Column("what", TEXT, nullable=False),  # a response id, an outcome's key, or a count
    sa.Column("at", TEXT, nullable=False),
    sa.Column("ended", sa.Integer),  # number of the release that does not count any more for that response
)
"""What persons decided; never changed, never deleted."""

patients = sa.Table(
    "patient",
    metadata,
    sa.Column("site", TEXT, primary_key=True),
    sa.Column("patient_id", TEXT, primary_key=True),
    sa.Column("problem", TEXT, nullable=False),  # why nothing is written; empty: the EHR's Patient agrees
    sa.Column("checked_at", TEXT, nullable=False),
)

sites = sa.Table(
    "site",
    metadata,
    sa.Column("site", TEXT, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False, default=0),  # openings of the breaker in a row
    _text("open_until"),  # nothing is asked of the server before
    _text("failed_contact"),  # when a delivery last could not reach it; empty: the last one could, or had no need to
    _text("origin"),  # software, mapping and profile of the last plan
)
