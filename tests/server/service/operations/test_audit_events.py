"""AuditEvents are valid FHIR, name who and whom, and hold nothing clinical, whatever the ids are."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given
from hypothesis import strategies as st

from server.service.operations.audit_events import Event, Interaction, Party, audit_event, reference

EVENT = Event(
    interaction="create",
    recorded=datetime(2012, 6, 1, 12, 0, tzinfo=UTC),
    client=Party(name="engine", address="10.0.0.7"),
    server=Party(name="Outcome Bridge", address="https://bridge.example/"),
    observer="Outcome Bridge",
    patient_id="p1",
    reference="QuestionnaireResponse/r1",
    request_id="request-1",
)


def validated(resource: dict[str, Any]) -> None:
    get_fhir_model_class("AuditEvent").model_validate(resource)


def roles(resource: dict[str, Any]) -> dict[str, str]:
    return {one["type"]["coding"][0]["code"]: one["who"]["display"] for one in resource["agent"][:2]}


@pytest.mark.parametrize(
    ("interaction", "pattern", "action", "source"),
    [
        ("create", "PatientCreate", "C", "engine"),
        ("update", "PatientUpdate", "U", "engine"),
        ("read", "PatientRead", "R", "Outcome Bridge"),
    ],
)
def test_an_event_follows_the_pattern_of_its_interaction(
    interaction: Interaction, pattern: str, action: str, source: str
) -> None:
    built = audit_event(replace(EVENT, interaction=interaction))

    validated(built)
    assert built["meta"]["profile"] == [
        f"https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.{pattern}"
    ]
    assert (built["type"]["code"], built["subtype"][0]["code"], built["action"]) == ("rest", interaction, action)
    assert roles(built)["110153"] == source
    assert [one["type"]["code"] for one in built["entity"]] == ["1", "2", "XrequestId"]
    assert built["entity"][0]["what"] == {"reference": "Patient/p1"}
    assert built["entity"][1]["what"] == {"reference": "QuestionnaireResponse/r1"}
    assert built["entity"][2]["what"] == {"identifier": {"value": "request-1"}}


def test_a_person_is_the_one_who_started_it() -> None:
    built = audit_event(replace(EVENT, user=Party(name="sub-7")))

    validated(built)
    assert [one["requestor"] for one in built["agent"]] == [False, False, True]
    assert built["agent"][2]["who"] == {"identifier": {"value": "sub-7"}}


def test_a_failure_claims_no_pattern() -> None:
    built = audit_event(replace(EVENT, outcome="8", problem="HTTP no answer"))

    validated(built)
    assert "meta" not in built
    assert built["outcomeDesc"] == "HTTP no answer"


@given(text=st.text(max_size=300), request_id=st.text(max_size=300))
def test_whatever_an_id_holds_the_event_is_valid_and_one_line(text: str, request_id: str) -> None:
    named = replace(EVENT, patient_id=text, request_id=request_id, reference=reference("QuestionnaireResponse", text))

    built = audit_event(replace(named, client=Party(name=text, address=text)))

    validated(built)
    assert "\n" not in json.dumps(built)
    assert all(re.fullmatch(r"[A-Za-z]+/[A-Za-z0-9\-._~%]*", one) for one in references(built))


def references(built: dict[str, Any]) -> list[str]:
    return [one["what"]["reference"] for one in built["entity"] if "reference" in one["what"]]
