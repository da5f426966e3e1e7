"""FHIRPath syntax -> checked tree, against the element types of one FHIR version.

A path that the FHIR version does not know gives nothing and a warning, as SQL on FHIR demands. What FHIRPath knows
and this compiler does not support is refused by name, so that it is never answered with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from integration.views import dates, fhirpath, tree
from integration.views.definition import Value
from integration.views.equality import QUANTITIES
from integration.views.schema import BOOLEAN, DATE, INTEGER, NUMBER, TEXT, nearest
from integration.views.steps import Scope, Steps, focus_on
from integration.views.values import Amount, BrokenValueError

_UNSUPPORTED_FUNCTIONS = frozenset(
    "all allTrue anyTrue allFalse anyFalse subsetOf supersetOf isDistinct distinct select repeat single tail "
    "skip take intersect exclude union combine iif toBoolean convertsToBoolean toInteger convertsToInteger toDate "
    "convertsToDate toDateTime convertsToDateTime toDecimal convertsToDecimal toQuantity convertsToQuantity toString "
    "convertsToString toTime convertsToTime indexOf substring startsWith endsWith contains upper lower replace "
    "matches matchesFull replaceMatches length toChars split trim encode decode escape unescape abs ceiling exp floor "
    "ln log power round sqrt truncate children descendants trace now timeOfDay today is as type aggregate precision "
    "sort coalesce defineVariable repeatAll lastIndexOf hasValue getValue resolve elementDefinition slice "
    "checkModifiers conformsTo memberOf subsumes subsumedBy htmlChecks comparable hasTemplateIdOf weight".split()
)
_UNSUPPORTED_OPERATORS = ("|", "in", "contains", "is", "as", "~", "!~")
_INSTEAD = {"as": "; write ofType(Type)", "is": "; write ofType(Type).exists()"}
_WELL_KNOWN: Mapping[str, str] = {
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "ucum": "http://unitsofmeasure.org",
}


class Resolver:
    """Resolves the expressions of one view."""

    def __init__(self, steps: Steps, constants: Mapping[str, tuple[str, Value]]) -> None:
        self._steps, self._constants = steps, constants

    def resolve(self, node: fhirpath.Node, scope: Scope) -> tree.Tree:
        """Check one expression.

        Raises:
            ViewError: it uses what does not exist, does not fit, or is not supported.
        """
        write = _NODES[type(node)]
        return write(self, node, scope)

    # --- values from the view

    def _literal(self, node: fhirpath.Literal, scope: Scope) -> tree.Tree:
        if node.value is None:
            return tree.Nothing()
        if node.type == "duration":
            self._steps.refuse(scope, f"the duration {node.value} is FHIRPath, but not supported")
        if node.type in ("date", "dateTime", "time"):
            self._check_date(str(node.value), scope)
        path = f"{node.value.number} {node.value.unit!a}" if isinstance(node.value, Amount) else ""
        return tree.Constant(type=node.type, value=node.value, path=path)

    def _check_date(self, text: str, scope: Scope) -> None:
        try:
            dates.moment(text)
        except BrokenValueError:
            self._steps.refuse(scope, f"{text!a} is no date or time")

    def _variable(self, node: fhirpath.Variable, scope: Scope) -> tree.Tree:
        name = node.name
        if name == "$this":
            return scope.focus
        if name == "%rowIndex":
            return tree.RowIndex()
        if name in ("%resource", "%rootResource", "%context"):
            found = scope.context if name == "%context" else scope.root
            return found or self._steps.refuse(scope, f"{name} is not supported inside repeat")
        if name[0] == "$":
            self._steps.refuse(scope, f"{name} is FHIRPath, but not supported")
        if name[1:] in self._constants:
            fhir_type, value = self._constants[name[1:]]
            return tree.Constant(type=fhir_type, value=value)
        if name[1:] not in _WELL_KNOWN:
            self._steps.refuse(scope, f"the constant {name!a} is not defined")
        return tree.Constant(type="uri", value=_WELL_KNOWN[name[1:]])

    # --- elements

    def _source(self, source: fhirpath.Node | None, scope: Scope) -> tree.Tree:
        return scope.focus if source is None else self.resolve(source, scope)

    def _member(self, node: fhirpath.Member, scope: Scope) -> tree.Tree:
        if node.source is None and node.name in (scope.focus.type, "Resource", "DomainResource"):
            return scope.focus
        return self._steps.member(self._source(node.source, scope), node.name, scope)

    def _indexer(self, node: fhirpath.Indexer, scope: Scope) -> tree.Tree:
        source, index = self.resolve(node.source, scope), self.resolve(node.index, scope)
        if isinstance(source, tree.Nothing) or isinstance(index, tree.Nothing):
            return tree.Nothing()
        if index.kind != INTEGER:
            self._steps.refuse(scope, "an index must be an integer")
        return self._steps.pick(source, scope, index=index)

    # --- operators

    def _sign(self, node: fhirpath.Sign, scope: Scope) -> tree.Tree:
        operand = self.resolve(node.operand, scope)
        if isinstance(operand, tree.Constant) and isinstance(operand.value, Amount):
            return _signed(node.operator, operand.value)
        if operand.kind not in (INTEGER, NUMBER, ""):
            self._steps.refuse(scope, f"{node.operator} needs a number, not {operand.type}")
        if isinstance(operand, tree.Nothing) or node.operator == "+":
            return operand
        zero = tree.Constant(type="integer", value=0)
        return self._arithmetic("-", zero, operand, scope)

    def _binary(self, node: fhirpath.Binary, scope: Scope) -> tree.Tree:
        operator = node.operator
        if operator in _UNSUPPORTED_OPERATORS:
            hint = _INSTEAD.get(operator, "")
            self._steps.refuse(scope, f"the operator {operator} is FHIRPath, but not supported{hint}")
        left, right = self.resolve(node.left, scope), self.resolve(node.right, scope)
        if operator in ("and", "or", "xor", "implies"):
            for operand in (left, right):
                self.check_boolean(operand, operator, scope)
            return tree.Logic(operator=operator, left=left, right=right)
        if operator != "&" and (isinstance(left, tree.Nothing) or isinstance(right, tree.Nothing)):
            return tree.Nothing()
        if operator in ("=", "!=", "<", "<=", ">", ">="):
            return self._comparison(operator, left, right, scope)
        return self._arithmetic(operator, left, right, scope)

    def _comparison(self, operator: str, left: tree.Tree, right: tree.Tree, scope: Scope) -> tree.Tree:
        self._check_comparable(operator, left, right, scope)
        if operator in ("=", "!=") and not left.kind:
            return self._steps.equal_elements(left, right, is_negated=operator == "!=")
        if operator in ("=", "!="):
            return _equal(left, right, is_negated=operator == "!=")
        if left.kind == BOOLEAN:
            self._steps.refuse(scope, f"{operator} does not order booleans")
        return tree.Order(operator=operator, left=left, right=right)

    def check_boolean(self, operand: tree.Tree, what: str, scope: Scope) -> None:
        """Refuse what is neither boolean nor nothing."""
        if operand.kind != BOOLEAN and not isinstance(operand, tree.Nothing):
            of_what = f"{operand.path} ({operand.type})" if operand.path else operand.type
            self._steps.refuse(scope, f"{what} needs a boolean, not {of_what}; .exists() tells if it is there")

    def _check_comparable(self, operator: str, left: tree.Tree, right: tree.Tree, scope: Scope) -> None:
        for operand in (left, right):
            named = f"{operator} on {operand.path or operand.type} ({operand.type}) is FHIRPath, but not supported"
            if operand.type == tree.CHOICE:
                self._steps.refuse(scope, f"{named}; write {operand.path}.ofType(Type)")
            if not operand.kind and operator not in ("=", "!="):
                self._steps.refuse(scope, f"{named}; compare primitive elements of it")
        if _alike(left) != _alike(right):
            self._steps.refuse(scope, f"{operator} compares {left.type} with {right.type}, which are never alike")

    def _arithmetic(self, operator: str, left: tree.Tree, right: tree.Tree, scope: Scope) -> tree.Tree:
        kinds = {operand.kind for operand in (left, right) if not isinstance(operand, tree.Nothing)}
        if operator == "&" or (operator == "+" and kinds == {TEXT}):
            if not kinds <= {TEXT}:
                self._steps.refuse(scope, f"{operator} joins texts, not {left.type} and {right.type}")
            return tree.Arithmetic(type="string", operator=operator, left=left, right=right)
        if not kinds <= {INTEGER, NUMBER}:
            self._steps.refuse(scope, f"{operator} on {left.type} and {right.type} is not supported; it needs numbers")
        is_whole = operator == "div" or (kinds == {INTEGER} and operator != "/")
        return tree.Arithmetic(type="integer" if is_whole else "decimal", operator=operator, left=left, right=right)

    # --- functions

    def _call(self, node: fhirpath.Call, scope: Scope) -> tree.Tree:
        if node.name in _UNSUPPORTED_FUNCTIONS:
            hint = _INSTEAD.get(node.name, "")
            self._steps.refuse(scope, f"the function {node.name}() is FHIRPath, but not supported{hint}")
        if node.name not in _FUNCTIONS:
            hint = nearest(node.name, _FUNCTIONS)
            self._steps.refuse(
                scope, f"the function {node.name}() does not exist" + (f"; did you mean {hint}()?" if hint else "")
            )
        function, least, most = _FUNCTIONS[node.name]
        if not least <= len(node.arguments) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            if len(node.arguments) > most and node.name.endswith("Boundary"):
                self._steps.refuse(scope, f"{node.name}() with a precision is FHIRPath, but not supported")
            self._steps.refuse(scope, f"{node.name}() takes {wanted} arguments, not {len(node.arguments)}")
        return function(self, self._source(node.source, scope), node.arguments, scope)

    def _where(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        if source.type == tree.CHOICE:
            self._steps.refuse(
                scope, f"where() on {source.path}, which has several types, is not supported; use ofType() first"
            )
        criterion = self.resolve(arguments[0], scope.on(source))
        self.check_boolean(criterion, "where()", scope)
        if isinstance(source, tree.Nothing):
            return source
        return _filter(source, criterion)

    def _exists(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        return tree.Exists(source=self._steps.present(self._where(source, arguments, scope) if arguments else source))

    def _empty(self, source: tree.Tree, _arguments: _Arguments, _scope: Scope) -> tree.Tree:
        return tree.Exists(source=self._steps.present(source), is_negated=True)

    def _count(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        if source.type == tree.CHOICE:
            self._steps.refuse(scope, f"count() on {source.path}, which has several types, is not supported")
        return tree.Count(source=source)

    def _first(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        return self._steps.pick(source, scope) if source.is_many else source

    def _last(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        return self._steps.pick(source, scope, is_last=True) if source.is_many else source

    def _not(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        self.check_boolean(source, "not()", scope)
        return tree.Not(source=source)

    def _extension(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        url = self.resolve(arguments[0], scope)
        if url.kind != TEXT or url.is_many:
            self._steps.refuse(scope, "extension() takes one url as text")
        extensions = self._steps.member(source, "extension", scope)
        if isinstance(extensions, tree.Nothing):
            return extensions
        key = self._steps.member(focus_on(extensions), "url", scope)
        return _filter(extensions, _equal(key, url))

    def _of_type(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        wanted = self._type_name(arguments[0], "ofType()", scope)
        return source if isinstance(source, tree.Nothing) else self._steps.of_type(source, wanted, scope)

    def _type_name(self, node: fhirpath.Node, what: str, scope: Scope) -> str:
        name = node.name if isinstance(node, fhirpath.Member) else ""
        namespace = node.source if isinstance(node, fhirpath.Member) else None
        if isinstance(namespace, fhirpath.Member) and namespace.name == "System":
            self._steps.refuse(scope, f"{what} with System.{name} is FHIRPath, but not supported; name a FHIR type")
        is_plain = namespace is None or namespace == fhirpath.Member(source=None, name="FHIR")
        if not name or not is_plain:
            self._steps.refuse(scope, f"{what} takes the name of a type")
        if not self._steps.schema.knows(name):
            hint = self._steps.schema.nearest_type(name)
            self._steps.refuse(scope, f"the type {name!a} does not exist" + (f"; did you mean {hint}?" if hint else ""))
        return name

    def _join(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        separator = self.resolve(arguments[0], scope) if arguments else tree.Constant(type="string", value="")
        for operand in (source, separator):
            if operand.kind != TEXT and not isinstance(operand, tree.Nothing):
                self._steps.refuse(scope, f"join() joins texts, not {operand.type}")
        return tree.Join(source=source, separator=separator)

    def _low_boundary(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        return self._boundary(source, scope, is_high=False)

    def _high_boundary(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        return self._boundary(source, scope, is_high=True)

    def _boundary(self, source: tree.Tree, scope: Scope, *, is_high: bool) -> tree.Tree:
        if isinstance(source, tree.Nothing):
            return source
        if source.kind not in (INTEGER, NUMBER, DATE):
            self._steps.refuse(scope, f"boundaries are of numbers, dates and times, not of {source.type}")
        result = source.type if source.kind == DATE else "decimal"
        return tree.Boundary(type=result, source=source, is_high=is_high)

    def _resource_key(self, source: tree.Tree, _arguments: _Arguments, scope: Scope) -> tree.Tree:
        if source.type not in self._steps.schema.resources:
            self._steps.refuse(scope, f"getResourceKey() is of a resource, not of {source.type or 'nothing'}")
        return self._steps.member(source, "id", scope)

    def _reference_key(self, source: tree.Tree, arguments: _Arguments, scope: Scope) -> tree.Tree:
        wanted = self._type_name(arguments[0], "getReferenceKey()", scope) if arguments else ""
        if isinstance(source, tree.Nothing):
            return source
        if source.type != "Reference":
            self._steps.refuse(scope, f"getReferenceKey() is of a Reference, not of {source.type}")
        text = self._steps.member(source, "reference", scope)
        return tree.ReferenceKey(source=text, wanted=wanted, is_many=text.is_many, path=source.path)


_NODES: Mapping[type[fhirpath.Node], Callable[[Resolver, Any, Scope], tree.Tree]] = {
    fhirpath.Literal: Resolver._literal,
    fhirpath.Variable: Resolver._variable,
    fhirpath.Member: Resolver._member,
    fhirpath.Indexer: Resolver._indexer,
    fhirpath.Sign: Resolver._sign,
    fhirpath.Binary: Resolver._binary,
    fhirpath.Call: Resolver._call,
}

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


def _equal(left: tree.Tree, right: tree.Tree, *, is_negated: bool = False) -> tree.Equal:
    """Compare two values; note in the shape that an element is compared with a constant text."""
    if isinstance(left, tree.Constant):
        left, right = right, left
    if isinstance(left, tree.Field) and isinstance(right, tree.Constant) and left.kind == right.kind == TEXT:
        left.compare(str(right.value))
    return tree.Equal(left=left, right=right, is_negated=is_negated)


def _signed(operator: str, amount: Amount) -> tree.Constant:
    number = amount.number if operator == "+" else -amount.number
    return tree.Constant(
        type="Quantity", value=Amount(number=number, unit=amount.unit), path=f"{number} {amount.unit!a}"
    )


def _alike(operand: tree.Tree) -> str:
    if not operand.kind:
        return "Quantity" if operand.type in QUANTITIES else operand.type
    if operand.kind in (INTEGER, NUMBER):
        return NUMBER
    return "time" if operand.type == "time" else operand.kind
