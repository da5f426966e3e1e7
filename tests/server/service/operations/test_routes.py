"""Health, readiness and figures: true, of bounded size, and silent about patients."""

import json
import re
import shutil
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from integration.errors import ServerUnreachableError
from integration.settings import Site
from integration.sources.client import FhirClient, Retries
from server.jobs import chart
from server.ledger.decisions import Breaker
from server.ledger.states import DUE
from server.service.operations import figures
from server.service.operations.timings import Timings

Body = Callable[..., bytes]


def samples(service: Any) -> dict[str, float]:
    """Return the metrics by name and labels, as they are written."""
    answer = service.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(answer.get_data(as_text=True)):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_the_service_is_healthy_while_its_worker_works(service: Any) -> None:
    well = service.client.get("/healthz")
    service.health["is_working"] = False
    ill = service.client.get("/healthz")

    assert (well.status_code, well.json) == (200, {"status": "ok"})
    assert (ill.status_code, ill.json) == (503, {"status": "worker is not working"})


def test_the_service_is_ready_while_its_stores_can_be_written_and_the_ehr_is_no_reason_not_to_be(service: Any) -> None:
    service.ledger.decisions.set_breaker("north", Breaker(failures=2, open_until="2012-06-01T12:10:00.000Z"))

    answer = service.client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json == {
        "status": "ready",
        "checks": {"ledger": "ok", "inbox": "ok", "disk": "ok", "work": "ok"},
        "ehr": {
            "site": "north",
            "last_contact": None,
            "failed_contact": None,
            "breaker": "open",
            "breaker_open_until": "2012-06-01T12:10:00.000Z",
        },
    }


def test_an_ehr_that_no_delivery_could_reach_is_told_until_one_can(service: Any, body: Body) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        site = Site(name="north", base_url=f"http://127.0.0.1:{closed.getsockname()[1]}/fhir")
    service.post(body())
    service.reader.plan_waiting()

    def deliver() -> None:
        with FhirClient(site.base_url, retries=Retries(attempts=1)) as client:
            chart.send(service.ledger, service.warehouse, client, site, connect=lambda: client)

    with pytest.raises(ServerUnreachableError):
        deliver()
    ehr, metric = service.client.get("/readyz").json["ehr"], samples(service)
    service.ledger.decisions.note_contact("north", has_failed=False)

    name = "outcome_bridge_failed_contact_timestamp_seconds{site=north}"
    assert (ehr["breaker"], metric[name]) == ("closed", datetime.fromisoformat(ehr["failed_contact"]).timestamp())
    assert service.client.get("/readyz").json["ehr"]["failed_contact"] is None
    assert samples(service)[name] == 0


def test_a_store_that_cannot_be_written_is_named_without_its_place(service: Any, tmp_path: Path) -> None:
    service.client.get("/readyz")
    service.inbox.close()
    (tmp_path / "inbox.sqlite").unlink()
    (tmp_path / "inbox.sqlite").mkdir()

    answer = service.client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json["status"] == "not ready"
    assert answer.json["checks"]["inbox"].startswith("cannot be written (")
    assert str(tmp_path) not in answer.get_data(as_text=True)


def test_a_disk_without_room_is_not_ready(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 150 * 10**6

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)

    answer = service.client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json["checks"]["disk"] == "150 MB are left, less than 200 MB"


