import base64
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from integration import outcomes
from integration.errors import ServerRefusedError
from integration.settings import Site
from integration.sources.client import Clock, FhirClient
from server.delivery.lookup import Lookup, NotSearchableError, UnreadError
from server.jobs import stores
from server.ledger import Ledger
from server.ledger.entries import Entry
from server.sites import profile_of

SYSTEM = outcomes.IDENTIFIER_SYSTEM

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


@pytest.fixture
def entries(
    ledger: Ledger, build_outcome: Callable[..., outcomes.Outcome], device: outcomes.Resource
) -> dict[str, Entry]:
    stores.planner(ledger, NORTH).plan(device, [build_outcome()])
    return {entry.kind: entry for entry in ledger.due("north", after=None, limit=100)}


@pytest.fixture
def lookup(httpserver: HTTPServer) -> Lookup:
    return Lookup(
        FhirClient(httpserver.url_for("/fhir"), clock=Clock(sleep=lambda _: None)), profile_of(NORTH), page_size=10
    )


def bundle(*resources: dict[str, Any], self_url: str = "http://h/fhir/Observation?identifier=x") -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "link": [{"relation": "self", "url": self_url}] if self_url else [],
        "entry": [{"resource": resource} for resource in resources],
    }


def held(entry: Entry, resource_id: str = "7") -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": resource_id,
        "meta": {"versionId": "2"},
        "identifier": [{"system": SYSTEM, "value": entry.key}],
    }


def test_a_resource_is_found_by_its_identifier(
    httpserver: HTTPServer, lookup: Lookup, entries: dict[str, Entry]
) -> None:
    panel, physical = entries["panel"], entries["physical"]
    httpserver.expect_request(
        "/fhir/Observation",
        query_string={"identifier": f"{SYSTEM}|{panel.key},{SYSTEM}|{physical.key}", "_count": "10"},
        headers={"Prefer": "handling=strict"},
    ).respond_with_json(bundle(held(panel)))

    found = lookup.find([panel, physical])

    assert [(one.ehr_id, one.ehr_version) for one in found[panel.key]] == [("7", "2")]
    assert found[physical.key] == []


def test_a_provenance_is_found_by_its_tag(httpserver: HTTPServer, lookup: Lookup, entries: dict[str, Entry]) -> None:
    entry = entries["provenance"]
    tag = {"system": outcomes.TAG_SYSTEM, "code": entry.key}
    resource = {"resourceType": "Provenance", "id": "9", "meta": {"tag": [tag]}}
    httpserver.expect_request(
        "/fhir/Provenance", query_string={"_tag": f"{outcomes.TAG_SYSTEM}|{entry.key}", "_count": "10"}
    ).respond_with_json(bundle(resource, self_url="http://h/fhir/Provenance?_tag=x"))

    assert [one.ehr_id for one in lookup.find([entry])[entry.key]] == ["9"]


def test_two_under_one_key_are_both_found_and_one_on_two_pages_is_one(
    httpserver: HTTPServer, lookup: Lookup, entries: dict[str, Entry]
) -> None:
    entry = entries["panel"]
    first = bundle(held(entry, "7"), held(entry, "8"))
    first["link"].append({"relation": "next", "url": httpserver.url_for("/fhir/Observation?page=2")})
    httpserver.expect_request("/fhir/Observation", query_string={"page": "2"}).respond_with_json(
        bundle(held(entry, "8"), self_url=httpserver.url_for("/fhir/Observation?page=2"))
    )
    httpserver.expect_request("/fhir/Observation").respond_with_json(first)

    assert [one.ehr_id for one in lookup.find([entry])[entry.key]] == ["7", "8"]


WARNING = {
    "resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "not-supported"}]},
    "search": {"mode": "outcome"},
}


