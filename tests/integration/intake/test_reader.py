from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.intake.reader import Reader
from integration.intake.rejection import RejectedError
from integration.mapping import Mapping
from integration.views import compile_view

SNOMED, CPT = "http://snomed.info/sct", "http://www.ama-assn.org/go/cpt"
CM, ICD10 = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10"
PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
SERIOUSNESS = "http://terminology.hl7.org/CodeSystem/adverse-event-seriousness"
V1, V2 = "urn:outcome-bridge:questionnaire:msis-29-v1", "urn:outcome-bridge:questionnaire:msis-29-v2"
IJV, FEMORAL, AZYGOS = "12123001", "83419000", "72107004"


@pytest.fixture(scope="module")
def reader(default_mapping: Mapping) -> Reader:
    """Knows the patient p, and q who was merged into p."""
    return Reader(default_mapping, {"p": "p", "q": "p"}.get)


def body(resource: Any) -> bytes:
    return json.dumps(resource).encode()


def rejection(read: Callable[[bytes], object], resource: Any) -> tuple[str, str]:
    with pytest.raises(RejectedError) as caught:
        read(body(resource))
    return caught.value.path, caught.value.problem


# Whose it is


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/p", "Patient/p/_history/3", "https://ehr.example/fhir/Patient/p",
        "https://ehr.example/fhir/Patient/p/_history/3", "Patient/q", "http://ehr.example:8080/a/b/Patient/q",
    ],
)  # fmt: skip
def test_the_patient_is_the_id_behind_any_form_of_reference(reader: Reader, fhir: Any, reference: str) -> None:
    subject = {"reference": reference}

    condition, procedure = (
        reader.condition(body(fhir.condition(subject=subject))),
        reader.procedure(body(fhir.procedure(subject=subject))),
    )
    event, (response, problem) = (
        reader.adverse_event(body(fhir.event(subject=subject))),
        reader.response(body(fhir.response(subject=subject))),
    )

    assert [one.patient_id for one in (condition, procedure, event, response) if one] == ["p"] * 4
    assert problem is None


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": "Patient/r"}, {"reference": "Group/p"}, {"reference": "#p"}, {"reference": "urn:uuid:p"},
        {"reference": "Patient?identifier=p"}, {"reference": "p"}, {"identifier": {"value": "p"}}, {"display": "p"},
        {"reference": "Patient/p/x"}, {"reference": "Patient/"},
    ],
)  # fmt: skip
def test_a_subject_that_is_nobody_in_the_data_is_an_unknown_patient(reader: Reader, fhir: Any, subject: Any) -> None:
    for read, resource in (
        (reader.condition, fhir.condition(subject=subject)),
        (reader.procedure, fhir.procedure(subject=subject)),
        (reader.adverse_event, fhir.event(subject=subject)),
    ):
        assert rejection(read, resource) == ("subject", "unknown patient")
    response, problem = reader.response(body(fhir.response(subject=subject)))
    assert (response.reason, problem and problem.problem) == ("unknown patient", "unknown patient")


def test_a_resource_without_a_subject_is_rejected(reader: Reader, fhir: Any) -> None:
    for read, resource in (
        (reader.condition, fhir.condition(subject=None)),
        (reader.procedure, fhir.procedure(subject=None)),
        (reader.adverse_event, fhir.event(subject=None)),
    ):
        assert rejection(read, resource) == ("subject", "no subject")
    response, problem = reader.response(body(fhir.response(subject=None)))
    assert (response.reason, response.patient_id, problem and problem.path) == ("no subject", "", "subject")


# Patient


def test_a_patient_keeps_sex_birth_date_and_the_label_of_test_data(reader: Reader, fhir: Any) -> None:
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}]}

    patient, replaced_by = reader.patient(body(fhir.patient(meta=label)))

    assert (patient.patient_id, patient.sex, patient.birth_date, patient.is_synthetic) == (
        "p",
        "female",
        "1970-05-01",
        True,
    )
    assert replaced_by == frozenset()


