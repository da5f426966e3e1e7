"""JSON as FHIR wants it (https://hl7.org/fhir/R4/json.html): every fault that another reader might take otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from integration.outcomes import Resource
from server.service.operation_outcome import RefusedError

_LONGEST_NUMBER: Final = 400
_LARGEST_EXPONENT: Final = 400
_MARK: Final = b"\xef\xbb\xbf"
_TOO_LARGE: Final = "the body holds a number that is too large"
_TOO_DEEP: Final = "the body is nested too deep"


class _NumberTooLargeError(Exception):
    """A number that readers of doubles would take for infinity, or that takes long to read."""


def _decimal(text: str) -> Decimal:
    """Return a decimal with its digits as they were sent."""
    number = Decimal(text) if len(text) <= _LONGEST_NUMBER else None
    if number is None or not -_LARGEST_EXPONENT <= number.adjusted() < 308:
        raise _NumberTooLargeError
    return number


_decoder = msgspec.json.Decoder(float_hook=_decimal)
_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")


def read(body: bytes) -> tuple[Resource, bytes]:
    """Return a JSON object, and the one way to write it: keys in order, no white space, decimals exact.

    Raises:
        RefusedError: 400, with what is wrong and none of the values.
    """
    with faults_refused():
        resource: Any = _decoder.decode(body)
        if not isinstance(resource, dict):
            raise RefusedError(400, "the body is not a FHIR resource: not a JSON object")
        canonical = _encoder.encode(resource)
    if _may_repeat_names(body, canonical):
        _require_plain(body, resource)
    return resource, canonical


def encode(resource: Resource) -> bytes:
    """Write a resource that was read, in that one way."""
    with faults_refused():
        return _encoder.encode(resource)


@contextmanager
def faults_refused() -> Iterator[None]:
    """Refuse what cannot be read or written as JSON; one that can just be read may be nested too deep to be written."""
    try:
        yield
    except RecursionError as error:
        raise RefusedError(400, _TOO_DEEP) from error
    except (_NumberTooLargeError, InvalidOperation) as error:
        raise RefusedError(400, _TOO_LARGE) from error
    except msgspec.ValidationError as error:  # of untyped JSON there is one: an integer with too many digits
        raise RefusedError(400, _TOO_LARGE) from error
    except UnicodeDecodeError as error:
        raise RefusedError(400, "the body is not UTF-8") from error
    except msgspec.DecodeError as error:
        raise RefusedError(400, "the body is not JSON") from error


def problem_at_start(body: bytes) -> str:
    """Return what is wrong with how a body begins; empty if nothing is."""
    return "the body begins with a byte order mark, which JSON forbids" if body.startswith(_MARK) else ""


def _may_repeat_names(body: bytes, canonical: bytes) -> bool:
    """Whether a closer look is needed: quotes are lost where a name is given twice, and escapes may hide more."""
    return b"\\" in body or body.count(b'"') != canonical.count(b'"')


def _require_plain(body: bytes, resource: Resource) -> None:
    """See that no object has a name twice, and no text a character that FHIR's strings may not have."""
    try:
        json.loads(body, object_pairs_hook=_unique, parse_int=str, parse_float=str)
    except RecursionError as error:
        raise RefusedError(400, _TOO_DEEP) from error
    if b"\\u0000" in body and any("\0" in text for text in _texts(resource)):
        raise RefusedError(400, "the body holds the character U+0000, which FHIR forbids")


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise RefusedError(400, "an object in the body has a property twice, which FHIR forbids")


def _texts(resource: Resource) -> Iterator[str]:
    pending: list[Any] = [resource]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            pending += [*part, *part.values()]
        elif isinstance(part, list):
            pending += part
