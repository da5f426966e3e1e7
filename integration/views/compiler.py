"""A ViewDefinition -> the structs to decode, one generated Python function, and what its columns hold."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from integration.errors import ViewError
from integration.views import definition, tree
from integration.views.definition import Column, Definition, Expression, Select
from integration.views.emit import Emitter, Names
from integration.views.resolve import Resolver, Scope
from integration.views.schema import BOOLEAN, DATE, INTEGER, NUMBER, PRIMITIVES, TEXT, VERSIONS, Schema, load, nearest
from integration.views.shapes import ANY_RESOURCE, Shape
from integration.views.source import Writer

_LOOPS_IN_ONE_FUNCTION = 10
"""CPython compiles at most 20 nested loops in a function; deeper ones go on in a function of their own."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ColumnType:
    """What a column holds: a FHIR primitive type, empty where nothing is known, and whether it is a list."""

    type: str
    is_collection: bool

    @property
    def kind(self) -> str:
        """Return what a value is like (`schema.PRIMITIVES`); text where nothing is known."""
        return PRIMITIVES.get(self.type, TEXT)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A compiled view before it is bound: source, its constants, and the shapes to decode."""

    name: str
    resource: str
    columns: Mapping[str, ColumnType]
    warnings: tuple[str, ...]
    source: str
    constants: Mapping[str, object]
    schema: Schema
    root: Shape
    inner: Sequence[Shape]


def compile_program(json: Any, fhir_version: str) -> Program:
    """Compile a ViewDefinition for one FHIR version.

    Raises:
        ViewError: the view is wrong, with the JSON path of the fault in the view.
    """
    view = definition.read(json)
    if fhir_version not in VERSIONS:
        known = ", ".join(VERSIONS)
        raise ViewError(view=view.name, path="fhirVersion", problem=f"the FHIR version is none of {known}")
    schema = load(fhir_version)
    if view.resource not in schema.resources - ANY_RESOURCE:
        hint = nearest(view.resource, schema.resources)
        problem = f"FHIR {fhir_version} has no such resource type" + (f"; did you mean {hint}?" if hint else "")
        raise ViewError(view=view.name, path="resource", problem=problem)
    return _Compiler(view, schema).program()


Continue = Callable[[], None]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where a select is evaluated: what its focus is, and which Python names hold it."""

    focus: tree.Tree
    names: Names


