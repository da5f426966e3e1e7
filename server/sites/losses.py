"""What a site does not get: the paths of a resource that a smaller one does not carry (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from integration.outcomes import Resource


def dropped(canonical: Resource, carried: Resource) -> tuple[str, ...]:
    """Return the paths of `canonical` at which `carried` lacks its content, in the order of `canonical`.

    An element that is missing as a whole is one path, whatever lies under it: `method`, `category[1]`,
    `valueQuantity.unit`. An element of a list counts as carried wherever in the other list it stands.
    """
    return tuple(_of_element("", canonical, carried))


def _of_element(path: str, canonical: Any, carried: Any) -> Iterator[str]:
    if isinstance(canonical, dict) and isinstance(carried, dict):
        for name, value in canonical.items():
            inner = f"{path}.{name}" if path else name
            yield from _of_element(inner, value, carried[name]) if name in carried else (inner,)
    elif isinstance(canonical, list) and isinstance(carried, list):
        for number, element in enumerate(canonical):
            inner = f"{path}[{number}]"
            if not any(_is_same(element, other) for other in carried):
                yield from _of_element(inner, element, carried[number]) if number < len(carried) else (inner,)
    elif not _is_same(canonical, carried):
        yield path


def _is_same(canonical: Any, carried: Any) -> bool:
    """`True` is no 1: JSON has two things where Python has one."""
    return isinstance(canonical, bool) == isinstance(carried, bool) and bool(canonical == carried)
