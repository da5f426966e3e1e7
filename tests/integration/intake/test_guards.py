from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from integration.intake.guards import undeclared_modifier

URL = "http://a.example/modifier"
MODIFIER = {"modifierExtension": [{"url": URL, "valueBoolean": True}]}


def found(resource: Any, declared: set[str] | None = None) -> tuple[str, str] | None:
    body = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
    return undeclared_modifier(body, declared or set())


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (MODIFIER, "modifierExtension"),
        ({"item": [{}, {"answer": [{"item": [MODIFIER]}]}]}, "item[1].answer[0].item[0].modifierExtension"),
        ({"contained": [{"resourceType": "Patient", **MODIFIER}]}, "contained[0].modifierExtension"),
        ({"code": {"coding": [{"extension": [MODIFIER]}]}}, "code.coding[0].extension[0].modifierExtension"),
        ({"_status": MODIFIER}, "_status.modifierExtension"),
        ({"a": [[MODIFIER]]}, "a[0][0].modifierExtension"),
        ({"implicitRules": "http://a.example/rules"}, "implicitRules"),
        ({"contained": [{"implicitRules": "http://a.example/rules"}]}, "contained[0].implicitRules"),
    ],
)
def test_a_modifier_at_any_depth_is_found_with_its_path(resource: dict[str, Any], path: str) -> None:
    assert found(resource) == (path, f"undeclared {path.rpartition('.')[2]}")


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"extension": [{"url": URL}]},
        {"text": {"div": "modifierExtension, implicitRules"}},
        {"modifierExtension": []},
        {"modifierExtensions": [{"url": URL}]},
        {"note": [{"text": "caf\u00e9"}]},
    ],
)
def test_a_resource_without_a_modifier_passes(resource: dict[str, Any]) -> None:
    assert found(resource) is None


def test_a_declared_modifier_passes() -> None:
    assert found(MODIFIER, {URL}) is None


def test_one_undeclared_modifier_among_declared_ones_is_found() -> None:
    two = {"modifierExtension": [{"url": URL}, {"url": f"{URL}-2"}]}

    assert found(two, {URL}) == ("modifierExtension", "undeclared modifierExtension")


def test_implicit_rules_cannot_be_declared() -> None:
    assert found({"implicitRules": URL}, {URL}) is not None


@pytest.mark.parametrize("odd", [None, {}, "x", [None], [[]], [{"url": 5}], [{}]])
def test_a_modifier_of_another_shape_is_one_all_the_same(odd: Any) -> None:
    assert found({"modifierExtension": odd}, {URL}) is not None


def test_a_key_written_with_escapes_is_the_same_key() -> None:
    assert found(b'{"modifier\\u0045xtension": [{"url": "x"}]}') is not None
    assert found(b'{"\\u0069mplicitRules": "x"}') is not None


def test_a_key_that_is_no_element_is_not_shown() -> None:
    path, _ = found({"Synthetic-0001 Doe": MODIFIER}) or ("", "")

    assert path == "?.modifierExtension"


@pytest.mark.parametrize("body", [b'{"modifierExtension": ', b'{"modifierExtension": [}]'])
def test_broken_json_is_left_to_the_caller(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        found(body)


def test_depth_is_left_to_the_caller() -> None:
    with pytest.raises(RecursionError):
        found(b'{"modifierExtension": ' + b"[" * 100_000)
