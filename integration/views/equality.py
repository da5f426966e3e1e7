"""FHIRPath's `=` on elements with children, such as `name.first() = contact.name`.

Two elements are equal if all their children are, in order, to any depth: values, ids and extensions, those of primitive
elements included (http://hl7.org/fhirpath/N1/#equals). Decimals are compared by value. The answer is not known where
dates are of different precision, and where quantities have different units: units are respected, but not converted.
Quantities in one UCUM unit are compared by their value, as FHIR makes FHIRPath's quantities of them
(https://hl7.org/fhir/R4/fhirpath.html#quantity); any other two are compared as elements.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from integration.views import dates
from integration.views.schema import BOOLEAN, DATE, INTEGER, NUMBER, PRIMITIVES, Option, Schema
from integration.views.shapes import ANY_RESOURCE
from integration.views.values import Amount, BrokenValueError

QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration"})
"""Types that are all compared as quantities."""

_UCUM = "http://unitsofmeasure.org"
_FRACTION = msgspec.json.Decoder(float_hook=Decimal)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What a view compares: elements of one FHIR type, and the place of the left and of the right ones."""

    type: str
    left: str
    right: str
    schema: Schema = dataclasses.field(repr=False, compare=False)


_Items = Sequence[Any]
"""Elements: an `_Item` each, or the plain value of a primitive that is no date and has neither id nor extension."""

_NO_CHILDREN: Mapping[str, _Items] = {}


class _Item(msgspec.Struct, gc=False):
    """One element: `children` by JSON key; of a primitive the `value`, and the companion's children."""

    type: str
    path: str
    value: Any = None
    children: Mapping[str, _Items] = _NO_CHILDREN

    def child(self, key: str) -> Any:
        """Return the value of the first of the children under a key, None where there is none."""
        found = self.children[key][0] if key in self.children else None
        return found.value if isinstance(found, _Item) else found


def equal_elements(left: Any, right: Any, what: Compared) -> bool | None:
    """Compare two elements, as structs, raw JSON or amounts: nothing when one is missing or it cannot be known."""
    return equal_element_lists((left,), (right,), what)


def equal_element_lists(left: Sequence[Any], right: Sequence[Any], what: Compared) -> bool | None:
    """Compare two collections of elements, in order.

    Raises:
        BrokenValueError: an element holds what its FHIR type does not allow.
    """
    reader = _Reader(what.schema)
    one, other = reader.items(left, what.type, what.left), reader.items(right, what.type, what.right)
    return _equal_lists(one, other) if one and other else None


# --- what is compared, out of what the decoder gives


