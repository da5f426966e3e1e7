from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.intake import newest
from integration.intake.newest import Newest
from integration.intake.rejection import RejectedError

KEY = ("Patient", "p")


def chosen(*metas: Any) -> int:
    """The position of the version that counts, of versions read in this order."""
    kept = Newest()
    for position, meta in enumerate(metas):
        kept.see(
            KEY, newest.header(json.dumps({"resourceType": "Patient", "id": "p", "meta": meta}).encode()), position
        )
    assert kept.superseded == len(metas) - 1
    ((_, position),) = kept.positions_of("Patient")
    assert kept.counts(KEY, position)
    return position


def version(number: Any = None, updated: Any = None) -> dict[str, Any]:
    return {"versionId": number, "lastUpdated": updated}


@pytest.mark.parametrize(
    ("metas", "position"),
    [
        ([version("10"), version("9")], 0),
        ([version("9"), version("10")], 1),
        ([version("2", "2011-01-01T00:00:00Z"), version("1", "2012-01-01T00:00:00Z")], 0),
        ([version("a", "2012-01-01T00:00:00Z"), version("b", "2011-01-01T00:00:00Z")], 0),
        ([version("7", "2012-01-01T00:00:00Z"), version("b", "2011-01-01T00:00:00Z")], 0),
        ([version(None, "2012-01-01T00:30:00+02:00"), version(None, "2011-12-31T23:00:00Z")], 1),
        ([version(None, "2012-01-01T00:00:00.2Z"), version(None, "2012-01-01T00:00:00.10Z")], 0),
        ([version("1"), version("1")], 1),
        ([version("1", "2012-01-02T00:00:00Z"), version("1", "2012-01-01T00:00:00Z")], 0),
        ([version(), version()], 1),
        ([None, None, None], 2),
        ([version("2"), version(), version("1")], 1),
        ([version("2"), version(), version("3")], 2),
        ([version("W/2"), version("W/1")], 1),
        ([version(3), version(2)], 1),
        ([version(None, "2012"), version(None, "2011")], 1),
        ([version("9" * 65), version("1")], 1),
        (["meta", ["meta"]], 1),
    ],
    ids=[
        "numbers, not text", "the higher number last", "number before time", "time where no number",
        "time where one number", "instants, not text", "fractions of a second", "equal numbers, so the last",
        "equal numbers, so the time", "neither, so the last", "no meta at all",
        "a lower number than one passed over", "a higher number than one passed over", "an ETag is no number",
        "a number that is not text is none", "a partial time is none", "no number of a sane length",
        "no meta of any shape",
    ],
)  # fmt: skip
def test_the_version_that_counts_is_the_highest_number_else_the_latest_else_the_last(
    metas: list[Any], position: int
) -> None:
    assert chosen(*metas) == position


@given(numbers=st.lists(st.integers(0, 10**20), min_size=1, max_size=8, unique=True), data=st.data())
def test_numbered_versions_may_come_in_any_order(numbers: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(numbers))

    assert order[chosen(*(version(str(number)) for number in order))] == max(numbers)


@given(times=st.lists(st.datetimes(timezones=st.timezones()), min_size=1, max_size=8, unique=True), data=st.data())
def test_dated_versions_may_come_in_any_order(times: list[Any], data: st.DataObject) -> None:
    order = data.draw(st.permutations(times))

    position = chosen(*(version(None, when.isoformat()) for when in order))

    assert order[position] == max(times)


def test_resources_of_other_types_or_ids_are_other_resources() -> None:
    kept = Newest()
    for position, (kind, logical_id) in enumerate([("Patient", "p"), ("Patient", "q"), ("Condition", "p")]):
        kept.see(
            (kind, logical_id), newest.header(json.dumps({"resourceType": kind, "id": logical_id}).encode()), position
        )

    assert kept.superseded == 0
    assert kept.positions_of("Patient") == [("p", 0), ("q", 1)]
    assert not kept.counts(("Condition", "p"), 0)


def test_which_versions_are_older_is_known_after_the_rest_was_forgotten() -> None:
    kept = Newest()
    for position, number in enumerate(("2", "3", "1")):
        kept.see(KEY, newest.header(json.dumps({"meta": version(number)}).encode()), position)

    kept.forget()

    assert [kept.is_older(position) for position in range(3)] == [True, False, True]
    assert kept.superseded == 2
    assert kept.positions_of("Patient") == []


# The header


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{", "not JSON"),
        (b'{"resourceType": "Patient"} x', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"Patient", "not JSON"),
        (b"[]", "not a FHIR resource: not a JSON object"),
        (b"7", "not a FHIR resource: not a JSON object"),
        (b"null", "not a FHIR resource: not a JSON object"),
        (b"{}", "not a FHIR resource: no resourceType"),
        (b'{"resourceType": 5}', "not a FHIR resource: no resourceType"),
        (b'{"resourceType": "Thing"}', "resource type that no FHIR release knows"),
        (b'{"resourceType": "patient"}', "resource type that no FHIR release knows"),
        (b'{"id": ' + b"[" * 100_000, "not read: nested too deep"),
    ],
)
def test_what_is_no_resource_is_rejected_with_its_problem(body: bytes, problem: str) -> None:
    with pytest.raises(RejectedError) as caught:
        newest.require_known_type(newest.header(body))

    assert caught.value.problem == problem


@pytest.mark.parametrize("kind", ["Patient", "Observation", "SubscriptionTopic", "DeviceUseRequest", "BodySite"])
def test_a_type_of_any_release_is_known(kind: str) -> None:
    newest.require_known_type(newest.header(json.dumps({"resourceType": kind}).encode()))
