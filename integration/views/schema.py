"""The types of one FHIR version: which elements they have, of which types, and how often.

The facts come from the models of `fhir.resources`, written down once by `generate_schema.py`.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib.resources
import keyword
from collections.abc import Iterable, Mapping

import msgspec

VERSIONS: Mapping[str, str] = {"4.0.1": "schema_r4b.json", "4.3.0": "schema_r4b.json", "5.0.0": "schema_r5.json"}
"""The file for each FHIR version that views may be compiled for; R4 is read with R4B's models."""

TEXT, NUMBER, INTEGER, BOOLEAN, DATE = "text", "decimal", "integer", "boolean", "date"

PRIMITIVES: Mapping[str, str] = {
    "base64Binary": TEXT,
    "boolean": BOOLEAN,
    "canonical": TEXT,
    "code": TEXT,
    "date": DATE,
    "dateTime": DATE,
    "decimal": NUMBER,
    "id": TEXT,
    "instant": DATE,
    "integer": INTEGER,
    "integer64": INTEGER,
    "markdown": TEXT,
    "oid": TEXT,
    "positiveInt": INTEGER,
    "string": TEXT,
    "time": DATE,
    "unsignedInt": INTEGER,
    "uri": TEXT,
    "url": TEXT,
    "uuid": TEXT,
    "xhtml": TEXT,
}
"""FHIR's primitive types and what a value of each is like: text, decimal, integer, boolean or date (ISO text)."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One concrete form of an element: its type and the key that JSON uses for it."""

    type: str
    key: str

    @property
    def attribute(self) -> str:
        """Return the key as a Python name (`class` becomes `class_`)."""
        return f"{self.key}_" if keyword.iskeyword(self.key) else self.key


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Element:
    """One element of a type; `options` holds several forms where FHIR offers a choice of types."""

    name: str
    options: tuple[Option, ...]
    is_list: bool

    @property
    def is_choice(self) -> bool:
        """Say whether the element is a choice of types, such as `value[x]`."""
        return len(self.options) > 1

    def option(self, type_name: str) -> Option | None:
        """Return the form of the element that holds a type, if it has one."""
        return next((option for option in self.options if option.type == type_name), None)


class _File(msgspec.Struct, rename={"fhir_version": "fhirVersion"}):
    fhir_version: str
    resources: list[str]
    types: dict[str, dict[str, str]]


_read_file = msgspec.json.Decoder(_File).decode


class Schema:
    """The types of one FHIR version."""

    def __init__(self, file: _File) -> None:
        self._types = file.types
        self.resources = frozenset(file.resources)
        self._elements: dict[str, dict[str, Element]] = {}

    def knows(self, type_name: str) -> bool:
        """Say whether a type, primitive or not, exists."""
        return type_name in PRIMITIVES or type_name in self._types

    def elements(self, type_name: str) -> Mapping[str, Element]:
        """Return the elements of a type by name, in FHIR's order; a primitive has `id` and `extension`."""
        if type_name not in self._elements:
            described = self._types["Element" if type_name in PRIMITIVES else type_name]
            self._elements[type_name] = {name: _element(name, text) for name, text in described.items()}
        return self._elements[type_name]

    def resources_with(self, name: str) -> list[str]:
        """Return the resource types that have an element of a name, in the order of the alphabet."""
        return sorted(each for each in self.resources if name in self._types[each])

    def nearest_element(self, type_name: str, name: str) -> str:
        """Return the element's name nearest to a wrong one, or nothing."""
        for element in self.elements(type_name).values():
            if any(option.key == name and element.is_choice for option in element.options):
                option = next(option for option in element.options if option.key == name)
                return f"{element.name}.ofType({option.type})"
        return nearest(name, self.elements(type_name))

    def nearest_type(self, name: str) -> str:
        """Return the type's name nearest to a wrong one, or nothing."""
        return nearest(name, [*PRIMITIVES, *self._types])


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the one of several names that looks most like a wrong one, or nothing."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return found[0] if found else ""


@functools.cache
def load(version: str) -> Schema:
    """Load the types of a FHIR version named in `VERSIONS`; a version is read once."""
    text = importlib.resources.files("integration.views").joinpath(VERSIONS[version]).read_bytes()
    return Schema(_read_file(text))


def is_resource(name: str) -> bool:
    """Say whether a text is the name of a resource type in any of the FHIR versions."""
    return any(name in load(version).resources for version in VERSIONS)


def _element(name: str, described: str) -> Element:
    types = described.split("|")
    is_list = types[0].endswith("*")
    if len(types) == 1:
        return Element(name=name, options=(Option(type=types[0].rstrip("*"), key=name),), is_list=is_list)
    options = tuple(Option(type=each, key=name + each[0].upper() + each[1:]) for each in types)
    return Element(name=name, options=options, is_list=is_list)
