"""Columns that differ only in a constant, such as 29 times `item.where(linkId = …).answer.value`: read in one loop.

Each column by itself would look through all items. Together, a dict leads from an item's key to the column's place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from integration.views import tree
from integration.views.conditions import Names
from integration.views.definition import Column
from integration.views.emit import Emitter
from integration.views.schema import TEXT
from integration.views.values import Places

WORTH_GATHERING = 3
"""Columns of one kind from which one loop for all of them pays."""

_WANTED = tree.Constant(type="string", value="")
"""Stands for the constant in which the columns of a group differ."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Columns by the key that each one wants, and the tree that they share."""

    shared: tree.Tree
    is_collection: bool
    wanted: Mapping[str, str]


def groups(resolved: Iterable[tuple[Column, tree.Tree]]) -> list[Group]:
    """Find the columns of one select that can be read in one loop."""
    found: dict[tuple[tree.Tree, bool], dict[str, str]] = {}
    for column, node in resolved:
        split = _split(node, is_collection=column.is_collection)
        if split is not None:
            shared, wanted = split
            found.setdefault((shared, column.is_collection), {})[column.name] = wanted
    return [
        Group(shared=shared, is_collection=is_collection, wanted=wanted)
        for (shared, is_collection), wanted in found.items()
        if len(wanted) >= WORTH_GATHERING
    ]


def _split(node: tree.Tree, *, is_collection: bool) -> tuple[tree.Tree, str] | None:
    """Take the constant out of a column that is all, the only, or the first of what a filter by a key leads to."""
    if not isinstance(node, tree.Pick):
        return _without_key(node)
    below = _without_key(node.source) if node.index is None and not node.is_last and not is_collection else None
    return None if below is None else (dataclasses.replace(node, source=below[0]), below[1])


def _without_key(node: tree.Tree) -> tuple[tree.Tree, str] | None:
    """Take the constant of the filter nearest to the start out of a chain of steps."""
    if not isinstance(node, tree.Filter | tree.Field) or not node.is_many:
        return None
    below = _without_key(node.source)
    if below is not None:
        return dataclasses.replace(node, source=below[0]), below[1]
    wanted = _wanted(node) if isinstance(node, tree.Filter) else None
    return None if wanted is None else (_replaced(node), wanted)


def _replaced(node: tree.Tree) -> tree.Tree:
    if isinstance(node, tree.Filter) and isinstance(node.criterion, tree.Equal):
        return dataclasses.replace(node, criterion=dataclasses.replace(node.criterion, right=_WANTED))
    return node


def _wanted(node: tree.Filter) -> str | None:
    """Return the text that a filter compares a key of each item with, None for any other filter."""
    equal = node.criterion
    if not isinstance(equal, tree.Equal) or equal.is_negated:
        return None
    key, constant = equal.left, equal.right
    is_key = isinstance(key, tree.Field) and isinstance(key.source, tree.Focus) and not key.is_list
    if not is_key or key.kind != TEXT or not isinstance(constant, tree.Constant):
        return None
    return str(constant.value)


def write(group: Group, emitter: Emitter, names: Names) -> dict[str, str]:
    """Write one loop for a group; return under which Python name each column's value is."""
    writer = emitter.writer
    places = Places((wanted, at) for at, wanted in enumerate(dict.fromkeys(group.wanted.values())))
    found, at = writer.name("found"), writer.name("at")
    writer.line(f"{found} = [{_empty(group, len(places))}]")
    node = group.shared.source if isinstance(group.shared, tree.Pick) else group.shared
    keyed = _keyed(node, _noted(node, len(group.wanted), writer.constant(places), places), at)
    items, value = _apart(keyed) if isinstance(group.shared, tree.Pick) else (keyed, None)

    def keep(item: str) -> None:
        if value is None:
            _keep(group, emitter, f"{found}[{at}]", item)
            return
        with writer.block(f"if {found}[{at}] is None:"):
            writer.line(f"{found}[{at}] = {emitter.one(value, names.on(item))}")

    emitter.each(items, names, keep)
    values = [writer.name(_stem(group.shared)) for _ in places]
    writer.line(f"{', '.join(values)}, = {found}")
    return {column: values[places[wanted]] for column, wanted in group.wanted.items()}


def _empty(group: Group, count: int) -> str:
    return ", ".join(["[]" if group.is_collection else "None"] * count)


def _stem(node: tree.Tree) -> str:
    """Return the name of the element that a chain leads to."""
    while not isinstance(node, tree.Field):
        node = node.source  # type: ignore[attr-defined]  # a chain down to an element: see _split
    return node.option.attribute


def _keep(group: Group, emitter: Emitter, place: str, item: str) -> None:
    writer = emitter.writer
    if group.is_collection:
        writer.line(f"{place}.append({item})")
    elif isinstance(group.shared, tree.Pick):
        with writer.block(f"if {place} is None:"):
            writer.line(f"{place} = {item}")
    else:
        with writer.block(f"if {place} is not None:"):
            writer.line(f"raise several({writer.constant(group.shared.path)})")
        writer.line(f"{place} = {item}")


def _apart(node: tree.Tree) -> tuple[tree.Tree, tree.Tree | None]:
    """Split a chain of elements behind keyed items: the items, and the first value of one item.

    A list of values at its end stays in the loop, which leaves out what is null in it.
    """
    steps: list[tree.Field] = []
    items = node
    while isinstance(items, tree.Field):
        steps.append(items)
        items = items.source
    if not isinstance(items, tree.Keyed) or not steps or steps[0].is_list:
        return node, None
    value: tree.Tree = tree.Focus(type=items.type, shape=items.shape, path=items.path)
    for step in reversed(steps):
        value = dataclasses.replace(step, source=value, is_many=step.is_list or value.is_many)
    first = tree.Pick(type=value.type, shape=value.shape, path=value.path, source=value)
    return items, first if value.is_many else value


def _noted(node: tree.Tree, uses: int, name: str, places: Places) -> str:
    """Note where the key is read that it is looked up; return the dict's name."""
    while not (isinstance(node, tree.Filter) and isinstance(node.criterion, tree.Equal)):
        node = node.source  # type: ignore[attr-defined]  # a chain down to a filter: see _split
    key = node.criterion.left
    if isinstance(key, tree.Field) and key.source.shape:
        key.source.shape.look_up(key.option, uses, name, places)
    return name


def _keyed(node: tree.Tree, places: str, at: str) -> tree.Tree:
    """Put the look-up of the key where the filter was."""
    if isinstance(node, tree.Filter) and isinstance(node.criterion, tree.Equal) and node.criterion.right is _WANTED:
        return tree.Keyed(
            type=node.type,
            is_many=True,
            shape=node.shape,
            path=node.path,
            source=node.source,
            key=node.criterion.left,
            places=places,
            at=at,
        )
    if isinstance(node, tree.Filter | tree.Field):
        return dataclasses.replace(node, source=_keyed(node.source, places, at))
    return node
