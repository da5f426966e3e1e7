"""The columns of a view: checked against each other, resolved, and written one by one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from integration.errors import ViewError
from integration.views import dispatch, tree
from integration.views.conditions import Names
from integration.views.definition import Column, Definition, Expression, Select
from integration.views.emit import Emitter
from integration.views.resolve import Resolver
from integration.views.schema import BOOLEAN, DATE, INTEGER, NUMBER, PRIMITIVES, TEXT, nearest
from integration.views.steps import Scope

_FITTING: Mapping[str, Sequence[str]] = {
    TEXT: (TEXT, DATE),
    DATE: (DATE, TEXT),
    INTEGER: (INTEGER,),
    NUMBER: (NUMBER, INTEGER),
    BOOLEAN: (BOOLEAN,),
}
"""What a path may give for each declared kind of column."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ColumnType:
    """What a column holds: a FHIR primitive type (empty where nothing is known), a list of it or one.

    `may_overflow` is true for numbers that no FHIR type bounds: decimals, and what is computed.
    """

    type: str
    is_collection: bool
    may_overflow: bool = False

    @property
    def kind(self) -> str:
        """Return what a value is like (`schema.PRIMITIVES`); text where nothing is known."""
        return PRIMITIVES.get(self.type, TEXT)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a select is evaluated: the resource, the focus, and which Python names hold them."""

    root: tree.Tree | None
    focus: tree.Tree
    names: Names

    def scope(self, at: Expression) -> Scope:
        """Return the scope of one of the view's expressions evaluated here."""
        context = self.focus if self.names.context else None
        return Scope(focus=self.focus, root=self.root, context=context, at=at)


def check_names(view: Definition) -> list[str]:
    """Return the names of the view's columns in order.

    Raises:
        ViewError: a name is declared twice, or the branches of a union differ.
    """
    for select in view.selects:
        _check_unions(view, select)
    names: list[str] = []
    for column in (column for select in view.selects for column in select.all_columns()):
        if column.name in names:
            problem = f"the column {column.name} is declared twice"
            raise ViewError(view=view.name, path=f"{column.path}.name", problem=problem)
        names.append(column.name)
    return names


def _check_unions(view: Definition, select: Select) -> None:
    for nested in (*select.selects, *select.union):
        _check_unions(view, nested)
    branches = [[column.name for column in branch.all_columns()] for branch in select.union]
    for branch, names in zip(select.union, branches, strict=True):
        if names != branches[0]:
            problem = f"has the columns {', '.join(names)}, but the first branch has {', '.join(branches[0])}"
            raise ViewError(view=view.name, path=branch.path, problem=problem)


class Columns:
    """Writes columns; knows under which Python name each is found, and its type."""

    def __init__(self, view: Definition, resolver: Resolver, emitter: Emitter) -> None:
        self._view, self._resolver, self._emitter = view, resolver, emitter
        self.codes: dict[str, str] = {}
        self.types: dict[str, ColumnType] = {}

    def write_all(self, columns: Sequence[Column], place: Place) -> None:
        """Write what gives the columns' values at a place; columns of one kind share a loop."""
        nodes = [
            (column, self._resolver.resolve(column.expression.node, place.scope(column.expression)))
            for column in columns
        ]
        for column, node in nodes:
            self._note_type(column, node)
        codes: dict[str, str] = {}
        for group in dispatch.groups(nodes):
            codes |= dispatch.write(group, self._emitter, place.names)
        for column, node in nodes:
            value = self._emitter.collection if column.is_collection else self._emitter.one
            self.codes[column.name] = codes.get(column.name) or value(node, place.names)

    def write_null(self, column: Column, place: Place) -> None:
        """Write the column of the row that `forEachOrNull` gives for nothing: null, but 0 for `%rowIndex`."""
        self.codes[column.name] = "None"
        if "%rowIndex" in column.expression.text:
            names = Names(focus=None, root=place.names.root, context=None)
            self.write_all([column], Place(root=place.root, focus=tree.Nothing(), names=names))

    def _error(self, path: str, problem: str) -> ViewError:
        return ViewError(view=self._view.name, path=path, problem=problem)

    def _note_type(self, column: Column, node: tree.Tree) -> None:
        if not node.kind and not isinstance(node, tree.Nothing):
            has = "several types; name one with ofType()" if node.type == tree.CHOICE else f"the type {node.type}"
            raise self._error(f"{column.path}.path", f"a column holds primitive values, but {node.path} has {has}")
        found = ColumnType(
            type=self._declared(column, node) or node.type,
            is_collection=column.is_collection,
            may_overflow=node.kind == NUMBER or (node.kind == INTEGER and not _is_decoded(node)),
        )
        known = self.types.setdefault(column.name, found)
        if not known.type:
            self.types[column.name] = found
        elif found.type and (known.kind, known.is_collection) != (found.kind, found.is_collection):
            raise self._error(column.path, f"{column.name} is {found.type} here and {known.type} in another branch")
        elif found.may_overflow:
            self.types[column.name] = dataclasses.replace(known, may_overflow=True)

    def _declared(self, column: Column, node: tree.Tree) -> str:
        if column.type and column.type not in PRIMITIVES:
            hint = nearest(column.type, PRIMITIVES)
            problem = f"{column.type!a} is no primitive type" + (f"; did you mean {hint}?" if hint else "")
            raise self._error(f"{column.path}.type", problem)
        if column.type and node.kind and node.kind not in _FITTING[PRIMITIVES[column.type]]:
            raise self._error(f"{column.path}.type", f"is {column.type}, but the path gives {node.type}")
        return column.type


def _is_decoded(node: tree.Tree) -> bool:
    """Say whether a value comes out of the resource as it stands there, so that the decoder has checked its size."""
    while isinstance(node, tree.Pick | tree.Filter):
        node = node.source
    return isinstance(node, tree.Field)