def test_what_a_patient_lacks_is_empty(reader: Reader) -> None:
    patient, _ = reader.patient(b'{"resourceType": "Patient", "id": "p"}')

    assert (patient.sex, patient.birth_date, patient.is_synthetic) == ("", "", False)


@pytest.mark.parametrize(
    ("kind", "replaced_by"), [("replaced-by", {"new"}), ("replaces", set()), ("refer", set()), ("seealso", set())]
)
def test_only_replaced_by_merges(reader: Reader, fhir: Any, kind: str, replaced_by: set[str]) -> None:
    link = [{"other": {"reference": "https://ehr.example/fhir/Patient/new/_history/1"}, "type": kind}]

    assert reader.patient(body(fhir.patient(link=link)))[1] == replaced_by


# Condition


@pytest.mark.parametrize(
    ("system", "code", "ms_type"),
    [
        (SNOMED, "24700007", "unspecified"), (SNOMED, "426373005", "RRMS"), (SNOMED, "425500002", "SPMS"),
        (SNOMED, "428700003", "PPMS"), (CM, "G35", "unspecified"), (CM, "G35.A", "RRMS"), (CM, "G35.B", "PPMS"),
        (CM, "G35.B0", "PPMS"), (CM, "G35.B1", "PPMS"), (CM, "G35.B2", "PPMS"), (CM, "G35.C", "SPMS"),
        (CM, "G35.C0", "SPMS"), (CM, "G35.C1", "SPMS"), (CM, "G35.C2", "SPMS"), (CM, "G35.D", "unspecified"),
        (ICD10, "G35", "unspecified"),
    ],
)  # fmt: skip
def test_ms_and_its_type_come_from_the_code(reader: Reader, fhir: Any, system: str, code: str, ms_type: str) -> None:
    """ICD-10-CM's codes below G35 as of October 2025; the SNOMED codes are in the documented list."""
    condition = reader.condition(body(fhir.condition(code=fhir.code(code, system))))

    assert condition is not None
    assert condition.ms_type == ms_type


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (None, "24700007"), (None, "G35"), (CM, "24700007"), (SNOMED, "G35"), (CM, "G36.0"), (CM, "I87.1"),
        ("urn:site", "MS"), (SNOMED, "192927008"), (SNOMED, "193093009"), (SNOMED, None),
    ],
)  # fmt: skip
def test_another_code_or_one_without_its_system_is_no_ms(
    reader: Reader, fhir: Any, system: str | None, code: str | None
) -> None:
    assert reader.condition(body(fhir.condition(code=fhir.code(code, system)))) is None
    assert reader.condition(body(fhir.condition(code={"text": "multiple sclerosis"}))) is None
    assert reader.condition(body(fhir.condition(code=None))) is None


def test_a_local_coding_beside_the_standard_one_changes_nothing(reader: Reader, fhir: Any) -> None:
    coding = [{"system": "urn:site", "code": "7"}, {"code": "426373005"}, {"system": SNOMED, "code": "428700003"}]

    condition = reader.condition(body(fhir.condition(code={"coding": coding})))

    assert condition is not None
    assert condition.ms_type == "PPMS"


@pytest.mark.parametrize(
    ("codes", "ms_type"),
    [
        ([(SNOMED, "426373005"), (CM, "G35.A")], "RRMS"),
        ([(SNOMED, "426373005"), (CM, "G35")], "RRMS"),
        ([(SNOMED, "426373005"), (CM, "G35.C1")], "unspecified"),
    ],
)
def test_codes_that_contradict_each_other_name_no_type(reader: Reader, fhir: Any, codes: Any, ms_type: str) -> None:
    coding = [{"system": system, "code": code} for system, code in codes]

    condition = reader.condition(body(fhir.condition(code={"coding": coding})))

    assert condition is not None
    assert condition.ms_type == ms_type


