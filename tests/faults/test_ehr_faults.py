"""Every fault of the simulator does what its name says, when it should, and is remembered."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from ehr_faults import CATALOGUE, Fault
from ehr_messages import DIAGNOSTICS
from ehr_samples import Client, bundle, observation
from ehr_simulator import Simulator

COMMAND = Path(__file__).with_name("ehr_simulator.py")


def _held(client: Client) -> int:
    return len(client.simulator.chart.current("Observation"))


@pytest.mark.parametrize("name", [name for name, fault in CATALOGUE.items() if fault.kind == "status"])
def test_a_bad_status_comes_once_before_or_after_the_effect(client: Client, name: str) -> None:
    fault = CATALOGUE[name]
    client.simulator.arm(name, on="create")

    bad, good = client.create(observation()), client.create(observation())

    assert (bad.status_code, good.status_code) == (fault.status, 201)
    assert _held(client) == 1 + fault.effect
    assert client.simulator.requests[0].faults == (name,)
    assert bool(client.simulator.requests[0].wrote) is fault.effect
    assert (bad.content == b"") is (fault.code == "")


@pytest.mark.parametrize("name", ["429", "503-retry-after", "503-retry-after-date", "429-date"])
def test_retry_after_is_seconds_or_a_date(client: Client, name: str) -> None:
    client.simulator.arm(name, retry_after=60)

    text = client.create(observation()).headers["Retry-After"]

    if name.endswith("-date"):
        assert 55 <= parsedate_to_datetime(text).timestamp() - time.time() <= 62
    else:
        assert text == "60"


@pytest.mark.parametrize(("name", "count"), [("reset-before", 0), ("reset-after", 1)])
def test_a_reset_comes_before_or_after_the_effect(client: Client, name: str, count: int) -> None:
    client.simulator.arm(name)

    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        client.create(observation())

    assert _held(client) == count
    assert client.simulator.requests[0].status == 0
    assert client.create(observation()).status_code == 201


def test_a_202_takes_effect_now_later_or_never(client: Client) -> None:
    seen = []
    for name in ("accepted-now", "accepted-never", "accepted-later"):
        client.simulator.arm(name, on="create", **({"after": 2} if name == "accepted-later" else {}))
        answer = client.create(observation())
        assert (answer.status_code, answer.content, "Location" in answer.headers) == (202, b"", False)
        seen.append(_held(client))
    for _ in range(3):
        client.send("GET", "Patient/p1")
        seen.append(_held(client))

    assert seen == [1, 1, 1, 1, 1, 2]


def test_what_a_202_deferred_can_be_done_at_once(client: Client) -> None:
    client.simulator.arm("accepted-later", after=1000)
    client.create(observation())

    assert (_held(client), client.simulator.settle(), _held(client)) == (0, 1, 1)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("no-location", ""),
        ("location-relative", "Observation/{id}"),
        ("location-relative-history", "Observation/{id}/_history/1"),
        ("location-absolute", "{base}/Observation/{id}"),
        ("location-absolute-history", "{base}/Observation/{id}/_history/1"),
    ],
)
def test_a_location_takes_every_form(client: Client, name: str, place: str) -> None:
    client.simulator.arm(name)

    answer = client.create(observation())

    (held,) = client.simulator.chart.current("Observation")
    assert answer.status_code == 201
    assert answer.headers.get("Location", "") == place.format(id=held["id"], base=client.simulator.base_url)


def test_an_answer_may_lack_its_body_or_its_etag(client: Client) -> None:
    client.simulator.arm("empty-body")
    client.simulator.arm("no-etag", nth=2)

    empty, without = client.create(observation()), client.create(observation())

    assert (empty.status_code, empty.content, "ETag" in empty.headers) == (201, b"", True)
    assert (without.status_code, bool(without.content), "ETag" in without.headers) == (201, True, False)


def test_a_body_may_be_cut_or_no_json(client: Client) -> None:
    client.simulator.arm("not-json")
    client.simulator.arm("truncated", nth=2)

    strange = client.create(observation())
    with pytest.raises(requests.RequestException, match="IncompleteRead"):
        client.create(observation())

    assert strange.status_code == 201
    with pytest.raises(requests.JSONDecodeError):
        strange.json()
    assert _held(client) == 2


def test_a_delay_holds_the_answer_back(client: Client) -> None:
    client.simulator.arm("delay", seconds=0.1)
    started = time.monotonic()

    assert client.create(observation()).status_code == 201
    assert time.monotonic() - started >= 0.1


def test_a_new_resource_is_found_only_after_some_searches(client: Client) -> None:
    client.simulator.arm("index-lag", searches=2)
    created = client.create(observation()).json()["id"]

    found = [client.found("Observation?patient=p1") for _ in range(3)]

    assert found == [[], [], [created]]
    assert client.send("GET", f"Observation/{created}").status_code == 200


def test_a_new_resource_is_found_only_after_some_time(client: Client) -> None:
    client.simulator.arm("index-lag", searches=0, seconds=1000)
    client.create(observation())

    before = client.found("Observation?patient=p1")
    client.simulator.settle()

    assert (before, len(client.found("Observation?patient=p1"))) == ([], 1)


@pytest.mark.parametrize(("name", "count"), [("page-repeats", 7), ("page-skips", 5)])
def test_pages_drift(client: Client, name: str, count: int) -> None:
    for _ in range(6):
        client.create(observation())
    client.simulator.arm(name)

    found = client.found("Observation?patient=p1&_count=3")

    assert len(found) == count
    assert len(set(found)) == min(count, 6)


def test_somebody_edits_between_two_of_our_requests(client: Client) -> None:
    held = client.create(observation()).json()
    client.simulator.arm("foreign-edit", on="update")

    answer = client.send("PUT", f"Observation/{held['id']}", held, If_Match='W/"1"')

    versions = client.simulator.chart.history(f"Observation/{held['id']}")
    assert answer.status_code == 412
    assert [(one.by, one.resource["valueQuantity"]["value"]) for one in versions if one.resource] == [
        ("client", 61.3),
        ("foreign", 62.3),
    ]


def test_an_edit_between_a_create_and_a_search_is_of_the_value_written_last(client: Client) -> None:
    for value in (10, 20):
        client.create(observation(valueQuantity={"value": value}))
    client.create(observation(valueQuantity={"value": 30}, status="fine"))
    client.simulator.arm("foreign-edit", on="search")

    client.found("Observation?patient=p1")

    assert [one["valueQuantity"]["value"] for one in client.simulator.chart.current("Observation")] == [10, 21]


def test_stopping_closes_the_connections_that_clients_keep() -> None:
    with Simulator() as simulator, requests.Session() as session:
        first = session.get(f"{simulator.base_url}/metadata", timeout=5)
        simulator.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(f"{simulator.base_url}/metadata", timeout=5)
        simulator.start()
        again = session.get(f"{simulator.base_url}/metadata", timeout=5)

    assert (first.status_code, again.status_code) == (200, 200)


def test_somebody_files_a_copy(client: Client) -> None:
    client.simulator.arm("foreign-duplicate")

    client.create(observation())

    assert len(client.simulator.chart.ids_of("urn:example:outcome|one")) == 2
    assert [one.by for one in client.simulator.chart.log() if one.resource_type == "Observation"] == [
        "client",
        "foreign",
    ]


def test_somebody_deletes_what_we_read(client: Client) -> None:
    place = client.create(observation()).headers["Location"].partition("/_history")[0]
    client.simulator.arm("foreign-delete")

    assert client.send("GET", place).status_code == 410


def test_a_merged_patient_takes_along_what_is_held_and_takes_nothing_new(client: Client) -> None:
    client.simulator.configure(subject_must_exist=True)
    client.create(observation())
    client.simulator.arm("patient-merged")

    refused = client.create(observation())

    links = client.send("GET", "Patient/p1").json()["link"]
    (held,) = client.simulator.chart.current("Observation")
    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (404, ["Observation.subject"])
    assert links == [{"other": held["subject"], "type": "replaced-by"}]
    assert held["subject"]["reference"] != "Patient/p1"


@pytest.mark.parametrize(
    ("changes", "statuses"),
    [
        ({}, [500, 201, 201, 201]),
        ({"times": 2}, [500, 500, 201, 201]),
        ({"times": None}, [500] * 4),
        ({"nth": 3}, [201, 201, 500, 201]),
        ({"probability": 0.0}, [201] * 4),
        ({"method": "GET"}, [201] * 4),
        ({"resource_type": "Patient"}, [201] * 4),
        ({"where": lambda request: request.number == 2}, [201, 500, 201, 201]),
    ],
)
def test_a_fault_befalls_the_requests_it_was_armed_for(
    client: Client, changes: dict[str, Any], statuses: list[int]
) -> None:
    armed = client.simulator.arm("500", **changes)

    assert [client.create(observation()).status_code for _ in range(4)] == statuses
    assert armed.fired == statuses.count(500)


def test_the_same_seed_draws_the_same_faults_and_ids() -> None:
    def run(seed: int) -> tuple[list[int], list[str]]:
        with Simulator(seed=seed) as simulator:
            simulator.arm("500", times=None, probability=0.5)
            client = Client(simulator)
            statuses = [client.create(observation()).status_code for _ in range(20)]
            client.session.close()
            return statuses, [one["id"] for one in simulator.chart.current("Observation")]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_faults_of_a_bundle_befall_the_whole_of_it(client: Client) -> None:
    client.simulator.arm("503-after-effect", on="bundle")

    answer = client.send("POST", "", bundle("transaction", ("POST", "Observation", observation())))

    assert (answer.status_code, _held(client)) == (503, 1)


def test_two_answers_never_befall_one_request(client: Client) -> None:
    client.simulator.arm("500")
    client.simulator.arm("429")

    assert [client.create(observation()).status_code for _ in range(3)] == [500, 429, 201]


def test_faults_are_reset_and_the_simulator_is_emptied(client: Client) -> None:
    client.create(observation())
    client.simulator.arm("500", times=None)
    client.simulator.reset_faults()
    after_reset = client.create(observation()).status_code
    client.simulator.clear()

    assert after_reset == 201
    assert (client.simulator.chart.current(), client.simulator.requests) == ([], [])


def test_requests_are_remembered_without_bodies_and_tokens(client: Client) -> None:
    client.create(observation(), X_Request_Id="r-1", Authorization="Bearer secret")
    (entry,) = client.simulator.requests
    (held,) = client.simulator.chart.current("Observation")

    assert (entry.method, entry.path, entry.request_id, entry.status) == ("POST", "Observation", "r-1", 201)
    assert entry.wrote == (f"Observation/{held['id']}/_history/1",)
    assert "secret" not in str(entry)
    assert "61.3" not in str(entry)


def test_every_refusal_holds_what_must_not_be_logged(client: Client) -> None:
    assert client.create(observation(status="fine")).json()["issue"][0]["diagnostics"] == DIAGNOSTICS


@pytest.mark.parametrize(
    "wrong",
    [
        lambda ehr: ehr.arm("unheard-of"),
        lambda ehr: ehr.configure("unheard-of"),
        lambda ehr: ehr.configure(unheard_of=True),
        lambda _: Simulator("epic-like", unheard_of=True),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(ehr: Simulator, wrong: Callable[[Simulator], Any]) -> None:
    with pytest.raises(ValueError, match=r"; (there are|it has) \w+"):
        wrong(ehr)


def test_a_fault_of_ones_own_can_be_armed(client: Client) -> None:
    client.simulator.arm(Fault(name="teapot", kind="status", status=418, code="processing"))

    assert client.create(observation()).status_code == 418


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """See that it ends where the test fails, for which it would wait else."""
    try:
        yield
    finally:
        process.terminate()


def test_the_command_prints_its_address_and_is_controlled_over_http() -> None:
    orders = {
        "add": [{"resourceType": "Patient", "id": "p1"}],
        "faults": ["429", {"fault": "500", "times": 2}],
        "switches": {"flowsheets": ["row"], "encounter_required": False},
    }
    command = [sys.executable, str(COMMAND), "--rules", "epic-like", "--switch", "update_status=403"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        _ended(process),
        requests.Session() as session,
    ):
        assert process.stdout is not None
        base_url = process.stdout.readline().strip()
        control = base_url.removesuffix("/fhir") + "/_control"
        state = session.post(control, json=orders, timeout=5).json()
        statuses = [session.get(f"{base_url}/Patient/p1", timeout=5).status_code for _ in range(4)]
        wrong = session.post(control, json={"unheard": "of"}, timeout=5)
        held = session.get(f"{control}/store", timeout=5).json()
        log = session.get(f"{control}/requests", timeout=5).json()
        process.terminate()
        process.wait(timeout=10)

    assert (state["rules"], state["switches"]["flowsheets"], state["switches"]["update_status"]) == (
        "epic-like",
        ["row"],
        403,
    )
    assert statuses == [429, 500, 500, 200]
    assert (wrong.status_code, "faults" in wrong.json()["error"]) == (400, True)
    assert list(held["current"]) == ["Patient"]
    assert [one["status"] for one in log] == statuses
    assert "61.3" not in json.dumps(log)
    assert process.returncode == 0
