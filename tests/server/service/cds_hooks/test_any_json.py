"""Whatever is posted as a call, it is a call or it is refused with 400."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.service.cds_hooks import cards, requests
from server.service.operation_outcome import RefusedError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
CALLS = st.fixed_dictionaries(
    {},
    optional={
        "hook": JSON | st.just("patient-view"),
        "hookInstance": JSON | st.just("d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"),
        "context": JSON | st.fixed_dictionaries({"userId": st.just("x"), "patientId": st.just("p1") | JSON}),
        "prefetch": JSON | st.fixed_dictionaries({"scores": JSON}),
        "fhirServer": JSON,
    },
)


@given(CALLS)
def test_any_call_is_read_or_refused(sent: Any) -> None:
    with contextlib.suppress(RefusedError):
        assert requests.call(json.dumps(sent).encode()).patient_id == "p1"
        return
    with pytest.raises(RefusedError) as caught:
        requests.call(json.dumps(sent).encode())
    assert caught.value.refusal.status == 400


@given(st.binary())
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(RefusedError):
        requests.call(body)
    with pytest.raises(RefusedError):
        requests.feedback(body)


@given(st.text())
def test_text_in_markdown_is_one_line_without_markup(text: str) -> None:
    escaped = cards.escaped(text)

    assert "\n" not in escaped
    for mark in "*_[]<>|`":
        assert escaped.count(mark) == escaped.count(f"\\{mark}")
