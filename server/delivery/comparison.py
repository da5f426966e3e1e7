"""What a chart's resource says differently from what it shall say, as paths without values (pure).

Three things may differ without a difference in meaning, and are passed over: what a server writes by itself (`id`,
`meta.versionId`, `meta.lastUpdated`, `meta.source`, the narrative, the display text and type of a reference); how a
value is spelt (`50` and `50.0`, one instant in two offsets, an absolute reference to the same server); and which run
of which software computed it (`outcomes.without_origin`), for an outcome keeps the one that did it first. Every
other element that we did not send is a difference: one modifier can turn a resource into its opposite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from integration.outcomes import Resource, without_origin

_SERVERS_OWN = frozenset(("id", "text"))
_META_TO_KEEP = ("profile", "security", "tag")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


def differences(desired: Resource, found: Resource, *, base_url: str) -> list[str]:
    """Return the paths at which the chart differs, in the order of the desired resource.

    Args:
        desired: with the server's ids in its references.
        found: as the server sent it.
        base_url: of the server; a reference that starts with it counts as relative.
    """
    return list(_of_resource(without_origin(desired), without_origin(found), base_url.rstrip("/") + "/"))


def _of_resource(desired: Resource, found: Resource, base: str) -> Iterator[str]:
    for name in _names(desired, found):
        if name == "meta":
            yield from _of_meta(desired.get("meta", {}), found.get("meta", {}))
        elif name not in _SERVERS_OWN:
            yield from _of_element(name, desired.get(name), found.get(name), base)


def _of_meta(desired: Any, found: Any) -> Iterator[str]:
    """A server may add profiles, labels and tags of its own; ours must be there."""
    for name in _META_TO_KEEP:
        kept = found.get(name) if isinstance(found, dict) else None
        for number, element in enumerate(desired.get(name, [])):
            if not any(_contains(other, element) for other in kept or []):
                yield f"meta.{name}[{number}]"


def _contains(found: Any, desired: Any) -> bool:
    if isinstance(desired, dict):
        return isinstance(found, dict) and all(found.get(name) == value for name, value in desired.items())
    return bool(found == desired)


def _of_element(path: str, desired: Any, found: Any, base: str) -> Iterator[str]:
    if isinstance(desired, dict) and isinstance(found, dict):
        for name in _names(desired, found):
            if not ("reference" in desired and name in ("display", "type") and name not in desired):
                yield from _of_element(f"{path}.{name}", desired.get(name), found.get(name), base)
    elif isinstance(desired, list) and isinstance(found, list) and len(desired) == len(found):
        for number, (ours, theirs) in enumerate(zip(desired, found, strict=True)):
            yield from _of_element(f"{path}[{number}]", ours, theirs, base)
    elif not _is_same(desired, found, base):
        yield path


def _names(desired: Resource, found: Resource) -> Iterator[str]:
    yield from desired
    yield from (name for name in found if name not in desired)


def _is_same(desired: Any, found: Any, base: str) -> bool:
    if isinstance(desired, bool) or isinstance(found, bool):
        return desired is found
    if isinstance(desired, int | float) and isinstance(found, int | float):
        return Decimal(str(desired)) == Decimal(str(found))
    if isinstance(desired, str) and isinstance(found, str):
        return desired == found or _is_same_instant(desired, found) or _is_same_reference(desired, found, base)
    return bool(desired == found)


def _is_same_instant(desired: str, found: str) -> bool:
    if not (_INSTANT.match(desired) and _INSTANT.match(found)):
        return False
    try:
        ours, theirs = datetime.fromisoformat(desired), datetime.fromisoformat(found)
    except ValueError:
        return False
    return ours.tzinfo is not None and theirs.tzinfo is not None and ours == theirs


def _is_same_reference(desired: str, found: str, base: str) -> bool:
    """An absolute form of it, or the same with the version that the server pinned it to."""
    relative = found.removeprefix(base)
    return relative == desired or ("/_history/" not in desired and relative.partition("/_history/")[0] == desired)
