import json
import re
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request as WebRequest
from werkzeug import Response as WebResponse

from integration import msis29, outcomes
from integration.records import Moment, Response
from integration.settings import Limits, Site
from integration.sources.client import Clock, FhirClient
from server.ledger import Ledger

sys.path.append(str(Path(__file__).parent / "ledger"))  # its name is its own: postgresql_cluster

import postgresql_cluster
from postgresql_cluster import Cluster

NOW = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)

BuildOutcome = Callable[..., outcomes.Outcome]


@pytest.fixture
def origin() -> outcomes.Origin:
    return outcomes.Origin(
        site="north",
        software_version="0.1.0",
        mapping="msis29_venoplasty 1.0.0",
        recorded=NOW,
        minimum_answered=msis29.HALF_OF_THE_ITEMS,
    )


@pytest.fixture
def build_outcome(origin: outcomes.Origin) -> BuildOutcome:
    """Build the outcome of a response that answered every item alike; `answer=None` leaves all of them out."""

    def build(
        response_id: str = "r1",
        *,
        answer: int | None = 3,
        status: str = "completed",
        version_id: str = "1",
        instrument: msis29.Version = "1",
    ) -> outcomes.Outcome:
        answers: msis29.Answers = {item: [answer] for item in msis29.ITEMS} if answer is not None else {}
        score = msis29.score(answers, instrument)
        moment = datetime(2012, 5, 4, 7, 15, tzinfo=UTC)
        response = Response(
            response_id=response_id,
            patient_id=f"patient-of-{response_id}",
            status=status,
            version_id=version_id,
            moment=Moment(day=date(2012, 5, 4), instant=moment, text="2012-05-04T07:15:00Z"),
            instrument_version=instrument,
            answered_by=f"Patient/patient-of-{response_id}",
            score=score,
            reason=score.reason,
        )
        return outcomes.build(response, origin)

    return build


@pytest.fixture
def device(origin: outcomes.Origin) -> outcomes.Resource:
    return outcomes.device(origin)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server; tests that need it are skipped where there is none."""
    programs = postgresql_cluster.program_folder()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine: neither in /usr/lib/postgresql nor on PATH")
    with postgresql_cluster.running(programs) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A new database's place, once in each kind: a file that is not there yet, or the URL of an empty schema."""
    if request.param == "sqlite":
        return tmp_path / "state" / "new.sqlite"
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.new_schema()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "state" / "ledger.sqlite", now=lambda: NOW) as opened:
        yield opened


