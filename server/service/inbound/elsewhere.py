"""References that lead to another server: `https://other.example/fhir/Patient/7` is not our Patient/7."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from integration.intake import RejectedError

_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|//")
PROBLEM: Final = "the patient is at another server; a reference is relative, or begins with the EHR's own base URL"


class _Reference(msgspec.Struct):
    reference: str = ""


class _Link(msgspec.Struct):
    other: _Reference | None = None


class _Named(msgspec.Struct):
    """The elements of what we take that say whose it is (https://hl7.org/fhir/R4/references.html#literal)."""

    subject: _Reference | None = None
    patient: _Reference | None = None
    link: list[_Link] = []


_decoder = msgspec.json.Decoder(_Named)


def require_own_patient(body: bytes, bases: Sequence[str]) -> None:
    """See that whoever a resource is about is at our server.

    Args:
        body: the resource as JSON. What is not shaped as FHIR says is left to whoever reads it next.
        bases: base URLs under which the server is known, without a slash at their end.

    Raises:
        RejectedError: an absolute reference begins with none of them.
    """
    try:
        named = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for path, reference in _references(named):
        if _ABSOLUTE.match(reference) and not reference.startswith(tuple(f"{base}/" for base in bases)):
            raise RejectedError(path, PROBLEM)


def _references(named: _Named) -> Iterator[tuple[str, str]]:
    yield "subject", named.subject.reference if named.subject else ""
    yield "patient", named.patient.reference if named.patient else ""
    for number, link in enumerate(named.link):
        yield f"link[{number}].other", link.other.reference if link.other else ""
