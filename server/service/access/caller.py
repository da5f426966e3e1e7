"""Who asks, and what they may do.

The gate sets `flask.g.caller` before a route runs; a route says what it is about to do with `require`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from flask import g

from integration.service_settings import Interaction
from server.service.access import scopes
from server.service.operation_outcome import RefusedError

Kind = Literal["loopback", "source", "staff", "patient-context"]
Poison = Literal["reject", "quarantine"]
ALL_TYPES: Final = frozenset({"*"})
_ALL_INTERACTIONS: Final[frozenset[Interaction]] = frozenset(get_args(Interaction))
_TYPE: Final = re.compile(r"[A-Za-z]{1,64}")
_REALM: Final = 'Bearer realm="outcome-bridge"'


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Whoever sent a request.

    Attributes:
        name: of the source; `sub` of a person; `loopback` for this machine where nobody needs to log in.
        kind: `loopback` and `source` may use the FHIR interface, `staff` and `loopback` the staff pages,
            `patient-context` one patient's chart page.
        scopes: of its token; None where there is none to limit it (a key, a certificate, loopback).
        types: resource types that it may use; `*` is all.
        interactions: what it may do with them.
        poison: what becomes of a resource that can never be used.
        requests_per_minute: beyond them it is asked to wait; None is no limit.
        patient: the one Patient id of a `patient-context`, else empty.
        shown_name: of a person, for pages only: never logged.
    """

    name: str
    kind: Kind
    scopes: frozenset[str] | None = None
    types: frozenset[str] = ALL_TYPES
    interactions: frozenset[Interaction] = _ALL_INTERACTIONS
    poison: Poison = "reject"
    requests_per_minute: int | None = None
    patient: str = ""
    shown_name: str = ""

    @property
    def sends(self) -> bool:
        """Whether the FHIR interface is for it."""
        return self.kind in ("loopback", "source")

    @property
    def sees_staff_pages(self) -> bool:
        """Whether the staff pages are for it."""
        return self.kind in ("loopback", "staff")


LOOPBACK: Final = Caller(name="loopback", kind="loopback")
"""This machine, where nobody needs to log in."""


def current() -> Caller | None:
    """Return who sent the request at hand; None where nobody said who they are."""
    caller: Caller | None = g.get("caller")
    return caller


def require(interaction: Interaction, resource_type: str) -> Caller:
    """See that whoever asks may do this with resources of this type.

    Args:
        interaction: what is about to be done; an operation that stores nothing is `read`.
        resource_type: FHIR type, `QuestionnaireResponse`.

    Returns:
        Who asks.

    Raises:
        RefusedError: 401, nobody said who they are; 403, this source or this token may not; 400, that is no type.
    """
    caller = require_source()
    if not _TYPE.fullmatch(resource_type):  # it may be what a sender wrote, and goes into a header below
        raise RefusedError(400, "the resource type is not one of FHIR's")
    if not {resource_type, "*"} & caller.types:
        raise _forbidden(f"this source may not use {resource_type}; service.sources.types lists what it may")
    if interaction not in caller.interactions:
        raise _forbidden(f"this source may not {interaction}; service.sources.interactions lists what it may")
    if caller.scopes is not None and not scopes.allow(caller.scopes, interaction, resource_type):
        needed = scopes.spelled(interaction, resource_type)
        raise RefusedError(
            403,
            f"the token's scopes do not allow to {interaction} {resource_type}; it needs {needed}",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{needed}"'},
        )
    return caller


def require_source() -> Caller:
    """See that the FHIR interface is for whoever asks; which types and interactions is not asked.

    Raises:
        RefusedError: 401 or 403.
    """
    caller = current()
    if caller is None:
        raise unauthenticated()
    if not caller.sends:
        raise _forbidden("this login is for pages; what sends needs a token, a key or a certificate of its own")
    return caller


def unauthenticated(problem: str = "", error: str = "") -> RefusedError:
    """Return what answers a request that does not show who sent it.

    Args:
        problem: why what it shows is not taken.
        error: of RFC 6750, section 3.1; empty where it showed nothing.
    """
    challenge = f'{_REALM}, error="{error}"' if error else _REALM
    text = problem or "a token, a key or a client certificate is needed"
    return RefusedError(401, text, headers={"WWW-Authenticate": challenge})


def _forbidden(problem: str) -> RefusedError:
    return RefusedError(403, problem)
