"""One study's mapping: a folder of standard files, read and checked.

study.toml          what counts, the visits, the flow, the analysis
evidence.toml       the published figures and the later evidence that every report shows
views/*.json        ViewDefinitions (SQL on FHIR), from resources to rows
valuesets/*.json    FHIR ValueSets, which codes count
conceptmaps/*.json  FHIR ConceptMaps, a site's codes to the study's
codesystems/*.json  FHIR CodeSystems of our own; only the veins are read, to hold the maps to them, and may be missing
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from integration import evidence as evidence_file
from integration import study as study_model
from integration import terminology
from integration.errors import ConfigurationError, MappingError, ViewError
from integration.views import CompiledView, compile_view

DEFAULT: Final = "msis29_venoplasty"

REQUIRED_VIEWS: Final[MappingOf[str, tuple[str, tuple[str, ...]]]] = {
    "patient": ("Patient", ("id", "gender", "birth_date", "replaced_by", "is_synthetic")),
    "condition": (
        "Condition",
        ("id", "patient", "has_subject", "verification_status", "onset_date_time", "onset_period_start",
         "recorded_date", "code_system", "code"),
    ),
    "procedure": (
        "Procedure",
        ("id", "patient", "has_subject", "status", "performed_date_time", "performed_period_start", "code_system",
         "code"),
    ),
    "procedure_body_site": ("Procedure", ("id", "body_site", "text", "code_system", "code")),
    "adverse_event": (
        "AdverseEvent",
        ("id", "patient", "has_subject", "actuality", "date", "detected", "recorded_date", "seriousness_system",
         "seriousness", "severity", "outcome", "suspects", "code_system", "code", "display"),
    ),
    "response": (
        "QuestionnaireResponse",
        ("id", "patient", "has_subject", "status", "questionnaire", "authored", "version_id", "encounter", "has_source",
         "source_patient", "source_practitioner", "source_practitioner_role", "source_related_person",
         "author_patient", "author_practitioner", "author_practitioner_role", "author_related_person",
         "is_synthetic", "confidentiality"),
    ),
    "response_answer": (
        "QuestionnaireResponse",
        ("id", "link_id", "has_value", "value_integer", "value_decimal", "value_string", "value_system",
         "value_code", "item_weight", "ordinal_value"),
    ),
}  # fmt: skip
"""View name to the resource type it reads and the columns it must have, in this order."""

REQUIRED_VALUE_SETS: Final = (
    "multiple-sclerosis", "ms-rrms", "ms-spms", "ms-ppms", "venoplasty", "venous-stent",
    "venoplasty-of-a-named-vein", "venous-stent-of-a-named-vein", "imaging", "serious-adverse-event",
)  # fmt: skip
REQUIRED_CONCEPT_MAPS: Final = ("vein", "laterality", "procedure-vein", "procedure-laterality", "answer")
_SIDES: Final = frozenset(("left", "right", "bilateral"))
_KNOWN_TARGETS: Final[MappingOf[str, frozenset[str]]] = {
    "laterality": _SIDES,
    "procedure-laterality": _SIDES,
    "answer": frozenset(str(answer) for answer in range(1, 6)),
}
"""ConceptMap to the codes that the study understands."""
_VEINS: Final = "codesystems/vein.json"
_MAPS_TO_VEINS: Final = ("vein", "procedure-vein")
"""ConceptMaps whose targets are codes of this file, if there is one; without it they may name what they like."""
_NOT_UTF_8: Final = "is not UTF-8; save it as UTF-8"

_Read = TypeVar("_Read")


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """A mapping that was read and checked.

    Attributes:
        folder: where it was read from.
        study: study.toml.
        evidence: evidence.toml.
        views: compiled, by name.
        value_sets: by file name without its ending.
        concept_maps: likewise.
    """

    folder: Path
    study: study_model.StudyFile
    evidence: evidence_file.EvidenceFile
    views: MappingOf[str, CompiledView]
    value_sets: MappingOf[str, terminology.ValueSet]
    concept_maps: MappingOf[str, terminology.ConceptMap]

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.study.name

    @property
    def version(self) -> str:
        """The mapping's version; it is raised with every change that can alter a number."""
        return self.study.study.version


