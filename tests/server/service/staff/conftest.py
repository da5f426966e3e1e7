"""A site with something in every list of the staff pages."""

from collections.abc import Callable
from typing import Any

import pytest

from server.ledger import Settlement
from server.service.inbound.deposits import Answer, Deposit, Unit

Body = Callable[..., bytes]
ODD = "<b onload=x>&\"'"


@pytest.fixture
def busy(service: Any, body: Body) -> Any:
    """Some responses in the chart, some refused, missing and altered, some waiting, one late, and some set aside."""
    for number in range(1, 13):
        patient = f"p{1 + number % 2}"
        service.post(body(id=f"response-{number}", subject={"reference": f"Patient/{patient}"}, answer=1 + number % 5))
    service.post(body(id="withdrawn", status="entered-in-error"))
    for version in ("5", "4"):
        service.put("late", body(id="late", meta={"versionId": version}, answer=int(version)))
    service.reader.plan_waiting()
    found = ("accepted", "verified", "verified", "verified", "verified", "refused", "manual", "accepted")
    for number, state in enumerate(found, start=1):
        settle(service, f"response-{number}", state)
    answer = Answer(status=201)
    for number, problem in enumerate(
        ("subject: unknown patient", f"authored: partial date {ODD}", "not JSON"), start=1
    ):
        deposit = Deposit(
            resource_type="QuestionnaireResponse" if number < 3 else "",
            resource_id=f"odd-{number}" if number < 3 else "",
            content_hash=f"odd-{number}",
            body=b"{}",
            problem=problem,
        )
        service.inbox.write(
            [Unit(caller="mirth-ward-7", request_id=f"1f0c-{number}", content_hash=f"u{number}",
                  answer=lambda _: answer, deposits=[deposit])]
        )  # fmt: skip
    return service


def settle(service: Any, response_id: str, state: str) -> None:
    """Have every outcome of a response end in a state, as a delivery would."""
    ledger = service.ledger
    keys = [entry.key for entry in ledger.of_responses("north", [response_id])]
    ledger.lease("north", "w", after=None, responses=50, seconds=60)
    ledger.claim("north", keys, request_id=f"request-{response_id}", interaction="transaction", worker="w", seconds=60)
    taken = state in ("accepted", "verified")
    reasons = {"refused": f"HTTP 422 {ODD}", "manual": "gone from the chart"}
    settlements = [
        Settlement(
            key=key,
            state="accepted" if taken else state,  # type: ignore[arg-type]  # one of the states
            ehr_id=f"{response_id}-{number}" if taken else "",
            ehr_version="1" if taken else "",
            http_status=201 if taken else 422,
            reason=reasons.get(state, ""),
        )
        for number, key in enumerate(keys)
    ]
    ledger.settle("north", settlements, request_id=f"request-{response_id}")
    ledger.unlease("north", "w")
    if state == "verified":
        read = [(entry, Settlement(key=entry.key, state="verified", ehr_id=entry.ehr_id, ehr_version="1"))
                for entry in ledger.entries("north", keys)]  # fmt: skip
        ledger.note_read("north", read)
