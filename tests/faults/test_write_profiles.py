"""What the write profiles shape is what the simulated EHRs take, keep and find."""

import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
import requests
from ehr_simulator import Simulator

from integration import msis29, outcomes
from integration.outcomes import Resource, encode
from integration.records import Moment, Response
from integration.settings import Site
from server.delivery.comparison import differences
from server.sites import WriteProfile, documents, profile_of

ROWS = "urn:oid:1.2.840.114350.1.13.9.9.7.2.707679"
CODES = f"""
[profile.codes]
physical = {{ system = "{ROWS}", code = "flowsheet-physical" }}
psychological = {{ system = "{ROWS}", code = "flowsheet-psychological" }}
"""
TYPE = '[profile.document_type]\nsystem = "urn:example:note-types"\ncode = "scores"'
SITES = {
    "epic-like": f'write_profile = "epic"\n[profile]\nfallback = "document"\n{CODES}{TYPE}',
    "oracle-like": (
        'write_profile = "oracle"\n[profile]\ncategory = "vital-signs"\nperformer = "Practitioner/9"\n'
        f'fallback = "document"\n{CODES}{TYPE}'
    ),
    "athena-like": (
        'write_profile = "athena"\n[profile.questionnaire]\n'
        'physical = "urn:questionnaire:physical"\npsychological = "urn:questionnaire:psychological"'
    ),
    "generic": 'write_profile = "generic"\n[profile]\nfallback = "document"\ndocument_updates = true',
    "single": 'write_profile = "document"\n[profile]\ndocument_formats = ["text", "pdf"]\ndocument_updates = true',
}
AUTHORED = Moment(
    day=date(2012, 5, 4), instant=datetime(2012, 5, 4, 7, 15, tzinfo=UTC), text="2012-05-04T09:15:00+02:00"
)
BuildOutcome = Callable[[int], outcomes.Outcome]


@pytest.fixture
def outcome() -> BuildOutcome:
    """Build the outcome of a response that gave every item one answer."""
    origin = outcomes.Origin(
        site="north",
        software_version="0.1.0",
        mapping="msis29_venoplasty 1.0.0",
        recorded=datetime(2026, 1, 5, 12, 0, tzinfo=UTC),
        minimum_answered=msis29.HALF_OF_THE_ITEMS,
    )

    def build(answer: int) -> outcomes.Outcome:
        response = Response(
            response_id="r1",
            patient_id="p1",
            status="completed",
            version_id="1",
            moment=Moment(
                day=date(2012, 5, 4), instant=datetime(2012, 5, 4, 7, 15, tzinfo=UTC), text="2012-05-04T07:15Z"
            ),
            instrument_version="1",
            answered_by="Patient/p1",
            encounter_id="e1",
            score=msis29.score({item: [answer] for item in msis29.ITEMS}, "1"),
            reason="",
        )
        return outcomes.build(response, origin)

    return build


@pytest.fixture(params=list(SITES))
def profile(request: pytest.FixtureRequest, ehr: Simulator) -> WriteProfile:
    """Each profile against its EHR, with a patient in an open encounter."""
    ehr.configure(request.param)
    ehr.add_encounter("e1", ehr.add_patient("p1"))
    return profile_of(
        Site.model_validate({"name": "north", "base_url": ehr.base_url, **tomllib.loads(SITES[request.param])})
    )


def send(ehr: Simulator, method: str, path: str, resource: Resource, **headers: str) -> requests.Response:
    body = {name: value for name, value in resource.items() if name != "id"}
    if method == "PUT":
        body["id"] = path.rpartition("/")[2]
    asked = {"Content-Type": "application/fhir+json", **headers}
    return requests.request(method, f"{ehr.base_url}/{path}", data=encode(body), headers=asked, timeout=10)


def create(ehr: Simulator, resource: Resource) -> str:
    answer = send(ehr, "POST", resource["resourceType"], resource)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"].partition("/_history")[0].rpartition("/")[2]


