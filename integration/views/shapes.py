"""The parts of a resource that a view reads, and the `msgspec` structs that decode exactly these.

A shape is one place in the resource with the elements read there. A place that repeats itself (`item.item`) is one
shape that holds itself. Lists default to empty, so that a missing list and an empty one are the same; `null` for a
list is refused by the decoder.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from integration.views.schema import BOOLEAN, INTEGER, NUMBER, PRIMITIVES, Option, Schema

ANY_RESOURCE = frozenset({"Resource", "DomainResource"})
"""Types that stand for a resource of any type (`contained`, `Bundle.entry.resource`): kept raw, decoded when named."""

_INTEGER = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""FHIR's integers have 32 bits; integer64 is text in JSON (https://hl7.org/fhir/R5/datatypes.html#integer64)."""


_LONGEST_NARROW = 16


@dataclasses.dataclass(kw_only=True, slots=True)
class _Read:
    option: Option
    shape: Shape | None
    is_list: bool
    is_presence_only: bool
    uses: int = 0
    compared_with: list[str] = dataclasses.field(default_factory=list)
    is_tested: bool = False
    looked_up: int = 0
    places: Mapping[str, Mapping[object, int]] = dataclasses.field(default_factory=dict)

    @property
    def is_key(self) -> bool:
        """Say whether the value is only looked up in dicts."""
        return 0 < self.uses == self.looked_up and not self.is_list and not self.is_tested

    @property
    def is_narrow(self) -> bool:
        """Say whether the value is only compared with short texts; long ones take longer to look up than to read."""
        is_short = all(len(text) <= _LONGEST_NARROW for text in self.compared_with)
        return self.is_key or (0 < self.uses == len(self.compared_with) and is_short and not self.is_list)


class Shape:
    """One place in a resource: its FHIR type and what is read of it."""

    def __init__(self, fhir_type: str) -> None:
        self.type = fhir_type
        self._reads: dict[str, _Read] = {}
        self._same_as: Shape | None = None
        self._is_whole = False

    def itself(self) -> Shape:
        """Return the shape that this one was merged into, or itself."""
        shape = self
        while shape._same_as is not None:
            shape = shape._same_as
        return shape

    def read(self, option: Option, *, is_list: bool) -> Shape | None:
        """Note that an element is read; return its shape, or None where it is primitive or raw."""
        reads = self.itself()._reads
        if option.key not in reads:
            is_plain = option.type in PRIMITIVES or option.type in ANY_RESOURCE
            shape = None if is_plain else Shape(option.type)
            reads[option.key] = _Read(option=option, shape=shape, is_list=is_list, is_presence_only=False)
        reads[option.key].is_presence_only = False
        reads[option.key].uses += 1
        return reads[option.key].shape

    def compare(self, option: Option, text: str) -> None:
        """Note that an element, read once more before, was read only to be compared with a text."""
        self.itself()._reads[option.key].compared_with.append(text)

    def look_up(self, option: Option, uses: int, name: str, places: Mapping[object, int]) -> None:
        """Note that some of the comparisons of an element are one look-up in a dict of a name."""
        read = self.itself()._reads[option.key]
        read.looked_up += uses
        read.places = {**read.places, name: places}

    def read_whole(self) -> None:
        """Note that everything is read here, down to the last child, whatever the version's types have."""
        self.itself()._is_whole = True

    def read_presence(self, option: Option, *, is_list: bool) -> None:
        """Note that it matters whether an element is there, whatever is in it."""
        reads = self.itself()._reads
        if option.key not in reads:
            self.read(option, is_list=is_list)
            reads[option.key].is_presence_only = not is_list
        reads[option.key].is_tested = True

    def merge(self, other: Shape) -> None:
        """Make two places of the same type one, so that one struct reads both."""
        mine, theirs = self.itself(), other.itself()
        if mine is theirs:
            return
        theirs._same_as = mine
        mine._is_whole = mine._is_whole or theirs._is_whole
        for key, read in theirs._reads.items():
            known = self.itself()._reads.setdefault(key, read)  # merging below may have moved this shape, too
            known.is_presence_only = known.is_presence_only and read.is_presence_only
            if known is not read:
                known.uses += read.uses
                known.compared_with += read.compared_with
                known.is_tested = known.is_tested or read.is_tested
                known.looked_up += read.looked_up
                known.places = {**known.places, **read.places}
            if known.shape and read.shape:
                known.shape.merge(read.shape)

    def copied(self) -> Shape:
        """Return a copy of this shape and everything below it, which may be merged without a change to these."""
        copies = {each: Shape(each.type) for each in self.within()}
        for each, copy in copies.items():
            copy._is_whole = each._is_whole
            for key, read in each.reads().items():
                shape = read.shape and copies[read.shape.itself()]
                copy._reads[key] = dataclasses.replace(read, shape=shape, compared_with=[*read.compared_with])
        return copies[self.itself()]

    def wholes(self) -> Iterator[Shape]:
        """Yield the shapes that are read as a whole, with every shape below them."""
        for shape in self.within():
            if shape._is_whole:
                yield from shape.within()

    def reads(self) -> dict[str, _Read]:
        """Return what is read here, by JSON key."""
        return self.itself()._reads

    def within(self) -> Iterator[Shape]:
        """Yield this shape and every shape below it once."""
        waiting, seen = [self.itself()], {self.itself()}
        while waiting:
            shape = waiting.pop()
            yield shape
            below = [read.shape.itself() for read in shape.reads().values() if read.shape]
            waiting.extend(dict.fromkeys(each for each in below if each not in seen))
            seen.update(below)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _How:
    is_strict: bool = False
    is_narrow: bool = False
    is_tagged: bool = False
    wholes: frozenset[Shape] = frozenset()


