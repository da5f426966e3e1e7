"""The staff pages show states and ids as text, and record every decision with who made it."""

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import g

from server.delivery.safeguards import NOT_RELEASED
from server.ledger import Settlement
from server.ledger.decisions import Breaker
from server.service.access.caller import Caller
from server.service.inbound.deposits import Answer, Deposit, Unit
from server.service.staff.desk import PAGE

Body = Callable[..., bytes]
HTML = {"Accept": "text/html"}
ODD = "<b onload=x>&\"'"


def get(service: Any, address: str, status: int = 200) -> str:
    answer = service.client.get(address, headers=HTML)
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.content_type == "text/html; charset=utf-8"
    return str(answer.get_data(as_text=True))


def post(service: Any, address: str, page: str, **fields: Any) -> Any:
    token = re.search(r'name="csrf_token" value="([0-9a-f]+)"', page)
    assert token is not None
    headers = HTML | {"Origin": "http://localhost"}
    return service.client.post(address, data={"csrf_token": token[1], **fields}, headers=headers)


@pytest.fixture
def planned(service: Any, body: Body) -> Any:
    """A service with two responses planned, and nothing sent."""
    service.post(body())
    service.post(body(id="r2", subject={"reference": "Patient/p2"}))
    service.reader.plan_waiting()
    return service


@pytest.fixture
def refused(planned: Any) -> Any:
    """The same, and one outcome refused by the EHR, for a reason that holds markup."""
    [entry] = [one for one in planned.ledger.due("north", after=None, limit=100) if is_first_score(one)]
    planned.ledger.lease("north", "w", after=None, responses=10, seconds=60)
    planned.ledger.claim("north", [entry.key], request_id="q1", interaction="create", worker="w", seconds=60)
    settlement = Settlement(key=entry.key, state="refused", reason=f"HTTP 422 {ODD}", http_status=422)
    planned.ledger.settle("north", [settlement], request_id="q1")
    planned.ledger.unlease("north", "w")
    return planned


def is_first_score(entry: Any) -> bool:
    return bool(entry.response_id == "r1" and entry.kind == "physical")


def key_of(service: Any) -> str:
    [entry] = service.ledger.in_state("north", ["refused"])
    return str(entry.key)


def test_the_overview_tells_that_the_ehr_could_not_be_reached(planned: Any) -> None:
    planned.ledger.decisions.note_contact("north", has_failed=True)

    page = get(planned, "/")

    assert re.search(r"server could not be reached at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", page)
    assert '<span class="figure">not reached</span>' in page


def test_the_overview_tells_how_the_site_stands(refused: Any) -> None:
    refused.ledger.decisions.set_breaker("north", Breaker(failures=1, open_until="2012-06-01T12:10:00.000Z"))

    page = get(refused, "/")

    assert "6 of them" in page
    assert 'aria-label="5 pending, 1 refused"' in page
    assert "left alone until 2012-06-01 12:10:00 UTC" in page
    assert "2 responses: 2 scored" in page


def test_an_empty_site_has_an_overview(service: Any) -> None:
    assert "Nothing is planned for this site yet." in get(service, "/")


def test_what_is_to_be_reviewed_is_shown_as_text_with_what_to_do(refused: Any) -> None:
    page = get(refused, "/staff/review")

    assert "HTTP 422 &lt;b onload=x&gt;&amp;&#34;&#39;" in page
    assert ODD not in page
    assert "Mend what the server refused, then “Make due again”" in page
    assert "<script" not in page
    assert "style=" not in page


def test_the_list_can_be_narrowed_down(refused: Any) -> None:
    assert "physical" in get(refused, "/staff/review?state=refused&text=R1")
    assert "Nothing here fits." in get(refused, "/staff/review?state=manual")
    assert "Nothing here fits." in get(refused, "/staff/review?text=elsewhere")


