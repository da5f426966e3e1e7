from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration import mapping
from integration.errors import ConfigurationError, MappingError

SNOMED = "http://snomed.info/sct"
CM, ICD10 = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10"
PCS = ("http://www.cms.gov/Medicare/Coding/ICD10", "http://hl7.org/fhir/sid/icd-10-pcs")
CPT = "http://www.ama-assn.org/go/cpt"
SERIOUSNESS = "http://terminology.hl7.org/CodeSystem/adverse-event-seriousness"

DILATIONS = ("05703", "05713", "05733", "05743", "057M3", "057N3")
"""ICD-10-PCS, table 057: azygos, hemiazygos, right and left innominate, right and left internal jugular vein."""

Change = Callable[[str, Callable[[Any], object]], None]


def both(*codes: str) -> set[tuple[str, str]]:
    return {(system, code) for system in PCS for code in codes}


# The shipped mapping


@pytest.fixture(scope="module")
def shipped() -> mapping.Mapping:
    return mapping.load()


def test_the_shipped_mapping_has_no_fault() -> None:
    assert mapping.faults() == []


def test_the_default_is_found_by_name_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    found = mapping.load("msis29_venoplasty")

    assert (found.name, found.version) == ("msis29_venoplasty", "1.0.0")


@pytest.mark.parametrize(
    ("name", "codes", "below"),
    [
        (
            "multiple-sclerosis",
            {(SNOMED, "24700007"), (SNOMED, "426373005"), (SNOMED, "425500002"), (SNOMED, "428700003")},
            {(CM, "G35"), (ICD10, "G35")},
        ),
        ("ms-rrms", {(SNOMED, "426373005")}, {(CM, "G35.A")}),
        ("ms-spms", {(SNOMED, "425500002")}, {(CM, "G35.C")}),
        ("ms-ppms", {(SNOMED, "428700003")}, {(CM, "G35.B")}),
        (
            "venoplasty",
            {(SNOMED, "68457009"), (SNOMED, "359551000"), (CPT, "37248"), (CPT, "37249"), (CPT, "35476")},
            set(),
        ),
        (
            "venous-stent",
            {(SNOMED, "1296925008"), (SNOMED, "103716009"), (CPT, "37238"), (CPT, "37239")},
            set(),
        ),
        ("venoplasty-of-a-named-vein", both(*(f"{code}{end}" for code in DILATIONS for end in ("ZZ", "DZ"))), set()),
        ("venous-stent-of-a-named-vein", both(*(f"{code}DZ" for code in DILATIONS)), set()),
        ("imaging", {(SNOMED, "241663008")}, set()),
        ("serious-adverse-event", {(SERIOUSNESS, "serious")}, set()),
    ],
)
def test_a_shipped_value_set_holds_the_verified_codes_and_no_others(
    shipped: mapping.Mapping, name: str, codes: set[tuple[str, str]], below: set[tuple[str, str]]
) -> None:
    """Typed from the documented code lists; 359551000, 35476 and 37239 are accepted when read, though unverified."""
    found = shipped.value_sets[name]

    assert (set(found.codes), set(found.below)) == (codes, below)


def test_no_other_value_set_or_map_is_shipped(shipped: mapping.Mapping) -> None:
    assert set(shipped.value_sets) == set(mapping.REQUIRED_VALUE_SETS)
    assert set(shipped.concept_maps) == set(mapping.REQUIRED_CONCEPT_MAPS)
    assert set(shipped.views) == set(mapping.REQUIRED_VIEWS)


VEINS_OF_CODES = {
    "05703": ("azygos", ()), "05713": ("hemiazygos", ()),
    "05733": ("brachiocephalic", ("right",)), "05743": ("brachiocephalic", ("left",)),
    "057M3": ("internal_jugular", ("right",)), "057N3": ("internal_jugular", ("left",)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        (
            "vein",
            {
                (SNOMED, "12123001"): ("internal_jugular",),
                (SNOMED, "72107004"): ("azygos",),
                (SNOMED, "8887007"): ("brachiocephalic",),
                (SNOMED, "63190004"): ("jugular",),
            },
        ),
        (
            "laterality",
            {
                (SNOMED, "7771000"): ("left",),
                (SNOMED, "24028007"): ("right",),
                (SNOMED, "51440002"): ("bilateral",),
            },
        ),
        (
            "procedure-vein",
            {
                (system, f"{code}{end}"): (vein,)
                for system in PCS
                for code, (vein, _) in VEINS_OF_CODES.items()
                for end in ("ZZ", "DZ")
            },
        ),
        (
            "procedure-laterality",
            {
                (system, f"{code}{end}"): sides
                for system in PCS
                for code, (_, sides) in VEINS_OF_CODES.items()
                for end in ("ZZ", "DZ")
                if sides
            },
        ),
        ("answer", {}),
    ],
)
def test_a_shipped_concept_map_translates_the_verified_codes_and_no_others(
    shipped: mapping.Mapping, name: str, targets: dict[tuple[str, str], tuple[str, ...]]
) -> None:
    """The sides of ICD-10-PCS body parts 3, 4, M and N as its table 057 names them."""
    assert dict(shipped.concept_maps[name].targets) == targets