class Chart:
    """A FHIR server in memory that takes what it is given: it ignores `ifNoneExist`, as servers were seen to do.

    Attributes:
        held: by type and id, the current version of each resource.
        writes: how many write requests came.
        log: method and path of every request.
        on_write: is asked at each write, with its number from 1, what goes wrong: `""` nothing, `lost` the
            connection is cut and nothing stored, `cut` stored and the connection is cut, or a Response to answer with
            while nothing is stored.
        answer_style: `full`, `empty` (201 without body, relative Location) or `silent` (201 without a Location).
        searches: whether searches by identifier and tag are understood; else such a parameter is ignored.
    """

    def __init__(self) -> None:
        self.held: dict[str, dict[str, dict[str, Any]]] = {}
        self.writes = 0
        self.log: list[tuple[str, str]] = []
        self.on_write: Callable[[int], WebResponse | str] = lambda _: ""
        self.answer_style = "full"
        self.searches = True
        self.base_url = ""

    def all(self, resource_type: str) -> list[dict[str, Any]]:
        return list(self.held.get(resource_type, {}).values())

    def keys(self) -> list[str]:
        """Return the identifier or tag of everything held, so that a second one shows."""
        resources = [resource for by_id in self.held.values() for resource in by_id.values()]
        return sorted(
            resource["identifier"][0]["value"] if "identifier" in resource else resource["meta"]["tag"][0]["code"]
            for resource in resources
        )

    def handle(self, request: WebRequest) -> WebResponse:
        path = request.path.removeprefix("/fhir").strip("/")
        self.log.append((request.method, path))
        if request.method == "GET":
            return self._get(request, path)
        self.writes += 1
        fault = self.on_write(self.writes)
        if isinstance(fault, WebResponse):
            return fault
        if fault != "lost":
            answer = self._write(request, path)
        if fault:
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return WebResponse(b"", status=500)
        return answer

    def _get(self, request: WebRequest, path: str) -> WebResponse:
        resource_type, _, resource_id = path.partition("/")
        if resource_id:
            resource = self.held.get(resource_type, {}).get(resource_id)
            return _json(resource, 200) if resource else _outcome(404, "not-found")
        if path == "metadata":
            return _json({"resourceType": "CapabilityStatement"}, 200)
        wanted = {}
        if self.searches:
            wanted = {name: request.args[name].split(",") for name in ("identifier", "_tag") if name in request.args}
        found = [resource for resource in self.all(resource_type) if _matches(resource, wanted)]
        query = urlencode({**{name: ",".join(tokens) for name, tokens in wanted.items()}, "_count": 200})
        return _json(
            {
                "resourceType": "Bundle",
                "link": [{"relation": "self", "url": f"{self.base_url}/{resource_type}?{query}"}],
                "entry": [{"resource": resource, "search": {"mode": "match"}} for resource in found],
            },
            200,
        )

    def _write(self, request: WebRequest, path: str) -> WebResponse:
        body = json.loads(request.get_data())
        if not path:
            return self._transaction(body)
        resource_type, _, resource_id = path.partition("/")
        if resource_id:
            expected = request.headers.get("If-Match", "")
            status, code = self._problem(resource_type, resource_id, expected)
            if code:
                return _outcome(status, code)
        resource = self._store({**body, "resourceType": resource_type}, resource_id)
        version = resource["meta"]["versionId"]
        headers = {"Location": f"{resource_type}/{resource['id']}/_history/{version}", "ETag": f'W/"{version}"'}
        status = 200 if resource_id else 201
        if self.answer_style == "full":
            return _json(resource, status, headers)
        return WebResponse(b"", status=status, headers=headers if self.answer_style == "empty" else {})

    def _transaction(self, bundle: dict[str, Any]) -> WebResponse:
        for entry in bundle["entry"]:
            resource_type, _, resource_id = entry["request"]["url"].partition("/")
            if entry["request"]["method"] == "PUT":
                status, code = self._problem(resource_type, resource_id, entry["request"].get("ifMatch", ""))
                if code:
                    return _outcome(status, code)
        new_ids = {entry["fullUrl"]: uuid.uuid4().hex for entry in bundle["entry"] if "fullUrl" in entry}
        text = json.dumps(bundle)
        for entry in bundle["entry"]:
            if "fullUrl" in entry:
                place = f"{entry['resource']['resourceType']}/{new_ids[entry['fullUrl']]}"
                text = text.replace(f'"reference": "{entry["fullUrl"]}"', f'"reference": "{place}"')
        answers = []
        for entry in json.loads(text)["entry"]:
            resource_id = new_ids.get(entry.get("fullUrl", ""), entry["resource"].get("id", ""))
            resource = self._store(entry["resource"], resource_id)
            version = resource["meta"]["versionId"]
            place = f"{resource['resourceType']}/{resource['id']}/_history/{version}"
            status = "201 Created" if "fullUrl" in entry else "200 OK"
            answers.append({"response": {"status": status, "location": place, "etag": f'W/"{version}"'}})
        if self.answer_style == "full":
            return _json({"resourceType": "Bundle", "type": "transaction-response", "entry": answers}, 200)
        return WebResponse(b"", status=200)

    def _problem(self, resource_type: str, resource_id: str, if_match: str) -> tuple[int, str]:
        held = self.held.get(resource_type, {}).get(resource_id)
        if held is None:
            return 404, "not-found"
        return (0, "") if if_match in ("", f'W/"{held["meta"]["versionId"]}"') else (412, "conflict")

    def _store(self, resource: dict[str, Any], resource_id: str) -> dict[str, Any]:
        by_id = self.held.setdefault(resource["resourceType"], {})
        resource_id = resource_id or uuid.uuid4().hex
        version = int(by_id[resource_id]["meta"]["versionId"]) + 1 if resource_id in by_id else 1
        meta = {**resource.get("meta", {}), "versionId": str(version)}
        by_id[resource_id] = {**resource, "id": resource_id, "meta": meta}
        return by_id[resource_id]


def _matches(resource: dict[str, Any], wanted: dict[str, list[str]]) -> bool:
    elements = {
        "identifier": [f"{one['system']}|{one['value']}" for one in resource.get("identifier", [])],
        "_tag": [f"{one['system']}|{one['code']}" for one in resource.get("meta", {}).get("tag", [])],
    }
    return all(set(tokens) & set(elements[name]) for name, tokens in wanted.items())


def _json(body: Any, status: int, headers: dict[str, str] | None = None) -> WebResponse:
    return WebResponse(json.dumps(body), status=status, headers=headers, content_type="application/fhir+json")


def _outcome(status: int, code: str) -> WebResponse:
    return _json({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}, status)


@pytest.fixture
def chart(httpserver: HTTPServer) -> Chart:
    """Start a FHIR server in memory."""
    served = Chart()
    served.base_url = httpserver.url_for("/fhir")
    httpserver.expect_request(re.compile(".*")).respond_with_handler(served.handle)
    return served


@pytest.fixture(params=["generic", "single"])
def site(request: pytest.FixtureRequest, chart: Chart) -> Site:
    """The site of that server, once with each write profile."""
    limits = Limits(entries_per_transaction=20, settle_seconds=5, timeout_seconds=10)
    return Site(name="north", base_url=chart.base_url, write_profile=request.param, limits=limits)


@pytest.fixture
def client(chart: Chart) -> Iterator[FhirClient]:
    with FhirClient(chart.base_url, clock=Clock(sleep=lambda _: None)) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still, and whose sleeps last no time."""
    return Clock(now=lambda: NOW, sleep=lambda _: None)
