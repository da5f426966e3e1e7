"""A ViewDefinition as HL7 writes it -> checked values that know their JSON path.

Both forms are read: 2.0 (https://sql-on-fhir.org/ig/2.0.0/) and the 3.0 ballot, whose `resourceType` is
`ViewDefinition`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from integration.errors import ViewError
from integration.views import dates, fhirpath
from integration.views.schema import BOOLEAN, DATE, INTEGER, NUMBER, PRIMITIVES, nearest
from integration.views.values import BrokenValueError

Json = Any
"""Raw JSON: dict, list, str, int, float, bool or None."""

Value = str | int | bool | Decimal


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Expression:
    """A FHIRPath expression of the view; `path` is where it stands in the view."""

    path: str
    text: str
    node: fhirpath.Node


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column; `type` is empty where the view does not say it."""

    path: str
    name: str
    expression: Expression
    type: str
    is_collection: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Select:
    """One `select`; `iteration` is `forEach`, `forEachOrNull`, `repeat` or empty, `over` its expressions."""

    path: str
    iteration: str
    over: tuple[Expression, ...]
    columns: tuple[Column, ...]
    selects: tuple[Select, ...]
    union: tuple[Select, ...]

    def all_columns(self) -> Iterable[Column]:
        """Yield the columns of this select in the order of the view's rows; a union gives its first branch's."""
        yield from self.columns
        for select in (*self.selects, *self.union[:1]):
            yield from select.all_columns()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """One checked ViewDefinition; `constants` holds (FHIR primitive type, value) by name."""

    name: str
    resource: str
    constants: Mapping[str, tuple[str, Value]]
    selects: tuple[Select, ...]
    where: tuple[Expression, ...]


