"""FHIRPath syntax -> checked tree, against the element types of one FHIR version.

A path that the FHIR version does not know gives nothing and a warning, as SQL on FHIR demands. What FHIRPath knows
and this compiler does not support is refused by name, so that it is never answered with nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import NoReturn

from integration.errors import ViewError
from integration.views import fhirpath, tree
from integration.views.definition import Expression, Value
from integration.views.schema import BOOLEAN, DATE, INTEGER, NUMBER, PRIMITIVES, TEXT, Option, Schema, nearest
from integration.views.shapes import ANY_RESOURCE, Shape, companion

_UNSUPPORTED_FUNCTIONS = frozenset(
    "all allTrue anyTrue allFalse anyFalse subsetOf supersetOf isDistinct distinct select repeat ofType single tail "
    "skip take intersect exclude union combine iif toBoolean convertsToBoolean toInteger convertsToInteger toDate "
    "convertsToDate toDateTime convertsToDateTime toDecimal convertsToDecimal toQuantity convertsToQuantity toString "
    "convertsToString toTime convertsToTime indexOf substring startsWith endsWith contains upper lower replace "
    "matches matchesFull replaceMatches length toChars split trim encode decode escape unescape abs ceiling exp floor "
    "ln log power round sqrt truncate children descendants trace now timeOfDay today is as type aggregate precision "
    "sort coalesce defineVariable repeatAll lastIndexOf hasValue getValue resolve elementDefinition slice "
    "checkModifiers conformsTo memberOf subsumes subsumedBy htmlChecks comparable hasTemplateIdOf weight".split()
)
_INSTEAD = {"as": "; write ofType(Type)", "is": "; write ofType(Type).exists()"}
_WELL_KNOWN: Mapping[str, str] = {
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "ucum": "http://unitsofmeasure.org",
}
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
        return dataclasses.replace(self, focus=_focus(item))


def _focus(item: tree.Tree) -> tree.Focus:
    return tree.Focus(type=item.type, shape=item.shape, path=item.path)


class Resolver:
    """Resolves the expressions of one view; collects warnings and the resources to decode inside resources."""

    def __init__(self, schema: Schema, view: str, constants: Mapping[str, tuple[str, Value]]) -> None:
        self._schema, self._view, self._constants = schema, view, constants
        self.warnings: dict[str, None] = {}
        self.inner: list[Shape] = []
        self._inner_by_place: dict[tuple[str, str], int] = {}

    def resolve(self, node: fhirpath.Node, scope: Scope) -> tree.Tree:
        """Check one expression.

        Raises:
            ViewError: it uses what does not exist, does not fit, or is not supported.
        """
        match node:
            case fhirpath.Literal():
                return self._literal(node, scope)
            case fhirpath.Variable():
                return self._variable(node.name, scope)
            case fhirpath.Member():
                return self._member_node(node, scope)
            case fhirpath.Indexer():
                return self._indexer(node, scope)
            case fhirpath.Sign():
                return self._sign(node, scope)
            case fhirpath.Binary():
                return self._binary(node, scope)
            case fhirpath.Call():
                return self._call(node, scope)

    def refuse(self, scope: Scope, problem: str) -> NoReturn:
        """Raise the error for a fault in the scope's expression."""
        raise ViewError(view=self._view, path=scope.at.path, problem=problem)

    def _warn(self, scope: Scope, problem: str) -> tree.Nothing:
        self.warnings[f"{scope.at.path}: {problem}"] = None
        return tree.Nothing()

    # --- values from the view

    def _literal(self, node: fhirpath.Literal, scope: Scope) -> tree.Tree:
        if node.value is None:
            return tree.Nothing()
        if node.type == "quantity":
            self.refuse(scope, f"the quantity {node.value} is FHIRPath, but quantities are not supported")
        return tree.Constant(type=node.type, value=node.value)

    def _variable(self, name: str, scope: Scope) -> tree.Tree:
        if name == "$this":
            return scope.focus
        if name == "%rowIndex":
            return tree.RowIndex()
        if name in ("%resource", "%rootResource", "%context"):
            found = scope.context if name == "%context" else scope.root
            return found or self.refuse(scope, f"{name} is not supported inside repeat")
        if name[1:] in self._constants and name[0] == "%":
            fhir_type, value = self._constants[name[1:]]
            return tree.Constant(type=fhir_type, value=value)
        if name[1:] in _WELL_KNOWN and name[0] == "%":
            return tree.Constant(type="uri", value=_WELL_KNOWN[name[1:]])
        if name[0] == "$":
            self.refuse(scope, f"{name} is FHIRPath, but not supported")
        self.refuse(scope, f"the constant {name!a} is not defined")

    # --- elements

    def _source(self, source: fhirpath.Node | None, scope: Scope) -> tree.Tree:
        return scope.focus if source is None else self.resolve(source, scope)

    def _member_node(self, node: fhirpath.Member, scope: Scope) -> tree.Tree:
        if node.source is None and node.name in (scope.focus.type, "Resource", "DomainResource"):
            return scope.focus
        return self.member(self._source(node.source, scope), node.name, scope)

    def member(self, source: tree.Tree, name: str, scope: Scope) -> tree.Tree:
        """Step from a source to one of its elements."""
        if isinstance(source, tree.Nothing):
            return source
        if source.type == tree.CHOICE:
            self.refuse(scope, f"{source.path} has several types; write {source.path}.ofType(Type).{ascii(name)[1:-1]}")
        if source.type in ANY_RESOURCE:
            source = self._any_resource(source, name, scope)
        element = self._schema.elements(source.type).get(name)
        if element is None:
            return self._unknown(source, name, scope)
        if source.type in PRIMITIVES:
            return self._field(self._companion(source, scope), element.options[0], scope, is_list=element.is_list)
        if element.is_choice:
            path = _joined(source.path, name)
            return tree.Choice(source=source, element=element, is_many=source.is_many, path=path)
        return self._field(source, element.options[0], scope, is_list=element.is_list)

    def _unknown(self, source: tree.Tree, name: str, scope: Scope) -> tree.Nothing:
        hint = self._schema.nearest_element(source.type, name)
        return self._warn(
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
        if name not in self._schema.elements("DomainResource"):
            self.refuse(
                scope, f"{source.path} may be any resource; write {source.path}.ofType(Type).{ascii(name)[1:-1]}"
            )
        return self._decoded(source, "DomainResource")

    def _decoded(self, source: tree.Tree, type_name: str) -> tree.Decoded:
        place = (source.path, type_name)
        if place not in self._inner_by_place:
            self._inner_by_place[place] = len(self.inner)
            self.inner.append(Shape(type_name))
        index = self._inner_by_place[place]
        return tree.Decoded(
            type=type_name,
            is_many=source.is_many,
            shape=self.inner[index],
            path=source.path,
            source=source,
            decoder=index,
        )

    def _indexer(self, node: fhirpath.Indexer, scope: Scope) -> tree.Tree:
        source, index = self.resolve(node.source, scope), self.resolve(node.index, scope)
        if isinstance(source, tree.Nothing) or isinstance(index, tree.Nothing):
            return tree.Nothing()
        if index.kind != INTEGER:
            self.refuse(scope, "an index must be an integer")
        return self._pick(source, scope, index=index)

    def _pick(self, source: tree.Tree, scope: Scope, **how: object) -> tree.Tree:
        if source.type == tree.CHOICE:
            self.refuse(scope, f"{source.path} has several types; write ofType(Type) directly behind it")
        return tree.Pick(
            type=source.type,
            shape=source.shape,
            path=source.path,
            source=source,
            **how,  # type: ignore[arg-type]  # the two keywords of Pick
        )

    # --- operators

    def _sign(self, node: fhirpath.Sign, scope: Scope) -> tree.Tree:
        operand = self.resolve(node.operand, scope)
        if operand.kind not in (INTEGER, NUMBER, ""):
            self.refuse(scope, f"{node.operator} needs a number, not {operand.type}")
        if isinstance(operand, tree.Nothing) or node.operator == "+":
            return operand
        zero = tree.Constant(type="integer", value=0)
        return self._arithmetic("-", zero, operand, scope)

    def _binary(self, node: fhirpath.Binary, scope: Scope) -> tree.Tree:
        operator = node.operator
        if operator in ("|", "in", "contains", "is", "as", "~", "!~"):
            self.refuse(scope, f"the operator {operator} is FHIRPath, but not supported{_INSTEAD.get(operator, '')}")
        left, right = self.resolve(node.left, scope), self.resolve(node.right, scope)
        if operator in ("and", "or", "xor", "implies"):
            for operand in (left, right):
                self.check_boolean(operand, operator, scope)
            return tree.Logic(operator=operator, left=left, right=right)
        if operator == "&":
            return self._arithmetic("&", left, right, scope)
        if isinstance(left, tree.Nothing) or isinstance(right, tree.Nothing):
            return tree.Nothing()
        if operator in ("=", "!="):
            self._check_comparable(operator, left, right, scope)
            return tree.Equal(left=left, right=right, is_negated=operator == "!=")
        if operator in ("<", "<=", ">", ">="):
            self._check_comparable(operator, left, right, scope)
            if left.kind == BOOLEAN:
                self.refuse(scope, f"{operator} does not order booleans")
            return tree.Order(operator=operator, left=left, right=right)
        return self._arithmetic(operator, left, right, scope)

    def check_boolean(self, operand: tree.Tree, what: str, scope: Scope) -> None:
        """Refuse what is neither boolean nor nothing."""
        if operand.kind != BOOLEAN and not isinstance(operand, tree.Nothing):
            of_what = f"{operand.path} ({operand.type})" if operand.path else operand.type
            self.refuse(scope, f"{what} needs a boolean, not {of_what}; write .exists() to ask whether it is there")

    def _check_comparable(self, operator: str, left: tree.Tree, right: tree.Tree, scope: Scope) -> None:
        for operand in (left, right):
            if not operand.kind:
                problem = (
                    f"{operator} on {operand.path or operand.type} ({operand.type}) is FHIRPath, but not supported"
                )
                self.refuse(scope, f"{problem}; compare primitive elements of it")
        if _comparison(left) != _comparison(right):
            self.refuse(scope, f"{operator} compares {left.type} with {right.type}, which are never alike")

    def _arithmetic(self, operator: str, left: tree.Tree, right: tree.Tree, scope: Scope) -> tree.Tree:
        kinds = {operand.kind for operand in (left, right) if not isinstance(operand, tree.Nothing)}
        if operator == "&" or (operator == "+" and kinds == {TEXT}):
            if not kinds <= {TEXT}:
                self.refuse(scope, f"{operator} joins texts, not {left.type} and {right.type}")
            return tree.Arithmetic(type="string", operator=operator, left=left, right=right)
        if not kinds <= {INTEGER, NUMBER}:
            self.refuse(scope, f"{operator} on {left.type} and {right.type} is not supported; it needs numbers")
        is_whole = operator == "div" or (kinds == {INTEGER} and operator != "/")
        return tree.Arithmetic(type="integer" if is_whole else "decimal", operator=operator, left=left, right=right)

    # --- functions

    def _call(self, node: fhirpath.Call, scope: Scope) -> tree.Tree:
        known = _FUNCTIONS.get(node.name)
        if known is None:
            if node.name in _UNSUPPORTED_FUNCTIONS:
                hint = _INSTEAD.get(node.name, "")
                self.refuse(scope, f"the function {node.name}() is FHIRPath, but not supported{hint}")
            hint = nearest(node.name, _FUNCTIONS)
            self.refuse(
                scope, f"the function {node.name}() does not exist" + (f"; did you mean {hint}()?" if hint else "")
            )
        function, least, most = known
        if not least <= len(node.arguments) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            if len(node.arguments) > most and node.name.endswith("Boundary"):
                self.refuse(scope, f"{node.name}() with a precision is FHIRPath, but not supported")
            self.refuse(scope, f"{node.name}() takes {wanted} arguments, not {len(node.arguments)}")
        return function(self, self._source(node.source, scope), node.arguments, scope)

    def _where(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        if source.type == tree.CHOICE:
            self.refuse(
                scope, f"where() on {source.path}, which has several types, is not supported; use ofType() first"
            )
        criterion = self.resolve(arguments[0], scope.on(source))
        self.check_boolean(criterion, "where()", scope)
        if isinstance(source, tree.Nothing):
            return source
        return _filter(source, criterion)

    def _exists(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        return tree.Exists(source=self._present(self._where(source, arguments, scope) if arguments else source))

    def _empty(self, source: tree.Tree, _arguments: _Arguments, _scope: Scope) -> tree.Tree:
        return tree.Exists(source=self._present(source), is_negated=True)

    def _present(self, source: tree.Tree) -> tree.Tree:
        if isinstance(source, tree.Choice) and source.source.shape:
            for option in source.element.options:
                source.source.shape.read_presence(option, is_list=False)
                if option.type in PRIMITIVES:
                    source.source.shape.read_presence(companion(option), is_list=False)
        if isinstance(source, tree.Field) and source.kind and source.source.shape:
            source.source.shape.read_presence(companion(source.option), is_list=source.is_list)
        return source

    def _count(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        if source.type == tree.CHOICE:
            self.refuse(scope, f"count() on {source.path}, which has several types, is not supported")
        return tree.Count(source=source)

    def _first(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        return self._pick(source, scope) if source.is_many else source

    def _last(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        return self._pick(source, scope, is_last=True) if source.is_many else source

    def _not(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        self.check_boolean(source, "not()", scope)
        return tree.Not(source=source)

    def _extension(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        url = self.resolve(arguments[0], scope)
        if url.kind != TEXT or url.is_many:
            self.refuse(scope, "extension() takes one url as text")
        extensions = self.member(source, "extension", scope)
        if isinstance(extensions, tree.Nothing):
            return extensions
        key = self.member(_focus(extensions), "url", scope)
        return _filter(extensions, tree.Equal(left=key, right=url))

    def _of_type(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        wanted = self._type_name(arguments[0], "ofType()", scope)
        if isinstance(source, tree.Nothing):
            return source
        if isinstance(source, tree.Choice):
            option = source.element.option(wanted)
            if option is None:
                return self._warn(scope, f"{source.path} is never of type {wanted}, so this yields nothing")
            return self._field(source.source, option, scope, is_list=source.element.is_list)
        if source.type in ANY_RESOURCE and wanted in self._schema.resources - ANY_RESOURCE:
            return self._decoded(source, wanted)
        if wanted == source.type or source.type in _SUBTYPES.get(wanted, ()) or wanted in ANY_RESOURCE:
            return source
        return self._warn(scope, f"{source.path} is of type {source.type}, never {wanted}, so this yields nothing")

    def _type_name(self, node: fhirpath.Node, what: str, scope: Scope) -> str:
        name = node.name if isinstance(node, fhirpath.Member) else ""
        namespace = node.source if isinstance(node, fhirpath.Member) else None
        if isinstance(namespace, fhirpath.Member) and namespace.name == "System":
            self.refuse(scope, f"{what} with System.{name} is FHIRPath, but not supported; name a FHIR type")
        is_plain = namespace is None or namespace == fhirpath.Member(source=None, name="FHIR")
        if not name or not is_plain:
            self.refuse(scope, f"{what} takes the name of a type")
        if not self._schema.knows(name):
            hint = self._schema.nearest_type(name)
            self.refuse(scope, f"the type {name!a} does not exist" + (f"; did you mean {hint}?" if hint else ""))
        return name

    def _join(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        separator = self.resolve(arguments[0], scope) if arguments else tree.Constant(type="string", value="")
        for operand in (source, separator):
            if operand.kind != TEXT and not isinstance(operand, tree.Nothing):
                self.refuse(scope, f"join() joins texts, not {operand.type}")
        return tree.Join(source=source, separator=separator)

    def _low_boundary(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        return self._boundary(source, scope, is_high=False)

    def _high_boundary(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        return self._boundary(source, scope, is_high=True)

    def _boundary(self, source: tree.Tree, scope: Scope, *, is_high: bool) -> tree.Tree:
        if isinstance(source, tree.Nothing):
            return source
        if source.kind not in (INTEGER, NUMBER, DATE):
            self.refuse(scope, f"a boundary of {source.type} is not supported; it needs a number, a date or a time")
        result = source.type if source.kind == DATE else "decimal"
        return tree.Boundary(type=result, source=source, is_high=is_high)

    def _resource_key(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        if source.type not in self._schema.resources:
            self.refuse(scope, f"getResourceKey() is of a resource, not of {source.type or 'nothing'}")
        return self.member(source, "id", scope)

    def _reference_key(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        wanted = self._type_name(arguments[0], "getReferenceKey()", scope) if arguments else ""
        if isinstance(source, tree.Nothing):
            return source
        if source.type != "Reference":
            self.refuse(scope, f"getReferenceKey() is of a Reference, not of {source.type}")
        text = self.member(source, "reference", scope)
        return tree.ReferenceKey(source=text, wanted=wanted, is_many=text.is_many, path=source.path)


_Arguments = tuple[fhirpath.Node, ...]
_Function = Callable[[Resolver, tree.Tree, _Arguments, Scope], tree.Tree]

_FUNCTIONS: Mapping[str, tuple[_Function, int, int]] = {
    "where": (Resolver._where, 1, 1),
    "exists": (Resolver._exists, 0, 1),
    "empty": (Resolver._empty, 0, 0),
    "count": (Resolver._count, 0, 0),
    "first": (Resolver._first, 0, 0),
    "last": (Resolver._last, 0, 0),
    "not": (Resolver._not, 0, 0),
    "extension": (Resolver._extension, 1, 1),
    "ofType": (Resolver._of_type, 1, 1),
    "join": (Resolver._join, 0, 1),
    "lowBoundary": (Resolver._low_boundary, 0, 0),
    "highBoundary": (Resolver._high_boundary, 0, 0),
    "getResourceKey": (Resolver._resource_key, 0, 0),
    "getReferenceKey": (Resolver._reference_key, 0, 1),
}


def _filter(source: tree.Tree, criterion: tree.Tree) -> tree.Filter:
    return tree.Filter(
        type=source.type,
        is_many=source.is_many,
        shape=source.shape,
        path=source.path,
        source=source,
        criterion=criterion,
    )


def _comparison(operand: tree.Tree) -> str:
    if operand.kind in (INTEGER, NUMBER):
        return NUMBER
    return "time" if operand.type == "time" else operand.kind


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
