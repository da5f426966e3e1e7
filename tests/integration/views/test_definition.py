from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from integration.errors import ViewError
from integration.views import compile_view, definition

VIEW: dict[str, Any] = {
    "name": "patients",
    "resource": "Patient",
    "constant": [{"name": "use", "valueCode": "official"}],
    "select": [
        {"column": [{"name": "id", "path": "id", "type": "id"}, {"name": "sex", "path": "gender"}]},
        {"forEach": "name", "column": [{"name": "family", "path": "family"}]},
    ],
    "where": [{"path": "active"}],
}


def changed(**parts: Any) -> dict[str, Any]:
    view = copy.deepcopy(VIEW)
    view.update(parts)
    return view


@pytest.mark.parametrize(
    "resource_type",
    ["ViewDefinition", "https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition"],
)
def test_both_forms_of_a_view_are_read(resource_type: str) -> None:
    assert compile_view(changed(resourceType=resource_type)).columns == ["id", "sex", "family"]


@pytest.mark.parametrize(
    ("view", "path"),
    [
        ([], ""),
        (changed(resourceType="Patient"), "resourceType"),
        (changed(resource=None), "resource"),
        (changed(resource="Patiend"), "resource"),
        (changed(resource="DomainResource"), "resource"),
        (changed(resource=3), "resource"),
        (changed(selects=[]), "selects"),
        (changed(select=[]), "select"),
        (changed(select={}), "select"),
        (changed(select=["id"]), "select[0]"),
        (changed(select=[{}]), "select[0]"),
        (changed(select=[{"colum": []}]), "select[0].colum"),
        (changed(select=[{"forEach": "name", "repeat": ["name"], "column": [{}]}]), "select[0]"),
        (changed(select=[{"repeat": "item", "column": [{"name": "a", "path": "id"}]}]), "select[0].repeat"),
        (changed(select=[{"repeat": [], "column": [{"name": "a", "path": "id"}]}]), "select[0].repeat"),
        (changed(select=[{"forEach": 1, "column": [{"name": "a", "path": "id"}]}]), "select[0].forEach"),
        (changed(select=[{"column": [{"path": "id"}]}]), "select[0].column[0].name"),
        (changed(select=[{"column": [{"name": "a"}]}]), "select[0].column[0].path"),
        (changed(select=[{"column": [{"name": "1a", "path": "id"}]}]), "select[0].column[0].name"),
        (changed(select=[{"column": [{"name": "a\n", "path": "id"}]}]), "select[0].column[0].name"),
        (changed(select=[{"column": [{"name": "é", "path": "id"}]}]), "select[0].column[0].name"),
        (changed(select=[{"column": [{"name": "a", "path": "id."}]}]), "select[0].column[0].path"),
        (changed(select=[{"column": [{"name": "a", "path": "id", "type": "strin"}]}]), "select[0].column[0].type"),
        (changed(select=[{"column": [{"name": "a", "path": "id", "type": "integer"}]}]), "select[0].column[0].type"),
        (
            changed(select=[{"column": [{"name": "a", "path": "id", "collection": 1}]}]),
            "select[0].column[0].collection",
        ),
        (changed(where=[{"path": "gender"}]), "where[0].path"),
        (changed(where=[{}]), "where[0].path"),
        (changed(constant=[{"name": "a"}]), "constant[0]"),
        (changed(constant=[{"name": "a", "valueString": "x", "valueCode": "y"}]), "constant[0]"),
        (changed(constant=[{"name": "a b", "valueString": "x"}]), "constant[0].name"),
        (changed(constant=[{"name": "a", "valueInteger": "1"}]), "constant[0].valueInteger"),
        (changed(constant=[{"name": "a", "valueInteger": True}]), "constant[0].valueInteger"),
        (changed(constant=[{"name": "a", "valueBoolean": 1}]), "constant[0].valueBoolean"),
        (changed(constant=[{"name": "a", "valueDate": "soon"}]), "constant[0].valueDate"),
        (changed(constant=[{"name": "a", "valueDate": "10:30"}]), "constant[0].valueDate"),
        (changed(constant=[{"name": "a", "valueTime": "2020-01-01"}]), "constant[0].valueTime"),
        (changed(constant=[{"name": "a", "valueCoding": {}}]), "constant[0].valueCoding"),
        (changed(constant=[{"name": "a", "valueString": "x"}] * 2), "constant[1].name"),
    ],
)
def test_a_fault_is_named_with_its_path(view: Any, path: str) -> None:
    with pytest.raises(ViewError) as caught:
        compile_view(view)
    assert caught.value.path == path
    assert caught.value.reference == ""


def test_a_column_declared_twice_is_refused_where_it_stands() -> None:
    column = {"name": "id", "path": "id"}
    twice = changed(select=[{"column": [column], "unionAll": [{"column": [column]}, {"column": [column]}]}])

    with pytest.raises(ViewError, match="declared twice") as caught:
        compile_view(twice)
    assert caught.value.path == "select[0].unionAll[0].column[0].name"


@pytest.mark.parametrize("other", [{"name": "b", "path": "id"}, {"name": "a", "path": "active"}])
def test_the_branches_of_a_union_have_the_same_columns(other: dict[str, str]) -> None:
    branches = [{"column": [{"name": "a", "path": "id"}]}, {"column": [other]}]

    with pytest.raises(ViewError) as caught:
        compile_view(changed(select=[{"unionAll": branches}]))
    assert caught.value.path.startswith("select[0].unionAll[1]")


def test_an_unknown_fhir_version_is_refused() -> None:
    with pytest.raises(ViewError, match=r"4\.0\.1, 4\.3\.0, 5\.0\.0"):
        compile_view(VIEW, "3.0.2")


def test_a_decimal_constant_is_what_was_written() -> None:
    view = definition.read(changed(constant=[{"name": "d", "valueDecimal": 0.1}]))

    assert view.constants == {"d": ("decimal", Decimal("0.1"))}


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("valueBase64Binary", "aGVsbG8K", "aGVsbG8K"),
        ("valueBoolean", False, False),
        ("valueCanonical", "urn:c|1", "urn:c|1"),
        ("valueCode", "a", "a"),
        ("valueDate", "2012-05", "2012-05"),
        ("valueDateTime", "2012-05-01T10:00:00Z", "2012-05-01T10:00:00Z"),
        ("valueDecimal", 1, Decimal(1)),
        ("valueId", "i", "i"),
        ("valueInstant", "2012-05-01T10:00:00.5Z", "2012-05-01T10:00:00.5Z"),
        ("valueInteger", -3, -3),
        ("valueInteger64", "9007199254740993", 9007199254740993),
        ("valueMarkdown", "*m*", "*m*"),
        ("valueOid", "urn:oid:1.2", "urn:oid:1.2"),
        ("valuePositiveInt", 3, 3),
        ("valueString", "s", "s"),
        ("valueTime", "10:30:00", "10:30:00"),
        ("valueUnsignedInt", 0, 0),
        ("valueUri", "urn:u", "urn:u"),
        ("valueUrl", "http://example.invalid", "http://example.invalid"),
        ("valueUuid", "urn:uuid:1", "urn:uuid:1"),
    ],
)
def test_a_constant_of_every_type_gives_its_value(key: str, value: object, found: object) -> None:
    select = [{"column": [{"name": "a", "path": "%c"}]}]
    view = compile_view({"resource": "Patient", "constant": [{"name": "c", key: value}], "select": select})

    assert view.read({"resourceType": "Patient"}) == [(found,)]