def load(name_or_folder: str | Path = DEFAULT) -> Mapping:
    """Read a mapping, from a folder or, by name, from those inside the package.

    Raises:
        MappingError: the first fault; `faults` lists them all.
    """
    reader = _Reader(_folder(name_or_folder))
    mapping = reader.read()
    if reader.faults or mapping is None:
        raise reader.faults[0]
    return mapping


def faults(name_or_folder: str | Path = DEFAULT) -> list[ConfigurationError]:
    """Return every fault of a mapping, each with file and path; empty if there is none."""
    reader = _Reader(_folder(name_or_folder))
    reader.read()
    return reader.faults


def _folder(name_or_folder: str | Path) -> Path:
    folder = Path(name_or_folder)
    try:
        if folder.is_dir():
            return folder
    except OSError as error:
        raise MappingError(file=str(folder), path="", problem=f"cannot be read: {error.strerror}") from error
    packaged = Path(str(resources.files("mappings")))
    if (packaged / str(name_or_folder) / "study.toml").is_file():
        return packaged / str(name_or_folder)
    names = ", ".join(sorted(path.parent.name for path in packaged.glob("*/study.toml")))
    problem = f"is neither a folder nor a mapping of the package ({names}); give one of them to --mapping"
    raise MappingError(file=str(name_or_folder), path="", problem=problem)