def read(ehr: Simulator, path: str, **parameters: str) -> Any:
    answer = requests.get(f"{ehr.base_url}/{path}", params=parameters, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


def compare(profile: WriteProfile, ehr: Simulator, desired: Resource, found: Resource) -> list[str]:
    return differences(desired, found, base_url=ehr.base_url, keeps_all=profile.abilities.keeps_all)


def found_by(profile: WriteProfile, ehr: Simulator, resource: Resource) -> list[str]:
    """Return the ids of what the profile's search finds and takes for the resource."""
    parameters = profile.search(resource)
    if parameters is None:
        identifier = resource["identifier"]
        token = identifier[0] if isinstance(identifier, list) else identifier
        parameters = {"identifier": f"{token['system']}|{token['value']}"}
    entries = read(ehr, resource["resourceType"], **parameters).get("entry", [])
    resources = [entry["resource"] for entry in entries if entry["resource"]["resourceType"] != "OperationOutcome"]
    return [one["id"] for one in resources if profile.is_it(resource, one)]


def test_what_is_shaped_is_taken_kept_and_found(profile: WriteProfile, ehr: Simulator, outcome: BuildOutcome) -> None:
    for shaped in profile.shape(outcome(3)):
        if shaped.kind != "provenance":  # which refers to what has other ids there
            assert not shaped.problem
            resource_id = create(ehr, shaped.resource)
            found = read(ehr, f"{shaped.resource['resourceType']}/{resource_id}")

            assert compare(profile, ehr, shaped.resource, found) == []
            assert found_by(profile, ehr, shaped.resource) == [resource_id]


def test_an_absent_resource_is_not_found(profile: WriteProfile, ehr: Simulator, outcome: BuildOutcome) -> None:
    first, *others = [one.resource for one in profile.shape(outcome(3)) if one.kind != "provenance"]
    for one in others:
        create(ehr, one)

    assert found_by(profile, ehr, first) == []


def test_a_foreign_edit_is_seen(profile: WriteProfile, ehr: Simulator, outcome: BuildOutcome) -> None:
    shaped = profile.shape(outcome(3))[0].resource
    reference = f"{shaped['resourceType']}/{create(ehr, shaped)}"
    change = {
        "Observation": {"valueQuantity": {"value": 99}},
        "QuestionnaireResponse": {"extension": [{**shaped.get("extension", [{}])[0], "valueString": "99"}]},
        "DocumentReference": {"status": "superseded"},
    }[shaped["resourceType"]]

    ehr.foreign_edit(reference, change)

    assert compare(profile, ehr, shaped, read(ehr, reference)) != []


def test_a_change_is_taken_where_the_profile_permits_it(
    profile: WriteProfile, ehr: Simulator, outcome: BuildOutcome
) -> None:
    before, after = profile.shape(outcome(3))[0].resource, profile.shape(outcome(4))[0].resource
    path = f"{before['resourceType']}/{create(ehr, before)}"
    amended, retracted = profile.amended(after), profile.retracted(after)

    assert amended is not None or retracted is None
    for changed in (amended, retracted):
        if changed is not None:
            version = read(ehr, path)["meta"]["versionId"]
            answer = send(ehr, "PUT", path, changed, **{"If-Match": f'W/"{version}"'})
            assert answer.status_code == 200, answer.text
            assert compare(profile, ehr, changed, read(ehr, path)) == []


def test_a_document_in_place_of_refused_observations_is_taken(
    profile: WriteProfile, ehr: Simulator, outcome: BuildOutcome
) -> None:
    observations = [one.resource for one in profile.shape(outcome(3)) if one.resource["resourceType"] == "Observation"]
    stand_in = profile.stand_in(observations)

    if stand_in is not None:
        resource_id = create(ehr, stand_in.resource)
        found = read(ehr, f"DocumentReference/{resource_id}")
        assert compare(profile, ehr, stand_in.resource, found) == []
        assert found_by(profile, ehr, stand_in.resource) == [resource_id]
    assert (stand_in is None) == (not observations)


def test_a_document_that_comes_back_as_a_link_is_compared_by_what_is_behind_it(
    ehr: Simulator, outcome: BuildOutcome
) -> None:
    ehr.configure("epic-like", documents_by_url=True)
    ehr.add_encounter("e1", ehr.add_patient("p1"))
    table = tomllib.loads(SITES["epic-like"])
    profile = profile_of(Site.model_validate({"name": "north", "base_url": ehr.base_url, **table}))
    stand_in = profile.stand_in([one.resource for one in profile.shape(outcome(3))])
    assert stand_in is not None
    found = read(ehr, f"DocumentReference/{create(ehr, stand_in.resource)}")

    whole = documents.with_data(found, lambda url: requests.get(f"{ehr.base_url}/{url}", timeout=10).content)

    assert compare(profile, ehr, stand_in.resource, found) == ["content[0].attachment.data"]
    assert compare(profile, ehr, stand_in.resource, whole) == []
    assert found_by(profile, ehr, stand_in.resource) == [found["id"]]