def has_narrow(shape: Shape) -> bool:
    """Say whether a decoder with `is_narrow` would differ."""
    return any(read.is_narrow for each in shape.within() for read in each.reads().values())


def keys(shape: Shape) -> set[tuple[Shape, str]]:
    """Return for which elements of which shapes the decoder with `is_narrow` looks up the text."""
    wholes = set(shape.wholes())
    return {
        (each, key)
        for each in shape.within()
        if each not in wholes
        for key, read in each.reads().items()
        if read.is_key
    }


def decoder(
    shape: Shape, schema: Schema, *, is_strict: bool = False, is_narrow: bool = False
) -> msgspec.json.Decoder[Any]:
    """Build the decoder for one shape and everything below it.

    Args:
        shape: the place to decode.
        schema: the types of the FHIR version.
        is_strict: check that decimals are JSON numbers too. Decimals are kept as raw text, exactly as written, and
            checked when they are used; the strict decoder is for finding where such a check failed.
        is_narrow: refuse what an element may hold that is only compared with a few texts and is none of them, and give
            for what is only looked up in dicts what is found there, see `keys`. This decoder is faster where such
            elements seldom hold anything else; what it refuses has to be decoded again.
    """
    how = _How(is_strict=is_strict, is_narrow=is_narrow)
    return msgspec.json.Decoder(_structs([shape], schema, how)[0])


def decoder_of_several(shapes: Sequence[Shape], schema: Schema) -> tuple[msgspec.json.Decoder[Any], list[type]]:
    """Build one decoder for several resource types, and return the struct of each."""
    structs = _structs(shapes, schema, _How(is_tagged=len(shapes) > 1))
    return msgspec.json.Decoder(functools.reduce(operator.or_, structs)), structs


def _structs(shapes: Sequence[Shape], schema: Schema, how: _How) -> list[type]:
    every = dict.fromkeys(each for shape in shapes for each in shape.within())
    names = {each: f"{each.type}_{index}" for index, each in enumerate(every)}
    how = dataclasses.replace(how, wholes=frozenset(whole for shape in shapes for whole in shape.wholes()))
    structs = {each: _struct(each, schema, names, how) for each in names}
    for struct in structs.values():
        for each, name in names.items():
            setattr(struct, name, structs[each])
    return [structs[shape.itself()] for shape in shapes]


def _struct(shape: Shape, schema: Schema, names: dict[Shape, str], how: _How) -> type:
    is_tagged = how.is_tagged and shape.type in schema.resources - ANY_RESOURCE
    return msgspec.defstruct(
        names[shape],
        _fields(shape, schema, names, how),
        gc=False,
        rename=_key,
        tag_field="resourceType" if is_tagged else None,
        tag=shape.type if is_tagged else None,
    )


