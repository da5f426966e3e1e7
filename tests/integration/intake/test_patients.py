from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.intake.patients import Directory, resolve
from integration.intake.rejection import RejectedError
from integration.records import Patient


def resolved(links: dict[str, set[str]]) -> tuple[Directory, dict[str, RejectedError]]:
    found = {
        one: (Patient(patient_id=one, sex="", birth_date="", is_synthetic=True), frozenset(replaced_by))
        for one, replaced_by in links.items()
    }
    return resolve(found)


def test_a_patient_is_known_by_its_own_id() -> None:
    directory, rejected = resolved({"a": set(), "b": set()})

    assert [directory.find(one) for one in ("a", "b", "c")] == ["a", "b", None]
    assert not rejected


def test_a_replaced_patient_is_the_one_that_replaces_it_and_no_row_of_its_own() -> None:
    directory, rejected = resolved({"old": {"new"}, "new": set()})

    assert directory.find("old") == "new"
    assert set(directory.patients) == {"new"}
    assert not rejected


def test_merging_is_followed_to_its_end() -> None:
    directory, _ = resolved({"1": {"2"}, "2": {"3"}, "3": set()})

    assert [directory.find(one) for one in ("1", "2", "3")] == ["3", "3", "3"]


@pytest.mark.parametrize(
    ("links", "problem", "who"),
    [
        ({"a": {"gone"}}, "unknown patient", {"a"}),
        ({"a": {"b"}, "b": {"gone"}}, "unknown patient", {"a", "b"}),
        ({"a": {"a"}}, "replaced-by links form a circle", {"a"}),
        ({"a": {"b"}, "b": {"a"}}, "replaced-by links form a circle", {"a", "b"}),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, "replaced-by links form a circle", {"a", "b", "c"}),
        ({"a": {"b", "c"}, "b": set(), "c": set()}, "replaced by several Patients", {"a"}),
    ],
)
def test_a_replacement_that_cannot_be_found_is_rejected_and_stands_for_nobody(
    links: dict[str, set[str]], problem: str, who: set[str]
) -> None:
    directory, rejected = resolved(links)

    assert set(rejected) == who
    assert {(error.path, error.problem) for error in rejected.values()} == {("link", problem)}
    assert [directory.find(one) for one in who] == [None] * len(who)


NAMES = "abcdef"


@given(st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), max_size=2)))
def test_everybody_is_a_patient_or_merged_or_rejected(links: dict[str, set[str]]) -> None:
    directory, rejected = resolved(links)

    parts = [set(directory.patients), set(directory.merged), set(rejected)]
    assert sorted(one for part in parts for one in part) == sorted(links)
    assert set(directory.merged.values()) <= set(directory.patients)


def test_a_long_chain_of_merges_is_followed() -> None:
    links = {str(number): {str(number + 1)} for number in range(2000)} | {"2000": set()}

    directory, _ = resolved(links)

    assert directory.find("0") == "2000"