class _Compiler:
    def __init__(self, view: Definition, schema: Schema) -> None:
        self._view, self._schema = view, schema
        self._resolver = Resolver(schema, view.name, view.constants)
        self._writer = Writer()
        self._emitter = Emitter(self._writer)
        self._root = Shape(view.resource)
        self._codes: dict[str, str] = {}
        self._types: dict[str, ColumnType] = {}
        self._functions: list[str] = []

    def program(self) -> Program:
        columns = self._names_of_columns()
        self._writer.note(("there", "resource"))
        focus = tree.Root(type=self._view.resource, shape=self._root)
        place = _Place(focus=focus, names=Names(focus="resource", root="resource", context="resource"))
        for condition in self._view.where:
            self._where(condition, place)
        self._product(self._view.selects, place, lambda: self._row(columns), is_last=True)
        return Program(
            name=self._view.name,
            resource=self._view.resource,
            columns={name: self._types[name] for name in columns},
            warnings=tuple(self._resolver.warnings),
            source=self._source(),
            constants=self._writer.constants,
            schema=self._schema,
            root=self._root,
            inner=self._resolver.inner,
        )

    def _error(self, path: str, problem: str) -> ViewError:
        return ViewError(view=self._view.name, path=path, problem=problem)

    def _source(self) -> str:
        constants = [f"# {name} = {value!a}" for name, value in self._writer.constants.items()]
        head = ["def rows(resource, add):", *self._writer.lines()]
        return "\n".join([*constants, *self._functions, *head, ""])

    # --- columns

    def _names_of_columns(self) -> list[str]:
        for select in self._view.selects:
            self._check_unions(select)
        columns = [column for select in self._view.selects for column in select.all_columns()]
        seen: set[str] = set()
        for column in columns:
            if column.name in seen:
                raise self._error(f"{column.path}.name", f"the column {column.name} is declared twice")
            seen.add(column.name)
        return [column.name for column in columns]

    def _check_unions(self, select: Select) -> None:
        for nested in (*select.selects, *select.union):
            self._check_unions(nested)
        wanted = [column.name for column in select.union[0].all_columns()] if select.union else []
        for branch in select.union:
            names = [column.name for column in branch.all_columns()]
            if names != wanted:
                raise self._error(branch.path, f"has the columns {names}, but the first branch has {wanted}")

    def _scope(self, at: Expression, place: _Place) -> Scope:
        root = tree.Root(type=self._view.resource, shape=self._root) if place.names.root else None
        return Scope(focus=place.focus, root=root, context=place.focus if root else None, at=at)

    def _resolved(self, expression: Expression, place: _Place) -> tree.Tree:
        return self._resolver.resolve(expression.node, self._scope(expression, place))

    def _where(self, condition: Expression, place: _Place) -> None:
        node = self._resolved(condition, place)
        self._resolver.check_boolean(node, "where", self._scope(condition, place))
        truth = self._emitter.truth(node, place.names)
        with self._writer.block(f"if not ({truth}):"):
            self._writer.line("return")

    def _column(self, column: Column, place: _Place) -> None:
        node = self._resolved(column.expression, place)
        self._note_type(column, node)
        if column.is_collection:
            self._codes[column.name] = self._emitter.collection(node, place.names)
        else:
            self._codes[column.name] = self._emitter.one(node, place.names)

    def _note_type(self, column: Column, node: tree.Tree) -> None:
        if not node.kind and not isinstance(node, tree.Nothing):
            of_what = "several types; name one with ofType()" if node.type == tree.CHOICE else f"the type {node.type}"
            raise self._error(f"{column.path}.path", f"a column holds primitive values, but this has {of_what}")
        declared = self._declared(column, node)
        found = ColumnType(type=declared or node.type, is_collection=column.is_collection)
        known = self._types.setdefault(column.name, found)
        if not known.type:
            self._types[column.name] = found
        elif found.type and (known.kind, known.is_collection) != (found.kind, found.is_collection):
            raise self._error(column.path, f"{column.name} is {found.type} here and {known.type} in another branch")

    def _declared(self, column: Column, node: tree.Tree) -> str:
        if not column.type:
            return ""
        if column.type not in PRIMITIVES:
            hint = nearest(column.type, PRIMITIVES)
            problem = f"{column.type!a} is no primitive type" + (f"; did you mean {hint}?" if hint else "")
            raise self._error(f"{column.path}.type", problem)
        if node.kind and node.kind not in _FITTING[PRIMITIVES[column.type]]:
            raise self._error(f"{column.path}.type", f"is {column.type}, but the path gives {node.type}")
        return column.type

    def _row(self, columns: list[str]) -> None:
        codes = [self._codes[name] for name in columns]
        self._writer.line(f"add(({', '.join(codes)}{',' if len(codes) == 1 else ''}))")

    # --- selects

    def _product(self, selects: Iterable[Select], place: _Place, then: Continue, *, is_last: bool) -> None:
        """Write the cross product of several selects, innermost the continuation."""
        parts: list[Callable[[Continue, bool], None]] = []
        for select in selects:
            self._flatten(select, place, parts)
        self._nest(parts, then, is_last=is_last)

    def _nest(self, parts: Sequence[Callable[[Continue, bool], None]], then: Continue, *, is_last: bool) -> None:
        if not parts:
            then()
            return
        first, rest = parts[0], parts[1:]
        first(lambda: self._nest(rest, then, is_last=is_last), is_last and not rest)

    def _flatten(self, select: Select, place: _Place, parts: list[Callable[[Continue, bool], None]]) -> None:
        """Write the columns that need no loop at once; keep what loops for later."""
        if select.iteration:
            parts.append(functools.partial(self._iterate, select, place))
            return
        for column in select.columns:
            self._column(column, place)
        self._flatten_below(select, place, parts)

    def _flatten_below(self, select: Select, place: _Place, parts: list[Callable[[Continue, bool], None]]) -> None:
        for nested in select.selects:
            self._flatten(nested, place, parts)
        if select.union:
            parts.append(functools.partial(self._union, select, place))

    def _union(self, select: Select, place: _Place, then: Continue, is_last: bool) -> None:  # noqa: FBT001  # one of several parts with one signature
        columns = [column.name for column in select.union[0].all_columns()]
        self._once(columns, then, lambda final: self._branches(select, place, final), is_last=is_last)

    def _branches(self, select: Select, place: _Place, then: Continue) -> None:
        for branch in select.union:
            with self._writer.block("if True:"):
                self._product([branch], place, then, is_last=True)

    def _once(self, columns: list[str], then: Continue, write: Callable[[Continue], None], *, is_last: bool) -> None:
        """Write a part that continues in several places: unless it is the last, gather its rows and loop over them."""
        if is_last:
            write(then)
            return
        gathered = self._writer.name("gathered")
        self._writer.line(f"{gathered} = []")

        def gather() -> None:
            self._writer.line(f"{gathered}.append(({', '.join(self._codes[name] for name in columns)},))")

        write(gather)
        self._codes |= {name: self._writer.name(name) for name in columns}
        with self._writer.block(f"for {', '.join(self._codes[name] for name in columns)}, in {gathered}:"):
            then()

    def _iterate(self, select: Select, place: _Place, then: Continue, is_last: bool) -> None:  # noqa: FBT001  # one of several parts with one signature
        if select.iteration != "forEachOrNull":
            self._loop(select, place, then, is_last=is_last)
            return
        columns = [column.name for column in select.all_columns()]
        self._once(columns, then, lambda final: self._loop_or_null(select, place, final), is_last=is_last)

    def _loop_or_null(self, select: Select, place: _Place, then: Continue) -> None:
        is_empty = self._writer.name("is_empty")
        self._writer.line(f"{is_empty} = True")
        self._loop(select, place, then, is_last=True, is_empty=is_empty)
        with self._writer.block(f"if {is_empty}:"):
            for column in select.all_columns():
                uses_index = "%rowIndex" in column.expression.text
                self._codes[column.name] = self._null(column, place) if uses_index else "None"
            then()

    def _null(self, column: Column, place: _Place) -> str:
        names = Names(focus=None, root=place.names.root, context=None)
        nowhere = _Place(focus=tree.Nothing(), names=names)
        return self._emitter.one(self._resolved(column.expression, nowhere), names)

    def _loop(
        self, select: Select, place: _Place, then: Continue, *, is_last: bool, is_empty: str | None = None
    ) -> None:
        index = self._index(select)
        if select.iteration == "repeat":
            focus, each = self._repeated(select, place)
        else:
            node = self._resolved(select.over[0], place)
            focus = self._focus(node, select.over[0], place)
            each = functools.partial(self._emitter.each, node, place.names)

        def body(item: str) -> None:
            if is_empty:
                self._writer.line(f"{is_empty} = False")
            if index:
                self._writer.line(f"{index} += 1")
            names = Names(focus=item, root=place.names.root, context=item, index=index or place.names.index)
            self._inside(select, _Place(focus=focus, names=names), then, is_last=is_last)

        each(body)

    def _inside(self, select: Select, place: _Place, then: Continue, *, is_last: bool) -> None:
        if self._writer.loops < _LOOPS_IN_ONE_FUNCTION:
            self._columns_inside(select, place, then, is_last=is_last)
            return
        part = self._writer.name("part")
        loops, self._writer.loops = self._writer.loops, 0
        with self._writer.block(f"def {part}():"):
            self._columns_inside(select, place, then, is_last=is_last)
        self._writer.loops = loops
        self._writer.line(f"{part}()")

    def _columns_inside(self, select: Select, place: _Place, then: Continue, *, is_last: bool) -> None:
        for column in select.columns:
            self._column(column, place)
        parts: list[Callable[[Continue, bool], None]] = []
        self._flatten_below(select, place, parts)
        self._nest(parts, then, is_last=is_last)

    def _index(self, select: Select) -> str | None:
        if not _uses_index(select):
            return None
        index = self._writer.name("index")
        self._writer.line(f"{index} = -1")
        return index

    def _focus(self, node: tree.Tree, over: Expression, place: _Place) -> tree.Tree:
        if node.type == tree.CHOICE:
            self._resolver.refuse(self._scope(over, place), f"{node.path} has several types; name one with ofType()")
        if isinstance(node, tree.Nothing):
            return node
        return tree.Focus(type=node.type, shape=node.shape, path=node.path)

    # --- repeat

    def _repeated(self, select: Select, place: _Place) -> tuple[tree.Tree, Callable[[Callable[[str], None]], None]]:
        focus = self._repeated_focus(select, place)
        found = self._writer.name("found")
        self._writer.line(f"{found} = []")
        function = self._repeat_function(select, focus)
        for over in select.over:
            node = self._resolved_quietly(over, place)
            self._emitter.each(node, place.names, functools.partial(self._found, function, found))

        def each(body: Callable[[str], None]) -> None:
            item = self._writer.name("item")
            with self._writer.block(f"for {item} in {found}:"):
                self._writer.note(("there", item))
                body(item)

        return focus, each

    def _found(self, function: str, found: str, item: str) -> None:
        self._writer.line(f"{found}.append({item})")
        self._writer.line(f"{function}({item}, {found})")

    def _repeated_focus(self, select: Select, place: _Place) -> tree.Tree:
        """Resolve the paths on the focus and on what they lead to, until they lead to nothing new."""
        focus: tree.Tree = tree.Nothing()
        waiting = [place]
        while waiting:
            here = waiting.pop()
            for over in select.over:
                node = self._resolved_quietly(over, here)
                if isinstance(node, tree.Nothing):
                    continue
                if node.shape is None:
                    raise self._error(
                        over.path, f"repeat over {node.type} is not supported; it needs an element with children"
                    )
                if isinstance(focus, tree.Nothing):
                    focus = tree.Focus(type=node.type, shape=node.shape, path=node.path)
                    names = Names(focus="node", root=None, context=None)
                    waiting.append(_Place(focus=focus, names=names))
                if node.type != focus.type:
                    raise self._error(
                        over.path, f"repeat leads to {node.type} and to {focus.type}, which is not supported"
                    )
                if focus.shape is not None:
                    focus.shape.merge(node.shape)
        if isinstance(focus, tree.Nothing):
            for over in select.over:
                self._resolved(over, place)
        return focus

    def _resolved_quietly(self, over: Expression, place: _Place) -> tree.Tree:
        """Resolve a path of `repeat`, which need not exist both at the start and further down."""
        warnings, self._resolver.warnings = self._resolver.warnings, {}
        try:
            return self._resolved(over, place)
        finally:
            self._resolver.warnings = warnings

    def _repeat_function(self, select: Select, focus: tree.Tree) -> str:
        function = self._writer.name("repeat")
        names = Names(focus="node", root=None, context=None)
        with self._writer.apart() as lines:
            self._writer.note(("there", "node"))
            for over in select.over:
                node = self._resolved_quietly(over, _Place(focus=focus, names=names))
                self._emitter.each(node, names, functools.partial(self._found, function, "found"))
            self._functions.append("\n".join([f"def {function}(node, found):", *(lines() or ["    return"]), ""]))
        return function


_FITTING = {
    TEXT: (TEXT, DATE),
    DATE: (DATE, TEXT),
    INTEGER: (INTEGER,),
    NUMBER: (NUMBER, INTEGER),
    BOOLEAN: (BOOLEAN,),
}


def _uses_index(select: Select) -> bool:
    expressions = [column.expression for column in select.columns] + list(select.over)
    below = any(_uses_index(nested) for nested in (*select.selects, *select.union))
    return below or any("%rowIndex" in expression.text for expression in expressions)
