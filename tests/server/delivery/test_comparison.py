from typing import Any

import pytest

from server.delivery.comparison import changes, differences

DESIRED: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "our-key",
    "meta": {"profile": ["http://profile"], "security": [{"system": "s", "code": "HTEST"}]},
    "status": "final",
    "category": [{"coding": [{"system": "c", "code": "survey"}]}],
    "subject": {"reference": "Patient/p"},
    "effectiveDateTime": "2012-05-04T09:15:00+02:00",
    "valueQuantity": {"value": 62.5, "unit": "{score}"},
    "derivedFrom": [{"reference": "QuestionnaireResponse/r"}],
}


def paths(**changes: Any) -> list[str]:
    found = {**DESIRED, "id": "7", **changes}
    return differences(DESIRED, {k: v for k, v in found.items() if v is not None}, base_url="http://h/fhir")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"meta": {**DESIRED["meta"], "versionId": "3", "lastUpdated": "2026-01-01T00:00:00Z", "source": "#x"}},
        {"meta": {**DESIRED["meta"], "tag": [{"code": "theirs"}], "profile": ["http://theirs", "http://profile"]}},
        {"meta": {**DESIRED["meta"], "security": [{"system": "s", "code": "HTEST", "display": "test data"}]}},
        {"text": {"status": "generated", "div": "<div/>"}},
        {"subject": {"reference": "Patient/p", "display": "J. D.", "type": "Patient"}},
        {"subject": {"reference": "http://h/fhir/Patient/p"}},
        {"derivedFrom": [{"reference": "QuestionnaireResponse/r/_history/2"}]},
        {"effectiveDateTime": "2012-05-04T07:15:00Z"},
        {"effectiveDateTime": "2012-05-04T07:15:00.000Z"},
        {"valueQuantity": {"unit": "{score}", "value": 62.50}},
    ],
)
def test_what_a_server_may_write_by_itself_is_no_difference(changes: dict[str, Any]) -> None:
    assert paths(**changes) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "amended"}, ["status"]),
        ({"status": None}, ["status"]),
        ({"meta": None}, ["meta.profile[0]", "meta.security[0]"]),
        ({"meta": {"profile": ["http://profile"]}}, ["meta.security[0]"]),
        ({"category": []}, ["category"]),
        ({"category": [{"coding": [{"system": "c", "code": "vital-signs"}]}]}, ["category[0].coding[0].code"]),
        ({"category": [*DESIRED["category"], {"text": "x"}]}, ["category"]),
        ({"subject": {"reference": "Patient/q"}}, ["subject.reference"]),
        ({"subject": {"reference": "http://other/fhir/Patient/p"}}, ["subject.reference"]),
        ({"effectiveDateTime": "2012-05-04"}, ["effectiveDateTime"]),
        ({"effectiveDateTime": "2012-05-04T09:15:00Z"}, ["effectiveDateTime"]),
        ({"valueQuantity": {"value": 62.4, "unit": "{score}"}}, ["valueQuantity.value"]),
        ({"valueQuantity": {"value": "62.5", "unit": "{score}"}}, ["valueQuantity.value"]),
        ({"valueQuantity": {"value": 62.5, "unit": "{score}", "comparator": "<"}}, ["valueQuantity.comparator"]),
        ({"valueQuantity": {"value": True, "unit": "{score}"}}, ["valueQuantity.value"]),
        ({"modifierExtension": [{"url": "http://not"}]}, ["modifierExtension"]),
        ({"note": [{"text": "theirs"}]}, ["note"]),
        ({"resourceType": "Basic"}, ["resourceType"]),
    ],
)
def test_every_other_difference_is_told_by_its_path(changes: dict[str, Any], expected: list[str]) -> None:
    assert paths(**changes) == expected


def provenance(**changes: Any) -> dict[str, Any]:
    author, software = {"who": {"reference": "Patient/p"}}, {"who": {"reference": "Device/1"}}
    made = {"resourceType": "Provenance", "recorded": "2012-05-04T07:15:00Z", "agent": [author, software]}
    return made | changes


