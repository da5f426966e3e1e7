from collections.abc import Callable

import pytest

from integration import outcomes
from integration.outcomes import Outcome, Resource
from server.sites import Abilities, WriteProfile

BuildOutcome = Callable[..., Outcome]
Profile = Callable[[str], WriteProfile]


@pytest.mark.parametrize("name", ["generic", "single"])
def test_everything_is_sent_as_it_is(name: str, profile: Profile, outcome: BuildOutcome, device: Resource) -> None:
    built = outcome()

    shaped = profile(name).shape(built)

    assert [(one.kind, one.observations) for one in shaped] == [
        ("physical", 1), ("psychological", 1), ("panel", 1), ("provenance", 0)
    ]  # fmt: skip
    assert [one.resource for one in shaped] == [*built.observations, built.provenance]
    assert [(one.kind, one.resource, one.observations) for one in profile(name).shape_device(device)] == [
        ("device", device, 0)
    ]
    assert not any(one.dropped or one.problem for one in shaped)
    assert profile(name).left_out() == {}


def test_what_the_servers_can_do(profile: Profile) -> None:
    assert profile("generic").abilities == Abilities(transactions=True, conditional_creates=True)
    assert profile("single").abilities == Abilities()


def test_only_an_observation_that_was_final_becomes_amended(profile: Profile, outcome: BuildOutcome) -> None:
    site, built = profile("generic"), outcome()
    withdrawn = outcomes.withdrawn(built.physical)

    assert site.amended(built.physical) == {**built.physical, "status": "amended"}
    assert site.amended(withdrawn) == withdrawn
    assert site.amended(outcome(status="amended").panel) == outcome(status="amended").panel
    assert site.amended(built.provenance) == built.provenance


def test_an_observation_is_taken_back_as_entered_in_error(
    profile: Profile, outcome: BuildOutcome, device: Resource
) -> None:
    site, built = profile("generic"), outcome()

    assert site.retracted(built.panel) == {**built.panel, "status": "entered-in-error"}
    assert site.retracted(built.provenance) == built.provenance
    assert site.retracted(device) == device


def test_everything_is_found_by_our_key(profile: Profile, outcome: BuildOutcome) -> None:
    site, built = profile("generic"), outcome()

    assert site.search(built.physical) is None
    assert site.is_it(built.physical, {"resourceType": "Observation", "identifier": built.physical["identifier"]})
    assert not site.is_it(built.physical, built.psychological)
    assert not site.is_it(built.provenance, {"resourceType": "Provenance", "meta": {"tag": [{"code": "x"}]}})


def test_a_document_stands_in_only_where_the_site_wants_one(profile: Profile, outcome: BuildOutcome) -> None:
    assert profile("generic").stand_in(outcome().observations) is None
    stand_in = profile("single").stand_in(outcome().observations)

    assert stand_in is not None
    assert (stand_in.kind, stand_in.observations) == ("document", 3)
    assert profile("single").stand_in([]) is None
