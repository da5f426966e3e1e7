"""What a plan makes of documents that stand in for Observations, at a site that takes nothing back."""

from typing import Any

import pytest

from server.ledger import Ledger, Settlement
from server.ledger.planning import NOT_RETRACTED, Desired, Shaped

SCORES = ("physical", "psychological")


class Fixed:
    """A chart in which nothing is changed once it was written."""

    def amended(self, resource: dict[str, Any]) -> None: ...

    def retracted(self, resource: dict[str, Any]) -> None: ...

    def replacement(self, resource: dict[str, Any], replaced_reference: str) -> None: ...


def response(value: int, *kinds: str) -> Desired:
    shaped = [
        Shaped(
            kind=kind,  # type: ignore[arg-type]  # a Kind
            resource={"resourceType": "Observation", "id": kind, "status": "final", "valueInteger": value},
            observations=1,
        )
        for kind in kinds
    ]
    return Desired(response_id="a", patient_id="p", response_version="", reason="", resources=shaped)


def stand_in(ledger: Ledger, value: int) -> bool:
    """Have both scores refused, and a document taken in their place."""
    finish(ledger, SCORES, Settlement(key="", state="refused"))
    resource = {"resourceType": "DocumentReference", "id": "document", "status": "current", "description": str(value)}
    shaped = [Shaped(kind="document", resource=resource, observations=len(SCORES))]
    document = Desired(response_id="a", patient_id="p", response_version="", reason="", resources=shaped)
    refused = [one for one in ledger.of_responses("north", ["a"]) if one.kind in SCORES]
    return ledger.stand_in("north", Fixed(), refused, document)


def finish(ledger: Ledger, keys: tuple[str, ...], said: Settlement) -> None:
    ledger.lease("north", "w", after=None, responses=9, seconds=60)
    for key in keys:
        ledger.claim("north", [key], request_id=f"of {key}", interaction="create", worker="w", seconds=60)
        settlement = Settlement(key=key, state=said.state, ehr_id=said.ehr_id)
        ledger.settle("north", [settlement], request_id=f"of {key}")


def verified(ledger: Ledger, key: str) -> None:
    finish(ledger, (key,), Settlement(key=key, state="accepted", ehr_id=f"id of {key}"))
    ledger.settle("north", [Settlement(key=key, state="verified")])


def counted(ledger: Ledger) -> dict[str, tuple[str, int]]:
    return {one.key: (one.state, one.observations) for one in ledger.of_responses("north", ["a"])}


@pytest.fixture
def standing(ledger: Ledger) -> Ledger:
    """A ledger in which a document stands in for both scores, and was read back."""
    ledger.plan("north", Fixed(), [response(50, *SCORES)])
    assert stand_in(ledger, 50)
    verified(ledger, "document")
    assert ledger.books("north").is_proven
    return ledger


def test_a_document_counts_nothing_once_what_it_stands_for_changes(standing: Ledger) -> None:
    standing.plan("north", Fixed(), [response(100, *SCORES)])

    assert counted(standing) == {"physical": ("planned", 1), "psychological": ("planned", 1), "document": ("manual", 0)}
    books = standing.books("north")
    assert (books.outcomes, books.lines["pending"], books.is_balanced) == (2, 2, True)


def test_a_stale_document_keeps_a_chart_from_being_proven(standing: Ledger) -> None:
    standing.plan("north", Fixed(), [response(100, *SCORES)])
    for key in SCORES:
        verified(standing, key)

    books = standing.books("north")
    assert (books.lines["verified"], books.outcomes, books.leftover, books.is_proven) == (2, 2, 1, False)
    assert books.sentences()[0] == "2 outcomes = 2 verified (withdrawn documents not seen taken back: 1)"

    standing.settle("north", [Settlement(key="document", state="retracted")])
    assert standing.books("north").is_proven


def test_a_document_is_withdrawn_with_the_scores_that_it_stands_for(standing: Ledger) -> None:
    standing.plan("north", Fixed(), [response(50)])

    assert counted(standing) == {
        "physical": ("retracted", 1), "psychological": ("retracted", 1), "document": ("manual", 0),
    }  # fmt: skip
    [document] = standing.entries("north", ["document"])
    assert (document.is_withdrawn, document.reason) == (True, NOT_RETRACTED)
    assert not standing.books("north").is_proven


def test_a_document_stays_while_what_it_stands_for_does(standing: Ledger) -> None:
    before = counted(standing)

    standing.plan("north", Fixed(), [response(50, *SCORES)])

    assert counted(standing) == before
    assert standing.books("north").is_proven


def test_a_document_that_stands_in_again_counts_again(standing: Ledger) -> None:
    standing.plan("north", Fixed(), [response(100, *SCORES)])

    assert stand_in(standing, 100)

    assert counted(standing) == {
        "physical": ("refused", 0), "psychological": ("refused", 0), "document": ("manual", 2),
    }  # fmt: skip
    books = standing.books("north")
    assert (books.outcomes, books.lines["manual"], books.is_balanced, books.is_proven) == (2, 2, True, False)


def test_nothing_stands_in_for_what_changed_since_it_was_read(ledger: Ledger) -> None:
    ledger.plan("north", Fixed(), [response(50, *SCORES)])
    refused = ledger.of_responses("north", ["a"])
    ledger.plan("north", Fixed(), [response(100, *SCORES)])

    assert not ledger.stand_in("north", Fixed(), refused, response(50))
    assert [one.observations for one in ledger.of_responses("north", ["a"])] == [1, 1]
