"""What a site's file says of the way outcomes are written there, beyond the name of the write profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from integration.toml_tables import Table

Kind = Literal["generic", "single", "epic", "oracle", "athena", "document"]
EncounterRule = Literal["response", "known", "none"]
DocumentFormat = Literal["text", "pdf"]

_ID: Final = r"[A-Za-z0-9.-]{1,64}"
_Text = Annotated[str, Field(min_length=1)]


class Coding(Table):
    """One code of the site's own, or a standard one that the site maps.

    Attributes:
        system: URI of the code system.
        code: in that system.
        display: as the site words it; sent only if given.
    """

    system: _Text
    code: _Text
    display: str = ""


class ScoreCodes(Table):
    """The code of each score.

    Attributes:
        physical: of the physical subscale.
        psychological: of the psychological subscale.
    """

    physical: Coding
    psychological: Coding

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        if (self.physical.system, self.physical.code) == (self.psychological.system, self.psychological.code):
            raise ValueError("physical and psychological have one code, so nobody could tell them apart; give them two")
        return self


class Questionnaires(Table):
    """The canonical of the questionnaire that stands for each score.

    Attributes:
        physical: of the physical subscale.
        psychological: of the psychological subscale.
    """

    physical: _Text
    psychological: _Text

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        if self.physical == self.psychological:
            raise ValueError("physical and psychological have one canonical, so nobody could tell them apart")
        return self


class ProfileKeys(Table):
    """What a write profile may need to know of a site; each reads some of it, and the others are errors there.

    Attributes:
        codes: of each score.
        unit: of the value as the site words it; empty: Epic's default for the row, elsewhere UCUM `{score}`.
        category: of the two that Oracle Health takes.
        performer: `Practitioner/id`, the person under whose name Oracle Health files.
        performer_function: of that person: `LA` legal authenticator, `PPRF` primary performer.
        encounter: `response`, the response's encounter is sent and must be known; `known`, it is sent where it is
            known; `none`, it is never sent. None: the profile's own rule.
        questionnaire: of each score.
        practice: `Organization/id`, athenahealth's practice.
        fallback: what takes the place of a refused Observation.
        document_type: DocumentReference.type.
        document_formats: of the document, in order; None: the profile's own choice.
        document_updates: whether a document may be written over.
        document_status: DocumentReference.docStatus of a new document.
    """

    codes: ScoreCodes | None = None
    unit: str = ""
    category: Literal["vital-signs", "laboratory"] | None = None
    performer: str = Field(default="", pattern=rf"^(Practitioner/{_ID})?$")
    performer_function: Literal["LA", "PPRF"] = "LA"
    encounter: EncounterRule | None = None
    questionnaire: Questionnaires | None = None
    practice: str = Field(default="", pattern=rf"^(Organization/{_ID})?$")
    fallback: Literal["none", "document"] = "none"
    document_type: Coding | None = None
    document_formats: Annotated[tuple[DocumentFormat, ...], Field(strict=False, min_length=1)] | None = None
    document_updates: bool = False
    document_status: Literal["preliminary", "final"] = "final"


_DOCUMENT_KEYS: Final = frozenset(("document_type", "document_formats", "document_updates", "document_status"))
_NEEDED: Final[Mapping[Kind, frozenset[str]]] = {
    "generic": frozenset(),
    "single": frozenset(),
    "epic": frozenset(("codes",)),
    "oracle": frozenset(("codes", "category")),
    "athena": frozenset(("questionnaire",)),
    "document": frozenset(),
}
_POSSIBLE: Final[Mapping[Kind, frozenset[str]]] = {
    "generic": _DOCUMENT_KEYS | {"fallback"},
    "single": _DOCUMENT_KEYS | {"fallback"},
    "epic": frozenset(("unit", "encounter", "fallback", "document_type", "document_status")),
    "oracle": frozenset(("unit", "performer", "performer_function", "fallback", "document_type", "document_formats")),
    "athena": frozenset(("practice",)),
    "document": _DOCUMENT_KEYS | {"encounter"},
}
"""By profile, the keys it needs and those it may have beside them."""


def problem(kind: Kind, keys: ProfileKeys) -> str:
    """Return what a profile lacks in these keys or does not read of them, as one sentence; empty if nothing."""
    given = keys.model_fields_set
    if missing := sorted(_needed(kind, keys) - given):
        return f"write_profile '{kind}' needs {' and '.join(missing)}; add what is missing"
    if useless := sorted(given - _needed(kind, keys) - _read(kind, keys)):
        return f"write_profile '{kind}' does not read {' and '.join(useless)} here; remove it"
    if kind == "oracle" and len(keys.document_formats or ("pdf",)) > 1:
        return "document_formats must be one here, for Oracle Health takes one attachment"
    return ""


def _needed(kind: Kind, keys: ProfileKeys) -> frozenset[str]:
    needed = _NEEDED[kind]
    if kind == "oracle" and keys.category == "vital-signs":
        needed |= {"performer"}
    if kind in ("epic", "oracle") and keys.fallback == "document":
        needed |= {"document_type"}
    return needed


def _read(kind: Kind, keys: ProfileKeys) -> frozenset[str]:
    possible = _POSSIBLE[kind]
    if kind != "document" and keys.fallback == "none":
        possible -= _DOCUMENT_KEYS
    return possible - {"performer_function"} if keys.category == "laboratory" else possible
