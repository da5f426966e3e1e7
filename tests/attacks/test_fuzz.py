"""Bodies that nobody thought of, made by Hypothesis: the same ones in each run."""

import json
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from live_messages import CANARY, FHIR, response
from live_service import Service

SEEN = (200, 201, 202, 400, 404, 409, 413, 422)
EXAMPLES = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # to make a failing one smaller would take minutes: each is a request
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just(CANARY))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
good = response("fuzzed", "p1")
paths = st.sampled_from(
    [(name,) for name in good]
    + [("item", 0), ("item", 0, "linkId"), ("item", 0, "answer"), ("item", 0, "answer", 0), ("subject", "reference")]
)


def _post(target: Service, path: str, body: bytes) -> None:
    answer = requests.post(f"{target.fhir}{path}", data=body, headers={"Content-Type": FHIR}, timeout=30)

    assert answer.status_code in SEEN, body
    assert CANARY not in answer.text
    if answer.status_code >= 400:
        assert answer.json()["resourceType"] == "OperationOutcome"


def _with(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = json.loads(json.dumps(good))
    place = made
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return made


@EXAMPLES
@given(body=st.binary(max_size=200))
def test_any_bytes_are_answered(target: Service, body: bytes) -> None:
    _post(target, "/QuestionnaireResponse", body)


@EXAMPLES
@given(path=paths, value=values)
def test_a_response_with_any_value_anywhere_is_answered(target: Service, path: tuple[Any, ...], value: Any) -> None:
    _post(target, "/QuestionnaireResponse", json.dumps(_with(path, value)).encode())


@EXAMPLES
@given(data=st.data())
def test_a_response_with_any_bytes_changed_is_answered(target: Service, data: st.DataObject) -> None:
    body = bytearray(json.dumps(good).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    _post(target, "/QuestionnaireResponse", bytes(body))


@pytest.mark.parametrize("path", ["", "/$process-message", "/QuestionnaireResponse/$extract"])
@settings(EXAMPLES, max_examples=40)
@given(kind=st.sampled_from(["transaction", "batch", "message", "collection"]), name=st.text(max_size=8), value=values)
def test_a_bundle_with_any_value_anywhere_is_answered(
    target: Service, path: str, kind: str, name: str, value: Any
) -> None:
    entry = {"resource": good, "request": {"method": "POST", "url": "QuestionnaireResponse"}, name: value}
    _post(target, path, json.dumps({"resourceType": "Bundle", "type": kind, "entry": [entry, value]}).encode())
