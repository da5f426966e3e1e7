"""A ViewDefinition -> the shapes to decode, one generated Python function, and what its columns hold."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from integration.errors import ViewError
from integration.views import conditions, definition, tree
from integration.views.columns import Columns, ColumnType, Place, check_names
from integration.views.conditions import Names
from integration.views.definition import Definition, Expression, Json, Select
from integration.views.emit import Emitter
from integration.views.functions import Body
from integration.views.repeat import Repeats
from integration.views.resolve import Resolver
from integration.views.schema import VERSIONS, Schema, load, nearest
from integration.views.shapes import ANY_RESOURCE, Shape, keys
from integration.views.source import Writer
from integration.views.steps import Inner, Steps, focus_on

_LOOPS_IN_ONE_FUNCTION = 10
"""CPython compiles at most 20 nested loops in a function; deeper ones go on in a function of their own."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A compiled view before it is bound: source, its constants, and the shapes to decode.

    `body` is what is done with one resource, `source` the same as a function, below what it calls.
    """

    name: str
    resource: str
    columns: Mapping[str, ColumnType]
    warnings: tuple[str, ...]
    source: str
    body: Body
    constants: Mapping[str, object]
    schema: Schema
    root: Shape
    inner: Sequence[Inner]


def compile_program(json: Json, fhir_version: str) -> Program:
    """Compile a ViewDefinition for one FHIR version.

    Raises:
        ViewError: the view is wrong, with the JSON path of the fault in the view.
    """
    view = definition.read(json)
    if fhir_version not in VERSIONS:
        problem = f"views are compiled for the FHIR versions {', '.join(VERSIONS)}"
        raise ViewError(view=view.name, path="fhirVersion", problem=problem)
    schema = load(fhir_version)
    if view.resource not in schema.resources - ANY_RESOURCE:
        hint = nearest(view.resource, schema.resources)
        problem = f"FHIR {fhir_version} has no such resource type" + (f"; did you mean {hint}?" if hint else "")
        raise ViewError(view=view.name, path="resource", problem=problem)
    return _Compiler(view, schema).program()


Continue = Callable[[], None]
_Part = Callable[..., None]
"""A select that loops: called with what comes inside it, and whether that is the row itself."""


class _Compiler:
    def __init__(self, view: Definition, schema: Schema) -> None:
        self._view, self._schema = view, schema
        self._steps = Steps(schema, view.name)
        self._resolver = Resolver(self._steps, view.constants)
        self._writer = Writer()
        self._emitter = Emitter(self._writer)
        self._columns = Columns(view, self._resolver, self._emitter)
        self._added: dict[str, list[str]] = {}
        self._known: dict[str, str] = {}
        self._repeats = Repeats(view.name, self._steps, self._resolver, self._emitter)

    def program(self) -> Program:
        names = check_names(self._view)
        root = Shape(self._view.resource)
        self._write(names, root)
        body = self._body(names, root)
        return Program(
            name=self._view.name,
            resource=self._view.resource,
            columns={name: self._columns.types[name] for name in names},
            warnings=tuple(self._steps.warnings),
            source="\n".join([*self._constants(), *self._repeats.functions, body.rows()]),
            body=body,
            constants=self._writer.constants,
            schema=self._schema,
            root=root,
            inner=self._steps.inner,
        )

    def _write(self, columns: list[str], shape: Shape) -> None:
        root = tree.Root(type=self._view.resource, shape=shape)
        names = Names(focus="resource", root="resource", context="resource")
        place = Place(root=root, focus=root, names=names)
        self._writer.note(("there", "resource"))
        for condition in self._view.where:
            self._where(condition, place)
        parts: list[_Part] = []
        for select in self._view.selects:
            self._flatten(select, place, parts)
        self._known = dict(self._columns.codes)
        self._nest(parts, lambda: self._row(columns), is_last=True)

    def _constants(self) -> list[str]:
        return [f"# {name} = {value!a}" for name, value in self._writer.constants.items()]

    def _looked_up(self, root: Shape) -> dict[str, str]:
        """Return the lines that look a key up which a narrow decoder of the root looks up itself."""
        known = keys(root)
        return {
            line: narrow
            for line, (shape, key, narrow) in self._emitter.look_ups.items()
            if (shape.itself(), key) in known
        }

    def _body(self, names: Sequence[str], root: Shape) -> Body:
        is_checked = {name for name, column in self._columns.types.items() if column.may_overflow}
        once = {at: self._known[name] for at, name in enumerate(names) if name in self._known.keys() - is_checked}
        return Body(
            lines=self._writer.lines(),
            added=self._added,
            width=len(names),
            once=once if len(once) < len(names) else {},
            looked_up=self._looked_up(root),
            is_checked=bool(is_checked),
        )

    def _resolved(self, expression: Expression, place: Place) -> tree.Tree:
        return self._resolver.resolve(expression.node, place.scope(expression))

    def _where(self, condition: Expression, place: Place) -> None:
        node = self._resolved(condition, place)
        self._resolver.check_boolean(node, "where", place.scope(condition))
        truth = self._emitter.truth(node, place.names)
        with self._writer.block(f"if not ({truth}):"):
            self._writer.line("return")

    def _row(self, columns: Iterable[str]) -> None:
        line = f"add({self._tuple(columns)})"
        self._added[line] = [self._columns.codes[name] for name in columns]
        self._writer.line(line)

    def _tuple(self, columns: Iterable[str]) -> str:
        return f"({', '.join(self._columns.codes[name] for name in columns)},)"

    def _flatten(self, select: Select, place: Place, parts: list[_Part]) -> None:
        """Write the columns that need no loop at once; keep what loops for later."""
        if select.iteration:
            parts.append(functools.partial(self._iterate, select, place))
        else:
            self._content(select, place, parts)

    def _content(self, select: Select, place: Place, parts: list[_Part]) -> None:
        self._columns.write_all(select.columns, place)
        for nested in select.selects:
            self._flatten(nested, place, parts)
        if select.union:
            parts.append(functools.partial(self._union, select, place))

    def _nest(self, parts: Sequence[_Part], then: Continue, *, is_last: bool) -> None:
        """Write each part inside the one before it, and the continuation innermost: the cross product."""
        if not parts:
            then()
            return
        first, rest = parts[0], parts[1:]
        first(lambda: self._nest(rest, then, is_last=is_last), is_last=is_last and not rest)

    def _once(self, select: Select, then: Continue, write: Callable[[Continue], None], *, is_last: bool) -> None:
        """Write a part that continues in several places: unless it is the last, gather its rows and loop over them."""
        if is_last:
            write(then)
            return
        columns = [column.name for column in select.all_columns()]
        gathered = self._writer.name("gathered")
        self._writer.line(f"{gathered} = []")
        write(lambda: self._writer.line(f"{gathered}.append({self._tuple(columns)})"))
        self._columns.codes |= {name: self._writer.name(f"c_{name}") for name in columns}
        with self._writer.block(f"for {self._tuple(columns)} in {gathered}:"):
            then()

    def _union(self, select: Select, place: Place, then: Continue, *, is_last: bool) -> None:
        branches = dataclasses.replace(select, columns=(), selects=())
        self._once(branches, then, lambda final: self._branches(select.union, place, final), is_last=is_last)

    def _branches(self, branches: Iterable[Select], place: Place, then: Continue) -> None:
        for branch in branches:
            with self._writer.block("if True:"):
                parts: list[_Part] = []
                self._flatten(branch, place, parts)
                self._nest(parts, then, is_last=True)

    def _iterate(self, select: Select, place: Place, then: Continue, *, is_last: bool) -> None:
        if select.iteration == "forEachOrNull":
            self._once(select, then, lambda final: self._loop_or_null(select, place, final), is_last=is_last)
        else:
            self._loop(select, place, then, is_last=is_last)

    def _loop_or_null(self, select: Select, place: Place, then: Continue) -> None:
        is_empty = self._writer.name("is_empty")
        self._writer.line(f"{is_empty} = True")
        self._loop(select, place, then, is_last=True, is_empty=is_empty)
        with self._writer.block(f"if {is_empty}:"):
            for column in select.all_columns():
                self._columns.write_null(column, place)
            then()

    def _loop(self, select: Select, place: Place, then: Continue, *, is_last: bool, is_empty: str = "") -> None:
        index = self._index(select)

        def body(item: str) -> None:
            if is_empty:
                self._writer.line(f"{is_empty} = False")
            if index:
                self._writer.line(f"{index} += 1")
                self._writer.note(("there", index))
            names = Names(focus=item, root="resource", context=item, index=index or place.names.index)
            self._inside(select, dataclasses.replace(place, focus=focus, names=names), then, is_last=is_last)

        focus, each = self._iteration(select, place)
        each(body)

    def _iteration(self, select: Select, place: Place) -> tuple[tree.Tree, Callable[[conditions.Body], None]]:
        if select.iteration == "repeat":
            focus = self._repeats.focus(select, place)
            return focus, functools.partial(self._repeats.each, select, place, focus)
        over = select.over[0]
        node = self._resolved(over, place)
        if node.type == tree.CHOICE:
            self._steps.refuse(place.scope(over), f"{node.path} has several types; name one with ofType()")
        if isinstance(node, tree.Nothing):
            return node, self._never
        return focus_on(node), functools.partial(self._emitter.each, node, place.names)

    def _never(self, body: conditions.Body) -> None:
        item = self._writer.name("item")
        with self._writer.block(f"for {item} in ():"):
            body(item)

    def _inside(self, select: Select, place: Place, then: Continue, *, is_last: bool) -> None:
        if self._writer.loops < _LOOPS_IN_ONE_FUNCTION:
            self._nested(select, place, then, is_last=is_last)
            return
        part = self._writer.name("part")
        loops, self._writer.loops = self._writer.loops, 0
        with self._writer.block(f"def {part}():"):
            self._nested(select, place, then, is_last=is_last)
        self._writer.loops = loops
        self._writer.line(f"{part}()")

    def _nested(self, select: Select, place: Place, then: Continue, *, is_last: bool) -> None:
        parts: list[_Part] = []
        self._content(select, place, parts)
        self._nest(parts, then, is_last=is_last)

    def _index(self, select: Select) -> str:
        if not _uses_index(select):
            return ""
        index = self._writer.name("index")
        self._writer.line(f"{index} = -1")
        return index


def _uses_index(select: Select) -> bool:
    expressions = [column.expression for column in select.columns] + list(select.over)
    below = any(_uses_index(nested) for nested in (*select.selects, *select.union))
    return below or any("%rowIndex" in expression.text for expression in expressions)
