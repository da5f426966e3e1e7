"""A simulated EHR over HTTP: the documented rules of each kind of EHR, and everything that can go wrong.

In a test:

    with Simulator("epic-like", seed=7, may_read=False) as ehr:
        patient = ehr.add_patient("p1")
        ehr.arm("reset-after", times=1)
        ... requests to ehr.base_url ...
        assert len(ehr.chart.current("Observation")) == 1

As a command, `python tests/faults/ehr_simulator.py --rules epic-like --port 9000`; what may be changed while it runs
is in ehr_control: `POST /_control {"faults": ["429"]}`, `GET /_control/store`, `GET /_control/requests`.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import ehr_control as control
import ehr_vendor_rules as vendor
from ehr_chart import FOREIGN, Chart, Resource, Version
from ehr_faults import CATALOGUE, Armed, Fault, Plan, named
from ehr_http import Cut, Http, WebRequest, WebResponse
from ehr_messages import Answer, Incoming, http_date, json_answer, outcome, referenced
from ehr_rules import RefusedError, Rules
from ehr_server import FhirServer, Lag


@dataclass(kw_only=True, slots=True)
class Request:
    """What is remembered of a request; never its body.

    Attributes:
        number: from 1.
        method: HTTP method.
        path: with the query, below the base URL.
        interaction: create, update, delete, bundle, read, vread, history, search, page, capabilities, other.
        resource_type: of the URL, empty for none.
        headers: names in lower case; of Authorization only that it was there.
        status: of the answer; 0 if the connection was reset instead.
        faults: the names of those that befell it.
        wrote: `Type/id/_history/n` of every version that it wrote.
    """

    number: int
    method: str
    path: str
    interaction: str
    resource_type: str
    headers: dict[str, str]
    status: int = 0
    faults: tuple[str, ...] = ()
    wrote: tuple[str, ...] = ()

    @property
    def request_id(self) -> str:
        """The X-Request-Id, empty if there was none."""
        return self.headers.get("x-request-id", "")


@dataclass(kw_only=True, slots=True)
class _Deferred:
    due: int
    request: Incoming


class Simulator:
    """An EHR on a free port of the loopback interface.

    Args:
        rules: `generic`, `single`, `epic-like`, `oracle-like` or `athena-like`.
        seed: of ids and of the faults' draws.
        port: 0 for a free one.
        switches: fields of the rule set, see ehr_rules and ehr_vendor_rules.

    Attributes:
        chart: what it holds, past its rules.
        requests: what came, oldest first.

    Raises:
        ValueError: an unknown rule set or switch.
    """

    def __init__(self, rules: str = "generic", *, seed: int = 0, port: int = 0, **switches: Any) -> None:
        self.chart = Chart(seed)
        self.requests: list[Request] = []
        self._server = FhirServer(vendor.rules(rules, **switches), self.chart)
        self._plan = Plan(seed)
        self._deferred: list[_Deferred] = []
        self._lock = threading.Lock()
        self._http = Http(self._respond, port)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        self._http.start()
        self._server.base_url = self._http.url_for("/fhir")

    def stop(self) -> None:
        """Stop listening and close every connection; the chart stays."""
        self._http.stop()

    @property
    def base_url(self) -> str:
        """The FHIR base URL; known once it listens."""
        return self._server.base_url

    @property
    def rules(self) -> Rules:
        """The rule set in force."""
        return self._server.rules

    @property
    def armed(self) -> list[Armed]:
        """The armed faults, and how often each befell a request."""
        return self._plan.armed

    # --- what a test sets up

    def configure(self, rules: str = "", **switches: Any) -> None:
        """Change the rule set, or only switches of the one in force; the chart stays."""
        changed = vendor.rules(rules, **switches) if rules else vendor.with_switches(self.rules, **switches)
        self._server.rules = changed

    def clear(self, seed: int = 0) -> None:
        """Empty the chart, the faults, the log and what is deferred: as new, on the same address."""
        self.chart = self._server.chart = Chart(seed)
        self._plan = Plan(seed)
        self._server.hidden = {}
        with self._lock:
            self.requests, self._deferred = [], []

    def arm(self, fault: str | Fault, **changes: Any) -> Armed:
        """Let a fault wait for its requests: one of ehr_faults.CATALOGUE by name, with any attribute changed."""
        return self._plan.arm(named(fault, **changes))

    def reset_faults(self) -> None:
        """Let nothing go wrong any more; what is deferred stays."""
        self._plan.clear()

    def add(self, resource: Resource) -> str:
        """Put a resource into the chart, under its own id if it has one; return its reference."""
        return self.chart.create(resource).reference

    def add_patient(self, patient_id: str, **elements: Any) -> str:
        """Put a Patient into the chart; return its reference."""
        patient = {"resourceType": "Patient", "id": patient_id, "gender": "female", "birthDate": "1970-01-01"}
        return self.add({**patient, **elements})

    def add_encounter(self, encounter_id: str, patient: str, *, status: str = "in-progress") -> str:
        """Put an Encounter of a patient (`Patient/<id>`) into the chart; return its reference."""
        kind = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
        subject = {"reference": patient}
        encounter = {"resourceType": "Encounter", "id": encounter_id, "status": status, "class": kind}
        return self.add({**encounter, "subject": subject})

    def settle(self) -> int:
        """Do now what a 202 deferred, and end every index lag; return how much was deferred."""
        with self._lock:
            due, self._deferred = self._deferred, []
        for deferred in due:
            self._server.respond(deferred.request)
        self._server.hidden.clear()
        return len(due)

    # --- what a foreign hand does

    def foreign_edit(self, reference: str, change: Mapping[str, Any] | None = None) -> Version:
        """Change a resource as somebody in the EHR would: elements put in; without any, value + 1 or a language."""
        held = self.chart.get(reference)
        if held is None:
            raise LookupError(f"{reference} is not in the chart")
        if not change:
            quantity = held.get("valueQuantity")
            change = dict[str, Any](language="de")
            if quantity:
                change = {"valueQuantity": {**quantity, "value": quantity["value"] + 1}}
        return self.chart.update(reference, {**held, **change}, by=FOREIGN)

    def foreign_duplicate(self, reference: str) -> Version:
        """File a copy of a resource under another id."""
        held = self.chart.get(reference)
        if held is None:
            raise LookupError(f"{reference} is not in the chart")
        return self.chart.create(held, by=FOREIGN)

    def foreign_delete(self, reference: str) -> Version:
        """Delete a resource."""
        return self.chart.delete(reference, by=FOREIGN)

    def merge_patient(self, reference: str, into: str = "", *, moves: bool = True) -> str:
        """Merge a patient into another, which is made if not given; return the survivor's reference.

        Args:
            reference: the patient that is no more.
            into: the survivor.
            moves: whether what the chart holds of the patient is given the survivor as subject.
        """
        held = self.chart.get(reference)
        if held is None:
            raise LookupError(f"{reference} is not in the chart")
        survivor = into or self.chart.create(held, by=FOREIGN).reference
        link = {"other": {"reference": survivor}, "type": "replaced-by"}
        self.chart.update(reference, {**held, "active": False, "link": [link]}, by=FOREIGN)
        for resource in self.chart.current() if moves else []:
            if resource.get("subject", {}).get("reference") == reference:
                moved = {**resource, "subject": {**resource["subject"], "reference": survivor}}
                self.chart.update(f"{resource['resourceType']}/{resource['id']}", moved, by=FOREIGN)
        return survivor

    # --- one request

    def _respond(self, web: WebRequest) -> WebResponse:
        if web.path.startswith("/_control"):
            return _web(control.answer(self, web))
        request, entry = self._incoming(web)
        faults = self._plan.befalling(request)
        entry.faults = tuple(fault.name for fault in faults)
        self._do_what_is_due(request.number)
        answer = self._answer(request, faults)
        entry.wrote = tuple(f"{one.reference}/_history/{one.number}" for one in answer.wrote)
        for fault in faults:
            if fault.kind == "reset":
                raise Cut(b"", is_reset=True)
        entry.status = answer.status
        response = _web(answer)
        if any(fault.kind == "truncated" for fault in faults) and answer.body:
            raise Cut(response.whole()[: -((len(answer.body) + 1) // 2)])
        return response

    def _incoming(self, web: WebRequest) -> tuple[Incoming, Request]:
        is_form = web.content_type.startswith("application/x-www-form-urlencoded")
        headers = {name: "..." if name == "authorization" else value for name, value in web.headers.items()}
        with self._lock:
            request = Incoming(
                number=len(self.requests) + 1,
                method=web.method,
                path=web.path.removeprefix("/fhir").strip("/"),
                parameters=web.parameters(is_form=is_form),
                headers=headers,
                body=b"" if is_form else web.body,
            )
            entry = Request(
                number=request.number,
                method=web.method,
                path=request.path + (f"?{web.query}" if web.query else ""),
                interaction=request.interaction,
                resource_type=request.resource_type,
                headers=headers,
            )
            self.requests.append(entry)
        return request, entry

    def _answer(self, request: Incoming, faults: list[Fault]) -> Answer:
        for fault in faults:
            self._before(request, fault)
        instead = next((fault for fault in faults if fault.kind in ("status", "accepted", "reset")), None)
        if instead is not None and instead.kind == "accepted":
            return self._accept(request, instead)
        answer = Answer(status=0)
        if instead is None or instead.effect:
            answer = self._server.respond(request, shift=sum(fault.shift for fault in faults))
            for fault in faults:
                self._after(answer, fault)
        if instead is not None and instead.kind == "status":
            return replace(_bad(instead), wrote=answer.wrote)
        for fault in faults:
            self._reshape(answer, fault)
        return answer

    def _before(self, request: Incoming, fault: Fault) -> None:
        if fault.kind == "delay":
            time.sleep(fault.seconds)
        if fault.kind in ("foreign-edit", "foreign-delete"):
            target = fault.reference or self._subject_of(request)
            if target and self.chart.get(target) is not None:
                edits = fault.kind == "foreign-edit"
                self.foreign_edit(target, fault.change) if edits else self.foreign_delete(target)
        if fault.kind == "patient-merged":
            patients = [fault.reference] if fault.reference else _patients(request)
            for patient in patients[:1]:
                if self.chart.get(patient) is not None:
                    self.merge_patient(patient)

    def _subject_of(self, request: Incoming) -> str:
        """Return what a request is about: what its URL names, else the value that the client wrote last."""
        if request.reference:
            return request.reference
        written = [one.reference for one in self.chart.writes() if "valueQuantity" in (one.resource or {})]
        return written[-1] if written else ""

    def _after(self, answer: Answer, fault: Fault) -> None:
        created = [version for version in answer.wrote if version.number == 1]
        for version in created:
            if fault.kind == "foreign-duplicate" and version.resource_type == "Observation":
                self.foreign_duplicate(version.reference)
            if fault.kind == "index-lag":
                until = time.monotonic() + fault.seconds
                self._server.hidden[version.reference] = Lag(searches=fault.searches, until=until)

    def _accept(self, request: Incoming, fault: Fault) -> Answer:
        wrote: list[Version] = []
        if fault.when == "now":
            done = self._server.respond(request)
            if done.status >= 400:
                return done
            wrote = done.wrote
        elif fault.when == "later":
            with self._lock:
                self._deferred.append(_Deferred(due=request.number + fault.after + 1, request=request))
        return Answer(status=202, wrote=wrote)

    def _do_what_is_due(self, number: int) -> None:
        with self._lock:
            due = [one for one in self._deferred if one.due <= number]
            self._deferred = [one for one in self._deferred if one.due > number]
        for deferred in due:
            self._server.respond(deferred.request)

    def _reshape(self, answer: Answer, fault: Fault) -> None:
        """Change how a success is told, not what was done."""
        if not 200 <= answer.status < 300:
            return
        if fault.kind == "empty-body":
            answer.body = b""
        elif fault.kind == "not-json":
            answer.body = b"<html>Welcome to the gateway</html>"
        elif fault.kind == "no-etag":
            answer.headers.pop("ETag", None)
        elif fault.kind == "location" and "Location" in answer.headers:
            del answer.headers["Location"]
            if fault.form != "none" and answer.wrote:
                answer.headers["Location"] = self._server.place(answer.wrote[0], fault.form)


def _patients(request: Incoming) -> list[str]:
    with suppress(RefusedError):  # a body that is no resource is about no patient
        return list(referenced(request))
    return []


def _bad(fault: Fault) -> Answer:
    body = outcome("error", fault.code, fault.details, fault.expression) if fault.code else None
    answer = json_answer(fault.status, body) if body else Answer(status=fault.status)
    if fault.retry_after is not None:
        is_date = fault.retry_after_form == "date"
        answer.headers["Retry-After"] = http_date(fault.retry_after) if is_date else str(fault.retry_after)
    if fault.status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    return answer


def _web(answer: Answer) -> WebResponse:
    return WebResponse(status=answer.status, headers=answer.headers, body=answer.body)


def main(arguments: list[str]) -> int:
    """Serve until interrupted; print the base URL first."""
    parser = argparse.ArgumentParser(description="A simulated EHR on the loopback interface, for tests.")
    parser.add_argument("--rules", default="generic", help="generic, single, epic-like, oracle-like or athena-like")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--switch", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--fault", action="append", default=[], choices=sorted(CATALOGUE), metavar="NAME")
    parser.add_argument("--load", type=Path, action="append", default=[], metavar="NDJSON")
    options = parser.parse_args(arguments)
    switches = {name: control.tupled(json.loads(text)) for name, text in (one.split("=", 1) for one in options.switch)}
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # in every thread, so that only sigwait takes them
    with Simulator(options.rules, seed=options.seed, port=options.port, **switches) as simulator:
        for path in options.load:
            for line in path.read_text(encoding="utf-8").splitlines():
                simulator.add(json.loads(line))
        for fault in options.fault:
            simulator.arm(fault)
        print(simulator.base_url, flush=True)
        signal.sigwait(ends)
    return 0


if __name__ == "__main__":
    logging.disable(logging.INFO)
    sys.exit(main(sys.argv[1:]))
