"""Decide whether a code is in a ValueSet, and translate codes by a ConceptMap; both are FHIR files of a mapping.

A part of a file that is not understood is refused by name, never passed over: a ValueSet that means less than it says
would leave patients out in silence. A code without its system never matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from integration.errors import MappingError

Resource = dict[str, Any]
Code = tuple[str, str]
"""A code system's URI and a code of it."""

WITH_HIERARCHY_IN_THE_CODE: Final = frozenset(("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10"))
"""Systems whose codes show what is below what: G35.C1 is below G35.C, which is below G35."""

_UNMATCHED: Final = frozenset(("unmatched", "disjoint", "not-related-to"))
_VALUE_SET_PARTS: Final = frozenset(("include",))
_INCLUDE_PARTS: Final = frozenset(("system", "concept", "filter"))
_GROUP_PARTS: Final = frozenset(("source", "target", "element"))
_ELEMENT_PARTS: Final = frozenset(("code", "display", "target", "noMap"))


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueSet:
    """A set of codes.

    Attributes:
        url: its canonical.
        codes: the codes listed one by one.
        below: codes that stand for themselves and everything below them.
    """

    url: str
    codes: frozenset[Code]
    below: tuple[Code, ...] = ()
    _answers: dict[Code, bool] = field(default_factory=dict, repr=False, compare=False)

    def has(self, system: str | None, code: str | None) -> bool:
        """Return whether the code is in the set; a code without a system is in none."""
        if not system or not code:
            return False
        key = (system, code)
        if key not in self._answers:
            self._answers[key] = key in self.codes or any(_is_below(key, top) for top in self.below)
        return self._answers[key]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptMap:
    """A translation of codes.

    Attributes:
        url: its canonical.
        targets: source code to the codes it is translated to.
    """

    url: str
    targets: Mapping[Code, tuple[str, ...]]

    def translate(self, system: str | None, code: str | None) -> tuple[str, ...]:
        """Return the codes that the map gives, none if it does not know the code or the code has no system."""
        return self.targets.get((system, code), ()) if system and code else ()


def read_value_set(resource: Resource, file: str) -> ValueSet:
    """Read a FHIR ValueSet.

    Raises:
        MappingError: it is none, or uses what is not supported (`exclude`, `valueSet`, a whole code system, filters but
            `concept is-a`).
    """
    _require_type(resource, "ValueSet", file)
    compose = resource.get("compose") or {}
    _refuse_unknown(compose, _VALUE_SET_PARTS, file, "compose")
    codes: set[Code] = set()
    below: list[Code] = []
    for path, include in _listed(compose, "include", file, "compose"):
        _refuse_unknown(include, _INCLUDE_PARTS, file, path)
        system = _text(include, "system", file, path)
        listed, tops = list(_concepts(include, file, path)), list(_is_a_filters(include, system, file, path))
        if len(tops) + bool(listed) != 1:
            problem = "must hold either concept or one filter: none is the whole system, and several mean all at once"
            raise MappingError(file=file, path=path, problem=problem)
        codes.update((system, code) for code in listed)
        below.extend((system, top) for top in tops)
    if not codes and not below:
        raise MappingError(file=file, path="compose.include", problem="holds no code; list codes under concept")
    return ValueSet(url=str(resource.get("url", "")), codes=frozenset(codes), below=tuple(below))


def read_concept_map(resource: Resource, file: str) -> ConceptMap:
    """Read a FHIR ConceptMap (R4's `equivalence` or R5's `relationship`).

    Raises:
        MappingError: it is none, or uses what is not supported (`unmapped`, `dependsOn`, `product`).
    """
    _require_type(resource, "ConceptMap", file)
    targets: dict[Code, tuple[str, ...]] = {}
    for path, group in _listed(resource, "group", file):
        _refuse_unknown(group, _GROUP_PARTS, file, path)
        system = _text(group, "source", file, path)
        for where, element in _listed(group, "element", file, path):
            _refuse_unknown(element, _ELEMENT_PARTS, file, where)
            code = _text(element, "code", file, where)
            if (system, code) in targets:
                raise MappingError(file=file, path=where, problem=f"maps {code} a second time; keep one element")
            targets[system, code] = tuple(_targets(element, file, where))
    return ConceptMap(url=str(resource.get("url", "")), targets=targets)


def _concepts(include: Resource, file: str, path: str) -> Iterator[str]:
    for where, concept in _listed(include, "concept", file, path):
        yield _text(concept, "code", file, where)


def _is_a_filters(include: Resource, system: str, file: str, path: str) -> Iterator[str]:
    for where, rule in _listed(include, "filter", file, path):
        if (rule.get("property"), rule.get("op")) != ("concept", "is-a"):
            raise MappingError(file=file, path=where, problem="only the filter concept is-a CODE is supported")
        if system not in WITH_HIERARCHY_IN_THE_CODE:
            known = ", ".join(sorted(WITH_HIERARCHY_IN_THE_CODE))
            problem = f"is-a needs a system whose codes show their hierarchy ({known}); list the codes under concept"
            raise MappingError(file=file, path=where, problem=problem)
        yield _text(rule, "value", file, where)


def _targets(element: Resource, file: str, path: str) -> Iterator[str]:
    for where, target in _listed(element, "target", file, path):
        if target.get("dependsOn") or target.get("product"):
            raise MappingError(file=file, path=where, problem="dependsOn and product are not supported")
        if target.get("equivalence", target.get("relationship")) not in _UNMATCHED:
            yield _text(target, "code", file, where)


def _is_below(code: Code, top: Code) -> bool:
    """Whether an ICD code is the top code or below it: G35.C1 below G35.C and G35, but G350 not below G35."""
    if code[0] != top[0]:
        return False
    name, parent = code[1], top[1]
    return name == parent or name.startswith(parent if "." in parent else f"{parent}.")


def _listed(part: Resource, key: str, file: str, path: str = "") -> Iterator[tuple[str, Resource]]:
    """Yield the objects of a list, each with its path; none if there is no list."""
    where = f"{path}.{key}" if path else key
    values = part.get(key, [])
    if not isinstance(values, list):
        raise MappingError(file=file, path=where, problem="must be a list")
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise MappingError(file=file, path=f"{where}[{number}]", problem="must be an object")
        yield f"{where}[{number}]", value


def _require_type(resource: object, expected: str, file: str) -> None:
    if not isinstance(resource, dict) or resource.get("resourceType") != expected:
        raise MappingError(file=file, path="resourceType", problem=f"must be {expected}")


def _refuse_unknown(part: object, known: Iterable[str], file: str, path: str) -> None:
    if not isinstance(part, dict):
        raise MappingError(file=file, path=path, problem="must be an object")
    for key in sorted(part.keys() - set(known) - {"id", "extension"}):
        problem = f"{key} is not supported; supported are {', '.join(sorted(known))}"
        raise MappingError(file=file, path=f"{path}.{key}", problem=problem)


def _text(part: object, key: str, file: str, path: str) -> str:
    value = part.get(key) if isinstance(part, dict) else None
    if not isinstance(value, str) or not value:
        raise MappingError(file=file, path=f"{path}.{key}", problem="is missing; give it as text")
    return value
