"""The same rules against a FHIR server that somebody else wrote (sekmet-fhir, PyPI)."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integration import outcomes
from integration.errors import ServerUnreachableError
from integration.settings import Limits, Site
from integration.sources import search
from integration.sources.client import Answer, Clock, FhirClient, connect
from server.delivery.run import deliver
from server.demo import fhir_server
from server.jobs import stores
from server.ledger import Ledger
from server.reconcile import reconcile

ROOT = Path(__file__).resolve().parents[2]
SEKMET = ROOT / ".sekmet" / "bin" / "sekmet"

BuildOutcome = Callable[..., outcomes.Outcome]

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server on a free loopback port, with a data folder of its own."""
    if not SEKMET.is_file():
        pytest.skip("no sekmet-fhir in .sekmet; `make test` installs it")
    with fhir_server.running(SEKMET, tmp_path_factory.mktemp("sekmet")) as url:
        yield url


@pytest.fixture(params=["generic", "single"])
def site(request: pytest.FixtureRequest, base_url: str) -> Site:
    """Each test has a site, and so identifiers, of its own; the server is one."""
    return Site(
        name=f"north-{uuid.uuid4().hex}",
        base_url=base_url,
        write_profile=request.param,
        limits=Limits(entries_per_transaction=40, settle_seconds=0, page_size=20),
    )


@pytest.fixture
def origin(origin: outcomes.Origin, site: Site) -> outcomes.Origin:
    return outcomes.Origin(
        site=site.name,
        software_version=origin.software_version,
        mapping=origin.mapping,
        recorded=origin.recorded,
        minimum_answered=origin.minimum_answered,
    )


@pytest.fixture
def server(site: Site) -> Iterator[FhirClient]:
    with connect(site) as made:
        yield made


def test_outcomes_go_in_once_come_back_equal_and_are_corrected(
    site: Site, server: FhirClient, ledger: Ledger, build_outcome: BuildOutcome, device: outcomes.Resource
) -> None:
    responses = [build_outcome(f"r{number:02}") for number in range(12)]
    stores.planner(ledger, site).plan(device, [*responses, build_outcome("unscored", answer=None)])

    first = deliver(ledger, server, site)
    proof = reconcile(ledger, server, site)
    again = deliver(ledger, server, site)

    assert (first.sent, first.remaining, again.sent) == ({"accepted": 53}, 0, {})
    assert proof.findings == []
    assert proof.books.sentences() == ("39 outcomes = 39 verified", "13 responses = 12 scored + 1 too few answers")

    stores.planner(ledger, site).plan(device, [build_outcome("r03", answer=5, status="amended", version_id="2")])
    stores.planner(ledger, site).withdraw("r04", reason="status")
    corrected = deliver(ledger, server, site)
    proof = reconcile(ledger, server, site)

    assert corrected.sent == {"accepted": 7}
    assert proof.findings == []
    assert (proof.books.lines["verified"], proof.books.lines["retracted"], proof.books.is_proven) == (36, 3, True)


class DeafClient(FhirClient):
    """Sends every write, and loses its answer."""

    def create(self, *arguments: Any, **options: Any) -> Answer:
        super().create(*arguments, **options)
        raise ServerUnreachableError(url=self.base_url, problem="no answer in time")

    def transaction(self, *arguments: Any, **options: Any) -> Answer:
        super().transaction(*arguments, **options)
        raise ServerUnreachableError(url=self.base_url, problem="no answer in time")


def test_an_answer_that_never_came_is_found_in_the_chart(
    *, site: Site, server: FhirClient, ledger: Ledger, build_outcome: BuildOutcome, device: outcomes.Resource
) -> None:
    stores.planner(ledger, site).plan(device, [build_outcome("lost")])
    with DeafClient(site.base_url) as deaf:
        report = deliver(ledger, deaf, site)

    resolved = deliver(ledger, server, site).resolved
    deliver(ledger, server, site)
    proof = reconcile(ledger, server, site)

    assert report.sent == {"unknown": 1}
    assert resolved == {"already_there": 1}
    assert proof.findings == []
    assert proof.books.is_proven


def test_a_conflicting_change_on_the_server_is_left_for_a_person(
    site: Site, server: FhirClient, ledger: Ledger, build_outcome: BuildOutcome, device: outcomes.Resource
) -> None:
    outcome = build_outcome("contested")
    stores.planner(ledger, site).plan(device, [outcome])
    deliver(ledger, server, site)
    (entry,) = ledger.entries(site.name, [outcome.physical["id"]])
    theirs = server.read("Observation", entry.ehr_id).json()
    server.update("Observation", entry.ehr_id, outcomes.encode({**theirs, "note": [{"text": "seen"}]}))

    stores.planner(ledger, site).plan(device, [build_outcome("contested", answer=5)])
    deliver(ledger, server, site)

    assert ledger.counts(site.name)["manual"] == 1
    assert server.read("Observation", entry.ehr_id).json()["note"] == [{"text": "seen"}]


def test_every_page_of_a_type_is_pulled(base_url: str) -> None:
    with FhirClient(base_url, clock=Clock()) as client:
        for number in range(7):
            client.create("Organization", outcomes.encode({"resourceType": "Organization", "name": f"o{number}"}))
        sizes: list[int] = []
        found = list(
            search.resources(
                client, "Organization", page_size=3, on_page=lambda page: sizes.append(len(page.resources))
            )
        )

    assert len(found) == len(set(found)) == 7
    assert sizes == [3, 3, 1]
