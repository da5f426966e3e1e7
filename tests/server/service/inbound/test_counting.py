"""Which version counts of those that were sent."""

import json
from typing import Any

import pytest

from server.service.inbound.counting import Sent, counting


def sent(sequence: int, *, caller: str = "engine", is_next: bool = False, kind: str = "", **elements: Any) -> Sent:
    return Sent(
        sequence=sequence,
        resource_type=kind or "QuestionnaireResponse",
        resource_id="r1",
        body=json.dumps({"resourceType": kind or "QuestionnaireResponse", "id": "r1"} | elements).encode(),
        received="2026-01-02T12:00:00.000+00:00",
        caller=caller,
        is_next=is_next,
    )


def version(number: int) -> dict[str, str]:
    return {"versionId": str(number)}


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([sent(1), sent(2)], 2),
        ([sent(1, meta=version(2)), sent(2, meta=version(1))], 1),
        ([sent(1, meta=version(2)), sent(2, meta=version(1), is_next=True)], 2),
        ([sent(1, meta=version(2)), sent(2, meta=version(1), is_next=True), sent(3, meta=version(3))], 3),
        ([sent(1, meta=version(2)), sent(2, is_next=True), sent(3, meta=version(1))], 2),
        ([sent(1, meta=version(2), kind="Patient"), sent(2, meta=version(1), is_next=True, kind="Patient")], 1),
        ([sent(1, meta=version(2)), sent(2, meta=version(1), status="entered-in-error")], 2),
        ([sent(1, meta=version(2)), sent(2, meta=version(1), status="entered-in-error", caller="other")], 1),
        ([sent(1, meta=version(2)), sent(2, meta=version(1)), sent(3, meta=version(1), status="entered-in-error")], 3),
        (
            [
                sent(1, meta={"lastUpdated": "2026-01-02T12:04:00Z"}),
                sent(2, meta={"lastUpdated": "2026-01-02T12:03:00Z"}),
            ],
            1,
        ),
        (
            [
                sent(1, meta={"lastUpdated": "2026-01-02T12:06:00Z"}),
                sent(2, meta={"lastUpdated": "2026-01-02T11:00:00Z"}),
            ],
            2,
        ),
    ],
)
def test_one_version_counts(versions: list[Sent], expected: int) -> None:
    assert [one.sequence for one in counting(versions)] == [expected]
