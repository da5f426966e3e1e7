"""What the sender of a response is told of its outcome."""

import json
from typing import Any

import pytest


def warnings(answer: Any) -> list[str]:
    assert answer.status_code == 201
    issues = json.loads(answer.data)["issue"]
    assert issues[0]["severity"] == "information"
    return [one["details"]["text"] for one in issues[1:] if one["severity"] == "warning"]


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({}, []),
        ({"status": "entered-in-error"}, []),
        ({"questionnaire": "urn:example:other"}, ["no outcome comes of it: not msis-29"]),
        ({"status": "in-progress"}, ["no outcome comes of it: status"]),
        ({"answer": 9}, ["its outcome holds no score: answer out of range"]),
        ({"item": [{"linkId": "1", "answer": [{"valueInteger": 2}]}]}, ["its outcome holds no score: too few answers"]),
    ],
)
def test_a_response_without_outcome_or_score_is_taken_with_a_warning_that_says_why(
    service: Any, body: Any, elements: dict[str, Any], words: list[str]
) -> None:
    assert warnings(service.post(body(**elements))) == words
