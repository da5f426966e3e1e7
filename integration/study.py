"""The shape of study.toml: unknown keys are errors, defaults are the default study's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from integration import toml_tables
from integration.errors import MappingError
from integration.msis29 import MissingItemRule, Version
from integration.toml_tables import Table

Criterion = Literal["venoplasty", "multiple_sclerosis", "baseline", "imaging_before"]
Responder = Literal["any_decrease", "6", "7", "7.5", "8", "10", "reliable"]
BASELINE: Final = "baseline"


class StudyTable(Table):
    """Who the study is."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    title: str
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    fhir_version: Literal["4.0.1", "4.3.0", "5.0.0"] = "4.0.1"


class ModifierExtensions(Table):
    """The modifier extensions that a site has understood and declared harmless to the study."""

    urls: list[str] = Field(default_factory=list)


class MinimumAnswered(Table):
    """How many items must be answered for a score."""

    physical: Annotated[int, Field(ge=1, le=20)] = 10
    psychological: Annotated[int, Field(ge=1, le=9)] = 5


class Instrument(Table):
    """Which questionnaires are the MSIS-29, and what makes a response scorable."""

    canonicals: dict[Version, list[str]]
    minimum_answered: MinimumAnswered = MinimumAnswered()

    def version_of(self, questionnaire: str | None) -> Version | Literal[""]:
        """Return the instrument's version behind a canonical, with or without `|version`; empty if it is another."""
        canonical = (questionnaire or "").partition("|")[0]
        for version, canonicals in self.canonicals.items():
            if questionnaire in canonicals or canonical in canonicals:
                return version
        return ""

    @property
    def missing_item_rule(self) -> MissingItemRule:
        """The rule that `msis29.score` takes."""
        return MissingItemRule(
            physical=self.minimum_answered.physical, psychological=self.minimum_answered.psychological
        )

    @model_validator(mode="after")
    def _one_version_a_canonical(self) -> Self:
        listed = [canonical for canonicals in self.canonicals.values() for canonical in canonicals]
        twice = sorted({canonical for canonical in listed if listed.count(canonical) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands under two versions; the versions are scored differently")
        return self


class Visit(Table):
    """A visit's window in days from the index procedure, both ends in, and which of several responses is taken."""

    first_day: int
    last_day: int
    choose: Literal["last", "nearest"]
    target_day: int | None = None

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if self.first_day > self.last_day:
            raise ValueError(f"first_day {self.first_day} is after last_day {self.last_day}")
        if (self.choose == "nearest") != (self.target_day is not None):
            raise ValueError("choose = nearest needs target_day, and choose = last takes none")
        return self


class Flow(Table):
    """The order of the criteria; the first that fails is the patient's."""

    criteria: Annotated[list[Criterion], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_an_index_procedure(self) -> Self:
        if self.criteria[0] != "venoplasty":
            raise ValueError("the first criterion must be venoplasty: days are counted from it")
        if len(set(self.criteria)) < len(self.criteria) or BASELINE not in self.criteria:
            raise ValueError("each criterion once, and baseline among them: a change needs one")
        return self


class Imaging(Table):
    """How long before the index procedure imaging counts."""

    days_before: Annotated[int, Field(ge=0)] = 365


class AdverseEvents(Table):
    """How long after a session an event counts."""

    days_after: Annotated[int, Field(ge=0)] = 30


class TestRetest(Table):
    """Test-retest reliability of the subscales, for the reliable change."""

    __test__ = False  # not a test, whatever its name begins with

    physical: Annotated[float, Field(gt=0, lt=1)] = 0.94
    psychological: Annotated[float, Field(gt=0, lt=1)] = 0.87


class Analysis(Table):
    """What the tables show."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    physical_responders: list[Responder] = Field(
        default_factory=lambda: list[Responder](("any_decrease", "7", "7.5", "8", "10", "reliable"))
    )
    psychological_responders: list[Responder] = Field(
        default_factory=lambda: list[Responder](("any_decrease", "6", "10", "reliable"))
    )
    test_retest: TestRetest = TestRetest()


class StudyFile(Table):
    """The whole of study.toml."""

    study: StudyTable
    modifier_extensions: ModifierExtensions = ModifierExtensions()
    instrument: Instrument
    visits: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Visit]
    flow: Flow
    imaging: Imaging = Imaging()
    adverse_events: AdverseEvents = AdverseEvents()
    analysis: Analysis = Analysis()

    @property
    def follow_ups(self) -> tuple[str, ...]:
        """The visits after the procedure, in the order of the file."""
        return tuple(name for name in self.visits if name != BASELINE)

    @model_validator(mode="after")
    def _has_baseline_and_follow_up(self) -> Self:
        if BASELINE not in self.visits or not self.follow_ups:
            raise ValueError("visits must hold baseline and at least one follow-up visit")
        if self.visits[BASELINE].last_day > 0:
            raise ValueError("visits.baseline.last_day is after the procedure; it may be 0 at most")
        return self


def read_study(document: Mapping[str, Any], file: str) -> StudyFile:
    """Check study.toml.

    Raises:
        MappingError: the first fault, with its path in the file.
    """
    try:
        return StudyFile.model_validate(document)
    except ValidationError as error:
        raise _faults(error, file)[0] from error


def faults(document: Mapping[str, Any], file: str) -> list[MappingError]:
    """Return every fault of study.toml, each with its path in the file; empty if there is none."""
    try:
        StudyFile.model_validate(document)
    except ValidationError as error:
        return _faults(error, file)
    return []


def _faults(error: ValidationError, file: str) -> list[MappingError]:
    found = toml_tables.faults(StudyFile, error)
    return [MappingError(file=file, path=path, problem=problem) for path, problem in found]
