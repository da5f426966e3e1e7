"""What generated code calls while it reads a resource: values that no Python operator gives."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import msgspec

Number = int | Decimal


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """A quantity from the view, such as `4 'mg'`; the unit is UCUM's."""

    number: Decimal
    unit: str


class BrokenValueError(Exception):
    """A resource holds a value that the view cannot read; `path` is where, `problem` what is wrong."""

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}")


def several(path: str) -> BrokenValueError:
    """Return the error for a collection of several values where one is expected."""
    return BrokenValueError(path, "holds several values where one is expected; use first() or collection: true")


def decimal(raw: msgspec.Raw | None) -> Decimal | None:
    """Return a JSON number exactly as written, None for nothing.

    Raises:
        BrokenValueError: the JSON is no number.
    """
    if raw is None:
        return None
    text = bytes(raw).decode()
    if text == "null":
        return None
    if text[0] not in "-0123456789":
        raise BrokenValueError("", "expected a number")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise BrokenValueError("", "the number is too large") from error


_INTEGER64 = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


def integer64(text: str | None, path: str) -> int | None:
    """Return an integer64, which JSON holds as text (https://hl7.org/fhir/R5/datatypes.html#integer64).

    Raises:
        BrokenValueError: the text at `path` is no integer of 64 bits.
    """
    if text is None:
        return None
    number = int(text) if _INTEGER64.fullmatch(text) else 2**63
    if not -(2**63) <= number < 2**63:
        raise BrokenValueError(path, "expected an integer of 64 bits as text")
    return number


def reference_key(reference: str | None) -> str | None:
    """Return the logical id behind a literal reference, whatever its type.

    Relative (`Patient/1`), absolute (`https://ehr.example.org/fhir/Patient/1`) and versioned
    (`Patient/1/_history/3`) references have one; contained (`#p`), `urn:`, and conditional ones have none.
    https://hl7.org/fhir/R4/references.html#literal
    """
    parts = _reference_parts(reference)
    return parts[1] if parts else None


def reference_key_of(reference: str | None, type_name: str) -> str | None:
    """Return the logical id behind a literal reference to one resource type, None for other types."""
    parts = _reference_parts(reference)
    return parts[1] if parts and parts[0] == type_name else None


_REFERENCE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([^/?#]+)(?:/_history/[^/?#]+)?", re.ASCII | re.DOTALL)


def _reference_parts(reference: str | None) -> tuple[str, str] | None:
    match = None if reference is None else _REFERENCE.fullmatch(reference)
    if match is None or "?" in match.string or "#" in match.string:
        return None
    return match.group(1), match.group(2)


def divide(left: Number | None, right: Number | None) -> Decimal | None:
    """Divide to 28 digits; nothing when an operand is missing or the divisor is zero."""
    if left is None or right is None or right == 0:
        return None
    return Decimal(left) / Decimal(right)


def whole_divide(left: Number | None, right: Number | None) -> int | None:
    """FHIRPath's `div`: divide and cut towards zero; nothing when the divisor is zero."""
    if left is None or right is None or right == 0:
        return None
    return int(Decimal(left) // Decimal(right))


def remainder(left: Number | None, right: Number | None) -> Number | None:
    """FHIRPath's `mod`: what `div` leaves, with the sign of the left operand."""
    if left is None or right is None or right == 0:
        return None
    rest = Decimal(left) % Decimal(right)
    return int(rest) if isinstance(left, int) and isinstance(right, int) else rest


class Places(dict[object, int]):
    """Where each of some keys belongs, None for any other: `places[key]` is faster than `places.get(key)`."""

    def __missing__(self, key: object) -> None:
        return None


def equal_lists(left: Sequence[object], right: Sequence[object]) -> bool | None:
    """FHIRPath's `=` on collections: nothing when one is empty, else same length and equal pairs, in order."""
    return list(left) == list(right) if left and right else None


def decimal_boundary(value: Number | None, *, is_high: bool) -> Decimal | None:
    """Return the least or greatest decimal that would be written like this (1.0: 0.95 and 1.05)."""
    if value is None:
        return None
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    half = Decimal((0, (5,), int(exponent) - 1))
    return number + half if is_high else number - half


__all__ = [
    "decimal",
    "decimal_boundary",
    "divide",
    "equal_lists",
    "integer64",
    "reference_key",
    "reference_key_of",
    "remainder",
    "several",
    "whole_divide",
]