def codings(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every concept of a ValueSet or CodeSystem and every element of a ConceptMap, with its system."""
    if isinstance(value, dict):
        for listed, system in (("concept", "system"), ("concept", "url"), ("element", "source")):
            if listed in value and system in value:
                yield from ((value[system], one) for one in value[listed])
        for part in value.values():
            yield from codings(part)
    elif isinstance(value, list):
        for part in value:
            yield from codings(part)


def shipped_json(shipped: mapping.Mapping) -> Iterator[tuple[Path, Any]]:
    for path in sorted(shipped.folder.rglob("*.json")):
        yield path, json.loads(path.read_text(encoding="utf-8"))


def test_no_cpt_code_carries_a_descriptor(shipped: mapping.Mapping) -> None:
    """Its descriptors belong to the American Medical Association."""
    found = [one for _, content in shipped_json(shipped) for system, one in codings(content) if system == CPT]

    assert found
    assert [set(one) for one in found] == [{"code"}] * len(found)


def test_no_wording_of_the_questionnaire_is_shipped(shipped: mapping.Mapping) -> None:
    """No answer labels either; nothing is said about an item but its number."""
    labels = ("not at all", "quite a bit", "extremely", "bothered by", "limited your ability")
    texts = {path: path.read_text(encoding="utf-8").lower() for path in shipped.folder.rglob("*") if path.is_file()}

    assert texts
    assert [(path.name, label) for path, text in texts.items() for label in labels if label in text] == []
    assert list(codings(json.loads((shipped.folder / "conceptmaps/answer.json").read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("licensed", ["meddra", "mdr"])
def test_no_meddra_code_is_shipped(shipped: mapping.Mapping, licensed: str) -> None:
    systems = {system.lower() for _, content in shipped_json(shipped) for system, _ in codings(content)}

    assert systems
    assert not [system for system in systems if licensed in system]


def test_the_shipped_windows_are_those_of_the_default_study(shipped: mapping.Mapping) -> None:
    windows = {
        name: (one.first_day, one.last_day, one.choose, one.target_day) for name, one in shipped.study.visits.items()
    }

    assert windows == {
        "baseline": (-90, 0, "last", None),
        "month_1": (14, 60, "nearest", 30),
        "month_6": (120, 245, "nearest", 183),
    }
    assert shipped.study.flow.criteria == ["venoplasty", "multiple_sclerosis", "baseline"]


# Faults


@pytest.fixture
def folder(tmp_path: Path, shipped: mapping.Mapping) -> Path:
    """A copy of the shipped mapping to break."""
    return Path(shutil.copytree(shipped.folder, tmp_path / "broken"))


@pytest.fixture
def change(folder: Path) -> Change:
    """Change a JSON file of the copy in place."""

    def apply(file: str, edit: Callable[[Any], object]) -> None:
        content = json.loads((folder / file).read_text(encoding="utf-8"))
        edit(content)
        (folder / file).write_text(json.dumps(content), encoding="utf-8")

    return apply


def places(found: list[ConfigurationError]) -> list[tuple[str, str]]:
    return [(one.file, one.path) for one in found if isinstance(one, MappingError)]


def test_a_copy_of_the_shipped_mapping_is_a_mapping(folder: Path) -> None:
    assert mapping.load(folder).folder == folder


def test_neither_folder_nor_name_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(MappingError, match=r"nowhere: .*msis29_venoplasty"):
        mapping.load("nowhere")


@pytest.mark.parametrize(
    "file",
    [
        "study.toml",
        "evidence.toml",
        *(f"views/{name}.json" for name in mapping.REQUIRED_VIEWS),
        *(f"valuesets/{name}.json" for name in mapping.REQUIRED_VALUE_SETS),
        *(f"conceptmaps/{name}.json" for name in mapping.REQUIRED_CONCEPT_MAPS),
    ],
)
def test_a_missing_file_is_a_fault(folder: Path, file: str) -> None:
    (folder / file).unlink()

    found = mapping.faults(folder)

    assert places(found) == [(file, "")]
    assert "is missing" in str(found[0])


def test_an_empty_folder_lacks_every_file(tmp_path: Path) -> None:
    found = {file for file, _ in places(mapping.faults(tmp_path))}

    assert {"study.toml", "evidence.toml", "valuesets/imaging.json", "conceptmaps/answer.json"} <= found


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("study.toml", b"[study\n", "not TOML"),
        ("evidence.toml", b"x = ", "not TOML"),
        ("study.toml", b'[study]\ntitle = "\xff"', "is not UTF-8; save it as UTF-8"),
        ("study.toml", "[study]".encode("utf-16"), "is not UTF-8; save it as UTF-8"),
        ("evidence.toml", "[study]".encode("utf-16-le"), "is not UTF-8; save it as UTF-8"),
        ("views/patient.json", "{}".encode("utf-16-be"), "is not UTF-8; save it as UTF-8"),
        ("study.toml", b"", "is empty"),
        ("evidence.toml", b"\xef\xbb\xbf", "is empty"),
        ("conceptmaps/vein.json", b" \n", "is empty"),
        ("codesystems/vein.json", b"", "is empty"),
        ("views/patient.json", b'{"resourceType": ', "not JSON"),
        ("views/patient.json", b"[]", "one JSON object"),
        ("valuesets/imaging.json", b"{,}", "not JSON"),
        ("conceptmaps/vein.json", b"null", "one JSON object"),
    ],
)
def test_a_file_that_is_not_in_its_format_is_a_fault(folder: Path, file: str, content: bytes, says: str) -> None:
    (folder / file).write_bytes(content)

    found = mapping.faults(folder)

    assert [one for one, _ in places(found)] == [file]
    assert says in str(found[0])


def test_an_unknown_key_of_the_study_is_a_fault_with_its_path(folder: Path) -> None:
    with (folder / "study.toml").open("a", encoding="utf-8") as stream:
        stream.write("\n[imaging_]\ndays = 3\n[adverse_events_]\ndays = 3\n")

    assert places(mapping.faults(folder)) == [("study.toml", "imaging_"), ("study.toml", "adverse_events_")]


def test_an_unknown_key_of_the_evidence_is_a_fault_with_its_path(folder: Path) -> None:
    with (folder / "evidence.toml").open("a", encoding="utf-8") as stream:
        stream.write('\n[[published]]\nlabel = "x"\nvalue = "1"\nsource = "y"\ncolour = "red"\n')

    ((file, path),) = places(mapping.faults(folder))

    assert file == "evidence.toml"
    assert path.startswith("published")


def test_a_view_column_under_another_name_is_a_fault(folder: Path, change: Change) -> None:
    change("views/patient.json", lambda view: view["select"][0]["column"][1].update(name="sex"))

    found = mapping.faults(folder)

    assert places(found) == [("views/patient.json", "select")]
    assert "id, gender, birth_date" in str(found[0])


def test_a_view_of_another_resource_is_a_fault(folder: Path, change: Change) -> None:
    change("views/patient.json", lambda view: view.update(resource="Person"))

    assert ("views/patient.json", "resource") in places(mapping.faults(folder))


def test_an_element_that_the_release_does_not_know_is_a_fault(folder: Path, change: Change) -> None:
    change("views/patient.json", lambda view: view["select"][0]["column"][1].update(path="gendre"))

    found = mapping.faults(folder)

    assert places(found) == [("views/patient.json", "select[0].column[1].path")]
    assert "gendre" in str(found[0])


def test_a_view_that_cannot_be_compiled_is_a_fault(folder: Path, change: Change) -> None:
    change("views/patient.json", lambda view: view["select"][0]["column"][1].update(path="gender.("))

    assert places(mapping.faults(folder)) == [("views/patient.json", "select[0].column[1].path")]


def test_is_a_in_snomed_is_a_fault(folder: Path, change: Change) -> None:
    rule = {"property": "concept", "op": "is-a", "value": "24700007"}
    change(
        "valuesets/imaging.json", lambda one: one.update(compose={"include": [{"system": SNOMED, "filter": [rule]}]})
    )

    found = mapping.faults(folder)

    assert places(found) == [("valuesets/imaging.json", "compose.include[0].filter[0]")]
    assert "list the codes" in str(found[0])


def test_exclude_in_a_value_set_is_a_fault(folder: Path, change: Change) -> None:
    change("valuesets/imaging.json", lambda one: one["compose"].update(exclude=[]))

    assert places(mapping.faults(folder)) == [("valuesets/imaging.json", "compose.exclude")]


def test_a_code_mapped_twice_is_a_fault(folder: Path, change: Change) -> None:
    change("conceptmaps/vein.json", lambda one: one["group"][0]["element"].append(one["group"][0]["element"][0]))

    assert places(mapping.faults(folder)) == [("conceptmaps/vein.json", "group[0].element[4]")]


@pytest.mark.parametrize(
    ("file", "target"),
    [
        ("conceptmaps/laterality.json", "L"),
        ("conceptmaps/procedure-laterality.json", "Left"),
        ("conceptmaps/answer.json", "0"),
        ("conceptmaps/answer.json", "6"),
        ("conceptmaps/answer.json", "often"),
    ],
)
def test_a_target_that_the_study_does_not_know_is_a_fault(folder: Path, change: Change, file: str, target: str) -> None:
    group = {"source": "urn:site", "element": [{"code": "1", "target": [{"code": target}]}]}
    change(file, lambda one: one["group"].append(group))

    found = mapping.faults(folder)

    number = len(json.loads((folder / file).read_text(encoding="utf-8"))["group"]) - 1
    assert places(found) == [(file, f"group[{number}].element[0].target[0].code")]
    assert target in str(found[0])


@pytest.mark.parametrize("file", ["conceptmaps/vein.json", "conceptmaps/procedure-vein.json"])
def test_a_vein_that_the_mapping_does_not_list_is_a_fault_with_its_path(
    folder: Path, change: Change, file: str
) -> None:
    change(file, lambda one: one["group"][0]["element"][1]["target"][0].update(code="jugluar"))

    found = mapping.faults(folder)

    assert places(found) == [(file, "group[0].element[1].target[0].code")]
    assert "jugluar" in str(found[0])
    assert "internal_jugular, jugular" in str(found[0])


def test_a_vein_that_the_mapping_lists_is_none(folder: Path, change: Change) -> None:
    change("conceptmaps/vein.json", lambda one: one["group"][0]["element"][1]["target"][0].update(code="iliac"))
    change("codesystems/vein.json", lambda one: one["concept"][0].update(concept=[{"code": "iliac"}]))

    assert mapping.faults(folder) == []


def test_without_a_list_of_veins_a_map_may_name_any(folder: Path, change: Change) -> None:
    change("conceptmaps/vein.json", lambda one: one["group"][0]["element"][1]["target"][0].update(code="iliac"))
    (folder / "codesystems/vein.json").unlink()

    assert mapping.faults(folder) == []


def test_a_target_that_stands_for_no_match_is_no_vein(folder: Path, change: Change) -> None:
    unmatched = [{"equivalence": "unmatched"}, {"code": "none", "equivalence": "disjoint"}]
    change("conceptmaps/vein.json", lambda one: one["group"][0]["element"][1].update(target=unmatched))

    assert mapping.faults(folder) == []


@pytest.mark.parametrize("file", ["study.toml", "evidence.toml", "views/patient.json", "conceptmaps/vein.json"])
def test_a_byte_order_mark_is_no_part_of_a_file(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"\xef\xbb\xbf" + (folder / file).read_bytes())

    assert mapping.faults(folder) == []


def test_a_file_that_may_not_be_read_is_named_without_the_systems_number(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_text = Path.read_text

    def guarded(path: Path, *args: Any, **named: Any) -> str:  # the superuser is refused nothing
        if path.name == "study.toml":
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *args, **named)

    monkeypatch.setattr(Path, "read_text", guarded)

    assert [str(one) for one in mapping.faults(folder)] == ["study.toml: cannot be read: Permission denied"]


@pytest.mark.parametrize("url", ["http://hospital.example/q ", " http://hospital.example/q", "http://a.example\\n"])
def test_a_canonical_with_white_space_at_an_end_is_a_fault(folder: Path, url: str) -> None:
    study = (folder / "study.toml").read_text(encoding="utf-8")
    shipped = "urn:outcome-bridge:questionnaire:msis-29-v2"
    assert study.count(f'"{shipped}"') == 1
    (folder / "study.toml").write_text(study.replace(f'"{shipped}"', f'"{shipped}", "{url}"'), encoding="utf-8")

    found = mapping.faults(folder)

    assert places(found) == [("study.toml", "instrument.canonicals.2.1")]
    assert "white space" in str(found[0])


def test_all_faults_are_listed_and_load_raises_the_first(folder: Path, change: Change) -> None:
    (folder / "evidence.toml").unlink()
    (folder / "views/patient.json").write_text("{", encoding="utf-8")
    change("valuesets/imaging.json", lambda one: one["compose"].update(exclude=[]))

    found = [file for file, _ in places(mapping.faults(folder))]

    assert found == ["evidence.toml", "views/patient.json", "valuesets/imaging.json"]
    with pytest.raises(MappingError, match=r"evidence\.toml"):
        mapping.load(folder)


def test_a_sites_own_view_beside_the_required_ones_is_checked_too(folder: Path) -> None:
    (folder / "views/own.json").write_text('{"resourceType": "ViewDefinition"}', encoding="utf-8")

    assert [file for file, _ in places(mapping.faults(folder))] == ["views/own.json"]