@pytest.mark.parametrize(
    ("status", "is_usable"),
    [
        (None, True), ("confirmed", True), ("provisional", True), ("unconfirmed", True), ("differential", True),
        ("refuted", False), ("entered-in-error", False),
    ],
)  # fmt: skip
def test_a_refuted_or_erroneous_condition_is_not_usable(
    reader: Reader, fhir: Any, status: str | None, is_usable: bool
) -> None:
    system = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    verification = fhir.code(status, system) if status else None

    condition = reader.condition(body(fhir.condition(verificationStatus=verification)))

    assert condition is not None
    assert condition.is_usable is is_usable


@pytest.mark.parametrize(
    ("dates", "day"),
    [
        ({"onsetDateTime": "2005-03-01", "recordedDate": "2006-01-01"}, date(2005, 3, 1)),
        (
            {"onsetDateTime": None, "onsetPeriod": {"start": "2005-04-01"}, "recordedDate": "2006-01-01"},
            date(2005, 4, 1),
        ),
        ({"onsetDateTime": "2005", "recordedDate": "2006-01-01"}, date(2006, 1, 1)),
        ({"onsetDateTime": "2005-03", "recordedDate": "2006"}, None),
        ({"onsetDateTime": None, "onsetPeriod": {"end": "2005-04-01"}, "recordedDate": "2006-01-01"}, date(2006, 1, 1)),
        ({"onsetDateTime": None, "onsetString": "as a child", "recordedDate": "2006-01-01"}, date(2006, 1, 1)),
        ({"onsetDateTime": None, "onsetAge": {"value": 30}}, None),
        ({"onsetDateTime": None}, None),
        ({"onsetDateTime": "2005-03-01T23:30:00-08:00"}, date(2005, 3, 1)),
    ],
)
def test_a_condition_is_dated_by_onset_else_period_else_record(
    reader: Reader, fhir: Any, dates: Any, day: date | None
) -> None:
    condition = reader.condition(body(fhir.condition(**dates)))

    assert condition is not None
    assert (condition.moment.day if condition.moment else None) == day


# Procedure


@pytest.mark.parametrize(
    ("system", "code", "kinds"),
    [
        (SNOMED, "68457009", (True, False, False)), (SNOMED, "359551000", (True, False, False)),
        (CPT, "37248", (True, False, False)), (CPT, "37249", (True, False, False)),
        (CPT, "35476", (True, False, False)),
        (SNOMED, "1296925008", (False, True, False)), (SNOMED, "103716009", (False, True, False)),
        (CPT, "37238", (False, True, False)), (CPT, "37239", (False, True, False)),
        (PCS, "057M3ZZ", (True, False, False)), (PCS, "057N3DZ", (True, True, False)),
        (SNOMED, "241663008", (False, False, True)),
    ],
)  # fmt: skip
def test_the_code_says_whether_it_is_venoplasty_stent_or_imaging(
    reader: Reader, fhir: Any, system: str, code: str, kinds: tuple[bool, bool, bool]
) -> None:
    procedure = reader.procedure(body(fhir.procedure(code=fhir.code(code, system))))

    assert procedure is not None
    assert (procedure.is_venoplasty, procedure.is_stent, procedure.is_imaging) == kinds
    assert procedure.is_treatment is (kinds[0] or kinds[1])


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (CPT, "75860"), (CPT, "36011"), (CPT, "36012"), (CPT, "75978"), (None, "68457009"), (None, "37248"),
        (SNOMED, "37248"), (PCS, "057R3ZZ"), (PCS, "057M3Z1"), (PCS, "027V3ZZ"), ("urn:site", "venoplasty"),
    ],
)  # fmt: skip
def test_venography_catheters_other_veins_and_codes_without_system_are_nothing(
    reader: Reader, fhir: Any, system: str | None, code: str
) -> None:
    assert reader.procedure(body(fhir.procedure(code=fhir.code(code, system)))) is None