@pytest.mark.parametrize(
    "device", ["Device/2", "http://h/fhir/Device/2", "Device/2/_history/1", "http://h/fhir/Device/2/_history/1"]
)
def test_which_run_of_which_software_computed_it_is_no_difference(device: str) -> None:
    """What a ledger that was rebuilt adopts was written by an earlier run, often of an earlier version."""
    agents = [{"who": {"reference": "Patient/p"}}, {"who": {"reference": device}}]
    found = provenance(recorded="2011-01-01T00:00:00Z", agent=agents)

    assert differences(provenance(), found, base_url="http://h/fhir") == []
    assert paths(device={"reference": device}) == []


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ([{"who": {"reference": "Patient/q"}}, {"who": {"reference": "Device/1"}}], ["agent[0].who.reference"]),
        ([{"who": {"reference": "Device/1"}}], ["agent"]),
        ([{"who": "Device/1"}, "text"], ["agent"]),
        ({"who": {"reference": "Patient/p"}}, ["agent"]),
        (None, ["agent"]),
    ],
)
def test_who_answered_is_compared(agents: Any, expected: list[str]) -> None:
    assert differences(provenance(), provenance(agent=agents), base_url="http://h/fhir") == expected


def test_no_path_holds_a_value() -> None:
    assert "Doe" not in str(paths(subject={"reference": "Patient/Doe"}, note=[{"text": "Doe"}]))


def sparse_paths(found: dict[str, Any], desired: dict[str, Any] = DESIRED) -> list[str]:
    return differences(desired, found, base_url="http://h/fhir", keeps_all=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"note": [{"text": "theirs"}], "performer": [{"reference": "Practitioner/1"}], "issued": "2012-05-04"},
        {"category": [{"coding": [{"system": "theirs"}]}, *DESIRED["category"]]},
        {
            "category": [
                {"text": "theirs", "coding": [{"code": "x"}, {"system": "c", "code": "survey", "display": "S"}]}
            ]
        },
        {"valueQuantity": {"value": 62.5, "unit": "{score}", "system": "http://unitsofmeasure.org", "code": "{score}"}},
        {"effectiveDateTime": "2012-05-04T07:15:00Z"},
        {"subject": {"reference": "http://h/fhir/Patient/p", "display": "J. D."}},
    ],
)
def test_what_a_chart_adds_is_no_difference_where_it_adds_much(changes: dict[str, Any]) -> None:
    assert sparse_paths({**DESIRED, "id": "7", **changes}) == []
    assert sparse_paths({**DESIRED, **changes, "status": "amended"}) == ["status"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"modifierExtension": [{"url": "http://not"}]}, ["modifierExtension"]),
        ({"implicitRules": "http://rules"}, ["implicitRules"]),
        ({"dataAbsentReason": {"text": "error"}}, ["dataAbsentReason"]),
        ({"component": [{"code": {"text": "x"}}]}, ["component"]),
        ({"valueString": "not done"}, ["valueString"]),
        ({"valueQuantity": {"value": 62.5, "unit": "{score}", "comparator": "<"}}, ["valueQuantity.comparator"]),
        ({"valueQuantity": {"value": 62.5}}, ["valueQuantity.unit"]),
        ({"valueQuantity": {"value": 6.25, "unit": "{score}"}}, ["valueQuantity.value"]),
        ({"category": []}, ["category"]),
        ({"category": [{"text": "a"}, {"text": "b"}]}, ["category[0]"]),
        ({"category": [{"coding": [{"system": "c", "code": "x"}]}]}, ["category[0].coding[0].code"]),
        ({"subject": {"reference": "Patient/q"}}, ["subject.reference"]),
        ({"meta": {}}, ["meta.profile[0]", "meta.security[0]"]),
    ],
)
def test_what_was_sent_and_what_can_turn_it_are_compared_everywhere(
    changes: dict[str, Any], expected: list[str]
) -> None:
    assert sparse_paths({**DESIRED, **changes}) == expected


def test_what_can_turn_a_resource_counts_even_if_we_sent_none() -> None:
    desired = {"resourceType": "Basic", "subject": {"reference": "Patient/p"}}

    assert sparse_paths({**desired, "status": "entered-in-error"}, desired) == ["status"]
    assert sparse_paths({**desired, "valuesEntered": 1}, desired) == []


def test_each_difference_says_what_the_chart_holds_and_what_it_shall_hold() -> None:
    desired = {
        "resourceType": "Observation",
        "status": "final",
        "valueQuantity": {"value": 58.8},
        "note": [{"text": "a"}],
    }
    found = {"resourceType": "Observation", "status": "final", "valueQuantity": {"value": 61.3}, "issued": "2026"}

    changed = changes(desired, found, base_url="http://h/fhir")

    assert [(one.path, one.old, one.new) for one in changed] == [
        ("valueQuantity.value", 61.3, 58.8),
        ("note", None, [{"text": "a"}]),
        ("issued", "2026", None),
    ]
