"""Whatever JSON a server or a sender puts where a resource is expected, a page is made of it."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.service.chart import found, gathering, response_page

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["id", "resourceType", "code", "coding", "system", "identifier", "subject", "reference", "status", "valueQuantity",
     "value", "valueInteger", "valueString", "effectiveDateTime", "item", "answer", "linkId", "text", "meta", "name",
     "given", "family", "author", "source", "valueCoding", "display", "versionId"]
)  # fmt: skip
RESOURCES = st.recursive(
    JSON, lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, max_size=3), max_size=6), max_leaves=20
)


@given(RESOURCES)
def test_any_observation_is_read(resource: Any) -> None:
    body = json.dumps(
        {"id": "x", **resource, "resourceType": "Observation"} if isinstance(resource, dict) else resource
    )

    for one in found.observations([body.encode()]):
        assert one.ehr_id


@given(RESOURCES)
def test_any_response_is_shown(resource: Any) -> None:
    shown = response_page.sent(json.dumps(resource).encode())

    assert all(isinstance(text, str) for _, text in shown.facts)
    assert all(isinstance(text, str) for item in shown.items for text in (item.link_id, item.text, *item.answers))


@given(RESOURCES)
def test_any_patient_is_named(resource: Any) -> None:
    identity = gathering.identity(resource)

    assert identity is None or isinstance(identity.name, str)


@given(st.binary())
def test_bytes_that_are_no_json_are_no_resource(body: bytes) -> None:
    assert found.observations([body]) == [] or body.strip().startswith(b"{")
    assert response_page.sent(body).unanswered


def test_depth_breaks_nothing() -> None:
    deep = b'{"item":' * 20_000 + b"1" + b"}" * 20_000

    assert response_page.sent(deep).items == ()
    assert found.observations([deep]) == []
