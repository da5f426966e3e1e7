"""Sessions that a launch began: one patient, one token of the EHR, until it expires.

The browser holds a random id and nothing else. What belongs to it stands in a table that every process of an
installation shares, encrypted with a key that is made of that id: whoever reads the table alone has no token, and no
patient's id.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.ledger.tables import open_tables

SCHEMA_VERSION: Final = 1
_LOCK: Final = 0x6F75_7463_6F6D_6575
"""Key of the advisory lock under which the table is made; two more than the ledger's own."""
_NONCE_BYTES: Final = 12
_metadata = sa.MetaData()
_sessions = sa.Table(
    "chart_session",
    _metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("until", sa.BigInteger, nullable=False, index=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Launched:
    """What a launch gave.

    Attributes:
        patient_id: the one patient whose chart may be seen, as the EHR names it.
        fhir_url: of the EHR.
        token: for reading there.
        scope: what was granted.
        subject: `sub` of the person, empty if the EHR did not say who it is.
        needs_banner: whether the page must say who the patient is.
        until: seconds since 1970, when it ends.
    """

    patient_id: str
    fhir_url: str
    token: str = field(repr=False)
    scope: str
    subject: str
    needs_banner: bool
    until: int


_read_launched: Final = msgspec.json.Decoder(Launched).decode


class ChartSessions:
    """The sessions of an installation. Threads share one object."""

    def __init__(self, engine: sa.Engine, now: Callable[[], datetime]) -> None:
        self._engine, self._now = engine, now

    @classmethod
    def open(cls, place: Path | str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> ChartSessions:
        """Open or make the table: in a SQLite file, or in the database of a PostgreSQL URL.

        Raises:
            InputError: it cannot be opened.
        """
        name = "the table of the chart's sessions"
        engine = open_tables(place, _metadata, schema_version=SCHEMA_VERSION, lock=_LOCK, name=name)
        return cls(engine, now)

    def close(self) -> None:
        """Close it."""
        self._engine.dispose()

    def begin(self, launched: Launched) -> str:
        """Keep what a launch gave, and return the session's id; those that have ended are forgotten.

        Raises:
            sqlalchemy.exc.DBAPIError: the disk or the database refuses.
        """
        session_id = secrets.token_urlsafe(32)
        digest, key = _derived(session_id)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, msgspec.json.encode(launched), digest.encode())
        with self._engine.begin() as connection:
            connection.execute(_sessions.delete().where(_sessions.c.until <= self._seconds()))
            connection.execute(_sessions.insert().values(digest=digest, until=launched.until, sealed=sealed))
        return session_id

    def find(self, session_id: str) -> Launched | None:
        """Return what belongs to a session; None if there is none such, or it has ended."""
        digest, key = _derived(session_id)
        query = sa.select(_sessions.c.sealed).where(_sessions.c.digest == digest, _sessions.c.until > self._seconds())
        with self._engine.execution_options(is_read=True).connect() as connection:
            sealed = connection.scalar(query)
        if sealed is None:
            return None
        try:
            opened = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], digest.encode())
            return _read_launched(opened)
        except (InvalidTag, msgspec.DecodeError):
            return None

    def end(self, session_id: str) -> None:
        """Forget a session."""
        with self._engine.begin() as connection:
            connection.execute(_sessions.delete().where(_sessions.c.digest == _derived(session_id)[0]))

    def _seconds(self) -> int:
        return int(self._now().timestamp())


def _derived(session_id: str) -> tuple[str, bytes]:
    """Return what a session is found by, and what its row is encrypted with; neither gives away the other.

    The id holds 256 random bits, so a hash of it needs neither salt nor work.
    """
    digest = hashlib.sha256(b"find:" + session_id.encode("utf-8", "surrogatepass")).hexdigest()
    return digest, hashlib.sha256(b"open:" + session_id.encode("utf-8", "surrogatepass")).digest()
