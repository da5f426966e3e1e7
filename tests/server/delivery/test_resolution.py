"""What was on its way, or is in the chart already: what is adopted, and what is left to a person."""

import dataclasses
import json
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request as WebRequest
from werkzeug import Response as WebResponse

from integration import outcomes
from integration.errors import ServerRefusedError
from integration.settings import Site
from integration.sources.client import Clock, FhirClient
from server.delivery.run import DeliveryReport, deliver
from server.jobs import stores
from server.ledger import Entry, Ledger

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SYSTEM = "urn:example:rows"
TABLES: dict[str, dict[str, Any]] = {
    "single": {"write_profile": "single"},
    "oracle": {
        "write_profile": "oracle",
        "profile": {
            "category": "vital-signs",
            "performer": "Practitioner/9",
            "codes": {
                "physical": {"system": SYSTEM, "code": "physical"},
                "psychological": {"system": SYSTEM, "code": "psychological"},
            },
        },
    },
}


class Rows:
    """A server that finds a row by patient and second, or by identifier, and can lose its answers.

    Attributes:
        held: by id.
        written: method and id of every write.
        loses: the numbers of the creates, from 1, that are stored and not answered.
        search_status: what a search is answered with; 200: what it finds.
    """

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.written: list[tuple[str, str]] = []
        self.loses: set[int] = set()
        self.search_status = 200

    def handle(self, request: WebRequest) -> WebResponse:
        _, _, rest = request.path.partition("/fhir/")
        resource_type, _, resource_id = rest.partition("/")
        if request.method == "GET":
            return self._read(resource_id) if resource_id else self._search(request, resource_type)
        resource = json.loads(request.get_data())
        resource_id = resource_id or str(len(self.held) + 1)
        self.written.append((request.method, resource_id))
        self.put({**resource, "id": resource_id})
        if request.method == "POST" and len(self.held) in self.loses:
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        version = self.held[resource_id]["meta"]["versionId"]
        location = f"{resource_type}/{resource_id}/_history/{version}"
        return WebResponse(b"", status=201, headers={"Location": location, "ETag": f'W/"{version}"'})

    def put(self, resource: dict[str, Any]) -> None:
        """Store a resource, as a client or as somebody at the EHR."""
        before = self.held.get(resource["id"])
        version = int(before["meta"]["versionId"]) + 1 if before else 1
        meta = {**resource.get("meta", {}), "versionId": str(version)}
        self.held[resource["id"]] = {**resource, "meta": meta}

    def edit(self, resource_id: str, value: float) -> None:
        """Change a value, as somebody at the EHR."""
        held = self.held[resource_id]
        self.put({**held, "valueQuantity": {**held["valueQuantity"], "value": value}})

    def _read(self, resource_id: str) -> WebResponse:
        held = self.held.get(resource_id)
        return _json(held) if held else WebResponse(b"", status=404)

    def _search(self, request: WebRequest, resource_type: str) -> WebResponse:
        if self.search_status != 200:
            return WebResponse(b"", status=self.search_status)
        wanted = request.args
        found = [one for one in self.held.values() if one["resourceType"] == resource_type and _is_asked(one, wanted)]
        link = {"relation": "self", "url": request.url}
        return _json({"resourceType": "Bundle", "link": [link], "entry": [{"resource": one} for one in found]})


def _is_asked(resource: dict[str, Any], wanted: Any) -> bool:
    if "identifier" in wanted:
        tokens = [f"{one['system']}|{one['value']}" for one in resource.get("identifier", [])]
        return bool(set(tokens) & set(wanted["identifier"].split(",")))
    if "_tag" in wanted:
        tags = [f"{one['system']}|{one['code']}" for one in resource["meta"].get("tag", [])]
        return bool(set(tags) & set(wanted["_tag"].split(",")))
    moment = datetime.fromisoformat(wanted["date"].removeprefix("eq"))
    is_then = datetime.fromisoformat(resource["effectiveDateTime"]) == moment
    return is_then and resource["subject"]["reference"] == f"Patient/{wanted['patient']}"


def _json(body: Any) -> WebResponse:
    return WebResponse(json.dumps(body), content_type="application/fhir+json")


@pytest.fixture
def rows(httpserver: HTTPServer) -> Rows:
    served = Rows()
    httpserver.expect_request(re.compile(".*")).respond_with_handler(served.handle)
    return served


class Bridge:
    """One site's ledger and deliveries to it."""

    def __init__(self, ledger: Ledger, base_url: str, table: str, plan: Callable[..., None]) -> None:
        limits = {"settle_seconds": 0}
        self.site = Site.model_validate({"name": "north", "base_url": base_url, "limits": limits, **TABLES[table]})
        self.ledger, self._plan = ledger, plan

    def plan(self, *response_ids: str, **options: Any) -> None:
        self._plan(self.site, response_ids, **options)

    def deliver(self) -> DeliveryReport:
        clock = Clock(now=lambda: NOW, sleep=lambda _: None)
        with FhirClient(self.site.base_url, clock=clock) as client:
            return deliver(self.ledger, client, self.site, clock=clock)

    def entry(self, kind: str, response_id: str = "r1") -> Entry:
        return next(one for one in self.ledger.of_responses("north", [response_id]) if one.kind == kind)


@pytest.fixture
def bridge(
    ledger: Ledger, httpserver: HTTPServer, build_outcome: Callable[..., outcomes.Outcome], device: outcomes.Resource
) -> Callable[[str], Bridge]:
    def plan(site: Site, response_ids: tuple[str, ...], *, moment: str = "", **options: Any) -> None:
        built = [build_outcome(one, **options) for one in response_ids]
        if moment:
            built = [at(outcome, moment) for outcome in built]
        stores.planner(ledger, site).plan(device, built)

    return lambda table: Bridge(ledger, httpserver.url_for("/fhir"), table, plan)


