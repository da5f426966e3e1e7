from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integration import intake
from integration.intake import Intake, Rejection
from integration.mapping import Mapping
from integration.records import Response
from integration.sources.files import Files
from integration.sources.resource import RawResource, Unreadable

Read = Callable[..., Intake]
MODIFIER = [{"url": "http://a.example/modifier", "valueBoolean": True}]
SECRET = "Synthetic-Secret-7"


def problems(found: Intake) -> list[tuple[int, str, str, str]]:
    return [(one.line, one.resource, one.path, one.problem) for one in found.rejections]


def assert_balanced(found: Intake) -> None:
    balance = dict(found.balance)
    assert balance.pop("input") == sum(balance.values())


# What becomes of each line


def test_a_patients_resources_come_together(read: Read, fhir: Any) -> None:
    found = read(fhir.condition(), fhir.procedure(), fhir.event(), fhir.response(), fhir.patient())

    rows = found.patients["p"]
    kinds = rows.conditions, rows.procedures, rows.adverse_events, rows.responses
    assert [len(kind) for kind in kinds] == [1, 1, 1, 1]
    assert found.rejections == []
    assert found.accepted == {
        "Patient": 1,
        "Condition": 1,
        "Procedure": 1,
        "AdverseEvent": 1,
        "QuestionnaireResponse": 1,
    }