@pytest.mark.parametrize(
    "answer",
    [
        bundle(self_url="http://h/fhir/Observation?_count=10"),
        bundle(self_url=""),
        bundle({"resourceType": "Observation", "id": "1", "identifier": [{"value": "somebody else's"}]}),
        bundle({"resourceType": "Observation", "id": "1"}),
        {**bundle(), "entry": [WARNING]},
    ],
    ids=["ignored", "nothing says it was understood", "other resources", "no identifier", "warned"],
)
def test_silence_of_a_server_that_did_not_search_proves_nothing(
    httpserver: HTTPServer, lookup: Lookup, entries: dict[str, Entry], answer: dict[str, Any]
) -> None:
    httpserver.expect_request("/fhir/metadata").respond_with_json({"resourceType": "CapabilityStatement"})
    httpserver.expect_request("/fhir/Observation").respond_with_json(answer)

    with pytest.raises(NotSearchableError, match="does not search Observation by identifier"):
        lookup.find([entries["panel"]])


@pytest.mark.parametrize("status", [400, 404, 405, 422, 501])
def test_a_server_that_refuses_the_parameter_does_not_search(
    httpserver: HTTPServer, lookup: Lookup, entries: dict[str, Entry], status: int
) -> None:
    httpserver.expect_request("/fhir/Observation").respond_with_data(b"", status=status)

    with pytest.raises(NotSearchableError):
        lookup.find([entries["panel"]])


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_server_that_cannot_answer_now_is_an_error(
    httpserver: HTTPServer, lookup: Lookup, entries: dict[str, Entry], status: int
) -> None:
    httpserver.expect_request("/fhir/Observation").respond_with_data(b"", status=status)

    with pytest.raises(ServerRefusedError):
        lookup.find([entries["panel"]])


def test_without_a_self_link_the_capability_statement_must_list_the_parameter(
    httpserver: HTTPServer, lookup: Lookup, entries: dict[str, Entry]
) -> None:
    statement = {"rest": [{"resource": [{"type": "Observation", "searchParam": [{"name": "identifier"}]}]}]}
    httpserver.expect_request("/fhir/metadata").respond_with_json(statement)
    httpserver.expect_request("/fhir/Observation").respond_with_json(bundle(self_url=""))

    assert lookup.find([entries["panel"]]) == {entries["panel"].key: []}


