"""Requests that were answered with 202 and are worked on afterwards (https://hl7.org/fhir/R4/async.html)."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from server.service.inbound import schema
from server.service.inbound.schema import deferred


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """A request that waits.

    Attributes:
        id: part of its status URL.
        caller: who sent it.
        request: what is needed of it besides the body, JSON.
        body: as sent, unpacked.
    """

    id: str
    caller: str
    request: str
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How a request stands.

    Attributes:
        is_open: whether it still waits.
        ahead: how many requests wait before it.
        result: the answer's body, once there is one.
    """

    is_open: bool
    ahead: int
    result: bytes


class Deferred:
    """The requests of one site's inbox that wait, and the results of those that waited."""

    def __init__(self, engine: sa.Engine, site: str) -> None:
        self._site = site
        self._reading, self._writing = schema.reading(engine), schema.writing(engine)

    def next_id(self) -> str:
        """Return the id of the request that waits longest; empty if none does."""
        query = sa.select(deferred.c.id).where(deferred.c.site == self._site, deferred.c.is_open)
        with self._reading.connect() as connection:
            return connection.scalar(query.order_by(deferred.c.received, deferred.c.id).limit(1)) or ""

    def next(self) -> Open | None:
        """Return the request that waits longest; None if none does."""
        columns = deferred.c
        query = sa.select(columns.id, columns.caller, columns.request, columns.body).where(
            columns.site == self._site, columns.is_open
        )
        with self._reading.connect() as connection:
            row = connection.execute(query.order_by(columns.received, columns.id).limit(1)).mappings().first()
        return Open(**row) if row else None

    def close(self, request_id: str, *, status: int, result: bytes) -> None:
        """Record a request's result; its body is not kept any longer."""
        done = deferred.update().where(deferred.c.site == self._site, deferred.c.id == request_id)
        with self._writing.begin() as connection:
            connection.execute(done.values(is_open=False, status=status, result=result, body=b"", request=""))

    def status(self, request_id: str, caller: str) -> Status | None:
        """Return how a caller's own request stands; None if it has none of this id."""
        columns = deferred.c
        own = sa.select(columns.is_open, columns.received, columns.result).where(
            columns.site == self._site, columns.id == request_id, columns.caller == caller
        )
        with self._reading.connect() as connection:
            row = connection.execute(own).first()
            if row is None:
                return None
            before = sa.select(sa.func.count()).where(
                columns.site == self._site, columns.is_open, columns.received < row.received
            )
            ahead = connection.scalar(before) or 0 if row.is_open else 0
        return Status(is_open=row.is_open, ahead=ahead, result=row.result)