@pytest.mark.parametrize("code", ["68457009", "1296925008"])
def test_a_code_that_names_no_vein_needs_a_target_vein(reader: Reader, fhir: Any, code: str) -> None:
    for sites in (None, [], [fhir.code(FEMORAL)], [fhir.code(IJV, None)], [{"text": "internal jugular vein"}]):
        procedure = reader.procedure(body(fhir.procedure(code=fhir.code(code), bodySite=sites)))

        assert procedure is not None
        assert not procedure.is_treatment
        assert procedure.near_miss == "no target vein among its body sites"


def test_a_code_that_names_its_vein_needs_no_body_site(reader: Reader, fhir: Any) -> None:
    procedure = reader.procedure(body(fhir.procedure(code=fhir.code("057M3ZZ", PCS), bodySite=None)))

    assert procedure is not None
    assert procedure.is_treatment
    assert procedure.sites == {("internal_jugular", "right")}


@pytest.mark.parametrize(
    ("status", "is_treatment"),
    [
        ("completed", True), ("preparation", False), ("in-progress", False), ("not-done", False), ("on-hold", False),
        ("stopped", False), ("entered-in-error", False), ("unknown", False), (None, False),
    ],
)  # fmt: skip
def test_only_a_completed_procedure_is_treatment(
    reader: Reader, fhir: Any, status: str | None, is_treatment: bool
) -> None:
    procedure = reader.procedure(body(fhir.procedure(status=status)))

    assert procedure is not None
    assert procedure.is_treatment is is_treatment


@pytest.mark.parametrize(
    ("when", "day"),
    [
        ({"performedDateTime": "2011-05-10T23:50:00+02:00"}, date(2011, 5, 10)),
        ({"performedDateTime": "2011-05-10T00:10:00+02:00"}, date(2011, 5, 10)),
        ({"performedDateTime": "2011-05-10", "performedPeriod": {"start": "2011-05-01"}}, date(2011, 5, 10)),
        (
            {"performedDateTime": None, "performedPeriod": {"start": "2011-05-11", "end": "2011-05-12"}},
            date(2011, 5, 11),
        ),
    ],
)
def test_a_procedure_is_on_the_date_as_written(reader: Reader, fhir: Any, when: Any, day: date) -> None:
    procedure = reader.procedure(body(fhir.procedure(**when)))

    assert procedure is not None
    assert procedure.moment.day == day


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ({"performedDateTime": "2011"}, "partial date"),
        ({"performedDateTime": "2011-05"}, "partial date"),
        ({"performedDateTime": None, "performedPeriod": {"start": "2011-05"}}, "partial date"),
        ({"performedDateTime": "10 May"}, "not a FHIR dateTime"),
        ({"performedDateTime": None}, "no date"),
        ({"performedDateTime": None, "performedString": "in May"}, "no date"),
        ({"performedDateTime": None, "performedPeriod": {"end": "2011-05-10"}}, "no date"),
    ],
)
def test_a_procedure_without_a_full_date_is_rejected(reader: Reader, fhir: Any, when: Any, problem: str) -> None:
    assert rejection(reader.procedure, fhir.procedure(**when)) == ("performed", problem)


def test_any_procedure_with_a_partial_date_is_rejected(reader: Reader, fhir: Any) -> None:
    other = fhir.procedure(code=fhir.code("75860", CPT), performedDateTime="2011")

    assert rejection(reader.procedure, other) == ("performed", "partial date")


def test_a_planned_treatment_without_a_date_is_nothing(reader: Reader, fhir: Any) -> None:
    assert reader.procedure(body(fhir.procedure(status="preparation", performedDateTime=None))) is None


# AdverseEvent


def test_a_potential_event_is_none(reader: Reader, fhir: Any) -> None:
    assert reader.adverse_event(body(fhir.event(actuality="potential"))) is None
    assert reader.adverse_event(body(fhir.event(actuality=None))) is None


