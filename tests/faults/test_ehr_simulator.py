"""The simulated general servers do what FHIR's HTTP and search pages say."""

import threading
from typing import Any

import pytest
import requests
from ehr_samples import (
    KEY,
    Client,
    bundle,
    category,
    observation,
)

BUNDLE_ANSWERS = {404, 405, 501}


# --- general servers (https://hl7.org/fhir/R4/http.html)


def test_a_create_is_answered_with_id_version_and_place_and_can_be_read(client: Client) -> None:
    created = client.create(observation(id="mine"))
    read = client.send("GET", created.headers["Location"])

    assert (created.status_code, created.headers["ETag"]) == (201, 'W/"1"')
    assert created.json()["id"] != "mine"
    assert created.headers["Location"].endswith(f"/Observation/{created.json()['id']}/_history/1")
    assert read.json() == created.json()


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "fine"},
        {"code": None},
        {"effectiveDateTime": "4 May"},
        {"valueString": "a second value"},
        {"dataAbsentReason": {"text": "with a value"}},
        {"unheard": "of"},
    ],
)
def test_an_invalid_observation_is_refused_and_not_kept(client: Client, broken: dict[str, Any]) -> None:
    body = {name: value for name, value in observation(**broken).items() if value is not None}

    refused = client.create(body)

    assert (refused.status_code, refused.json()["resourceType"]) == (422, "OperationOutcome")
    assert client.simulator.chart.current("Observation") == []


@pytest.mark.parametrize(("if_match", "status"), [('W/"1"', 200), ('W/"7"', 412), ("", 200)])
def test_an_update_with_a_stale_if_match_is_refused(client: Client, if_match: str, status: int) -> None:
    held = client.create(observation()).json()

    answer = client.send(
        "PUT", f"Observation/{held['id']}", {**held, "status": "amended"}, **{"If-Match": if_match} if if_match else {}
    )

    assert answer.status_code == status
    assert client.simulator.chart.current("Observation")[0]["status"] == ("amended" if status == 200 else "final")


def test_every_version_stays_readable(client: Client) -> None:
    held = client.create(observation()).json()
    client.send("PUT", f"Observation/{held['id']}", {**held, "status": "amended"})
    client.send("DELETE", f"Observation/{held['id']}")

    history = client.send("GET", f"Observation/{held['id']}/_history").json()["entry"]

    assert [one["request"]["method"] for one in history] == ["DELETE", "PUT", "POST"]
    assert client.send("GET", f"Observation/{held['id']}").status_code == 410
    assert client.send("GET", f"Observation/{held['id']}/_history/1").json()["status"] == "final"
    assert client.send("GET", "Observation/unheard-of").status_code == 404


def test_a_conditional_create_stores_once_and_several_matches_are_refused(client: Client) -> None:
    query = f"identifier={KEY['system']}|{KEY['value']}"

    first = client.create(observation(), If_None_Exist=query)
    second = client.create(observation(), If_None_Exist=query)
    client.create(observation())
    third = client.create(observation(), If_None_Exist=query)

    assert (first.status_code, second.status_code, third.status_code) == (201, 200, 412)
    assert second.headers["Location"] == first.headers["Location"]
    assert client.create(observation(), If_None_Exist=f"Observation?{query}").status_code == 400


def test_conditional_creates_at_the_same_time_store_once(client: Client) -> None:
    query = f"identifier={KEY['system']}|{KEY['value']}"
    url, statuses = f"{client.simulator.base_url}/Observation", []

    def create() -> None:
        answer = requests.post(url, json=observation(), headers={"If-None-Exist": query}, timeout=5)
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200] * 7 + [201]
    assert len(client.simulator.chart.current("Observation")) == 1


def test_a_conditional_update_creates_updates_or_refuses(client: Client) -> None:
    place = f"Observation?identifier={KEY['system']}|{KEY['value']}"

    statuses = [client.send("PUT", place, observation()).status_code for _ in range(2)]
    client.create(observation())

    assert [*statuses, client.send("PUT", place, observation()).status_code] == [201, 200, 412]