@pytest.mark.parametrize(
    ("line", "resource", "path", "problem"),
    [
        (b'{"resourceType": "Patient", "id": ', "", "", "not JSON"),
        (b"not json", "", "", "not JSON"),
        (b'{"resourceType": "Patient", "id": "x"}}', "", "", "not JSON"),
        (b"[]", "", "", "not a FHIR resource: not a JSON object"),
        (b'{"id": "x"}', "", "resourceType", "not a FHIR resource: no resourceType"),
        (b'{"resourceType": "Thing", "id": "x"}', "Thing/x", "resourceType", "resource type that no FHIR release"),
        (b'{"resourceType": "A B", "id": "x"}', "", "resourceType", "resource type that no FHIR release"),
        (b'{"resourceType": "Condition"}', "Condition/", "id", "no id"),
        (b'{"resourceType": "Condition", "id": 5}', "Condition/", "id", "not text"),
        (b'{"resourceType": "Condition", "id": null}', "Condition/", "id", "not text"),
        (b'{"resourceType": "Condition", "id": ""}', "Condition/", "id", "not a FHIR id: 1 to 64 of"),
        (b'{"resourceType": "Patient", "id": "x", "gender": ["f"]}', "Patient/x", "gender", "Expected `str"),
        (b'{"resourceType": "Condition", "id": "x", "subject": 5}', "Condition/x", "subject", "Expected `object"),
        (b'{"id": ' + b"[" * 100_000, "", "", "not read: nested too deep"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_listed_and_the_rest_is_read(
    read: Read, fhir: Any, line: bytes, resource: str, path: str, problem: str
) -> None:
    found = read(line, fhir.patient())

    ((at, named, where, said),) = problems(found)
    assert (at, named, where) == (1, resource, path)
    assert said.startswith(problem)
    assert list(found.patients) == ["p"]
    assert_balanced(found)


@pytest.mark.parametrize("kind", ["patient", "condition", "procedure", "event", "response"])
@pytest.mark.parametrize("forbidden", [SECRET + " ", "a_b", "a/b", "x" * 65, "\u00e4", "=1+1", "a\nb", "\u0660"])
def test_a_resource_whose_id_fhir_forbids_is_listed_without_it(
    read: Read, fhir: Any, kind: str, forbidden: str
) -> None:
    resource = getattr(fhir, kind)() | {"id": forbidden}

    found = read(resource)

    said = "not a FHIR id: 1 to 64 of A-Z, a-z, 0-9, - and ."
    assert problems(found) == [(1, f"{resource['resourceType']}/", "id", said)]
    assert forbidden not in str(found)
    assert_balanced(found)


@pytest.mark.parametrize("allowed", ["x", "A-b.9", "." * 64])
def test_an_id_that_fhir_allows_is_read(read: Read, fhir: Any, allowed: str) -> None:
    found = read(fhir.patient(allowed), fhir.response(allowed, subject={"reference": f"Patient/{allowed}"}))

    assert found.rejections == []
    assert [one.response_id for one in found.patients[allowed].responses] == [allowed]


def test_a_response_whose_id_fhir_forbids_keeps_its_row_without_an_id(read: Read, fhir: Any) -> None:
    found = read(fhir.patient(), fhir.response(SECRET + " "), fhir.response(SECRET + " "))

    assert [(one.response_id, one.patient_id, one.reason) for one in found.responses] == [("", "", "rejected")] * 2


@pytest.mark.parametrize("kind", ["condition", "procedure", "event", "response"])
def test_a_reference_whose_id_fhir_forbids_is_to_an_unknown_patient(read: Read, fhir: Any, kind: str) -> None:
    forbidden = f"{SECRET}_p"
    resource = getattr(fhir, kind)(subject={"reference": f"Patient/{forbidden}"})

    found = read(fhir.patient(forbidden), resource)

    assert problems(found)[1:] == [(2, f"{resource['resourceType']}/{resource['id']}", "subject", "unknown patient")]
    assert [one.patient_id for one in found.responses] == ([""] if kind == "response" else [])
    assert SECRET not in str(found)


def test_an_encounter_whose_id_fhir_forbids_is_left_out(read: Read, fhir: Any) -> None:
    found = read(fhir.patient(), fhir.response(encounter={"reference": "Encounter/a_b"}))

    assert [one.encounter_id for one in found.responses] == [""]


def test_one_response_whose_id_fhir_forbids_is_refused(default_mapping: Mapping, fhir: Any) -> None:
    found = intake.read_response(default_mapping, json.dumps(fhir.response(f"{SECRET} ")).encode(), str)

    assert isinstance(found, Rejection)
    assert (found.resource, found.path) == ("QuestionnaireResponse/", "id")
    assert SECRET not in str(found)


def test_nobody_is_looked_up_by_an_id_that_fhir_forbids(default_mapping: Mapping) -> None:
    def fetch(patient_id: str) -> bytes | None:
        raise AssertionError(patient_id)

    assert intake.find_patient(default_mapping, "a/b", fetch) is None


@pytest.mark.parametrize("lines", [(), (b"",), ({"resourceType": "Bundle"},)])
def test_data_without_a_resource_are_empty(read: Read, lines: tuple[Any, ...]) -> None:
    assert read(*lines).is_empty


@pytest.mark.parametrize("line", [b"{", {"resourceType": "Encounter"}, {"resourceType": "Thing"}])
def test_data_with_anything_in_them_are_not_empty(read: Read, line: Any) -> None:
    assert not read(line).is_empty


def test_an_empty_file_is_a_rejection_and_no_data(default_mapping: Mapping, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"\n")

    found = intake.read(Files([tmp_path]), default_mapping)

    assert problems(found) == [(0, "", "", "empty file; nothing was read")]
    assert found.is_empty
    assert_balanced(found)


@pytest.mark.parametrize("kind", ["patient", "condition", "procedure", "event", "response"])
@pytest.mark.parametrize(
    ("element", "value", "problem"),
    [
        ("modifierExtension", MODIFIER, "undeclared modifierExtension"),
        ("implicitRules", "urn:r", "undeclared implicitRules"),
    ],
)
def test_a_resource_with_an_undeclared_modifier_is_listed_and_not_used(
    read: Read, fhir: Any, kind: str, element: str, value: Any, problem: str
) -> None:
    found = read(getattr(fhir, kind)(**{element: value}))

    assert [(path, said) for _, _, path, said in problems(found)] == [(element, problem)]
    assert found.accepted.total() == 0
    assert_balanced(found)


def test_a_declared_modifier_is_read(default_mapping: Mapping, fhir: Any) -> None:
    study = default_mapping.study
    declared = study.modifier_extensions.model_copy(update={"urls": ["http://a.example/modifier"]})
    updated = study.model_copy(update={"modifier_extensions": declared})
    mapping = replace(default_mapping, study=updated)
    body = json.dumps(fhir.response(modifierExtension=MODIFIER)).encode()

    assert isinstance(intake.read_response(mapping, body, str), Response)
    assert isinstance(intake.read_response(default_mapping, body, str), Rejection)


def test_a_known_type_that_no_view_reads_is_counted_and_nothing_else(read: Read, fhir: Any) -> None:
    odd_but_unread = {"resourceType": "Observation", "implicitRules": "urn:r", "status": 5}

    found = read({"resourceType": "Encounter", "id": "n"}, odd_but_unread, fhir.patient())

    assert found.rejections == []
    assert found.counts == {"Encounter": 1, "Observation": 1, "Patient": 1}
    assert found.balance == {"input": 3, "accepted": 1, "superseded": 0, "not_read": 2, "rejected": 0}


def test_a_resource_of_somebody_who_is_not_in_the_data_is_listed(read: Read, fhir: Any) -> None:
    found = read(fhir.condition(), fhir.procedure(), fhir.event(), fhir.response())

    assert [(path, problem) for _, _, path, problem in problems(found)] == [("subject", "unknown patient")] * 4
    assert found.patients == {}
    assert [(one.response_id, one.patient_id, one.reason) for one in found.responses] == [("r", "p", "unknown patient")]
    assert_balanced(found)


@pytest.mark.parametrize(
    ("changes", "reason", "patient_id", "authored"),
    [
        ({"modifierExtension": MODIFIER}, "rejected", "p", "2011-05-01"),
        ({"item": 5}, "rejected", "p", "2011-05-01"),
        ({"authored": "last week"}, "rejected", "p", "last week"),
        ({"status": 5}, "rejected", "", ""),
        ({"authored": "2011-05"}, "partial date", "p", "2011-05"),
        ({"subject": None}, "no subject", "", "2011-05-01"),
        ({"subject": {"reference": "Patient/merged"}, "implicitRules": "urn:r"}, "rejected", "p", "2011-05-01"),
    ],
)
def test_a_rejected_response_keeps_a_row_with_its_reason(
    read: Read, fhir: Any, changes: Any, reason: str, patient_id: str, authored: str
) -> None:
    found = read(fhir.patient(), fhir.merged("merged", into="p"), fhir.response(**changes))

    assert [(one.response_id, one.reason, one.patient_id, one.authored) for one in found.responses] == [
        ("r", reason, patient_id, authored)
    ]
    assert [one.resource for one in found.rejections] == ["QuestionnaireResponse/r"]
    assert_balanced(found)


def test_a_response_without_an_id_keeps_a_row_too(read: Read, fhir: Any) -> None:
    found = read(fhir.patient(), fhir.response(id=None), fhir.response(id=5), fhir.response())

    assert [(one.response_id, one.reason) for one in found.responses] == [("", "rejected")] * 2 + [("r", "")]
    assert_balanced(found)


@pytest.mark.parametrize("changes", [{"status": "stopped"}, {"questionnaire": None}, {"item": None}])
def test_a_response_that_is_not_scored_for_a_plain_reason_is_not_rejected(read: Read, fhir: Any, changes: Any) -> None:
    found = read(fhir.patient(), fhir.response(**changes))

    assert found.rejections == []
    assert found.responses[0].reason in {"status", "not msis-29", "too few answers"}


# Versions


def test_the_newest_version_alone_counts(read: Read, fhir: Any) -> None:
    versions = [
        fhir.response(meta={"versionId": "2"}, status="amended"),
        fhir.response(meta={"versionId": "1"}),
        fhir.patient(gender="male"),
        fhir.patient(gender="female"),
    ]

    found = read(*versions)

    assert [one.status for one in found.responses] == ["amended"]
    assert found.patients["p"].patient.sex == "female"
    assert found.balance == {"input": 4, "accepted": 2, "superseded": 2, "not_read": 0, "rejected": 0}


@pytest.mark.parametrize(
    "newer",
    [
        {"status": "entered-in-error"},
        {"modifierExtension": MODIFIER},
        {"subject": {"reference": "Patient/nobody"}},
        {"authored": "2011"},
        {"item": 5},
    ],
)
def test_a_newest_version_that_is_unusable_revives_no_older_one(read: Read, fhir: Any, newer: Any) -> None:
    found = read(
        fhir.patient(), fhir.response(meta={"versionId": "1"}), fhir.response(meta={"versionId": "2"}, **newer)
    )

    assert [one.is_scorable for one in found.responses] == [False]
    assert_balanced(found)


def test_a_newest_version_that_is_not_ms_revives_no_older_one(read: Read, fhir: Any) -> None:
    found = read(fhir.patient(), fhir.condition(), fhir.condition(code=fhir.code("1")))

    assert found.patients["p"].conditions == []


def test_what_is_wrong_with_an_older_version_does_not_matter(read: Read, fhir: Any) -> None:
    older = fhir.condition(meta={"versionId": "1"}, implicitRules="urn:r", subject=None)

    found = read(fhir.patient(), older, fhir.condition(meta={"versionId": "2"}))

    assert found.rejections == []
    assert found.superseded == 1


def test_one_id_of_two_types_is_two_resources(read: Read, fhir: Any) -> None:
    found = read(fhir.patient("same"), fhir.condition("same", subject={"reference": "Patient/same"}))

    assert (found.accepted.total(), found.superseded) == (2, 0)


# Merged patients


def test_a_merged_patient_hands_everything_to_the_other(read: Read, fhir: Any) -> None:
    old = {"reference": "Patient/old"}

    found = read(
        fhir.merged("old", into="older"), fhir.merged("older", into="p"), fhir.patient(),
        fhir.condition(subject=old), fhir.procedure(subject=old), fhir.event(subject=old), fhir.response(subject=old),
    )  # fmt: skip

    assert list(found.patients) == ["p"]
    rows = found.patients["p"]
    held = [*rows.conditions, *rows.procedures, *rows.adverse_events, *rows.responses]
    assert [one.patient_id for one in held] == ["p"] * 4
    assert (found.merged, found.accepted["Patient"]) == (2, 3)
    assert_balanced(found)


def test_the_newest_version_of_a_patient_says_whether_it_is_merged(read: Read, fhir: Any) -> None:
    merged_no_more = [fhir.merged("old", into="p"), fhir.patient("old"), fhir.patient()]

    assert set(read(*merged_no_more).patients) == {"old", "p"}


def test_a_patient_whose_replacement_is_missing_is_listed_with_what_belongs_to_it(read: Read, fhir: Any) -> None:
    found = read(fhir.merged("p", into="gone"), fhir.condition())

    assert [(resource, problem) for _, resource, _, problem in problems(found)] == [
        ("Patient/p", "unknown patient"), ("Condition/c", "unknown patient"),
    ]  # fmt: skip
    assert_balanced(found)


# What rejections may show


@pytest.mark.parametrize("kind", ["patient", "condition"])
@pytest.mark.parametrize("odd_id", [SECRET + " Doe", "x" * 65, "\u00e9", "a/b", "a\nb"])
def test_an_id_that_is_none_is_not_shown(read: Read, fhir: Any, kind: str, odd_id: str) -> None:
    found = read(getattr(fhir, kind)(odd_id, modifierExtension=MODIFIER))

    assert [one.resource for one in found.rejections] == [f"{'Patient' if kind == 'patient' else 'Condition'}/"]


@pytest.mark.parametrize(
    "line", [{"a": "b"}, b"{", {"resourceType": SECRET}, {"resourceType": "Patient", "id": "x", SECRET: 1, "gender": 5}]
)
def test_where_a_line_stood_is_kept(read: Read, line: Any) -> None:
    (rejected,) = read(b" ", line).rejections

    assert (rejected.file, rejected.line) == ("test.ndjson", 2)


def test_a_place_in_a_bundle_is_part_of_the_path(read: Read, fhir: Any) -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": fhir.patient()}, {"resource": fhir.condition(subject=None)}],
    }

    assert problems(read(bundle)) == [(1, "Condition/c", "entry[1].resource.subject", "no subject")]


def test_rejections_come_in_the_order_of_reading(read: Read, fhir: Any) -> None:
    lines = [fhir.condition("1", subject=None), b"{", fhir.patient(gender=5), fhir.condition("2", subject=None), b"["]

    assert [one.line for one in read(*lines).rejections] == [1, 2, 3, 4, 5]


# For all mixtures


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all parts of a JSON value but the whole."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield (*path, key)
        yield from nodes(part, (*path, key))


def with_part(resource: Any, path: tuple[Any, ...], part: Any) -> Any:
    changed = copy.deepcopy(resource)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = part
    return changed


ODD = st.sampled_from(
    [
        SECRET, "", f"2012 {SECRET}", None, True, 5, -1, 2.5, 10**30,
        [], {}, [SECRET], [[]], {"a": SECRET}, [None], [{}], {SECRET: 1},
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(data=st.data())
def test_no_odd_value_stops_the_run_or_shows_itself(read: Read, fhir: Any, data: st.DataObject) -> None:
    kinds = ["patient", "condition", "procedure", "event", "response"]
    resource = getattr(fhir, data.draw(st.sampled_from(kinds)))(
        meta={"versionId": "1", "lastUpdated": "2012-01-01T00:00:00Z", "security": [{"system": "s", "code": "c"}]}
    )
    path = data.draw(st.sampled_from(list(nodes(resource))))

    found = read(fhir.patient(), with_part(resource, path, data.draw(ODD)))

    assert_balanced(found)
    shown = [(one.path, one.problem) for one in found.rejections]
    assert not [said for said in shown if SECRET in "".join(said)]


def mixtures(fhir: Any) -> st.SearchStrategy[Any]:
    """Lines of every fate, with few ids so that versions, merges and missing patients meet."""
    ids = st.sampled_from("pqrs")
    subject = ids.map(lambda one: {"reference": f"Patient/{one}"})
    meta = st.one_of(st.none(), st.integers(1, 12).map(lambda one: {"versionId": str(one)}))
    guard = st.sampled_from([{}, {}, {}, {"modifierExtension": MODIFIER}, {"implicitRules": "urn:r"}])
    more = st.builds(lambda one, two: two | {"meta": one}, meta, guard)
    dated = st.sampled_from(["2011-05-01", "2011-05", "never"])
    return st.one_of(
        st.builds(lambda i, m: fhir.patient(i, **m), ids, more),
        st.builds(fhir.merged, ids, ids),
        st.builds(lambda i, s, m: fhir.condition(i, subject=s, **m), ids, subject, more),
        st.builds(lambda i, s, d, m: fhir.procedure(i, subject=s, performedDateTime=d, **m), ids, subject, dated, more),
        st.builds(lambda i, s, m: fhir.event(i, subject=s, **m), ids, subject, more),
        st.builds(lambda i, s, d, m: fhir.response(i, subject=s, authored=d, **m), ids, subject, dated, more),
        st.sampled_from([b"{", b"[]", *({"resourceType": kind} for kind in ("Encounter", "Thing", "Patient"))]),
        st.lists(ids, max_size=3).map(
            lambda some: {"resourceType": "Bundle", "entry": [{"resource": fhir.patient(one)} for one in some]}
        ),
    )  # fmt: skip


@settings(max_examples=150)
@given(data=st.data())
def test_the_balance_adds_up_for_every_mixture_of_lines(read: Read, fhir: Any, data: st.DataObject) -> None:
    lines = data.draw(st.lists(mixtures(fhir), max_size=25))

    found = read(*lines)

    assert_balanced(found)
    assert len({one.response_id for one in found.responses}) == len(found.responses)
    kept = {one.response_id for rows in found.patients.values() for one in rows.responses}
    assert kept <= {one.response_id for one in found.responses}


@settings(max_examples=100)
@given(data=st.data())
def test_numbered_resources_give_the_same_in_any_order(read: Read, fhir: Any, data: st.DataObject) -> None:
    lines = [
        fhir.patient(),
        fhir.patient("q", meta={"versionId": "1"}), fhir.merged("q", into="p") | {"meta": {"versionId": "2"}},
        fhir.condition(meta={"versionId": "9"}),
        fhir.condition(meta={"versionId": "10"}, subject={"reference": "Patient/q"}),
        fhir.response(meta={"versionId": "1"}), fhir.response(meta={"versionId": "2"}, status="stopped"),
        fhir.response("other"), fhir.procedure(),
    ]  # fmt: skip

    found = read(*data.draw(st.permutations(lines)))

    rows = found.patients["p"]
    assert set(found.patients) == {"p"}
    assert [one.patient_id for one in rows.conditions] == ["p"]
    assert {one.response_id: one.reason for one in rows.responses} == {"r": "status", "other": ""}
    assert found.balance == {"input": 9, "accepted": 6, "superseded": 3, "not_read": 0, "rejected": 0}


# The source


class Changing:
    """A source that counts how often it is read."""

    def __init__(self, lines: list[bytes]) -> None:
        self.lines, self.passes = lines, 0

    def __iter__(self) -> Iterator[RawResource | Unreadable]:
        self.passes += 1
        yield from (RawResource("f", number, "", line) for number, line in enumerate(self.lines, 1))


def test_the_source_is_read_twice_and_each_resource_told_twice(default_mapping: Mapping, fhir: Any) -> None:
    source, told = Changing([json.dumps(fhir.patient()).encode(), b"{"]), []

    intake.read(source, default_mapping, told.append)

    assert (source.passes, len(told)) == (2, 4)


def test_an_unreadable_part_is_listed_and_counted(default_mapping: Mapping) -> None:
    found = intake.read([Unreadable("f", 3, "", "damaged")], default_mapping)

    assert found.rejections == [Rejection(file="f", line=3, resource="", path="", problem="damaged")]
    assert found.balance == {"input": 1, "accepted": 0, "superseded": 0, "not_read": 0, "rejected": 1}


def test_nothing_is_nothing(default_mapping: Mapping) -> None:
    found = intake.read([], default_mapping)

    assert (found.patients, found.responses, found.rejections) == ({}, [], [])
    assert found.balance["input"] == 0
    assert not found.is_synthetic


def test_one_labelled_patient_makes_the_data_synthetic(read: Read, fhir: Any) -> None:
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]}

    assert read(fhir.patient("q"), fhir.patient(meta=label)).is_synthetic
    assert not read(fhir.patient("q")).is_synthetic


# One response by itself


def read_one(mapping: Mapping, resource: Any) -> Response | Rejection:
    body = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
    return intake.read_response(mapping, body, {"p": "p", "merged": "p"}.get)


def test_one_response_is_scored_like_one_of_many(default_mapping: Mapping, read: Read, fhir: Any) -> None:
    together = read(fhir.patient(), fhir.response()).responses[0]

    assert read_one(default_mapping, fhir.response()) == together


def test_one_response_belongs_to_the_patient_after_merging(default_mapping: Mapping, fhir: Any) -> None:
    found = read_one(default_mapping, fhir.response(subject={"reference": "Patient/merged"}))

    assert isinstance(found, Response)
    assert found.patient_id == "p"


@pytest.mark.parametrize(
    ("line", "path", "problem"),
    [
        (b"{", "", "not JSON"),
        ({"resourceType": "Patient", "id": "p"}, "resourceType", "not a QuestionnaireResponse"),
        ({"resourceType": "Thing"}, "resourceType", "resource type that no FHIR release knows"),
    ],
)
def test_one_response_that_is_none_is_a_rejection(default_mapping: Mapping, line: Any, path: str, problem: str) -> None:
    found = read_one(default_mapping, line)

    assert isinstance(found, Rejection)
    assert (found.path, found.problem) == (path, problem)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"subject": None}, "no subject"),
        ({"subject": {"reference": "Patient/nobody"}}, "unknown patient"),
        ({"authored": "2011"}, "partial date"),
        ({"modifierExtension": MODIFIER}, "undeclared modifierExtension"),
    ],
)
def test_one_response_is_rejected_for_the_same_reasons(
    default_mapping: Mapping, fhir: Any, changes: Any, problem: str
) -> None:
    found = read_one(default_mapping, fhir.response(**changes))

    assert isinstance(found, Rejection)
    assert (found.resource, found.problem) == ("QuestionnaireResponse/r", problem)