@pytest.mark.parametrize(
    ("dates", "day"),
    [
        ({"detected": "2011-05-14", "recordedDate": "2011-05-15"}, date(2011, 5, 13)),
        ({"date": None, "detected": "2011-05-14", "recordedDate": "2011-05-15"}, date(2011, 5, 14)),
        ({"date": "2011-05", "recordedDate": "2011-05-15"}, date(2011, 5, 15)),
        ({"date": None}, None),
    ],
)
def test_an_event_is_dated_by_date_else_detected_else_recorded(
    reader: Reader, fhir: Any, dates: Any, day: date | None
) -> None:
    event = reader.adverse_event(body(fhir.event(**dates)))

    assert event is not None
    assert (event.moment.day if event.moment else None) == day


@pytest.mark.parametrize(
    ("coding", "seriousness"),
    [
        ([{"system": SERIOUSNESS, "code": "serious"}], "serious"),
        ([{"system": SERIOUSNESS, "code": "Serious"}], "serious"),
        ([{"system": SERIOUSNESS, "code": "SERIOUS"}], "serious"),
        ([{"system": SERIOUSNESS, "code": "non-serious"}], "non-serious"),
        ([{"system": SERIOUSNESS, "code": "Non-serious"}], "non-serious"),
        ([{"system": "urn:site", "code": "3"}, {"system": SERIOUSNESS, "code": "serious"}], "serious"),
        ([{"system": SERIOUSNESS, "code": "non-serious"}, {"system": "urn:site", "code": "serious"}], "non-serious"),
        ([{"code": "serious"}], ""),
        ([{"code": "serious"}, {"system": SERIOUSNESS}], ""),
        ([{"system": "urn:site", "code": "serious"}], ""),
        ([], ""),
    ],
)
def test_serious_is_the_code_of_its_system_whatever_its_case(
    reader: Reader, fhir: Any, coding: Any, seriousness: str
) -> None:
    event = reader.adverse_event(body(fhir.event(seriousness={"coding": coding})))

    assert event is not None
    assert event.seriousness == seriousness


def test_severity_is_not_seriousness(reader: Reader, fhir: Any) -> None:
    severity = fhir.code("severe", "http://terminology.hl7.org/CodeSystem/adverse-event-severity")

    event = reader.adverse_event(body(fhir.event(severity=severity)))

    assert event is not None
    assert (event.severity, event.seriousness) == ("severe", "")


def test_suspects_are_the_procedures_named(reader: Reader, fhir: Any) -> None:
    named = ["Procedure/a", "https://ehr.example/fhir/Procedure/b/_history/2", "Medication/c", "Procedure/a"]
    suspects = [{"instance": {"reference": one}} for one in named]

    event = reader.adverse_event(body(fhir.event(suspectEntity=suspects)))

    assert event is not None
    assert event.suspects == {"a", "b"}


def test_an_events_code_is_its_first(reader: Reader, fhir: Any) -> None:
    coding = [{"system": "urn:site", "display": "no code"}, {"system": SNOMED, "code": "128053003"}, {"code": "x"}]

    event, bare = (
        reader.adverse_event(body(fhir.event(event={"coding": coding}))),
        reader.adverse_event(body(fhir.event(event=None))),
    )

    assert event is not None
    assert bare is not None
    assert (event.code_system, event.code) == (SNOMED, "128053003")
    assert (bare.code_system, bare.code) == ("", "")


# QuestionnaireResponse


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("completed", ""), ("amended", ""), ("in-progress", "status"), ("stopped", "status"),
        ("entered-in-error", "status"), (None, "status"),
    ],
)  # fmt: skip
def test_completed_and_amended_responses_are_usable(reader: Reader, fhir: Any, status: str, reason: str) -> None:
    response, problem = reader.response(body(fhir.response(status=status)))

    assert (response.reason, problem) == (reason, None)
    assert (response.score is None) is bool(reason)