_RESOURCE_TYPES = (
    "ViewDefinition",
    "https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition",
    "http://hl7.org/fhir/uv/sql-on-fhir/StructureDefinition/ViewDefinition",
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_INTEGER64 = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_ITERATIONS = ("forEach", "forEachOrNull", "repeat")
_EVERYWHERE = ("id", "extension", "modifierExtension")
_KEYS = {
    "": (
        "resourceType meta implicitRules language text contained url identifier version versionAlgorithmString "
        "versionAlgorithmCoding name title status experimental date publisher contact description useContext "
        "jurisdiction purpose copyright copyrightLabel approvalDate lastReviewDate effectivePeriod topic author "
        "editor reviewer endorser relatedArtifact resource profile fhirVersion constant select where"
    ).split(),
    "select": ["column", "select", "unionAll", *_ITERATIONS],
    "column": ["path", "name", "description", "collection", "type", "tag"],
    "where": ["path", "description"],
}
_WANTED: dict[type, str] = {str: "text", bool: "true or false", list: "a list", dict: "an object"}


def read(definition: Json) -> Definition:
    """Check a ViewDefinition's form and parse its expressions.

    Raises:
        ViewError: with the JSON path of the first fault.
    """
    name = definition.get("name") if isinstance(definition, dict) else None
    return _Reader(name if isinstance(name, str) and name else "unnamed").definition(definition)


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name

    def definition(self, json: Json) -> Definition:
        if not isinstance(json, dict):
            raise self._error("", "a ViewDefinition is a JSON object")
        self._check_keys(json, "", "")
        if json.get("resourceType", "ViewDefinition") not in _RESOURCE_TYPES:
            raise self._error("resourceType", "is not ViewDefinition")
        view = Definition(
            name=self._name,
            resource=self._required(json, "resource", ""),
            constants=self._constants(json),
            selects=self._selects(json, "select", ""),
            where=tuple(self._where(each, path) for each, path in self._objects(json, "where", "")),
        )
        if not view.selects:
            raise self._error("select", "is missing; a view needs at least one select")
        return view

    def _error(self, path: str, problem: str) -> ViewError:
        return ViewError(view=self._name, path=path, problem=problem)

    def _check_keys(self, json: dict[str, Json], kind: str, path: str) -> None:
        known = [*_KEYS[kind], *_EVERYWHERE]
        for key in json:
            if not isinstance(key, str) or key.removeprefix("_") not in known:
                hint = nearest(str(key), known)
                raise self._error(_join(path, str(key)), "is unknown" + (f"; did you mean {hint}?" if hint else ""))

    def _member(self, json: dict[str, Json], key: str, path: str, wanted: type) -> Json:
        value = json.get(key)
        if value is not None and not isinstance(value, wanted):
            raise self._error(_join(path, key), f"must be {_WANTED[wanted]}")
        return value

    def _required(self, json: dict[str, Json], key: str, path: str) -> str:
        value: str | None = self._member(json, key, path, str)
        if not value:
            raise self._error(_join(path, key), "is missing")
        return value

    def _objects(self, json: dict[str, Json], key: str, path: str) -> Iterable[tuple[dict[str, Json], str]]:
        for index, each in enumerate(self._member(json, key, path, list) or ()):
            here = f"{_join(path, key)}[{index}]"
            if not isinstance(each, dict):
                raise self._error(here, "must be an object")
            yield each, here

    def _expression(self, text: str, path: str) -> Expression:
        try:
            return Expression(path=path, text=text, node=fhirpath.parse(text))
        except fhirpath.FhirPathError as error:
            raise self._error(path, error.problem) from error

    def _where(self, json: dict[str, Json], path: str) -> Expression:
        self._check_keys(json, "where", path)
        return self._expression(self._required(json, "path", path), f"{path}.path")

    def _selects(self, json: dict[str, Json], key: str, path: str) -> tuple[Select, ...]:
        return tuple(self._select(each, here) for each, here in self._objects(json, key, path))

    def _select(self, json: dict[str, Json], path: str) -> Select:
        self._check_keys(json, "select", path)
        iterations = [key for key in _ITERATIONS if json.get(key) is not None]
        if len(iterations) > 1:
            raise self._error(path, f"has {' and '.join(iterations)}; only one of them is allowed")
        iteration = iterations[0] if iterations else ""
        columns = tuple(self._column(each, here) for each, here in self._objects(json, "column", path))
        select = Select(
            path=path,
            iteration=iteration,
            over=self._over(json, iteration, path),
            columns=columns,
            selects=self._selects(json, "select", path),
            union=self._selects(json, "unionAll", path),
        )
        if not (select.columns or select.selects or select.union):
            raise self._error(path, "has no column, select or unionAll")
        return select

    def _over(self, json: dict[str, Json], iteration: str, path: str) -> tuple[Expression, ...]:
        here = _join(path, iteration)
        if iteration != "repeat":
            return (self._expression(self._required(json, iteration, path), here),) if iteration else ()
        texts = self._member(json, "repeat", path, list)
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise self._error(here, "must be a list of at least one path")
        return tuple(self._expression(text, f"{here}[{index}]") for index, text in enumerate(texts))

    def _column(self, json: dict[str, Json], path: str) -> Column:
        self._check_keys(json, "column", path)
        name = self._required(json, "name", path)
        if not _NAME.fullmatch(name):
            raise self._error(f"{path}.name", "must start with a letter and hold only letters, digits and _")
        return Column(
            path=path,
            name=name,
            expression=self._expression(self._required(json, "path", path), f"{path}.path"),
            type=(self._member(json, "type", path, str) or "").rpartition("/")[2],
            is_collection=bool(self._member(json, "collection", path, bool)),
        )

    def _constants(self, json: dict[str, Json]) -> dict[str, tuple[str, Value]]:
        found: dict[str, tuple[str, Value]] = {}
        for each, path in self._objects(json, "constant", ""):
            name = self._required(each, "name", path)
            if not _NAME.fullmatch(name) or name in found:
                raise self._error(f"{path}.name", "must be unique and hold only letters, digits and _")
            found[name] = self._constant(each, path)
        return found

    def _constant(self, json: dict[str, Json], path: str) -> tuple[str, Value]:
        keys = [key for key in json if key not in ("name", "description", *_EVERYWHERE) and key[:1] != "_"]
        if len(keys) != 1:
            raise self._error(path, "needs exactly one value, such as valueString")
        suffix = keys[0].removeprefix("value")
        fhir_type = suffix[:1].lower() + suffix[1:]
        if not keys[0].startswith("value") or fhir_type not in PRIMITIVES:
            raise self._error(f"{path}.{keys[0]}", "is no primitive value; supported are valueString, valueCode, …")
        return fhir_type, self._value(json[keys[0]], fhir_type, f"{path}.{keys[0]}")

    def _value(self, value: Json, fhir_type: str, path: str) -> Value:
        kind = PRIMITIVES[fhir_type]
        if fhir_type == "integer64" and isinstance(value, str) and _INTEGER64.fullmatch(value):
            return int(value)
        wanted: dict[str, tuple[type, ...]] = {BOOLEAN: (bool,), INTEGER: (int,), NUMBER: (int, float, Decimal)}
        is_right = isinstance(value, wanted.get(kind, (str,))) and isinstance(value, bool) == (kind == BOOLEAN)
        if not is_right:
            raise self._error(path, f"is not of type {fhir_type}")
        if kind == DATE:
            self._check_date(value, fhir_type, path)
        return Decimal(str(value)) if kind == NUMBER else value

    def _check_date(self, text: str, fhir_type: str, path: str) -> None:
        try:
            is_time = not dates.moment(text).day
        except BrokenValueError as error:
            raise self._error(path, "is no date or time") from error
        if is_time != (fhir_type == "time"):
            raise self._error(path, f"is not of type {fhir_type}")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
