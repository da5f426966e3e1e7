"""What a chart's resource says differently from what it shall say, as paths without values (pure).

Three things may differ without a difference in meaning, and are passed over: what a server writes by itself (`id`,
`meta.versionId`, `meta.lastUpdated`, `meta.source`, the narrative, the display text and type of a reference); how a
value is spelt (`50` and `50.0`, one instant in two offsets, an absolute reference to the same server); and which run
of which software computed it (`outcomes.without_origin`), for an outcome keeps the one that did it first. Every
other element that we did not send is a difference: one modifier can turn a resource into its opposite.

An EHR that files into rows of its own gives back more than it got: codes, a performer, a unit. There only what was
sent is compared, each element of a list with any of the chart's list; but what can turn a resource into its opposite
is a difference even if we sent none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from integration.outcomes import Resource, without_origin

_SERVERS_OWN = frozenset(("id", "text"))
_META_TO_KEEP = ("profile", "security", "tag")
_TURNS_A_RESOURCE = frozenset(("status", "dataAbsentReason", "component", "modifierExtension", "implicitRules"))
_TURNS_AN_ELEMENT = frozenset(("modifierExtension", "comparator"))
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One place at which the chart differs. It holds values: it is for the person who asked, never for a log.

    Attributes:
        path: in the resource: `valueQuantity.value`, `category[1]`.
        old: what the chart holds there; None if nothing.
        new: what it shall hold; None if nothing.
    """

    path: str
    old: Any
    new: Any


def differences(desired: Resource, found: Resource, *, base_url: str, keeps_all: bool = True) -> list[str]:
    """Return the paths at which the chart differs, in the order of the desired resource: `changes` without values."""
    return [one.path for one in changes(desired, found, base_url=base_url, keeps_all=keeps_all)]


def changes(desired: Resource, found: Resource, *, base_url: str, keeps_all: bool = True) -> list[Difference]:
    """Return what would change in the chart, in the order of the desired resource.

    Args:
        desired: with the server's ids in its references.
        found: as the server sent it.
        base_url: of the server; a reference that starts with it counts as relative.
        keeps_all: whether the server gives back what it was given, nothing more and nothing less.
    """
    comparison = _Comparison(base=base_url.rstrip("/") + "/", keeps_all=keeps_all)
    return list(comparison.of_resource(without_origin(desired), without_origin(found)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Comparison:
    """How two resources are compared.

    Attributes:
        base: the server's base URL with a slash at its end.
        keeps_all: see `differences`.
    """

    base: str
    keeps_all: bool

    def of_resource(self, desired: Resource, found: Resource) -> Iterator[Difference]:
        for name in self._names(desired, found, is_resource=True):
            if name == "meta":
                yield from _of_meta(desired.get("meta", {}), found.get("meta", {}))
            elif name not in _SERVERS_OWN:
                yield from self.of_element(name, desired.get(name), found.get(name))

    def of_element(self, path: str, desired: Any, found: Any) -> Iterator[Difference]:
        if isinstance(desired, dict) and isinstance(found, dict):
            for name in self._names(desired, found, is_resource=False):
                if not ("reference" in desired and name in ("display", "type") and name not in desired):
                    yield from self.of_element(f"{path}.{name}", desired.get(name), found.get(name))
        elif isinstance(desired, list) and isinstance(found, list) and self._are_comparable(desired, found):
            yield from self._of_list(path, desired, found)
        elif not _is_same(desired, found, self.base):
            yield Difference(path=path, old=found, new=desired)

    def _of_list(self, path: str, desired: list[Any], found: list[Any]) -> Iterator[Difference]:
        for number, ours in enumerate(desired):
            inner = f"{path}[{number}]"
            if self.keeps_all or len(found) == 1:
                yield from self.of_element(inner, ours, found[number if self.keeps_all else 0])
            elif all(any(self.of_element(inner, ours, theirs)) for theirs in found):
                yield Difference(path=inner, old=found, new=ours)

    def _are_comparable(self, desired: list[Any], found: list[Any]) -> bool:
        return len(desired) == len(found) if self.keeps_all else bool(found)

    def _names(self, desired: Resource, found: Resource, *, is_resource: bool) -> Iterator[str]:
        yield from desired
        for name in found:
            if name not in desired and (self.keeps_all or _turns(name, is_resource=is_resource)):
                yield name


def _turns(name: str, *, is_resource: bool) -> bool:
    """Whether an element that we did not send can turn what we sent into its opposite."""
    if not is_resource:
        return name in _TURNS_AN_ELEMENT
    return name in _TURNS_A_RESOURCE or re.match(r"value[A-Z]", name) is not None


def _of_meta(desired: Any, found: Any) -> Iterator[Difference]:
    """A server may add profiles, labels and tags of its own; ours must be there."""
    for name in _META_TO_KEEP:
        kept = found.get(name) if isinstance(found, dict) else None
        for number, element in enumerate(desired.get(name, [])):
            if not any(_contains(other, element) for other in kept or []):
                yield Difference(path=f"meta.{name}[{number}]", old=kept, new=element)


def _contains(found: Any, desired: Any) -> bool:
    if isinstance(desired, dict):
        return isinstance(found, dict) and all(found.get(name) == value for name, value in desired.items())
    return bool(found == desired)


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
