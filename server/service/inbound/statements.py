"""The statements of an inbox's transactions, written once: to put one together costs more than to run it."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from server.service.inbound.counting import Sent
from server.service.inbound.schema import arrivals, deferred, exchanges, replay_keys


def _among(column: sa.Column[str]) -> sa.ColumnElement[bool]:
    return column.in_(sa.bindparam("values", expanding=True))


_SITE: Final[sa.BindParameter[str]] = sa.bindparam("site")
_IS_SET_ASIDE: Final = arrivals.c.state == "quarantined"
_ANSWER: Final = (exchanges.c.status, exchanges.c.headers, exchanges.c.body)
EXCHANGES: Final = (
    sa.select(exchanges.c.content_hash, exchanges.c.id, exchanges.c.request_id, *_ANSWER)
    .where(exchanges.c.site == _SITE, _among(exchanges.c.content_hash))
    .order_by(exchanges.c.received)
)
"""Answers that a content got, the oldest first."""
KEYS: Final = (
    sa.select(replay_keys.c.key, replay_keys.c.content_hash, *_ANSWER)
    .join(exchanges, exchanges.c.id == replay_keys.c.exchange)
    .where(replay_keys.c.site == _SITE, _among(replay_keys.c.key))
)
"""Answers that a key got."""
CONTENTS: Final = (
    sa.select(
        arrivals.c.resource_type,
        arrivals.c.resource_id,
        arrivals.c.content_hash,
        arrivals.c.version,
        sa.case((_IS_SET_ASIDE, arrivals.c.problem), else_="").label("problem"),
    )
    .where(arrivals.c.site == _SITE, _among(arrivals.c.content_hash))
    .order_by(arrivals.c.version)
)
"""Versions of a content."""
SENT: Final = (
    sa.select(arrivals.c.version, *(arrivals.c[name] for name in Sent.__slots__))
    .where(
        arrivals.c.site == _SITE,
        arrivals.c.resource_type == sa.bindparam("type"),
        arrivals.c.resource_id == sa.bindparam("id"),
        arrivals.c.state != "quarantined",
    )
    .order_by(arrivals.c.sequence)
)
"""Versions of a resource that were not set aside."""
LATEST: Final = (
    sa.select(
        arrivals.c.resource_id,
        sa.func.max(arrivals.c.version).label("latest"),
        sa.func.max(sa.case((~_IS_SET_ASIDE, arrivals.c.version))).label("usable"),
    )
    .where(arrivals.c.site == _SITE, arrivals.c.resource_type == sa.bindparam("type"), _among(arrivals.c.resource_id))
    .group_by(arrivals.c.resource_id)
)
"""The latest versions of resources: of all, and of those that were not set aside."""
RESULT: Final = sa.select(deferred.c.is_open, deferred.c.status, deferred.c.result).where(
    deferred.c.site == _SITE, deferred.c.id == sa.bindparam("id")
)
"""How a request that is worked on later stands."""
HOLDER: Final = sa.select(arrivals.c.caller, arrivals.c.body).where(
    arrivals.c.site == _SITE,
    arrivals.c.resource_type == sa.bindparam("type"),
    arrivals.c.resource_id == sa.bindparam("id"),
    arrivals.c.version == sa.bindparam("version"),
)
"""Who sent a version, and what it says."""
SETTLE: Final = (
    arrivals.update()
    .where(arrivals.c.sequence == sa.bindparam("settled"))
    .values(state=sa.bindparam("became"), problem=sa.bindparam("why"))
)
"""Says what became of versions; of many in one call, for nobody else writes meanwhile."""
INSERTS: Final = (
    (arrivals.insert(), "arrival"),
    (exchanges.insert(), "exchange"),
    (replay_keys.insert(), "key"),
    (deferred.insert(), "deferred"),
)
"""What stores rows, by their name."""