def test_a_decision_is_recorded_with_who_and_why_and_done_once(refused: Any) -> None:
    page, key = get(refused, "/staff/review"), key_of(refused)

    answer = post(refused, "/staff/review", page, key=key, who="Dr. Moreau", why=f"mended {ODD}", action="again")

    assert answer.status_code == 303
    assert "1 made due again" in get(refused, answer.headers["Location"])
    [decision] = refused.ledger.decisions.all("north")
    assert (decision.who, decision.action, decision.what) == ("Dr. Moreau", "again", key)
    assert refused.ledger.entries("north", [key])[0].state == "planned"
    history = get(refused, "/staff/responses/r1")
    assert "mended &lt;b onload=x&gt;" in history
    assert "q1" in history


def test_done_by_hand_is_recorded_and_not_called_verified(refused: Any) -> None:
    page, key = get(refused, "/staff/review"), key_of(refused)

    post(refused, "/staff/review", page, key=key, who="Dr. Moreau", why="entered", action="done")

    [entry] = refused.ledger.entries("north", [key])
    assert entry.state == "manual"
    assert "said in decision 1" in entry.reason


@pytest.mark.parametrize("missing", ["who", "why", "key", "action"])
def test_a_decision_without_who_why_or_what_changes_nothing(refused: Any, missing: str) -> None:
    page, key = get(refused, "/staff/review"), key_of(refused)
    fields = {"key": key, "who": "Dr. Moreau", "why": "mended", "action": "again"}
    fields.pop(missing)

    answer = post(refused, "/staff/review", page, **fields)

    assert answer.status_code == 400
    assert refused.ledger.decisions.all("north") == []


def test_what_another_person_settled_meanwhile_is_said(refused: Any) -> None:
    page, key = get(refused, "/staff/review"), key_of(refused)
    refused.ledger.decisions.again("north", [key], who="another", why="first")

    answer = post(refused, "/staff/review", page, key=key, who="Dr. Moreau", why="mended", action="again")

    assert answer.status_code == 409
    assert len(refused.ledger.decisions.all("north")) == 1


def test_no_form_is_taken_from_another_site_or_without_its_token(refused: Any) -> None:
    key, fields = key_of(refused), {"who": "Dr. Moreau", "why": "mended", "action": "again"}

    elsewhere = refused.client.post(
        "/staff/review", data={"key": key, **fields}, headers=HTML | {"Origin": "https://evil.example"}
    )
    without = refused.client.post(
        "/staff/review", data={"key": key, **fields}, headers=HTML | {"Origin": "http://localhost"}
    )

    assert (elsewhere.status_code, without.status_code) == (403, 403)
    assert refused.ledger.decisions.all("north") == []


def test_responses_are_released_by_a_person(planned: Any) -> None:
    page = get(planned, "/staff/releases")

    post(planned, "/staff/releases", page, response=shown(page)["r1"], **RELEASES, action="chosen")

    assert planned.ledger.decisions.released("north", ["r1", "r2"]) == {"r1"}
    after = get(planned, "/staff/releases")
    assert "r2" in after
    assert ">r1<" not in after


RELEASES = {"who": "Dr. Moreau", "why": "looked at"}


def shown(page: str) -> dict[str, str]:
    """Return what the page holds of each response that it shows, by id."""
    found = re.findall(r'type="hidden" name="shown" value="([^"]+)"', page)
    assert found == re.findall(r'type="checkbox" name="response" value="([^"]+)"', page)
    return {one.partition(" ")[0]: one for one in found}


def test_all_of_a_page_releases_what_the_page_showed_and_nothing_that_came_since(planned: Any, body: Body) -> None:
    page = get(planned, "/staff/releases")
    planned.post(body(id="a1", subject={"reference": "Patient/p2"}))
    planned.reader.plan_waiting()

    answer = post(planned, "/staff/releases", page, shown=list(shown(page).values()), **RELEASES, action="shown")

    assert answer.status_code == 303
    assert "2 released" in get(planned, answer.headers["Location"])
    assert planned.ledger.decisions.released("north", ["a1", "r1", "r2"]) == {"r1", "r2"}


@pytest.mark.parametrize("action", ["chosen", "shown"])
def test_what_changed_since_it_was_shown_is_not_released_nor_what_was_shown_with_it(
    planned: Any, body: Body, action: str
) -> None:
    page = get(planned, "/staff/releases")
    seen = list(shown(page).values())
    planned.put("r1", body(answer=5, subject={"reference": "Patient/p2"}))
    planned.reader.plan_waiting()

    answer = post(planned, "/staff/releases", page, shown=seen, response=seen, **RELEASES, action=action)

    assert answer.status_code == 409
    assert "changed meanwhile" in answer.text
    assert planned.ledger.decisions.released("north", ["r1", "r2"]) == set()
    assert planned.ledger.decisions.all("north") == []


