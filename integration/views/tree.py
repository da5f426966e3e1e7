"""The checked form of a FHIRPath expression: every part knows its type, and whether it may hold several values."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

from integration.views.equality import Compared
from integration.views.schema import PRIMITIVES, Element, Option
from integration.views.shapes import Shape
from integration.views.values import Amount

CHOICE = "choice"
"""The type of an element that has several types until `ofType()` names one."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """Any part; `type` is a FHIR type, `CHOICE`, or empty where there is nothing; `path` is its place in a resource."""

    type: str
    is_many: bool = False
    shape: Shape | None = None
    path: str = ""

    @property
    def kind(self) -> str:
        """Return what a primitive value is like (`schema.PRIMITIVES`), empty for all else."""
        return PRIMITIVES.get(self.type, "")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Nothing(Tree):
    """The empty collection."""

    type: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Constant(Tree):
    """A value from the view."""

    value: str | int | bool | Decimal | Amount


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Focus(Tree):
    """`$this`: what the expression is evaluated on."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Root(Tree):
    """`%resource`."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RowIndex(Tree):
    """`%rowIndex`."""

    type: str = "integer"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Field(Tree):
    """One form of an element of `source`."""

    source: Tree
    option: Option
    is_list: bool

    def compare(self, text: str) -> None:
        """Note where the element is read that it is compared with a text and not used in any other way."""
        if self.source.shape:
            self.source.shape.compare(self.option, text)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Choice(Tree):
    """An element of several types, none of them named yet."""

    source: Tree
    element: Element
    type: str = CHOICE


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Decoded(Tree):
    """A resource inside the resource (`contained`, a Bundle's entry), read as one type, or as any (`Resource`)."""

    source: Tree
    decoder: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Filter(Tree):
    """`source.where(criterion)`."""

    source: Tree
    criterion: Tree


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Keyed(Tree):
    """The items of `source` whose `key` is in the constant dict `places`; `at` is the Python name of their place."""

    source: Tree
    key: Tree
    places: str
    at: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pick(Tree):
    """`first()`, `last()` (`index` None) or `source[index]`."""

    source: Tree
    is_last: bool = False
    index: Tree | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Exists(Tree):
    """`source.exists()`, or `source.empty()` when negated."""

    source: Tree
    is_negated: bool = False
    type: str = "boolean"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Count(Tree):
    """`source.count()`."""

    source: Tree
    type: str = "integer"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Not(Tree):
    """`source.not()`."""

    source: Tree
    type: str = "boolean"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Logic(Tree):
    """`and`, `or`, `xor`, `implies`, with FHIRPath's three values."""

    operator: str
    left: Tree
    right: Tree
    type: str = "boolean"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Equal(Tree):
    """`=`, or `!=` when negated."""

    left: Tree
    right: Tree
    is_negated: bool = False
    type: str = "boolean"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EqualElements(Tree):
    """`=` on elements with children, or `!=` when negated."""

    left: Tree
    right: Tree
    what: Compared
    is_negated: bool = False
    type: str = "boolean"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Order(Tree):
    """`<`, `<=`, `>`, `>=`."""

    operator: str
    left: Tree
    right: Tree
    type: str = "boolean"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Arithmetic(Tree):
    """`+ - * / div mod` on numbers, `+` and `&` on text."""

    operator: str
    left: Tree
    right: Tree


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Join(Tree):
    """`source.join(separator)`."""

    source: Tree
    separator: Tree
    type: str = "string"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Boundary(Tree):
    """`source.lowBoundary()` or `source.highBoundary()`."""

    source: Tree
    is_high: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceKey(Tree):
    """`getReferenceKey(wanted)`; `source` is the reference's text, `wanted` empty for any type."""

    source: Tree
    wanted: str
    type: str = "id"