@pytest.mark.parametrize("severity", ["information", "warning"])
def test_a_remark_is_no_warning(
    httpserver: HTTPServer, lookup: Lookup, entries: dict[str, Entry], severity: str
) -> None:
    remark = {"resource": {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": "x"}]}}
    httpserver.expect_request("/fhir/Observation").respond_with_json({**bundle(), "entry": [remark]})

    if severity == "information":
        assert lookup.find([entries["panel"]]) == {entries["panel"].key: []}
    else:
        with pytest.raises(NotSearchableError):
            lookup.find([entries["panel"]])


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_gone_is_read_as_nothing(
    httpserver: HTTPServer, lookup: Lookup, entries: dict[str, Entry], status: int
) -> None:
    httpserver.expect_request("/fhir/Observation/").respond_with_data(b"", status=status)

    assert lookup.read(entries["panel"]) is None


def test_a_provenance_is_found_by_its_target_where_tags_are_not_searched(
    entries: dict[str, Entry], httpserver: HTTPServer
) -> None:
    base = httpserver.url_for("/fhir")
    provenance, panel = entries["provenance"], entries["panel"]
    other = {**provenance.resource(), "id": "2", "meta": {"tag": [{"system": "urn:other", "code": "x"}]}}
    ours = {**provenance.resource(), "id": "1"}

    def answer(request: Request) -> Response:
        if "_tag" in request.args:
            return Response(status=400)
        assert request.args["target"] == "Observation/77"
        bundle = {
            "resourceType": "Bundle",
            "link": [{"relation": "self", "url": f"{base}/Provenance?target=Observation/77&_count=10"}],
            "entry": [{"resource": one} for one in (other, ours)],
        }
        return Response(json.dumps(bundle), content_type="application/fhir+json")

    httpserver.expect_request("/fhir/Provenance").respond_with_handler(answer)
    client = FhirClient(base, clock=Clock(sleep=lambda _: None))

    def found(ids: dict[str, str]) -> list[str]:
        lookup = Lookup(client, profile_of(NORTH), page_size=10, ehr_ids=lambda _: ids)
        return [one.ehr_id for one in lookup.find([provenance])[provenance.key]]

    assert found({panel.key: "77"}) == ["1"]
    assert found({}) == []  # it would have to refer to what is not in the chart


@pytest.mark.parametrize("form", ["raw", "Binary"])
def test_a_document_is_read_with_what_it_links_to(entries: dict[str, Entry], httpserver: HTTPServer, form: str) -> None:
    site = NORTH.model_copy(update={"write_profile": "document"})
    base = httpserver.url_for("/fhir")
    document = {
        "resourceType": "DocumentReference", "id": "5",
        "content": [{"attachment": {"contentType": "text/plain", "url": "Binary/9"}}],
    }  # fmt: skip
    httpserver.expect_request("/fhir/DocumentReference/5").respond_with_json(document)
    if form == "raw":
        httpserver.expect_request("/fhir/Binary/9").respond_with_data(b"words", content_type="text/plain")
    else:
        httpserver.expect_request("/fhir/Binary/9").respond_with_json({"resourceType": "Binary", "data": "d29yZHM="})
    lookup = Lookup(FhirClient(base, clock=Clock(sleep=lambda _: None)), profile_of(site), page_size=10)

    read = lookup.read(dataclasses.replace(entries["panel"], resource_type="DocumentReference", ehr_id="5"))

    assert read is not None
    assert read.resource["content"] == [{"attachment": {"contentType": "text/plain", "data": "d29yZHM="}}]


CODES = {
    "physical": {"system": "urn:example:rows", "code": "physical"},
    "psychological": {"system": "urn:example:rows", "code": "psychological"},
}
ORACLE = Site.model_validate(
    {
        "name": "north",
        "base_url": "http://127.0.0.1/fhir",
        "write_profile": "oracle",
        "profile": {
            "category": "vital-signs",
            "performer": "Practitioner/9",
            "codes": CODES,
            "fallback": "document",
            "document_type": {"system": "urn:example:notes", "code": "scores"},
        },
    }
)


def lookup_of(httpserver: HTTPServer, site: Site) -> Lookup:
    client = FhirClient(httpserver.url_for("/fhir"), clock=Clock(sleep=lambda _: None))
    return Lookup(client, profile_of(site), page_size=10)


def row(build_outcome: Callable[..., outcomes.Outcome], entry: Entry) -> Entry:
    """Return an entry as a site that keeps no identifier has it."""
    shaped = next(one for one in profile_of(ORACLE).shape(build_outcome()) if one.kind == "physical")
    return dataclasses.replace(entry, kind="physical", content=outcomes.encode(shaped.resource))


def test_where_no_key_is_kept_what_was_sent_is_looked_for_and_then_what_shall_be_there(
    httpserver: HTTPServer, entries: dict[str, Entry], build_outcome: Callable[..., outcomes.Outcome]
) -> None:
    sent = row(build_outcome, entries["physical"])
    later = {**sent.resource(), "effectiveDateTime": "2012-05-04T07:45:00Z"}
    changed = dataclasses.replace(
        sent, sent_hash="x", sent_content=sent.content, content=outcomes.encode(later), state="unknown"
    )
    dates: list[str] = []

    def answer(request: Request) -> Response:
        dates.append(request.args["date"])
        found = [{**sent.resource(), "id": "7"}] if len(dates) == 1 else []
        return Response(json.dumps(bundle(*found, self_url=request.url)), content_type="application/fhir+json")

    httpserver.expect_request("/fhir/Observation").respond_with_handler(answer)
    lookup = lookup_of(httpserver, ORACLE)

    assert [one.ehr_id for one in lookup.find([changed])[sent.key]] == ["7"]
    assert lookup.find([changed])[sent.key] == []
    assert dates == ["eq2012-05-04T07:15:00Z", "eq2012-05-04T07:15:00Z", "eq2012-05-04T07:45:00Z"]


def document_of(build_outcome: Callable[..., outcomes.Outcome], entry: Entry) -> Entry:
    profile = profile_of(ORACLE)
    shaped = profile.stand_in([one.resource for one in profile.shape(build_outcome())])
    assert shaped is not None
    return dataclasses.replace(
        entry,
        key=shaped.resource["id"],
        kind="document",
        resource_type="DocumentReference",
        content=outcomes.encode(shaped.resource),
    )


def linked(entry: Entry, url: str, *, title: str = "", **elements: Any) -> dict[str, Any]:
    attachment = {"contentType": "text/plain", "url": url, **({"title": title} if title else {})}
    subject = entry.resource()["subject"]
    return {"resourceType": "DocumentReference", "id": "d", "subject": subject,
            "content": [{"attachment": attachment}], **elements}  # fmt: skip


@pytest.mark.parametrize("url", ["https://elsewhere.example/x", "Binary/gone", "Binary/broken"])
def test_a_document_of_another_that_cannot_be_read_is_no_match_and_stops_nothing(
    httpserver: HTTPServer,
    entries: dict[str, Entry],
    build_outcome: Callable[..., outcomes.Outcome],
    url: str,
) -> None:
    entry = document_of(build_outcome, entries["panel"])
    bound = bundle(linked(entry, url), self_url="http://h/fhir/DocumentReference?patient=p")
    httpserver.expect_request("/fhir/DocumentReference").respond_with_json(bound)
    httpserver.expect_request("/fhir/Binary/gone").respond_with_data(b"", status=404)
    httpserver.expect_request("/fhir/Binary/broken").respond_with_json({"resourceType": "Binary", "data": "a"})
    lookup = lookup_of(httpserver, ORACLE)

    assert lookup.find([entry]) == {entry.key: []}
    with pytest.raises(UnreadError):  # it may be what was sent
        lookup.find([dataclasses.replace(entry, sent_hash="x", sent_content=entry.content, state="unknown")])


def test_only_a_document_that_may_be_ours_is_read_through(
    httpserver: HTTPServer, entries: dict[str, Entry], build_outcome: Callable[..., outcomes.Outcome]
) -> None:
    entry = document_of(build_outcome, entries["panel"])
    other = {"context": {"period": {"start": "2011-01-01T00:00:00Z"}}}
    text = base64.b64decode(entry.resource()["content"][0]["attachment"]["data"])
    resources = [
        linked(entry, "Binary/1", title="Discharge summary", id="a", **other),
        linked(entry, "Binary/2", id="b", subject={"reference": "Patient/another"}),
        linked(entry, "Binary/3", id="c"),
    ]
    self_url = "http://h/fhir/DocumentReference?patient=p"
    httpserver.expect_request("/fhir/DocumentReference").respond_with_json(bundle(*resources, self_url=self_url))
    httpserver.expect_request("/fhir/Binary/3").respond_with_data(text, content_type="text/plain")

    assert [one.ehr_id for one in lookup_of(httpserver, ORACLE).find([entry])[entry.key]] == ["c"]
    assert [request.path for request, _ in httpserver.log] == ["/fhir/DocumentReference", "/fhir/Binary/3"]


def test_a_dead_link_in_a_document_of_ours_is_a_difference_and_no_end(
    httpserver: HTTPServer, entries: dict[str, Entry], build_outcome: Callable[..., outcomes.Outcome]
) -> None:
    entry = document_of(build_outcome, entries["panel"])
    title = entry.resource()["content"][0]["attachment"]["title"]
    found = linked(entry, "Binary/gone", title=title)
    self_url = "http://h/fhir/DocumentReference?patient=p"
    httpserver.expect_request("/fhir/DocumentReference").respond_with_json(bundle(found, self_url=self_url))
    httpserver.expect_request("/fhir/Binary/gone").respond_with_data(b"", status=404)

    assert [one.resource for one in lookup_of(httpserver, ORACLE).find([entry])[entry.key]] == [found]
