"""What is wrong with a resource that a view cannot read: said without any value out of it."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from integration.views import schema, values

BROKEN = (msgspec.MsgspecError, UnicodeError, RecursionError, values.BrokenValueError, ArithmeticError)
"""What reading one resource may raise because of the resource."""


class _Header(msgspec.Struct, rename={"resource_type": "resourceType"}):
    resource_type: Any = None
    id: Any = None


_HEADER: msgspec.json.Decoder[_Header] = msgspec.json.Decoder(_Header)
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""What FHIR allows as a logical id (https://hl7.org/fhir/R4/datatypes.html#id)."""


def whole(text: bytes) -> Exception | None:
    """Return what is wrong with the text as a whole: a decoder that stops early reports its own trouble first."""
    try:
        text.decode()
        _HEADER.decode(text)
    except BROKEN as error:
        return error
    return None


def is_skipped(text: bytes, wanted: str) -> bool:
    """Say whether what could not be read is a blank line or a resource of another type."""
    return not text or text.isspace() or is_of_another_type(text, wanted)


def is_of_another_type(text: bytes, wanted: str) -> bool:
    """Say whether the text is sound JSON and names another resource type than the wanted one."""
    try:
        text.decode()
        found = _HEADER.decode(text).resource_type
    except BROKEN:
        return False
    return isinstance(found, str) and found != wanted


def explained(error: Exception) -> tuple[str, str]:
    """Return where a resource is broken and how."""
    if isinstance(error, values.BrokenValueError):
        return error.path, error.problem
    if isinstance(error, msgspec.ValidationError):
        problem, _, path = str(error).partition(" - at `$")
        return path.rstrip("`").lstrip("."), _without_value(problem)
    if isinstance(error, msgspec.MsgspecError):
        return "", f"broken JSON: {error}"
    if isinstance(error, UnicodeError):
        return "", "the text is not UTF-8"
    if isinstance(error, RecursionError):
        return "", "nested too deeply"
    return "", "a value cannot be computed with"


def _without_value(problem: str) -> str:
    return "is not the resource type that belongs here" if problem.startswith("Invalid enum") else problem


def reference(text: bytes) -> str:
    """Return `Type/id` of a resource, empty where the text does not tell.

    A type that no FHIR version knows is not repeated, and `?` stands for what is no id: either may be anything, such
    as a person's name.
    """
    try:
        header = _HEADER.decode(text)
    except BROKEN:
        return ""
    if not isinstance(header.resource_type, str) or not schema.is_resource(header.resource_type):
        return ""
    is_id = isinstance(header.id, str) and _ID.fullmatch(header.id)
    return f"{header.resource_type}/{header.id if is_id else '?'}"