def at(outcome: outcomes.Outcome, moment: str) -> outcomes.Outcome:
    """Return an outcome with the scores of another time."""
    physical, psychological = ({**one, "effectiveDateTime": moment} for one in outcome.observations[:2])
    return dataclasses.replace(outcome, physical=physical, psychological=psychological)


def row_of(entry: Entry, **elements: Any) -> dict[str, Any]:
    return {**{name: value for name, value in entry.resource().items() if name != "id"}, **elements}


def test_what_was_sent_and_changed_by_another_is_not_written_over(rows: Rows, bridge: Callable[[str], Bridge]) -> None:
    it = bridge("single")
    rows.loses = {2}  # after the Device
    it.plan("r1")
    it.deliver()
    entry = next(one for one in (it.entry("physical"), it.entry("psychological")) if one.state == "unknown")
    rows.edit("2", 7)
    it.plan("r1", answer=5, status="amended", version_id="2")
    it.deliver()

    after = it.entry(entry.kind)
    assert (after.ehr_id, after.state, after.reason) == ("2", "manual", "changed in the chart since it was written")
    assert rows.held["2"]["valueQuantity"]["value"] == 7
    assert ("PUT", "2") not in rows.written


def test_what_was_sent_and_is_as_we_wrote_it_is_written_over_when_the_answers_change(
    rows: Rows, bridge: Callable[[str], Bridge]
) -> None:
    it = bridge("single")
    rows.loses = {2}
    it.plan("r1")
    it.deliver()
    it.plan("r1", answer=5, status="amended", version_id="2")
    it.deliver()

    assert rows.held["2"]["valueQuantity"]["value"] == 100
    assert sum(1 for one in rows.held.values() if one["resourceType"] == "Observation") == 3


def test_after_a_lost_ledger_what_is_ours_and_equal_is_adopted_and_what_differs_is_not_written_over(
    rows: Rows, bridge: Callable[[str], Bridge]
) -> None:
    it = bridge("single")
    it.plan("r1")
    physical, panel = it.entry("physical"), it.entry("panel")
    score = row_of(physical, id="a")
    rows.put({**score, "valueQuantity": {**score["valueQuantity"], "value": 7}})
    rows.put(row_of(it.entry("psychological"), id="b"))
    text = json.dumps(row_of(panel, id="c"))
    for key, place in ((physical.key, "a"), (it.entry("psychological").key, "b")):
        text = text.replace(f"Observation/{key}", f"Observation/{place}")
    rows.put(json.loads(text))
    it.deliver()

    adopted = {kind: it.entry(kind) for kind in ("physical", "psychological", "panel")}
    assert {one.state for one in adopted.values()} == {"already_there"}
    assert {kind: (one.ehr_id, one.ehr_version) for kind, one in adopted.items()} == {
        "physical": ("a", ""), "psychological": ("b", "1"), "panel": ("c", "1"),
    }  # fmt: skip

    it.plan("r1", answer=5, status="amended", version_id="2")
    it.deliver()

    assert (it.entry("physical").state, rows.held["a"]["valueQuantity"]["value"]) == ("manual", 7)
    assert rows.held["b"]["valueQuantity"]["value"] == 100


def test_a_value_of_another_in_the_place_of_ours_is_never_adopted(rows: Rows, bridge: Callable[[str], Bridge]) -> None:
    it = bridge("oracle")
    it.plan("r1")
    physical = it.entry("physical")
    nurse = row_of(physical, id="nurse", valueQuantity={**physical.resource()["valueQuantity"], "value": 42})
    rows.put(nurse)
    it.deliver()
    it.plan("r1", answer=5, status="amended", version_id="2")
    it.deliver()

    after = it.entry("physical")
    assert (after.state, after.ehr_id, after.reason) == ("manual", "", "another value is in its place in the chart")
    assert rows.held["nurse"]["valueQuantity"]["value"] == 42
    assert sum(1 for one in rows.held.values() if one["code"] == nurse["code"]) == 1


def test_what_was_sent_is_found_where_it_was_sent_though_its_time_changed(
    rows: Rows, bridge: Callable[[str], Bridge]
) -> None:
    it = bridge("oracle")
    rows.loses = {1}
    it.plan("r1")
    it.deliver()
    later = "2012-05-04T07:45:00Z"
    it.plan("r1", status="amended", version_id="2", moment=later)
    it.deliver()

    assert len(rows.held) == 2
    assert {one["effectiveDateTime"] for one in rows.held.values()} == {later}


def test_a_search_that_is_forbidden_leaves_the_doubt_to_a_person_and_stops_nothing_else(
    rows: Rows, bridge: Callable[[str], Bridge]
) -> None:
    it = bridge("oracle")
    rows.loses = {1}
    it.plan("r1")
    it.deliver()
    rows.search_status = 403
    it.plan("r2")
    it.deliver()

    doubt = next(one for one in it.ledger.of_responses("north", ["r1"]) if one.state == "manual")
    assert doubt.reason == "HTTP 403: the chart may not be searched"
    assert doubt.sent_hash
    assert {one.state for one in it.ledger.of_responses("north", ["r2"])} == {"accepted"}
    assert len(rows.held) == 4


def test_refused_credentials_leave_what_is_on_its_way_as_it_is(rows: Rows, bridge: Callable[[str], Bridge]) -> None:
    it = bridge("oracle")
    rows.loses = {1}
    it.plan("r1")
    it.deliver()
    rows.search_status = 401

    with pytest.raises(ServerRefusedError, match="HTTP 401"):
        it.deliver()

    assert "unknown" in {one.state for one in it.ledger.of_responses("north", ["r1"])}
