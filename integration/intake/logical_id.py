"""What FHIR allows as a logical id (https://hl7.org/fhir/R4/datatypes.html#id)."""

from __future__ import annotations

import re
from typing import Any, Final, TypeGuard

import msgspec

from integration.intake.rejection import RejectedError

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def is_valid(value: object) -> TypeGuard[str]:
    """Return whether a value is text that FHIR allows as a logical id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def fault(value: Any) -> RejectedError | None:
    """Return why a resource with this `id` cannot be used; None if it can.

    Args:
        value: of any JSON type; `msgspec.UNSET` where the resource has none.
    """
    if is_valid(value):
        return None
    if value is msgspec.UNSET:
        return RejectedError("id", "no id")
    if not isinstance(value, str):
        return RejectedError("id", "not text")
    return RejectedError("id", "not a FHIR id: 1 to 64 of A-Z, a-z, 0-9, - and .")