class _Reader:
    """Reads the files of one folder and keeps every fault that it meets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known_targets = dict(_KNOWN_TARGETS)
        self.faults: list[ConfigurationError] = []

    def read(self) -> Mapping | None:
        study = self._study()
        evidence = self._try(lambda: evidence_file.read(self._toml("evidence.toml"), "evidence.toml"))
        views = self._views(study.study.fhir_version) if study else {}
        value_sets = self._each("valuesets", REQUIRED_VALUE_SETS, terminology.read_value_set)
        veins = self._try(self._veins)
        if veins is not None:
            self._known_targets |= dict.fromkeys(_MAPS_TO_VEINS, veins)
        concept_maps = self._each("conceptmaps", REQUIRED_CONCEPT_MAPS, self._concept_map)
        if study is None or evidence is None:
            return None
        return Mapping(
            folder=self._folder, study=study, evidence=evidence,
            views=views, value_sets=value_sets, concept_maps=concept_maps,
        )  # fmt: skip

    def _try(self, read: Callable[[], _Read]) -> _Read | None:
        try:
            return read()
        except ConfigurationError as error:
            self.faults.append(error)
            return None

    def _study(self) -> study_model.StudyFile | None:
        document = self._try(lambda: self._toml("study.toml"))
        if document is None:
            return None
        found = study_model.faults(document, "study.toml")
        self.faults.extend(found)
        if found:
            return None
        study = study_model.read_study(document, "study.toml")
        self.faults.extend(_canonical_faults(study, "study.toml"))
        return study

    def _views(self, fhir_version: str) -> dict[str, CompiledView]:
        def compiled(definition: dict[str, Any], file: str) -> CompiledView:
            view = _compiled(definition, file, fhir_version)
            self.faults.extend(_view_faults(view, file))
            return view

        return self._each("views", tuple(REQUIRED_VIEWS), compiled)

    def _concept_map(self, resource: dict[str, Any], file: str) -> terminology.ConceptMap:
        concept_map = terminology.read_concept_map(resource, file)
        known = self._known_targets.get(Path(file).stem)
        if known is not None:
            self.faults.extend(_target_faults(resource, concept_map, known, file))
        return concept_map

    def _veins(self) -> frozenset[str] | None:
        """Return the codes of the mapping's own veins; None if it does not list them."""
        if not (self._folder / _VEINS).is_file():
            return None
        return frozenset(_codes(self._json(_VEINS)))

    def _each(
        self, subfolder: str, required: tuple[str, ...], read: Callable[[dict[str, Any], str], _Read]
    ) -> dict[str, _Read]:
        """Read every JSON file of a subfolder; a required one that is missing is a fault."""
        found: dict[str, _Read] = {}
        for path in sorted((self._folder / subfolder).glob("*.json")):
            file = f"{subfolder}/{path.name}"
            value = self._try(lambda file=file: read(self._json(file), file))  # type: ignore[misc]  # bound per turn
            if value is not None:
                found[path.stem] = value
        read_or_faulty = {path.stem for path in (self._folder / subfolder).glob("*.json")}
        for name in required:
            if name not in read_or_faulty:
                problem = "is missing; copy it from the default mapping and change it"
                self.faults.append(MappingError(file=f"{subfolder}/{name}.json", path="", problem=problem))
        return found

    def _toml(self, file: str) -> dict[str, Any]:
        try:
            return tomllib.loads(self._text(file))
        except tomllib.TOMLDecodeError as error:
            raise MappingError(file=file, path="", problem=f"is not TOML: {error}") from error

    def _json(self, file: str) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(self._text(file))
        except msgspec.DecodeError as error:
            raise MappingError(file=file, path="", problem=f"is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise MappingError(file=file, path="", problem="must hold one JSON object")
        return value

    def _text(self, file: str) -> str:
        """Read a file, with a byte order mark or without; UTF-16 without one shows itself by its zeros."""
        try:
            text = (self._folder / file).read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            problem = f"is missing in {self._folder}; copy it from the default mapping and change it"
            raise MappingError(file=file, path="", problem=problem) from error
        except OSError as error:
            raise MappingError(file=file, path="", problem=f"cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise MappingError(file=file, path="", problem=_NOT_UTF_8) from error
        if not text.strip():
            problem = "is empty; copy it from the default mapping and change it"
            raise MappingError(file=file, path="", problem=problem)
        if "\0" in text:
            raise MappingError(file=file, path="", problem=_NOT_UTF_8)
        return text


def _compiled(definition: dict[str, Any], file: str, fhir_version: str) -> CompiledView:
    try:
        return compile_view(definition, fhir_version=fhir_version)
    except ViewError as error:
        raise MappingError(file=file, path=error.path, problem=error.problem) from error


def _view_faults(view: CompiledView, file: str) -> Iterator[MappingError]:
    """Hold a view to the FHIR version's elements, and to what the study reads from it."""
    for warning in view.warnings:
        path, _, problem = warning.partition(": ")
        yield MappingError(file=file, path=path, problem=problem)
    if (name := Path(file).stem) not in REQUIRED_VIEWS:
        return
    resource, columns = REQUIRED_VIEWS[name]
    if view.resource != resource:
        problem = f"is {view.resource}; the study reads {resource} with this view"
        yield MappingError(file=file, path="resource", problem=problem)
    if tuple(view.columns) != columns:
        problem = f"the columns must be {', '.join(columns)}, in this order"
        yield MappingError(file=file, path="select", problem=problem)


def _target_faults(
    resource: dict[str, Any], concept_map: terminology.ConceptMap, known: frozenset[str], file: str
) -> Iterator[MappingError]:
    """Hold a ConceptMap, which was read without a fault, to the codes that its targets may be."""
    for path, system, code, target in _targets(resource):
        if target in concept_map.targets[system, code] and target not in known:
            problem = f"maps {code} to {target}, which the study does not know; use {', '.join(sorted(known))}"
            yield MappingError(file=file, path=path, problem=problem)


def _targets(resource: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield every target of a ConceptMap: its path, then the source's system and code, then its own code."""
    for i, group in enumerate(resource.get("group", [])):
        for j, element in enumerate(group.get("element", [])):
            for k, target in enumerate(element.get("target", [])):
                path = f"group[{i}].element[{j}].target[{k}].code"
                yield path, group["source"], element["code"], target.get("code", "")


def _codes(code_system: dict[str, Any]) -> Iterator[str]:
    """Yield every code of a CodeSystem, those below others too."""
    pending = [code_system]
    while pending:
        concepts = pending.pop().get("concept")
        found = [one for one in concepts if isinstance(one, dict)] if isinstance(concepts, list) else []
        pending.extend(found)
        yield from (str(one["code"]) for one in found if "code" in one)


def _canonical_faults(study: study_model.StudyFile, file: str) -> Iterator[MappingError]:
    """Find canonicals that no response can have: URIs neither begin nor end with white space."""
    listed = {f"instrument.canonicals.{version}": urls for version, urls in study.instrument.canonicals.items()}
    listed["modifier_extensions.urls"] = study.modifier_extensions.urls
    for path, urls in listed.items():
        for number, url in enumerate(urls):
            if url != url.strip():
                problem = "has white space at an end and would match nothing; take it away"
                yield MappingError(file=file, path=f"{path}.{number}", problem=problem)
