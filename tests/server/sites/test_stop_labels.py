"""A label of the outcome stops its writes at every site, whether or not the site's shape of it carries labels."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration.outcomes import Outcome, Resource
from integration.settings import Safeguards as Keys
from integration.settings import Site
from integration.sources.client import FhirClient
from server.delivery.safeguards import LABELLED, Safeguards
from server.jobs import stores
from server.ledger import Ledger
from server.ledger.planning import Desired
from server.sites import profile_of

KINDS = ["generic", "single", "epic", "oracle", "athena", "document"]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def stopped(ledger: Ledger) -> Callable[..., set[str]]:
    """Return the keys of what labels stop, of everything that one response has in the ledger; nobody is asked."""

    def judge(site: Site, *labels: str) -> set[str]:
        guarded = site.model_copy(update={"safeguards": Keys(check_patient=False, stop_labels=labels)})
        safeguards = Safeguards(ledger, guarded, lambda _: None)
        with FhirClient(site.base_url) as client:
            judgement = safeguards.judge(ledger.of_responses(site.name, ["r1"]), client)
        assert set(judgement.withheld.values()) <= {LABELLED}
        return set(judgement.withheld)

    return judge


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_of_the_outcome_stops_it_at_every_site(
    kind: str, ledger: Ledger, site: Callable[[str], Site], outcome: Callable[..., Outcome], device: Resource,
    stopped: Callable[..., set[str]],
) -> None:  # fmt: skip
    stores.planner(ledger, site(kind)).plan(device, [outcome(confidentiality=("R",))])
    every = {entry.key for entry in ledger.of_responses("north", ["r1"])}

    assert stopped(site(kind), "V", "R") == every != set()
    assert stopped(site(kind), "V") == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_that_comes_or_goes_later_counts_even_where_the_content_stays_the_same(
    kind: str, ledger: Ledger, site: Callable[[str], Site], outcome: Callable[..., Outcome], device: Resource,
    stopped: Callable[..., set[str]],
) -> None:  # fmt: skip
    planner = stores.planner(ledger, site(kind))
    planner.plan(device, [outcome()])
    assert stopped(site(kind), "R") == set()

    planner.plan(device, [outcome(confidentiality=("R",))])
    assert stopped(site(kind), "R") == {entry.key for entry in ledger.of_responses("north", ["r1"])}

    planner.plan(device, [outcome()])
    assert stopped(site(kind), "R") == set()


@pytest.mark.parametrize("kind", ["single", "epic", "oracle"])
def test_a_label_of_the_outcome_stops_the_document_that_stands_in_for_it(
    kind: str, ledger: Ledger, site: Callable[[str], Site], outcome: Callable[..., Outcome], device: Resource,
    stopped: Callable[..., set[str]],
) -> None:  # fmt: skip
    stores.planner(ledger, site(kind)).plan(device, [outcome(confidentiality=("R",))])
    refused = [entry for entry in ledger.of_responses("north", ["r1"]) if entry.observations]
    profile = profile_of(site(kind))
    document = profile.stand_in([entry.resource() for entry in refused])
    assert document is not None
    planned = Desired(response_id="r1", patient_id="p1", response_version="", reason="", resources=[document])
    ledger.stand_in("north", profile, refused, planned)

    assert document.resource["id"] in stopped(site(kind), "R")
