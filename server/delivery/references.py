"""References among our own resources: canonical ids while at home, the server's ids in the chart (pure)."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from integration.outcomes import Resource

OWN_TYPES: Final = ("Observation", "Device")
"""Types of what our resources refer to among themselves; every other reference is to a resource of the EHR."""


def own(content: Any) -> Iterator[str]:
    """Yield the key of each resource of ours that a resource refers to."""
    for reference in _references(content):
        if _is_own(reference):
            yield reference.partition("/")[2]


@functools.lru_cache(maxsize=1024)
def own_of(content: bytes) -> frozenset[str]:
    """Return the keys of the resources of ours that a resource, as JSON, refers to."""
    return frozenset(own(msgspec.json.decode(content)))


def rewritten(content: Any, places: Mapping[str, str]) -> Any:
    """Return a copy whose references to resources of ours read as `places` says.

    Args:
        content: a resource, or a part of one.
        places: by key, what the reference shall be (`Observation/7`, `urn:uuid:…`); a key that is not in it stays.
    """
    if isinstance(content, list):
        return [rewritten(element, places) for element in content]
    if not isinstance(content, dict):
        return content
    return {
        name: _place(value, places) if name == "reference" else rewritten(value, places)
        for name, value in content.items()
    }


def places(ids: Mapping[str, str], content: Resource) -> dict[str, str]:
    """Return, by key, the server's references to what `content` refers to of ours, as far as the ids are known."""
    found: dict[str, str] = {}
    for reference in _references(content):
        resource_type, _, key = reference.partition("/")
        if _is_own(reference) and key in ids:
            found[key] = f"{resource_type}/{ids[key]}"
    return found


def _place(reference: Any, places: Mapping[str, str]) -> Any:
    if not isinstance(reference, str) or not _is_own(reference):
        return reference
    return places.get(reference.partition("/")[2], reference)


def _is_own(reference: str) -> bool:
    return reference.startswith(tuple(f"{resource_type}/" for resource_type in OWN_TYPES))


def _references(content: Any) -> Iterator[str]:
    if isinstance(content, list):
        for element in content:
            yield from _references(element)
    elif isinstance(content, dict):
        for name, value in content.items():
            if name == "reference" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
