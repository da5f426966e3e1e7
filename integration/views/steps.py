"""Steps from one part of a resource to the next, checked against the element types of one FHIR version."""

from __future__ import annotations

import dataclasses
from typing import NoReturn

from integration.errors import ViewError
from integration.views import tree
from integration.views.definition import Expression
from integration.views.equality import Compared
from integration.views.schema import PRIMITIVES, Option, Schema
from integration.views.shapes import ANY_RESOURCE, Shape, companion

_SUBTYPES = {
    "string": {"code", "id", "markdown"},
    "uri": {"url", "canonical", "oid", "uuid"},
    "integer": {"positiveInt", "unsignedInt"},
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Where an expression is evaluated: on which focus, within which resource."""

    focus: tree.Tree
    root: tree.Tree | None
    context: tree.Tree | None
    at: Expression

    def on(self, item: tree.Tree) -> Scope:
        """Return the scope of a criterion that is evaluated on each item of a collection."""
        return dataclasses.replace(self, focus=focus_on(item))


def focus_on(item: tree.Tree) -> tree.Focus:
    """Return the focus that stands for one item of a collection."""
    return tree.Focus(type=item.type, shape=item.shape, path=item.path)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    """A resource inside the resource that the view reads as one type; `path` is its place."""

    path: str
    shape: Shape


class Steps:
    """Takes the steps of one view; collects warnings and the resources to decode inside resources."""

    def __init__(self, schema: Schema, view: str) -> None:
        self.schema, self._view = schema, view
        self.warnings: dict[str, None] = {}
        self.inner: list[Inner] = []

    def refuse(self, scope: Scope, problem: str) -> NoReturn:
        """Raise the error for a fault in the scope's expression."""
        raise ViewError(view=self._view, path=scope.at.path, problem=problem)

    def warn(self, scope: Scope, problem: str) -> tree.Nothing:
        """Note what looks wrong and yields nothing."""
        self.warnings[f"{scope.at.path}: {problem}"] = None
        return tree.Nothing()

    def member(self, source: tree.Tree, name: str, scope: Scope) -> tree.Tree:
        """Step from a source to one of its elements."""
        if isinstance(source, tree.Nothing):
            return source
        if source.type == tree.CHOICE:
            self.refuse(scope, f"{source.path} has several types; write {source.path}.ofType(Type).{ascii(name)[1:-1]}")
        if source.type in ANY_RESOURCE:
            source = self._any_resource(source, name, scope)
        element = self.schema.elements(source.type).get(name)
        if element is None:
            return self._unknown(source, name, scope)
        if source.type in PRIMITIVES:
            return self._field(self._companion(source, scope), element.options[0], scope, is_list=element.is_list)
        if element.is_choice:
            path = _joined(source.path, name)
            return tree.Choice(source=source, element=element, is_many=source.is_many, path=path)
        return self._field(source, element.options[0], scope, is_list=element.is_list)

    def _unknown(self, source: tree.Tree, name: str, scope: Scope) -> tree.Nothing:
        hint = self.schema.nearest_element(source.type, name)
        return self.warn(
            scope,
            f"{source.type} has no element {name!a}, so this yields nothing"
            + (f"; did you mean {hint}?" if hint else ""),
        )

    def _field(self, source: tree.Tree, option: Option, scope: Scope, *, is_list: bool) -> tree.Field:
        if source.shape is None:
            self.refuse(scope, f"{source.path or source.type} cannot be read into")
        return tree.Field(
            type=option.type,
            is_many=source.is_many or is_list,
            shape=source.shape.read(option, is_list=is_list),
            path=_joined(source.path, option.key),
            source=source,
            option=option,
            is_list=is_list,
        )

    def _companion(self, source: tree.Tree, scope: Scope) -> tree.Tree:
        if not isinstance(source, tree.Field):
            self.refuse(scope, "id and extension of a primitive are supported directly behind its element only")
        return self._field(source.source, companion(source.option), scope, is_list=source.is_list)

    def _any_resource(self, source: tree.Tree, name: str, scope: Scope) -> tree.Tree:
        """Read what every resource has; anything else is read of one type, because each has its own form of it."""
        types = self.schema.resources_with(name)
        if types and name not in self.schema.elements("DomainResource"):
            write = f"write {source.path}.ofType(Type).{name}, for example {source.path}.ofType({types[0]}).{name}"
            self.refuse(scope, f"{source.path} may be any resource, and each type has its own {name}; {write}")
        return self._decoded(source, "DomainResource")

    def of_type(self, source: tree.Tree, wanted: str, scope: Scope) -> tree.Tree:
        """Keep what is of a type: one form of a choice, one type of resource, or a source that has the type anyway."""
        if isinstance(source, tree.Choice):
            option = source.element.option(wanted)
            if option is None:
                return self.warn(scope, f"{source.path} is never of type {wanted}, so this yields nothing")
            return self._field(source.source, option, scope, is_list=source.element.is_list)
        if source.type in ANY_RESOURCE and wanted in self.schema.resources - ANY_RESOURCE:
            return self._decoded(source, wanted)
        if wanted == source.type or source.type in _SUBTYPES.get(wanted, ()) or wanted in ANY_RESOURCE:
            return source
        return self.warn(scope, f"{source.path} is of type {source.type}, never {wanted}, so this yields nothing")

    def _decoded(self, source: tree.Tree, type_name: str) -> tree.Decoded:
        places = [(inner.path, inner.shape.type) for inner in self.inner]
        if (source.path, type_name) not in places:
            places.append((source.path, type_name))
            self.inner.append(Inner(path=source.path, shape=Shape(type_name)))
        index = places.index((source.path, type_name))
        return tree.Decoded(
            type=type_name,
            is_many=source.is_many,
            shape=self.inner[index].shape,
            path=source.path,
            source=source,
            decoder=index,
        )

    def pick(
        self, source: tree.Tree, scope: Scope, *, is_last: bool = False, index: tree.Tree | None = None
    ) -> tree.Tree:
        """Take one item of a collection: the first, the last, or the one at an index."""
        if source.type == tree.CHOICE:
            self.refuse(scope, f"{source.path} has several types; write ofType(Type) directly behind it")
        return tree.Pick(
            type=source.type,
            shape=source.shape,
            path=source.path,
            source=source,
            is_last=is_last,
            index=index,
        )

    def present(self, source: tree.Tree) -> tree.Tree:
        """Have everything read that tells whether the source is there, such as every form of a choice."""
        if isinstance(source, tree.Choice) and source.source.shape:
            for option in source.element.options:
                source.source.shape.read_presence(option, is_list=False)
                if option.type in PRIMITIVES:
                    source.source.shape.read_presence(companion(option), is_list=False)
        if isinstance(source, tree.Field) and source.kind and source.source.shape:
            source.source.shape.read_presence(companion(source.option), is_list=source.is_list)
        return source

    def equal_elements(self, left: tree.Tree, right: tree.Tree, *, is_negated: bool) -> tree.EqualElements:
        """Compare elements that have children: have them read as a whole."""
        for operand in (left, right):
            if operand.shape:
                operand.shape.read_whole()
        what = Compared(type=left.type, left=left.path, right=right.path, schema=self.schema)
        return tree.EqualElements(left=left, right=right, what=what, is_negated=is_negated)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