@pytest.mark.parametrize("waits", ["received", "taken later", "due"])
def test_what_waits_for_long_and_nobody_works_at_is_told(
    service: Any, body: Body, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    service.post(body(), **({"Prefer": "respond-async"} if waits == "taken later" else {}))
    if waits == "due":
        service.reader.plan_waiting()
    stores = service.services.operations.figures
    since = stores.overview.oldest("north", DUE) if waits == "due" else service.inbox.lease.waits_since()
    stored = datetime.fromisoformat(since)

    def asked_after(seconds: float) -> Any:
        monkeypatch.setattr(stores, "_now", lambda: stored + timedelta(seconds=seconds))
        return service.client.get("/readyz")

    assert asked_after(599).status_code == 200
    told, metric = asked_after(700), samples(service)
    service.inbox.lease.take("some process")
    worked = asked_after(700)

    assert (told.status_code, worked.status_code) == (503, 200)
    assert told.json["checks"]["work"] == "something has waited for 700 s, and no process works at it"
    assert "p1" not in told.get_data(as_text=True)
    oldest = "due" if waits == "due" else "waiting"
    assert metric[f"outcome_bridge_oldest_{oldest}_seconds{{site=north}}"] == 700
    assert metric["outcome_bridge_working{site=north}"] == 0
    assert samples(service)["outcome_bridge_working{site=north}"] == 1


def test_the_figures_follow_what_is_stored_planned_and_asked(service: Any, body: Body) -> None:
    service.post(body())
    service.post(body(id="r2", subject={"reference": "Patient/nobody"}))
    service.reader.plan_waiting()
    service.client.get("/nosuch/patient-7")

    found = samples(service)

    assert found["outcome_bridge_received_total{site=north}"] == 1
    assert found["outcome_bridge_inbox{site=north,state=planned}"] == 1
    assert found["outcome_bridge_outcomes{site=north,state=planned}"] == 5  # with the Device
    assert found["outcome_bridge_outcomes{site=north,state=verified}"] == 0
    create = "method=POST,route=/fhir/{resource_type}"
    created = [name for name in found if name.startswith("outcome_bridge_request_seconds_count") and "POST" in name]
    assert {re.sub(r".*status=(\d+).*", r"\1", name) for name in created} == {"201", "422"}, create
    assert found["outcome_bridge_request_seconds_count{method=GET,route=unmatched,status=404}"] == 1
    assert found["outcome_bridge_request_seconds_bucket{le=+Inf,method=GET,route=unmatched,status=404}"] == 1


def test_no_figure_tells_of_a_patient_and_their_number_does_not_grow_with_requests(service: Any, body: Body) -> None:
    service.post(body(id="secret-response", subject={"reference": "Patient/p1"}))
    service.reader.plan_waiting()
    service.client.get("/metrics")
    before = len(samples(service))

    for number in range(50):
        service.client.get(f"/chart/secret-patient-{number}")
        service.client.open("/x", method=f"ODD{number}")
    text = service.client.get("/metrics").get_data(as_text=True)

    assert "secret" not in text
    assert "p1" not in text
    assert len(samples(service)) - before <= 4 * 16  # a few series more: chart, unmatched, of two methods


def test_the_age_of_what_is_due_is_told(service: Any, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    service.post(body())
    service.reader.plan_waiting()
    stores: figures.Stores = service.services.operations.readiness._stores
    planned = datetime.fromisoformat(service.ledger.now())
    monkeypatch.setattr(stores, "_now", lambda: planned + timedelta(hours=1))

    found = samples(service)

    assert found["outcome_bridge_oldest_due_seconds{site=north}"] == 3600
    assert found["outcome_bridge_oldest_unproven_seconds{site=north}"] == 0


def test_the_durations_of_several_processes_are_added_up(tmp_path: Path) -> None:
    one, other = Timings(tmp_path), Timings(tmp_path)
    one.observe(("GET", "/a", "200"), 0.004)
    one.close()
    (tmp_path / next(tmp_path.glob("*.db")).name).rename(tmp_path / "histogram_1.db")  # of another process
    other.observe(("GET", "/a", "200"), 0.4)

    [metric] = other.collect()

    values = {(one.name, one.labels.get("le")): one.value for one in metric.samples}
    assert values["outcome_bridge_request_seconds_bucket", "0.005"] == 1
    assert values["outcome_bridge_request_seconds_bucket", "0.5"] == 2
    assert values["outcome_bridge_request_seconds_count", None] == 2
    assert values["outcome_bridge_request_seconds_sum", None] == pytest.approx(0.404)
    other.close()


def test_a_request_is_one_record_by_the_template_of_its_route(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "server.service.operations.requests")

    service.client.get("/fhir/QuestionnaireResponse/secret-1", headers={"X-Request-Id": "request-7"})
    service.client.get("/healthz")

    [first, second] = [one for one in caplog.records if one.name == "server.service.operations.requests"]
    assert first.levelname == "INFO"
    assert (first.action, first.request, first.method) == ("request", "request-7", "GET")
    assert "secret-1" not in json.dumps(vars(first), default=str)
    assert second.levelname == "DEBUG"


def test_what_was_sent_is_audited_under_its_request(service: Any, body: Body, tmp_path: Path) -> None:
    service.client.get("/healthz")
    service.post(body(), **{"X-Request-Id": "request-9"})

    service.services.operations.keep_audit()
    lines = (tmp_path / "state" / "audit.ndjson").read_text(encoding="utf-8").splitlines()

    [event] = [json.loads(line) for line in lines]
    assert event["action"] == "C"
    assert [one["what"] for one in event["entity"]] == [
        {"reference": "Patient/p1"},
        {"reference": "QuestionnaireResponse/r1"},
        {"identifier": {"value": "request-9"}},
    ]


def test_whose_resource_a_source_read_is_audited_and_what_was_not_there_is_not(
    service: Any, body: Body, tmp_path: Path
) -> None:
    service.post(body())
    service.put("r1", body(answer=5, subject={"reference": "Patient/p2"}))
    path = "/fhir/QuestionnaireResponse/r1"

    statuses = [
        service.client.get(path, headers={"X-Request-Id": "latest"}).status_code,
        service.client.get(f"{path}/_history/1", headers={"X-Request-Id": "first"}).status_code,
        service.client.get("/fhir/QuestionnaireResponse/r2").status_code,
        service.client.post(
            "/fhir/QuestionnaireResponse/$extract", data=body(), content_type="application/fhir+json"
        ).status_code,
    ]

    lines = (tmp_path / "state" / "audit.ndjson").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    told = [[one["what"].get("reference") for one in event["entity"]] for event in events]
    assert statuses == [200, 200, 404, 200]
    assert [one[:2] for one in told] == [
        ["Patient/p2", "QuestionnaireResponse/r1"],
        ["Patient/p1", "QuestionnaireResponse/r1"],
    ]
    assert [event["action"] for event in events] == ["R", "R"]
