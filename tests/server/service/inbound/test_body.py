"""Bodies that attack: packed, deep, twofold, not UTF-8, too large; the right status, and no value told."""

import gzip
import json
import random
import tracemalloc
import zlib
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.service.inbound import strict_json
from server.service.operation_outcome import RefusedError

SECRET = "Zylpha-4711"  # stands for whatever a patient's resource says
GZIP = {"Content-Encoding": "gzip"}


def told(answer: Any) -> str:
    assert answer.content_type == "application/fhir+json"
    outcome = answer.get_json(force=True)
    get_fhir_model_class("OperationOutcome").model_validate(outcome)
    assert SECRET.encode() not in answer.data
    assert b"Traceback" not in answer.data
    return str(outcome["issue"][0]["details"]["text"])


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_a_packed_body_is_unpacked(service: Any, body: Any, encoding: str) -> None:
    answer = service.post(gzip.compress(body()), **{"Content-Encoding": encoding})

    assert answer.status_code == 201
    assert service.inbox.waiting()[0].body == body()


def test_a_packed_body_that_grows_beyond_the_limit_is_refused_without_being_unpacked(service: Any) -> None:
    bomb = gzip.compress(b" " * 300_000_000, 9)[:20_000]
    packed = gzip.compress(b"[" + b" " * 4_000_000)
    tracemalloc.start()

    answers = [service.post(bomb, **GZIP), service.post(packed, **GZIP)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [answer.status_code for answer in answers] == [413, 413]
    assert "20000 bytes" in told(answers[0])
    assert peak < 3_000_000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-1],
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed + b"x",
        lambda packed: packed + packed,
        lambda packed: packed[:40] + b"\0\0\0" + packed[43:],
        lambda packed: packed[:-8] + b"\0" * 8,
        zlib.compress,
        lambda _: b"",
        lambda packed: b"{}" + packed,
    ],
)
def test_a_packed_body_that_is_damaged_is_refused(service: Any, body: Any, spoil: Any) -> None:
    answer = service.post(spoil(gzip.compress(body())), **GZIP)

    assert answer.status_code == 400
    assert "gzip" in told(answer)
    assert service.inbox.counts() == {}


def test_a_long_answer_is_packed_for_whoever_takes_that(service: Any) -> None:
    plain = service.client.get("/fhir/metadata")
    packed = service.client.get("/fhir/metadata", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    refused = service.client.get("/fhir/metadata", headers={"Accept-Encoding": "gzip;q=0"})

    assert gzip.decompress(packed.data) == plain.data == refused.data
    assert (packed.headers["Content-Encoding"], "Content-Encoding" in plain.headers) == ("gzip", False)
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert int(packed.headers["Content-Length"]) == len(packed.data)


def test_a_short_answer_is_not_packed(service: Any, body: Any) -> None:
    assert "Content-Encoding" not in service.post(body(), **{"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"resourceType": "QuestionnaireResponse", "a": "\xff"}', "not UTF-8"),
        (b'{"resourceType": "QuestionnaireResponse", "a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"resourceType": "QuestionnaireResponse", "a": "\\ud800"}', "not JSON"),
        (b'{"resourceType": "QuestionnaireResponse", "a": "\\udc00\\ud800"}', "not JSON"),
        (b'{"resourceType": "QuestionnaireResponse", "a": NaN}', "not JSON"),
        (b'{"resourceType": "QuestionnaireResponse", "a": -Infinity}', "not JSON"),
        (b'{"resourceType": "QuestionnaireResponse", "a": 1e400}', "too large"),
        (b'{"resourceType": "QuestionnaireResponse", "a": 1e999999999999999999999}', "too large"),
        (b'{"resourceType": "QuestionnaireResponse", "a": ' + b"9" * 10_000 + b"}", "too large"),
        (b'{"resourceType": "QuestionnaireResponse", "a": 0.' + b"9" * 10_000 + b"}", "too large"),
        (b'{"resourceType": "QuestionnaireResponse", "resourceType": "QuestionnaireResponse"}', "twice"),
        (b'{"resourceType": "QuestionnaireResponse", "item": [{"linkId": "1", "linkId": "2"}]}', "twice"),
        (b'{"resourceType": "QuestionnaireResponse", "\\u0061": 1, "a": 2}', "twice"),
        (b'{"resourceType": "QuestionnaireResponse", "a": "x\\u0000"}', "U+0000"),
        (b'{"resourceType": "QuestionnaireResponse", "a\\u0000": "x"}', "U+0000"),
        (b'{"a": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", "nested too deep"),
        (b'{"a": ' * 2_500 + b"1" + b"}" * 2_500, "nested too deep"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
    ],
)
@pytest.mark.parametrize("path", ["/fhir/QuestionnaireResponse", "/fhir", "/fhir/QuestionnaireResponse/$extract"])
def test_json_that_readers_may_take_otherwise_is_refused(service: Any, path: str, sent: bytes, text: str) -> None:
    answer = service.client.post(path, data=sent, content_type="application/fhir+json")

    assert answer.status_code == 400
    assert text in told(answer)
    assert service.inbox.counts() == {}


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", '"', "é\U0001f600", "\x7f", "\t\n"])
def test_text_that_only_looks_suspicious_is_taken(service: Any, body: Any, text: str) -> None:
    assert service.post(body(source={"display": text})).status_code == 201


def test_a_property_twice_is_seen_wherever_it_stands() -> None:
    chance = random.Random(7)
    for _ in range(300):
        inner = json.dumps({"a": chance.choice(["x", '"', "\\", 1]), "b": [{"c": None}]})
        name = chance.choice(["a", "b"])
        twice = inner[:-1] + f', "{name}": 1}}'

        assert strict_json.read(inner.encode())[0] == json.loads(inner)
        with pytest.raises(RefusedError, match="twice"):
            strict_json.read(f'{{"outer": [{twice}]}}'.encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)


@given(resource=st.dictionaries(st.sampled_from("abc"), VALUES))
@settings(max_examples=200, deadline=None)
def test_the_one_way_to_write_says_the_same(resource: dict[str, Any]) -> None:
    sent = json.dumps(resource)
    if "\\u0000" in sent:
        return

    found, canonical = strict_json.read(sent.encode())

    assert found == json.loads(canonical) == resource
    assert strict_json.read(canonical)[1] == canonical


@given(sent=st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("headers", [{}, GZIP])
def test_no_body_makes_the_service_fail(service: Any, sent: bytes, headers: dict[str, str]) -> None:
    for path in ("/fhir/QuestionnaireResponse", "/fhir", "/fhir/$process-message"):
        answer = service.client.post(path, data=sent, headers={"Content-Type": "application/json"} | headers)

        assert answer.status_code in {400, 422}
        told(answer)


@given(changes=st.dictionaries(st.sampled_from(["type", "entry", "identifier", "timestamp"]), VALUES, min_size=1))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bundle_makes_the_service_fail(service: Any, body: Any, changes: dict[str, Any]) -> None:
    entry = {"resource": json.loads(body()), "request": {"method": "PUT", "url": "QuestionnaireResponse/r1"}}
    resource = {"resourceType": "Bundle", "type": "batch", "entry": [entry]} | changes

    answer = service.client.post("/fhir", data=json.dumps(resource), content_type="application/fhir+json")

    assert answer.status_code in {200, 400, 413, 422}