@pytest.mark.parametrize(
    ("questionnaire", "version", "reason"),
    [
        (V1, "1", ""), (f"{V1}|1.2", "1", ""), (V2, "2", ""), (f"{V2}|x", "2", ""),
        (f"{V1}0", "", "not msis-29"), ("http://a.example/phq-9", "", "not msis-29"), (None, "", "not msis-29"),
    ],
)  # fmt: skip
def test_the_canonical_says_whether_it_is_the_msis_29_and_which_version(
    reader: Reader, fhir: Any, questionnaire: str | None, version: str, reason: str
) -> None:
    response, problem = reader.response(body(fhir.response(questionnaire=questionnaire)))

    assert (response.instrument_version, response.reason, problem) == (version, reason, None)


@pytest.mark.parametrize(
    ("changes", "reason", "problem"),
    [
        ({"authored": "2011-05"}, "partial date", ("authored", "partial date")),
        ({"authored": "2011"}, "partial date", ("authored", "partial date")),
        ({"authored": None}, "partial date", ("authored", "no date")),
        ({"authored": None, "status": "stopped"}, "status", None),
        ({"authored": None, "questionnaire": None}, "not msis-29", None),
        ({"authored": "2011", "status": "stopped"}, "status", ("authored", "partial date")),
        ({"authored": "2011", "questionnaire": None}, "not msis-29", ("authored", "partial date")),
        ({"subject": None, "status": "stopped"}, "status", ("subject", "no subject")),
        ({"subject": None, "authored": "2011"}, "no subject", ("subject", "no subject")),
        ({"questionnaire": None, "status": "stopped"}, "status", None),
    ],
)
def test_of_several_reasons_the_first_of_the_contracts_list_is_shown(
    reader: Reader, fhir: Any, changes: Any, reason: str, problem: tuple[str, str] | None
) -> None:
    response, found = reader.response(body(fhir.response(**changes)))

    assert response.reason == reason
    assert ((found.path, found.problem) if found else None) == problem
    assert response.score is None
    assert not response.has_outcome


def test_a_date_that_is_none_is_rejected(reader: Reader, fhir: Any) -> None:
    assert rejection(reader.response, fhir.response(authored="last week")) == ("authored", "not a FHIR dateTime")


SPELLINGS: dict[str, Callable[[int], Any]] = {
    "integer": lambda n: {"valueInteger": n},
    "decimal": lambda n: {"valueDecimal": n},
    "string": lambda n: {"valueString": str(n)},
    "code": lambda n: {"valueCoding": {"system": "urn:site", "code": str(n)}},
    "itemWeight": lambda n: weighted("itemWeight", n),
    "ordinalValue": lambda n: weighted("ordinalValue", n),
}


def weighted(name: str, number: int) -> Any:
    url = f"http://hl7.org/fhir/StructureDefinition/{name}"
    return {"valueCoding": {"code": "x", "extension": [{"url": url, "valueDecimal": number}]}}


@given(data=st.data())
def test_the_score_is_the_same_however_the_answers_are_spelled(reader: Reader, fhir: Any, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=29, max_size=29))
    spelled = [
        {"linkId": str(number), "answer": [SPELLINGS[data.draw(st.sampled_from(sorted(SPELLINGS)))](value)]}
        for number, value in enumerate(values, 1)
        if value is not None
    ]

    plain, _ = reader.response(body(fhir.response(item=fhir.items(values))))
    other, _ = reader.response(body(fhir.response(item=data.draw(st.permutations(spelled)))))

    assert (other.score, other.reason) == (plain.score, plain.reason)