def test_a_release_must_say_what_was_shown(planned: Any) -> None:
    page = get(planned, "/staff/releases")

    answer = post(planned, "/staff/releases", page, response="r1", **RELEASES, action="chosen")

    assert answer.status_code == 400
    assert planned.ledger.decisions.released("north", ["r1"]) == set()


def test_a_search_leads_to_a_response_or_a_patient(planned: Any) -> None:
    def place(wanted: str) -> str:
        return str(planned.client.get("/staff/find", query_string={"id": wanted}, headers=HTML).headers.get("Location"))

    assert place("r1") == "/staff/responses/r1"
    assert place(" Patient/p2 ") == "/staff/patients/p2"
    assert place("nobody") == "None"
    assert "&lt;b onload" in get(planned, f"/staff/find?id={ODD.replace('&', '%26')}")


def test_a_patients_trail_names_every_response_and_state(refused: Any) -> None:
    page = get(refused, "/staff/patients/p1")

    assert 'href="/chart/p1"' in page
    assert "/staff/responses/r1" in page
    assert "HTTP 422 &lt;b" in page
    assert "to be sent" in page
    assert "Nothing is known" in get(refused, "/staff/patients/nobody", 404)
    assert "Nothing is known" in get(refused, "/staff/responses/nobody", 404)


def test_the_trail_of_a_patient_is_audited_as_read(refused: Any, tmp_path: Any) -> None:
    get(refused, "/staff/patients/p1")
    get(refused, "/staff/responses/r2")

    events = [json.loads(line) for line in (tmp_path / "state" / "audit.ndjson").read_text().splitlines()]

    read = [[part["what"].get("reference") for part in one["entity"]][:2] for one in events if one["action"] == "R"]
    assert read == [["Patient/p1", "Patient/p1"], ["Patient/p2", "QuestionnaireResponse/r2"]]


def test_no_page_shows_an_answer_or_a_score(refused: Any) -> None:
    for address in ("/", "/staff/review", "/staff/releases", "/staff/patients/p1", "/staff/responses/r1"):
        page = get(refused, address)

        assert "valueInteger" not in page
        assert "valueQuantity" not in page


def set_aside(
    service: Any, resource_id: str, resource_type: str = "QuestionnaireResponse", caller: str = "engine"
) -> None:
    deposit = Deposit(
        resource_type=resource_type, resource_id=resource_id, content_hash=resource_id, body=b"{}", problem=f"odd {ODD}"
    )
    unit = Unit(
        caller=caller,
        request_id="q7",
        content_hash=resource_id,
        answer=lambda _: Answer(status=201),
        deposits=[deposit],
    )
    service.inbox.write([unit])


def test_what_was_set_aside_is_shown_and_can_be_taken_again(service: Any) -> None:
    set_aside(service, "r9")
    set_aside(service, "", resource_type="")
    page = get(service, "/staff/quarantine")

    answer = post(service, "/staff/quarantine", page, sequence="1", who="Dr. Moreau", why="the patient is known now")

    assert "odd &lt;b onload" in page
    assert page.count('type="checkbox"') == 1  # what is no resource cannot be taken again
    assert "1 taken again" in get(service, answer.headers["Location"])
    assert service.inbox.counts() == {"quarantined": 1, "received": 1}
    [decision] = service.ledger.decisions.all("north")
    assert (decision.who, decision.why, decision.what) == (
        "Dr. Moreau", "the patient is known now", "quarantine, taken again: 1",
    )  # fmt: skip


def test_an_empty_quarantine_says_so(service: Any) -> None:
    assert "Nothing is set aside." in get(service, "/staff/quarantine")