def _key(attribute: str) -> str:
    return attribute.removesuffix("_")


def _fields(shape: Shape, schema: Schema, names: dict[Shape, str], how: _How) -> list[Any]:
    fields: list[Any] = []
    if shape.type in schema.resources - ANY_RESOURCE and not how.is_tagged:
        fields.append(("resourceType", Literal[shape.type]))
    reads = _whole(shape, schema) if shape in how.wholes else shape.reads()
    for key in sorted(reads, key=_order(schema.elements(shape.type)).__getitem__):
        read = reads[key]
        if how.is_narrow and read.is_key:
            fields.append((read.option.attribute, *_key_type(read)))
            continue
        annotation = _annotation(read, names, how)
        fields.append((read.option.attribute, annotation, () if read.is_list else None))
    return fields


class _Key(enum.Enum):
    """A text that is only looked up: for each dict, an attribute of its name holds the place found there, or None."""

    def __new__(cls, text: str, places: Mapping[str, Mapping[object, int]]) -> _Key:
        """Look a text up in every dict."""
        key = object.__new__(cls)
        key._value_ = text
        for name, of in places.items():
            setattr(key, name, of.get(text))
        return key


def _key_type(read: _Read) -> tuple[Any, Any]:
    """Return the type of every text that is looked up, and the key for none."""
    texts = dict.fromkeys(read.compared_with)
    none = next(text for text in ("\0" * size for size in itertools.count(1)) if text not in texts)
    make: Any = _Key
    every = make("Key", [(f"key_{at}", (text, read.places)) for at, text in enumerate([none, *texts])])
    return every, every(none)


def _whole(shape: Shape, schema: Schema) -> dict[str, _Read]:
    """Return what is read of a whole: what is read by itself as it is, and all else, raw where it has children."""
    found: dict[str, _Read] = {}
    for element in schema.elements(shape.type).values():
        for option in element.options:
            for form in (option, companion(option)) if option.type in PRIMITIVES else (option,):
                missing = _Read(option=form, shape=None, is_list=element.is_list, is_presence_only=False)
                known = shape.reads().get(form.key, missing)
                found[form.key] = dataclasses.replace(known, is_presence_only=False, uses=known.uses + 1)
    return found


def _order(elements: Any) -> dict[str, int]:
    keys = [option.key for element in elements.values() for option in element.options]
    return {key: index for index, each in enumerate(keys) for key in (each, f"_{each}")}


def _annotation(read: _Read, names: dict[Shape, str], how: _How) -> Any:
    inner = _inner(read, names, how)
    if not read.is_list:
        if inner is msgspec.Raw or inner is Any:
            return inner
        return f"{inner} | None" if isinstance(inner, str) else inner | None
    if isinstance(inner, str):
        may_be_null = read.option.key.startswith("_")
        return f"list[{inner} | None]" if may_be_null else f"list[{inner}]"
    return list[inner | None] if read.option.type in PRIMITIVES and inner is not msgspec.Raw else list[inner]  # type: ignore[valid-type]  # built at run time


def _inner(read: _Read, names: dict[Shape, str], how: _How) -> Any:
    if read.shape is not None and not read.is_presence_only:
        return names[read.shape.itself()]
    kind = PRIMITIVES.get(read.option.type)
    if read.is_presence_only:
        return Any
    if kind is None:
        return msgspec.Raw
    if kind == NUMBER:
        return int | float if how.is_strict else msgspec.Raw
    if kind == INTEGER and read.option.type != "integer64":
        return _INTEGER
    return bool if kind == BOOLEAN else _text(read, how)


def _text(read: _Read, how: _How) -> Any:
    return Literal[tuple(dict.fromkeys(read.compared_with))] if how.is_narrow and read.is_narrow else str


def companion(element: Option) -> Option:
    """Return the sibling of a primitive element that holds its id and extensions (`_birthDate`)."""
    return dataclasses.replace(element, type="Element", key=f"_{element.key}")
