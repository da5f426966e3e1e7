"""Refuse resources that may mean something else than their elements say (https://hl7.org/fhir/R4/extensibility.html)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

_KEYS: Final = (b"modifierExtension", b"implicitRules")
_ESCAPE: Final = b"\\u00"
_ELEMENT: Final = re.compile(r"[A-Za-z_]{1,64}")


def undeclared_modifier(body: bytes, declared: Collection[str]) -> tuple[str, str] | None:
    """Return the path and the kind of the first undeclared modifier, at any depth; None if there is none.

    Args:
        body: the resource as JSON.
        declared: URLs of the modifier extensions that the study has understood.

    Raises:
        msgspec.DecodeError, RecursionError: the JSON is broken or too deep.
    """
    may_hold_one = any(key in body for key in _KEYS) or _ESCAPE in body  # a key may be written with escapes
    return next(_modifiers(msgspec.json.decode(body), declared), None) if may_hold_one else None


def _modifiers(resource: Any, declared: Collection[str]) -> Iterator[tuple[str, str]]:
    pending: list[tuple[str, Any]] = [("", resource)]
    while pending:
        path, part = pending.pop()
        if isinstance(part, dict):
            if "implicitRules" in part:
                yield f"{path}implicitRules", "undeclared implicitRules"
            if "modifierExtension" in part and not _all_declared(part["modifierExtension"], declared):
                yield f"{path}modifierExtension", "undeclared modifierExtension"
            pending.extend((f"{path}{_name(key)}.", value) for key, value in part.items())
        elif isinstance(part, list):
            pending.extend((f"{path[:-1]}[{number}].", value) for number, value in enumerate(part))


def _name(key: str) -> str:
    """A key that is no element's name may hold anything, and the path is printed."""
    return key if _ELEMENT.fullmatch(key) else "?"


def _all_declared(extensions: Any, declared: Collection[str]) -> bool:
    listed = extensions if isinstance(extensions, list) else [None]
    return all(isinstance(one, dict) and one.get("url") in declared for one in listed)