def test_who_is_logged_in_decides_and_no_field_says_otherwise(refused: Any) -> None:
    app, key = refused.client.application, key_of(refused)
    person = Caller(name="sub-7", kind="staff", shown_name="Dr. Moreau")
    app.before_request_funcs[None].append(lambda: setattr(g, "caller", person))
    page = get(refused, "/staff/review")

    post(refused, "/staff/review", page, key=key, who="somebody else", why="mended", action="again")

    assert "You are Dr. Moreau (sub-7)." in page
    assert 'name="who"' not in page
    assert [one.who for one in refused.ledger.decisions.all("north")] == ["Dr. Moreau (sub-7)"]


def test_what_was_set_aside_is_narrowed_down_by_sender_and_a_page_taken_again_at_once(service: Any) -> None:
    for number in range(3):
        set_aside(service, f"r{number}", caller="ward-7")
    set_aside(service, "x1", caller="ward-8")
    set_aside(service, "", resource_type="", caller="ward-7")
    page = get(service, "/staff/quarantine?from=ward-7")

    answer = post(
        service, "/staff/quarantine", page, shown=re.findall(r'name="shown" value="(\d+)"', page), **RELEASES,
        action="shown",
    )  # fmt: skip

    assert ("r2" in page, "x1" in page) == (True, False)
    assert re.findall(r'<option value="([^"]*)"', page) == ["", "ward-7", "ward-8"]
    assert "3 taken again" in get(service, answer.headers["Location"])
    assert service.inbox.counts() == {"quarantined": 2, "received": 3}
    assert "Nothing of this sender is set aside." in get(service, "/staff/quarantine?from=nobody")


def test_what_one_of_many_senders_sent_is_shown_page_by_page(service: Any) -> None:
    for number in range(PAGE + 1):
        set_aside(service, f"a{number:02}", caller="ward-7")
        set_aside(service, f"b{number:02}", caller="ward-8")
    first = get(service, "/staff/quarantine?from=ward-8")
    link = re.search(r'href="([^"]+)" rel="next"', first)
    assert link is not None

    second = get(service, html.unescape(link[1]))

    assert re.findall(r">([ab]\d\d)<", first) == [f"b{number:02}" for number in range(PAGE)]
    assert re.findall(r">([ab]\d\d)<", second) == [f"b{PAGE}"]


def numbered(body: Body, version: int, answer: int = 3) -> bytes:
    return body(answer=answer, meta={"versionId": str(version)})


def test_a_version_that_came_late_is_shown_with_the_one_that_counts_until_another_counts(
    service: Any, body: Body
) -> None:
    service.put("r1", numbered(body, 5))
    service.put("r1", numbered(body, 7, answer=4))
    service.reader.plan_waiting()
    assert "Came late" not in get(service, "/")
    assert "No version came late." in get(service, "/staff/late")

    service.put("r1", numbered(body, 6, answer=1))
    service.reader.plan_waiting()
    page = get(service, "/staff/late")

    assert re.search(r'Came late</a><span class="figure">1</span>', get(service, "/"))
    assert re.findall(r'data-label="([^"]+)">version (\d)', page) == [("Came last", "3"), ("Counts", "2")]
    assert 'href="/staff/responses/r1"' in page

    service.put("r1", numbered(body, 8, answer=2))
    service.reader.plan_waiting()
    assert "No version came late." in get(service, "/staff/late")


def test_what_is_set_aside_hides_no_version_that_came_late(service: Any, body: Body) -> None:
    service.put("r1", numbered(body, 5))
    service.put("r1", numbered(body, 4, answer=1))
    service.reader.plan_waiting()

    set_aside(service, "r1")

    assert re.findall(r'data-label="([^"]+)">version (\d)', get(service, "/staff/late")) == [
        ("Came last", "2"), ("Counts", "1"),
    ]  # fmt: skip


def test_releases_are_on_the_overview_only_while_something_waits_for_one(planned: Any) -> None:
    card = re.compile(r'releases">Releases</a><span class="figure">(\d+)')
    before = get(planned, "/")
    keys = [one.key for one in planned.ledger.of_responses("north", ["r1"])]

    planned.ledger.block("north", keys, NOT_RELEASED)
    waiting = get(planned, "/")
    planned.ledger.block("north", keys, "another reason")

    assert card.findall(before) == []
    assert card.findall(waiting) == ["1"]
    assert card.findall(get(planned, "/")) == []
