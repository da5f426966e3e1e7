"""Each outcome that is left to a person comes with one sentence that says what to do."""

from dataclasses import replace

import pytest

from integration.settings import Site
from server import work
from server.ledger import Entry, Ledger
from server.ledger.planning import (
    BY_HAND,
    CHANGED_BY_HAND,
    NOT_AMENDED,
    NOT_RETRACTED,
    REFERS_TO_REFUSED,
    WITHDRAWN_BY_HAND,
)
from server.ledger.schema import outcomes
from server.ledger.states import State
from server.sites import flowsheets, profile_of

ENTRY = Entry(
    key="k",
    response_id="r1",
    patient_id="p1",
    kind="physical",
    resource_type="Observation",
    observations=1,
    dropped="",
    content=b"{}",
    content_hash="h",
    is_withdrawn=False,
    state="manual",
    reason="",
    sent_hash="",
    sent_content=None,
    sent_at="",
    ehr_id="7",
    ehr_version="1",
    ehr_content=None,
)
PROFILE = profile_of(Site(name="north", base_url="http://127.0.0.1/fhir"))


def entry(state: State, reason: str = "", **changes: object) -> Entry:
    return replace(ENTRY, state=state, reason=reason, **changes)  # type: ignore[arg-type]  # any attribute


def listed(ledger: Ledger, *entries: Entry) -> work.WorkList:
    """Return the work list of a ledger that holds these entries."""
    rows = [{name: getattr(one, name) for name in Entry.__slots__} for one in entries]
    others = {"site": "north", "response_version": "1", "planned_at": "", "changed_at": ""}
    with ledger._engine.begin() as connection:
        connection.execute(outcomes.insert(), [row | others for row in rows])
    return work.work_list(ledger, "north", PROFILE)


@pytest.mark.parametrize(
    ("held", "what_to_do"),
    [
        (entry("manual", NOT_AMENDED), "Correct it in the chart"),
        (entry("manual", NOT_RETRACTED), "Mark it as entered in error"),
        (entry("manual", CHANGED_BY_HAND), "It was entered by hand: correct that"),
        (entry("manual", WITHDRAWN_BY_HAND), "It was entered by hand: mark that"),
        (entry("manual", f"{BY_HAND}: said in decision 3; the chart differs: status"), "is not what the response says"),
        (entry("manual", flowsheets.NO_ENCOUNTER), "Enter the score in the chart by hand, in the right encounter"),
        (entry("manual", flowsheets.NO_TIME), "at the right time"),
        (entry("manual", "the EHR does not know the patient"), "Find out why the EHR does not know"),
        (
            entry("manual", "the EHR's Patient does not agree with the source: identifier, birthDate"),
            "Compare the EHR's",
        ),
        (entry("manual", "the EHR merged the patient into another"), "follow the merge"),
        (entry("manual", "a security label of the EHR's Patient stops it"), "Ask who set the label"),
        (entry("manual", "HTTP 412: gone from the chart"), "Find out who removed it"),
        (entry("manual", "HTTP 412: changed in the chart since it was written"), "--again writes over it"),
        (entry("manual", "the server does not search Observation by identifier"), "Look whether it is in the chart"),
        (entry("manual", "HTTP 409: conflict"), "mend the cause"),
        (entry("refused", "HTTP 422: invalid"), "Mend what the server refused"),
        (entry("refused", REFERS_TO_REFUSED, kind="panel"), "do likewise, or leave it out"),
        (entry("duplicate", "2 in the chart"), "take the surplus ones out"),
        (entry("altered", "status"), "reconcile --repair"),
        (entry("missing"), "It was taken and is gone"),
    ],
    ids=lambda one: one.reason or one.state if isinstance(one, Entry) else "",
)
def test_what_to_do_follows_from_state_and_reason(ledger: Ledger, held: Entry, what_to_do: str) -> None:
    [item] = listed(ledger, held).items

    assert what_to_do in item.advice
    assert (item.response_id, item.patient_id, item.ehr_id, item.reason) == ("r1", "p1", "7", held.reason)


def test_what_goes_along_with_something_refused_is_no_work_of_its_own(ledger: Ledger) -> None:
    score = entry("refused", "HTTP 422: invalid", key="a")
    panel, provenance = (
        entry("refused", REFERS_TO_REFUSED, key="b", kind="panel"),
        entry("refused", REFERS_TO_REFUSED, key="c", kind="provenance", observations=0),
    )

    assert [one.key for one in listed(ledger, score, panel, provenance).items] == ["a"]


def test_what_a_document_stands_for_is_no_work(ledger: Ledger) -> None:
    assert listed(ledger, entry("refused", "HTTP 422: invalid", observations=0)).items == ()


def test_what_a_person_said_to_have_done_is_counted_and_not_listed(ledger: Ledger) -> None:
    found = listed(ledger, entry("manual", f"{BY_HAND}: said in decision 3"))

    assert (found.items, found.said_done) == ((), 1)
