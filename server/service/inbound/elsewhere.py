"""References that lead to another server: `https://other.example/fhir/Patient/7` is not our Patient/7."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from integration.intake import RejectedError

T = TypeVar("T")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|//")
_LOCAL: Final = re.compile(r"[A-Za-z]+/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?")
FULL_URL: Final = "fullUrl"
_OWN: Final = "begins with the EHR's own base URL: base_url or one of other_base_urls of its site"
ELSEWHERE: Final = f"the resource is at another server; a fullUrl is a urn, or {_OWN}"
PROBLEM: Final = f"the patient is at another server; a reference is Patient/ID, or {_OWN}"
_NONE: Final = msgspec.Raw(b"null")


class _Named(msgspec.Struct):
    """The elements of what we take that say whose it is (https://hl7.org/fhir/R4/references.html#literal).

    Each is read by itself, so that one of another shape does not hide the others.
    """

    subject: msgspec.Raw = _NONE
    patient: msgspec.Raw = _NONE
    link: msgspec.Raw = _NONE


class _Reference(msgspec.Struct):
    reference: str = ""


class _Link(msgspec.Struct):
    other: msgspec.Raw = _NONE


_named: Final = msgspec.json.Decoder(_Named)
_links: Final = msgspec.json.Decoder(list[msgspec.Raw])
_link: Final = msgspec.json.Decoder(_Link)
_reference_element: Final = msgspec.json.Decoder(_Reference)


def require_own_patient(body: bytes, bases: Sequence[str]) -> None:
    """See that whoever a resource is about is at our server.

    Args:
        body: the resource as JSON. What is not shaped as FHIR says is left to whoever reads it next.
        bases: base URLs under which the server is known, without a slash at their end.

    Raises:
        RejectedError: a reference is neither `Patient/ID` nor that behind one of them. One without a slash names
            nobody at a server and is left to the reader too.
    """
    named = _read(body, _named) or _Named()
    for path, reference in _references(named):
        if "/" in reference and not _is_at_own(reference, bases):
            raise RejectedError(path, PROBLEM)


def require_own_address(full_url: str, bases: Sequence[str]) -> None:
    """See that an entry of a Bundle is at our server: https://other.example/fhir/Patient/7 must not become our 7.

    Args:
        full_url: as the Bundle says; empty if it does not.
        bases: as above.

    Raises:
        RejectedError: it is a URL that begins with none of them.
    """
    if _is_elsewhere(full_url, bases):
        raise RejectedError(FULL_URL, ELSEWHERE)


def _is_elsewhere(url: str, bases: Sequence[str]) -> bool:
    return _ABSOLUTE.match(url) is not None and not url.startswith(tuple(f"{base}/" for base in bases))


def _is_at_own(reference: str, bases: Sequence[str]) -> bool:
    base = next((f"{one}/" for one in bases if reference.startswith(f"{one}/")), "")
    return _LOCAL.fullmatch(reference.removeprefix(base)) is not None


def _references(named: _Named) -> Iterator[tuple[str, str]]:
    yield "subject", _reference(named.subject)
    yield "patient", _reference(named.patient)
    links: list[msgspec.Raw] = _read(named.link, _links) or []
    for number, raw in enumerate(links):
        link = _read(raw, _link)
        yield f"link[{number}].other", _reference(link.other) if link else ""


def _reference(raw: msgspec.Raw) -> str:
    found = _read(raw, _reference_element)
    return found.reference if found else ""


def _read(part: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T | None:
    try:
        return decoder.decode(part)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
