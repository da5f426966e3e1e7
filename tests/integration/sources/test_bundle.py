from __future__ import annotations

import json
from typing import Any

import pytest

from integration.sources import bundle
from integration.sources.resource import RawResource, Unreadable

LIMIT = 10_000
PATIENT = {"resourceType": "Patient", "id": "p1"}


def unpack(content: Any, limit: int = LIMIT) -> list[RawResource | Unreadable]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return list(bundle.unpacked(RawResource("a.json", 1, "", body), limit))


def resources(content: Any) -> list[Any]:
    return [json.loads(found.body) for found in unpack(content) if isinstance(found, RawResource)]


def entries(*listed: Any, kind: str = "collection") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(listed)}


def condition(subject: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": "c1", "subject": {"reference": subject}, **more}


def test_a_resource_that_is_no_bundle_comes_out_as_it_went_in() -> None:
    body = b'{ "resourceType" : "Patient",\n "id":"p1", "multipleBirthInteger": 1.0 }'

    assert unpack(body) == [RawResource("a.json", 1, "", body)]


@pytest.mark.parametrize("blank", [b"", b"  \n", b"\r\n"])
def test_nothing_comes_of_nothing(blank: bytes) -> None:
    assert unpack(blank) == []


@pytest.mark.parametrize("kind", ["collection", "transaction", "batch", "searchset", "message", "history", "document"])
def test_a_bundle_gives_its_resources_in_order_with_their_places(kind: str) -> None:
    found = unpack(entries({"resource": PATIENT}, {"resource": condition("Patient/p1")}, kind=kind))

    assert [(one.line, one.within) for one in found] == [(1, "entry[0].resource"), (1, "entry[1].resource")]


def test_an_entry_without_a_resource_is_nothing() -> None:
    assert resources(entries({"request": {"method": "DELETE", "url": "Patient/9"}}, {"resource": PATIENT})) == [PATIENT]


@pytest.mark.parametrize("content", [{"resourceType": "Bundle"}, entries()])
def test_an_empty_bundle_is_nothing(content: Any) -> None:
    assert unpack(content) == []


def test_a_bundle_in_a_bundle_is_taken_apart_too() -> None:
    found = unpack(entries({"resource": entries({"resource": PATIENT})}))

    assert [one.within for one in found] == ["entry[0].resource.entry[0].resource"]


@pytest.mark.parametrize("depth", [100, 200, 250, 300, 320, 340, 400, 1000])
def test_bundles_nested_without_end_do_not_stop_the_run(depth: int) -> None:
    body = json.dumps(PATIENT).encode()
    for _ in range(depth):
        body = b'{"resourceType":"Bundle","entry":[{"resource":' + body + b"}]}"

    assert len(unpack(body, limit=1 << 24)) == 1


def test_a_bundle_is_known_by_its_type_however_it_is_written() -> None:
    escaped = b'{"resourceType":"\\u0042undle","id":5,"entry":[{"resource":{"resourceType":"Patient","id":"p1"}}]}'

    assert resources(escaped) == [PATIENT]


def test_a_resource_that_speaks_of_bundles_is_none() -> None:
    composition = {"resourceType": "Provenance", "entity": [{"what": {"type": "Bundle"}}]}

    assert resources(composition) == [composition]


# urn references


def test_a_urn_becomes_the_id_of_a_resource_without_one() -> None:
    urn = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"

    found = resources(entries({"fullUrl": urn, "resource": {"resourceType": "Patient"}}, {"resource": condition(urn)}))

    assert found[0]["id"] == "c757873d-ec9a-4326-a141-556f43239520"
    assert found[1]["subject"]["reference"] == "Patient/c757873d-ec9a-4326-a141-556f43239520"


def test_a_urn_stands_for_the_id_that_its_resource_has() -> None:
    found = resources(entries({"resource": condition("urn:uuid:1")}, {"fullUrl": "urn:uuid:1", "resource": PATIENT}))

    assert found == [condition("Patient/p1"), PATIENT]


def test_a_urn_is_resolved_wherever_a_reference_stands() -> None:
    event = {
        "resourceType": "AdverseEvent",
        "suspectEntity": [{"instance": {"reference": "urn:oid:1.2"}}, {"instance": {"reference": "Procedure/old"}}],
    }
    procedure = {"fullUrl": "urn:oid:1.2", "resource": {"resourceType": "Procedure", "id": "proc"}}

    found = resources(entries({"resource": event}, procedure))

    named = [one["instance"]["reference"] for one in found[0]["suspectEntity"]]
    assert named == ["Procedure/proc", "Procedure/old"]


def test_a_urn_of_another_bundle_stays_as_it_is() -> None:
    inner = entries({"resource": condition("urn:uuid:1")})

    found = resources(entries({"fullUrl": "urn:uuid:2", "resource": PATIENT}, {"resource": inner}))

    assert found[1]["subject"]["reference"] == "urn:uuid:1"


def test_resolving_a_urn_changes_no_number() -> None:
    body = (
        b'{"resourceType":"Bundle","entry":[{"fullUrl":"urn:uuid:1","resource":'
        b'{"resourceType":"Observation","valueDecimal":3.00,"big":123456789012345678901234567890,"small":1E-400}}]}'
    )

    (found,) = unpack(body)

    assert isinstance(found, RawResource)
    assert b'"valueDecimal":3.00' in found.body
    assert b"123456789012345678901234567890" in found.body
    assert b"1E-400" in found.body


def test_a_resource_without_urns_is_passed_on_byte_by_byte() -> None:
    body = b'{"resourceType":"Bundle","entry":[{"resource":{ "resourceType":"Patient", "id":"p1" }}]}'

    (found,) = unpack(body)

    assert isinstance(found, RawResource)
    assert found.body == b'{ "resourceType":"Patient", "id":"p1" }'


# What cannot be read


@pytest.mark.parametrize("wrong", [{"entry": {}}, {"entry": ["x"]}, {"entry": [{"fullUrl": 5}]}, {"entry": 7}])
def test_a_bundle_of_another_shape_is_listed(wrong: dict[str, Any]) -> None:
    (found,) = unpack({"resourceType": "Bundle"} | wrong)

    assert isinstance(found, Unreadable)
    assert found.problem == "Bundle that cannot be taken apart: not in the shape of a FHIR resource"


def test_broken_json_is_passed_on_to_be_rejected_with_its_place() -> None:
    body = b'{"resourceType":"Bundle","entry":[{"resource":'

    assert unpack(body) == [RawResource("a.json", 1, "", body)]


@pytest.mark.parametrize("odd", ['"Peter"', "7", "null", "[]", '{"resourceType": 5}'])
def test_an_entry_that_is_no_resource_is_passed_on_to_be_rejected(odd: str) -> None:
    body = f'{{"resourceType":"Bundle","entry":[{{"fullUrl":"urn:uuid:1","resource":{odd}}}]}}'.encode()

    (found,) = unpack(body)

    assert found.within == "entry[0].resource"


def test_a_resource_over_the_limit_is_not_read_and_the_others_are() -> None:
    long = PATIENT | {"language": "x" * LIMIT}

    found = unpack(entries({"resource": long}, {"resource": PATIENT}))

    assert [type(one) for one in found] == [Unreadable, RawResource]
    assert isinstance(found[0], Unreadable)
    assert found[0].problem == f"resource longer than {LIMIT} bytes, not read"


def test_what_is_wrong_is_said_without_the_content() -> None:
    (found,) = unpack({"resourceType": "Bundle", "entry": [{"fullUrl": {"name": "Synthetic-0001"}}]})

    assert isinstance(found, Unreadable)
    assert "Synthetic" not in found.problem