def test_a_decimal_written_with_a_fraction_of_nothing_is_whole(reader: Reader, fhir: Any) -> None:
    raw = body(fhir.response()).replace(b'{"valueInteger": 3}', b'{"valueDecimal": 3.0}')

    response, _ = reader.response(raw)

    assert b"3.0" in raw
    assert response.score is not None
    assert response.score.physical is not None
    assert response.score.physical.score == 50


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([{"valueBoolean": True}], "answer not understood"),
        ([{"valueDecimal": 2.5}], "answer not understood"),
        ([{"valueQuantity": {"value": 3}}], "answer not understood"),
        ([{"valueDate": "2011-05-01"}], "answer not understood"),
        ([{"valueCoding": {"display": "3"}}], "answer not understood"),
        ([{"valueCoding": {"system": "urn:site", "code": "often"}}], "answer not understood"),
        ([{"valueString": "three"}], "answer not understood"),
        ([{"_valueInteger": {"extension": [{"url": "http://a.example"}]}}], "answer not understood"),
        ([{"valueInteger": 6}], "answer out of range"),
        ([{"valueInteger": 0}], "answer out of range"),
        ([{"valueInteger": -3}], "answer out of range"),
        ([{"valueInteger": 3}, {"valueInteger": 3}], "several answers"),
    ],
)
def test_one_answer_that_cannot_be_used_refuses_the_form_without_rejecting_it(
    reader: Reader, fhir: Any, answers: Any, reason: str
) -> None:
    response, problem = reader.response(body(fhir.response(item=fhir.items(_29=answers))))

    assert (response.reason, problem) == (reason, None)
    assert response.has_outcome


def test_a_weight_that_contradicts_its_code_wins(reader: Reader, fhir: Any) -> None:
    coded = weighted("itemWeight", 5) | {}
    coded["valueCoding"]["code"] = "1"

    response, _ = reader.response(body(fhir.response(item=fhir.items(_1=[coded]))))

    assert response.score is not None
    assert response.score.physical is not None
    assert response.score.physical.raw == 19 * 3 + 5


def nested(items: list[Any]) -> list[Any]:
    """Groups in groups, and an item below the answer of another question."""
    return [
        {
            "linkId": "group",
            "item": [{"linkId": "inner", "item": items[:10]}, {"linkId": "30", "answer": [{"valueInteger": 9}]}],
        },
        {"linkId": "asked", "answer": [{"valueBoolean": True, "item": items[10:28]}]},
        items[28],
    ]


def test_items_count_at_any_depth_also_under_answers(reader: Reader, fhir: Any) -> None:
    values = [number % 5 + 1 for number in range(29)]

    flat, _ = reader.response(body(fhir.response(item=fhir.items(values))))
    deep, _ = reader.response(body(fhir.response(item=nested(fhir.items(values)))))

    assert deep.score == flat.score
    assert flat.is_scorable


def test_an_item_that_stands_twice_has_several_answers(reader: Reader, fhir: Any) -> None:
    twice = [*fhir.items(), {"linkId": "g", "item": [{"linkId": "29", "answer": [{"valueInteger": 3}]}]}]

    response, _ = reader.response(body(fhir.response(item=twice)))

    assert response.reason == "several answers"


@pytest.mark.parametrize("answer", [None, [], [{}], [{"item": [{"linkId": "note"}]}]])
def test_an_item_without_a_value_is_a_missing_item(reader: Reader, fhir: Any, answer: Any) -> None:
    items = [*fhir.items(_7=None), {"linkId": "7", "answer": answer} if answer is not None else {"linkId": "7"}]

    response, problem = reader.response(body(fhir.response(item=items)))

    assert problem is None
    assert response.score is not None
    assert response.score.physical is not None
    assert (response.score.physical.answered, response.score.physical.score) == (19, Fraction(50))


