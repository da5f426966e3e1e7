"""Put the gate together from the settings."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from integration.service_settings import Service
from integration.settings import Settings
from server.service.access import once as stores
from server.service.access import secret_files, session_key
from server.service.access.gate import Gate
from server.service.access.issuer import Issuer
from server.service.access.login import Login
from server.service.access.once import Once
from server.service.access.sessions import StaffSessions
from server.service.access.sources import Sources


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def opened(
    settings: Settings, *, now: Callable[[], datetime] = _now, clock: Callable[[], float] = time.monotonic
) -> Iterator[Gate]:
    """Build the gate of an installation, with what its processes share.

    Args:
        settings: of the installation.
        now: the clock; aware.
        clock: seconds that only go up.

    Raises:
        SettingsError: the key of the sessions or a secret cannot be read.
        InputError: the table of what was used once cannot be opened.
    """
    secret_files.check(settings.service.staff.secret_file)
    key = session_key.read_or_make(settings.state_folder)
    place = settings.ledger.url or settings.state_folder / "access.sqlite"
    with contextlib.closing(Once.open(place, now=now)) as once:
        yield gate(settings.service, once, key, now=now, clock=clock)


def gate(
    service: Service, once: Once, key: bytes, *, now: Callable[[], datetime] = _now,
    clock: Callable[[], float] = time.monotonic,
) -> Gate:  # fmt: skip
    """Build a gate.

    Args:
        service: the settings.
        once: what was used once.
        key: signs cookies and forms.
        now: the clock; aware.
        clock: seconds that only go up.
    """
    tokens = service.tokens
    issuer = Issuer(tokens.issuer, ca_file=tokens.ca_file, now=now, jwks_url=tokens.jwks_url) if tokens.issuer else None
    staff = StaffSessions(staff=service.staff, once=once, now=now)
    return Gate(
        service=service,
        sources=Sources(service, issuer, once, now),
        staff=staff,
        login=_login(service, once, staff, now),
        key=key,
        clock=clock,
    )


def of_this_machine() -> Gate:
    """Build the gate of a service that only this machine reaches and nobody logs in to; it shares nothing."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    stores.make_table(engine)
    return gate(Service(), Once(engine, _now), secrets.token_bytes(32))


def _login(service: Service, once: Once, sessions: StaffSessions, now: Callable[[], datetime]) -> Login | None:
    staff = service.staff
    if not staff.can_log_in:
        return None
    return Login(
        staff=staff,
        issuer=Issuer(staff.issuer, ca_file=staff.ca_file, now=now),
        sessions=sessions,
        once=once,
        now=now,
        public_url=service.public_url,
        algorithms=frozenset(service.tokens.algorithms),
    )
