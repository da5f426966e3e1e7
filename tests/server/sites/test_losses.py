import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.sites.losses import dropped

JSON = st.recursive(
    st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=12,
)
RESOURCES = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


def test_an_element_that_is_missing_as_a_whole_is_one_path() -> None:
    canonical = {"method": {"text": "t", "coding": [{"code": "c"}]}, "meta": {"profile": ["p"], "tag": [1]}}

    assert dropped(canonical, {"meta": {"tag": [1]}}) == ("method", "meta.profile")


def test_what_was_replaced_is_told_by_its_innermost_path() -> None:
    canonical = {"category": [{"coding": [{"system": "s", "code": "survey"}]}, {"coding": [{"code": "other"}]}]}

    lost = dropped(canonical, {"category": [{"coding": [{"system": "s", "code": "vital-signs"}]}]})

    assert lost == ("category[0].coding[0].code", "category[1]")


def test_an_element_of_a_list_may_stand_elsewhere() -> None:
    assert dropped({"a": [1, 2]}, {"a": [3, 2, 1]}) == ()
    assert dropped({"a": [1, 2]}, {"a": [2]}) == ("a[0]",)


def test_true_is_not_one() -> None:
    assert dropped({"a": True, "b": 1}, {"a": 1, "b": 1.0}) == ("a",)


@given(RESOURCES)
def test_nothing_is_dropped_by_a_copy_and_everything_by_nothing(resource: dict[str, Any]) -> None:
    assert dropped(resource, copy.deepcopy(resource)) == ()
    assert dropped(resource, {}) == tuple(resource)


@given(RESOURCES, RESOURCES)
def test_without_what_is_named_nothing_is_dropped(canonical: dict[str, Any], carried: dict[str, Any]) -> None:
    names = {path.split(".")[0].split("[")[0] for path in dropped(canonical, carried)}
    kept = {name: value for name, value in canonical.items() if name not in names}

    assert dropped(kept, carried) == ()
    assert all(name in canonical for name in names)