def test_a_transaction_resolves_its_references(client: Client) -> None:
    body = bundle("transaction", ("POST", "Observation", observation()), ("POST", "Provenance", None))
    body["entry"][0]["fullUrl"] = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    body["entry"][1]["resource"] = {
        "resourceType": "Provenance",
        "target": [{"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"}],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"who": {"display": "software"}}],
    }

    answer = client.send("POST", "", body).json()
    (held,) = client.simulator.chart.current("Observation")

    assert [one["response"]["status"] for one in answer["entry"]] == ["201", "201"]
    assert answer["entry"][0]["response"]["location"].endswith(f"Observation/{held['id']}/_history/1")
    assert client.found(f"Provenance?target=Observation/{held['id']}") != []


def test_a_transaction_is_all_or_nothing_and_a_batch_is_not(client: Client) -> None:
    entries = (("POST", "Observation", observation()), ("POST", "Observation", observation(status="fine")))

    transaction = client.send("POST", "", bundle("transaction", *entries))
    after_it = client.simulator.chart.current("Observation")
    batch = client.send("POST", "", bundle("batch", *entries))

    assert (transaction.status_code, after_it) == (422, [])
    assert [one["response"]["status"] for one in batch.json()["entry"]] == ["201", "422"]
    assert len(client.simulator.chart.current("Observation")) == 1
    assert client.simulator.requests[0].wrote == ()


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("identifier=urn:example:outcome|one", True),
        ("identifier=one", True),
        ("identifier=urn:example:outcome|two,urn:example:outcome|one", True),
        ("identifier=urn:example:other|one", False),
        ("_tag=urn:example:tag|t", True),
        ("_tag=urn:example:tag|u", False),
        ("patient=p1&code=physical&category=survey", True),
        ("patient=Patient/p1&category=vital-signs", False),
        ("subject=Patient/p2", False),
        ("date=2012-05-04", True),
        ("date=ge2012-05-04T07:15:00Z&date=le2012-05-04T07:15:00Z", True),
        ("date=gt2012-05-04", False),
        ("date=lt2012-05-04T07:15:00Z", False),
        ("_lastUpdated=ge2020-01-01", True),
        ("_lastUpdated=lt2020-01-01", False),
    ],
)
def test_searches_find_what_they_should(client: Client, query: str, is_found: bool) -> None:
    client.create(observation(category=category("survey"), meta={"tag": [{"system": "urn:example:tag", "code": "t"}]}))

    assert bool(client.found(f"Observation?{query}")) is is_found


def test_pages_hold_every_match_once(client: Client) -> None:
    created = [client.create(observation()).json()["id"] for _ in range(7)]

    assert client.found("Observation?patient=p1&_count=3") == created


@pytest.mark.parametrize(
    ("strict", "prefer", "status"),
    [(True, "", 400), (False, "handling=strict", 200), (None, "", 200), (None, "handling=strict", 400)],
)
def test_an_unknown_parameter_is_refused_or_ignored_and_left_out_of_the_self_link(
    client: Client, strict: bool | None, prefer: str, status: int
) -> None:
    client.simulator.configure(strict_search=strict)
    client.create(observation())

    answer = client.send("GET", "Observation?patient=p1&unheard=of", Prefer=prefer)

    assert answer.status_code == status
    if status == 200:
        assert answer.json()["link"][0]["url"].endswith("/Observation?patient=p1")
        assert answer.json()["total"] == 1


def test_the_capability_statement_says_what_the_rules_do(client: Client) -> None:
    def offered(simulator_rules: str) -> tuple[bool, bool, set[str]]:
        client.simulator.configure(simulator_rules)
        rest = client.send("GET", "metadata").json()["rest"][0]
        of = next(one for one in rest["resource"] if one["type"] == "Observation")
        names = {one["name"] for one in of["searchParam"]}
        return bool(rest["interaction"]), "update" in {one["code"] for one in of["interaction"]}, names

    assert offered("generic")[:2] == (True, True)
    assert offered("single")[:2] == (False, True)
    assert offered("epic-like")[:2] == (False, False)
    assert "_lastUpdated" not in offered("epic-like")[2]
    assert "identifier" not in offered("oracle-like")[2]


@pytest.mark.parametrize("status", sorted(BUNDLE_ANSWERS))
def test_a_single_server_takes_no_bundle_and_everything_else(client: Client, status: int) -> None:
    client.simulator.configure("single", bundle_status=status)

    assert client.send("POST", "", bundle("batch")).status_code == status
    assert client.create(observation()).status_code == 201