def test_too_few_answers_are_a_reason_and_keep_what_was_counted(reader: Reader, fhir: Any) -> None:
    response, problem = reader.response(body(fhir.response(item=fhir.items([1] * 9))))

    assert (response.reason, problem) == ("too few answers", None)
    assert response.score is not None
    assert response.score.physical is not None
    assert response.score.physical.answered == 9


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ({"source": {"reference": "Patient/p"}}, "Patient/p"),
        ({"source": {"reference": "Patient/q"}}, "Patient/p"),  # merged into p
        ({"source": {"reference": "Patient/nobody"}}, ""),
        ({"source": {"reference": "RelatedPerson/s"}, "author": {"reference": "Patient/p"}}, "RelatedPerson/s"),
        ({"source": {"reference": "https://ehr.example.org/fhir/Practitioner/n/_history/4"}}, "Practitioner/n"),
        ({"source": {"reference": "PractitionerRole/n-at-w"}}, "PractitionerRole/n-at-w"),
        ({"author": {"reference": "Patient/p"}}, "Patient/p"),
        ({"author": {"reference": "Practitioner/p"}}, "Practitioner/p"),
        ({"author": {"reference": "RelatedPerson/s/_history/1"}}, "RelatedPerson/s"),
        ({"author": {"reference": "Device/d"}}, ""),
        ({"author": {"reference": "Organization/o"}}, ""),
        ({"source": {"reference": "Device/d"}, "author": {"reference": "Patient/p"}}, ""),
        ({"source": {"display": "p"}, "author": {"reference": "Patient/p"}}, ""),
        ({"source": {"reference": "urn:uuid:0b9ea4c3-5b1c-4d7e-9a53-1f5c6f0f9d6e"}}, ""),
        ({"source": {"reference": "#contained"}}, ""),
        ({"source": {"reference": "Practitioner/no id at all"}}, ""),
        ({}, ""),
    ],
)
def test_source_else_author_says_who_answered(reader: Reader, fhir: Any, who: Any, expected: str) -> None:
    response, _ = reader.response(body(fhir.response(**who)))

    assert response.answered_by == expected


def test_what_identifies_a_response_is_kept(reader: Reader, fhir: Any) -> None:
    response, _ = reader.response(
        body(fhir.response(meta={"versionId": "4"}, encounter={"reference": "Encounter/n/_history/1"}))
    )

    assert (response.response_id, response.version_id, response.encounter_id) == ("r", "4", "n")
    assert (response.questionnaire, response.authored) == (V1, "2011-05-01")


# Wrong JSON types


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"item": {"linkId": "1"}}, "item"),
        ({"item": ["1"]}, "item[0]"),
        ({"item": [{"linkId": "1", "answer": [{"valueInteger": "3"}]}]}, "item[0].answer[0].valueInteger"),
        ({"status": 7}, "status"),
        ({"subject": "Patient/p"}, "subject"),
        ({"authored": ["2011-05-01"]}, "authored"),
    ],
)
def test_a_wrong_json_type_is_rejected_with_its_path(reader: Reader, fhir: Any, changes: Any, path: str) -> None:
    with pytest.raises(RejectedError) as caught:
        reader.response(body(fhir.response(**changes)))

    assert path in caught.value.path


def test_a_view_that_leaves_a_resource_out_lists_it(default_mapping: Mapping, fhir: Any) -> None:
    """A site may put a `where` into its views."""
    path = default_mapping.folder / "views" / "condition.json"
    definition = json.loads(path.read_text(encoding="utf-8")) | {
        "where": [{"path": "subject.reference = 'Patient/other'"}]
    }
    views = {**default_mapping.views, "condition": compile_view(definition)}

    strict = Reader(replace(default_mapping, views=views), lambda subject: subject)

    assert rejection(strict.condition, fhir.condition()) == ("", "left out by the view condition")


def test_numbers_are_not_lost_in_floating_point(reader: Reader, fhir: Any) -> None:
    nearly = body(fhir.response()).replace(b'{"valueInteger": 3}', b'{"valueDecimal": 3.00000000000000000001}')

    response, _ = reader.response(nearly)

    assert float(Decimal("3.00000000000000000001")) == 3
    assert response.reason == "answer not understood"
