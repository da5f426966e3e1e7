from __future__ import annotations

import importlib.metadata
import json
import pathlib
from typing import Any

import pytest

from integration.views import generate_schema, schema

READ_BY_VIEWS = (
    "patient procedure condition adverseevent questionnaireresponse observation bundle extension codeableconcept "
    "coding reference period humanname quantity meta element"
).split()


@pytest.mark.parametrize("release", ["r4b", "r5"])
def test_the_stored_types_equal_the_models(release: str) -> None:
    stored = _stored(release)

    for model in generate_schema.models(release, READ_BY_VIEWS):
        assert list(stored["types"][model.__name__].items()) == list(generate_schema.elements(model).items())
        assert (model.__name__ in stored["resources"]) == generate_schema.is_resource(model)


@pytest.mark.parametrize("release", ["r4b", "r5"])
def test_the_stored_types_are_of_the_installed_models(release: str) -> None:
    assert _stored(release)["fhir.resources"] == importlib.metadata.version("fhir.resources")


@pytest.mark.parametrize("release", ["r4b", "r5"])
def test_every_type_that_an_element_has_is_known(release: str) -> None:
    known = schema.load({"r4b": "4.3.0", "r5": "5.0.0"}[release])

    used = {
        option.type
        for name in _stored(release)["types"]
        for element in known.elements(name).values()
        for option in element.options
    }

    assert [name for name in sorted(used) if not known.knows(name)] == []


def test_r4_is_read_with_the_types_of_r4b() -> None:
    assert schema.VERSIONS["4.0.1"] == schema.VERSIONS["4.3.0"]


def test_a_choice_has_one_key_for_each_type() -> None:
    deceased = schema.load("4.0.1").elements("Patient")["deceased"]

    assert [(option.type, option.key) for option in deceased.options] == [
        ("boolean", "deceasedBoolean"),
        ("dateTime", "deceasedDateTime"),
    ]


def test_a_python_keyword_is_no_attribute() -> None:
    option = schema.load("4.0.1").elements("Encounter")["class"].options[0]

    assert (option.key, option.attribute) == ("class", "class_")


def _stored(release: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pathlib.Path(schema.__file__).with_name(f"schema_{release}.json").read_text())
    return found