# Who a patient is, looked up one by one


@pytest.fixture
def fetch(fhir: Any) -> Callable[[str], bytes | None]:
    kept = {
        "p": fhir.patient(), "old": fhir.merged("old", into="p"), "oldest": fhir.merged("oldest", into="old"),
        "lost": fhir.merged("lost", into="gone"), "a": fhir.merged("a", into="b"), "b": fhir.merged("b", into="a"),
        "guarded": fhir.patient("guarded", modifierExtension=MODIFIER),
    }  # fmt: skip
    return lambda patient_id: json.dumps(kept[patient_id]).encode() if patient_id in kept else None


@pytest.mark.parametrize(
    ("asked", "answer"),
    [("p", "p"), ("old", "p"), ("oldest", "p"), ("lost", None), ("a", None), ("nobody", None), ("guarded", None)],
)
def test_a_patient_is_found_through_its_merges(
    default_mapping: Mapping, fetch: Callable[[str], bytes | None], asked: str, answer: str | None
) -> None:
    assert intake.find_patient(default_mapping, asked, fetch) == answer


@pytest.mark.parametrize(("path", "reason"), [("subject", "subject: unknown patient"), ("", "unknown patient")])
def test_a_rejection_says_why_and_where_if_it_knows(path: str, reason: str) -> None:
    assert Rejection(file="", line=0, resource="", path=path, problem="unknown patient").reason == reason
