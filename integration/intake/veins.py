"""Which veins a Procedure treated, and on which side: from its codes and its body sites."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from integration.records import Side, Site
from integration.terminology import ConceptMap

_WORDS: Final = re.compile(r"\b(left|right|bilateral)\b", re.IGNORECASE)
UNSIDED: Final = frozenset(("azygos", "hemiazygos"))
"""Veins that there are not two of."""
_SIDES_OF: Final[dict[str, tuple[Side, ...]]] = {
    "left": ("left",),
    "right": ("right",),
    "bilateral": ("left", "right"),
}
Row = tuple[Any, ...]


@dataclass(slots=True)
class _BodySite:
    veins: set[str] = field(default_factory=set)
    coded_sides: set[str] = field(default_factory=set)
    written_sides: set[str] = field(default_factory=set)
    has_other_content: bool = False

    @property
    def sides(self) -> set[str]:
        return self.coded_sides or self.written_sides

    @property
    def is_only_a_side(self) -> bool:
        return bool(self.sides) and not self.veins and not self.has_other_content


def of_body_sites(rows: Iterable[Row], veins: ConceptMap, laterality: ConceptMap) -> frozenset[Site]:
    """Return the target veins among a Procedure's body sites.

    A side comes from a laterality coding in the same CodeableConcept, else from the words left, right or bilateral in
    its text; else from a body site that holds nothing but a side. Bilateral is two sites.

    Args:
        rows: of the view `procedure_body_site`, its columns in order.
        veins: body site codes to veins.
        laterality: qualifiers to sides.
    """
    body_sites = list(_body_sites(rows, veins, laterality))
    loose = {side for site in body_sites if site.is_only_a_side for side in site.sides}
    return frozenset(
        found for site in body_sites for vein in site.veins for found in _with_sides(vein, site.sides or loose)
    )


def of_codes(codes: Iterable[tuple[str | None, str | None]], veins: ConceptMap, sides: ConceptMap) -> frozenset[Site]:
    """Return the target veins that procedure codes name themselves.

    Args:
        codes: system and code.
        veins: procedure codes to veins.
        sides: procedure codes to sides.
    """
    return frozenset(
        found
        for code in codes
        for vein in veins.translate(*code)
        for found in _with_sides(vein, set(sides.translate(*code)))
    )


def _body_sites(rows: Iterable[Row], veins: ConceptMap, laterality: ConceptMap) -> Iterator[_BodySite]:
    sites: dict[int, _BodySite] = {}
    for _, number, text, system, code in rows:
        site = sites.setdefault(number, _BodySite())
        found_veins, found_sides = veins.translate(system, code), laterality.translate(system, code)
        site.veins.update(found_veins)
        site.coded_sides.update(found_sides)
        site.written_sides.update(word.lower() for word in _WORDS.findall(text or ""))
        is_foreign_text = bool(_WORDS.sub("", text or "").strip(" ,.;()-"))
        is_foreign_code = code is not None and not found_veins and not found_sides
        site.has_other_content |= is_foreign_code or (is_foreign_text and not site.coded_sides)
    yield from sites.values()


def _with_sides(vein: str, sides: set[str]) -> Iterator[Site]:
    if vein in UNSIDED or not sides:
        yield vein, ""
        return
    for side in sides:
        for one in _SIDES_OF[side]:
            yield vein, one