class _Reader:
    """Checks elements against their type: what no struct decodes, the decoder has left raw and unchecked."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def items(self, elements: Sequence[Any], fhir_type: str, path: str) -> list[_Item]:
        """Return the elements that are there."""
        try:
            found = [_plain(each) for each in elements]
        except (ArithmeticError, msgspec.ValidationError) as error:
            raise BrokenValueError(path, "a number is too large") from error
        return [self._element(each, fhir_type, path) for each in found if each is not None]

    def _element(self, json: Any, fhir_type: str, path: str) -> _Item:
        if not isinstance(json, dict):
            raise BrokenValueError(path, "expected an object")
        if fhir_type in ANY_RESOURCE:
            fhir_type = self._resource_type(json, path)
        forms = _forms(self._schema, fhir_type)
        children: dict[str, _Items] = {}
        for key in json:
            if key in forms and forms[key][0].key not in children:
                form, is_list = forms[key]
                found = self._children(json, form, f"{path}.{form.key}" if path else form.key, is_list=is_list)
                if found:
                    children[form.key] = found
        return _Item(fhir_type, path, None, children)

    def _resource_type(self, json: dict[str, Any], path: str) -> str:
        found = json.get("resourceType")
        if not isinstance(found, str) or found not in self._schema.resources - ANY_RESOURCE:
            raise BrokenValueError(f"{path}.resourceType", "is no resource type of this FHIR version")
        return found

    def _children(self, json: dict[str, Any], form: Option, path: str, *, is_list: bool) -> list[Any]:
        found = _listed(json, form.key, path, is_list=is_list)
        if form.type not in PRIMITIVES:
            places = (f"{path}[{at}]" for at in range(len(found))) if is_list else (path,)
            return [self._element(each, form.type, place) for each, place in zip(found, places, strict=False)]
        companions = _listed(json, f"_{form.key}", path, is_list=is_list)
        return [
            self._primitive(value, companion, form.type, path)
            for value, companion in itertools.zip_longest(found, companions)
            if value is not None or companion is not None
        ]

    def _primitive(self, value: Any, companion: Any, fhir_type: str, path: str) -> Any:
        if value is not None and not _is_of_kind(value, fhir_type):
            raise BrokenValueError(path, f"expected a value of the type {fhir_type}")
        children = _NO_CHILDREN if companion is None else self._element(companion, "Element", path).children
        is_plain = value is not None and not children and PRIMITIVES[fhir_type] != DATE
        return value if is_plain else _Item(fhir_type, path, value, children)


def _listed(json: dict[str, Any], key: str, path: str, *, is_list: bool) -> list[Any]:
    """Return what stands under a key; null is nothing, but in the place of a list it is a fault."""
    if not is_list:
        return [] if json.get(key) is None else [json[key]]
    found = json.get(key, [])
    if not isinstance(found, list):
        raise BrokenValueError(path, "expected a list")
    return found


def _plain(value: Any) -> Any:
    """Return as JSON has it what the decoder gave: raw text, or structs of what the view reads by itself, too."""
    if isinstance(value, msgspec.Raw):
        return _FRACTION.decode(value)
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        found = {key: getattr(value, name) for key, name in names}
        return {key: _plain(each) for key, each in found.items() if each is not None and each != ()}
    if isinstance(value, Amount):
        return {"value": value.number, "system": _UCUM, "code": value.unit}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


@functools.cache
def _forms(schema: Schema, fhir_type: str) -> Mapping[str, tuple[Option, bool]]:
    """Return each form of a type's elements, and whether it is a list, by JSON key and by that of its companion."""
    forms = [(form, element.is_list) for element in schema.elements(fhir_type).values() for form in element.options]
    companions = {f"_{form.key}": (form, is_list) for form, is_list in forms if form.type in PRIMITIVES}
    return companions | {form.key: (form, is_list) for form, is_list in forms}


def _is_of_kind(value: Any, fhir_type: str) -> bool:
    kind = PRIMITIVES[fhir_type]
    if kind == BOOLEAN:
        return isinstance(value, bool)
    if kind not in (INTEGER, NUMBER) or fhir_type == "integer64":
        return isinstance(value, str)
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return is_number and (kind == NUMBER or value == int(value))


# --- the comparison


def _equal_lists(left: _Items, right: _Items) -> bool | None:
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return _equal(left[0], right[0])
    return _all(_equal(one, other) for one, other in zip(left, right, strict=True))


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    """FHIRPath's `and`: one that is false decides, else one that is not known."""
    is_known = True
    for verdict in verdicts:
        if verdict is False:
            return False
        is_known = is_known and verdict is not None
    return True if is_known else None


def _equal(left: Any, right: Any) -> bool | None:
    if not isinstance(left, _Item) or not isinstance(right, _Item):
        return type(left) is not _Item and type(right) is not _Item and bool(left == right)
    if left.type in QUANTITIES and right.type in QUANTITIES:
        return _equal_quantities(left, right)
    return left.type == right.type and _equal_as_elements(left, right)


def _equal_as_elements(left: _Item, right: _Item) -> bool | None:
    if left.children.keys() != right.children.keys():
        return False
    verdict = _equal_values(left, right)
    if verdict is False or not left.children:
        return verdict
    below = (_equal_lists(items, right.children[key]) for key, items in left.children.items())
    return _all(itertools.chain([verdict], below))


def _equal_values(left: _Item, right: _Item) -> bool | None:
    if left.value is None or right.value is None or PRIMITIVES[left.type] != DATE:
        return bool(left.value == right.value)
    return dates.equal_dates(left.value, right.value, left.path)


def _equal_quantities(left: _Item, right: _Item) -> bool | None:
    unit = _unit(left)
    if unit != _unit(right):
        return None
    is_amount = all(each.child("value") is not None and each.child("comparator") is None for each in (left, right))
    if is_amount and unit[0] == _UCUM and unit[1]:
        return bool(left.child("value") == right.child("value"))
    return _equal_as_elements(left, right)


def _unit(quantity: _Item) -> tuple[Any, Any]:
    """Return the unit's system and code; of one without a code only what people read."""
    code = quantity.child("code")
    return (quantity.child("system"), code) if code is not None else (None, quantity.child("unit"))


__all__ = ["equal_element_lists", "equal_elements"]
