"""Batches hold the rows of `rows`, whichever way they are gathered."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pyarrow as pa
import pytest

from integration.errors import ViewError
from integration.views import CompiledView, compile_view

LINKS = ["a", "b", "c", "d"]


def response(number: int, *links: str, **more: Any) -> bytes:
    items = [{"linkId": link, "answer": [{"valueInteger": at}]} for at, link in enumerate(links)]
    found = {"resourceType": "QuestionnaireResponse", "id": f"r{number}", "status": "completed", "item": items}
    return json.dumps({**found, **more}).encode()


def rows_of(view: CompiledView, given: list[Any]) -> list[dict[str, Any]]:
    return [row for batch in view.batches(given) for row in batch.to_pylist()]


@pytest.fixture(scope="module")
def answers() -> CompiledView:
    columns = [{"name": "id", "path": "id"}, {"name": "status", "path": "status"}]
    items = {"forEach": "item", "column": [{"name": "link", "path": "linkId"}]}
    return compile_view({"resource": "QuestionnaireResponse", "select": [{"column": columns}, items]})


@pytest.mark.parametrize("rows_each", [1, 3, 4, 12])
def test_few_and_many_rows_a_resource_give_the_same(answers: CompiledView, rows_each: int) -> None:
    given = [response(number, *["x"] * (rows_each if number % 3 else 0)) for number in range(2_500)]

    assert rows_of(answers, given) == list(answers.rows(given))


def test_a_resource_that_breaks_midway_leaves_nothing_behind(answers: CompiledView) -> None:
    broken = response(2, "x", "y").replace(b'"linkId": "y"', b'"linkId": 7')
    errors: list[ViewError] = []

    [batch] = answers.batches([response(1, *"abcdef"), broken, response(3, "z")], on_error=errors.append)

    assert batch.column("id").to_pylist() == ["r1"] * 6 + ["r3"]
    assert [error.path for error in errors] == ["item[1].linkId"]


def wide(path: str, **more: Any) -> CompiledView:
    columns = [{"name": f"q_{link}", "path": path.format(link), **more} for link in LINKS]
    return compile_view({"resource": "QuestionnaireResponse", "select": [{"column": columns}]})


@pytest.mark.parametrize(
    ("path", "more", "expected"),
    [
        ("item.where(linkId = '{}').answer.value.ofType(integer)", {}, [None, 1, 0, 3]),
        ("item.where(linkId = '{}').answer.value.ofType(integer).first()", {}, [None, 1, 0, 3]),
        ("item.where(linkId = '{}').answer.value.ofType(integer)", {"collection": True}, [[], [1], [0], [3]]),
        ("item.where('{}' = linkId).where(answer.exists()).linkId", {}, [None, "b", "c", "d"]),
        ("item.where(linkId = '{}').answer.exists()", {}, [False, True, True, True]),
        ("item.where(linkId = '{}').answer.count()", {}, [0, 1, 1, 1]),
    ],
)
def test_columns_that_differ_in_a_constant_give_what_each_gives_alone(path: str, more: Any, expected: Any) -> None:
    given = response(1, "c", "b", "unknown", "d")

    [row] = wide(path, **more).read(given)

    assert list(row) == expected
    assert rows_of(wide(path, **more), [given]) == list(wide(path, **more).rows([given]))


def test_only_a_column_that_is_asked_for_is_broken_by_several_values() -> None:
    view = wide("item.where(linkId = '{}').answer.value.ofType(integer)")

    assert view.read(response(1, "x", "x", "a")) == [(2, None, None, None)]
    with pytest.raises(ViewError, match="several values"):
        view.read(response(1, "a", "a"))
    assert wide("item.where(linkId = '{}').answer.value.ofType(integer).first()").read(response(1, "a", "a")) == [
        (0, None, None, None)
    ]


def test_one_loop_serves_all_columns_of_a_kind() -> None:
    assert wide("item.where(linkId = '{}').answer.value.ofType(integer)").source.count("in resource.item") == 1


@pytest.mark.parametrize("unknown", [0, 1, 50, 1_000])
def test_what_is_only_compared_may_hold_anything(unknown: int) -> None:
    view = wide("item.where(linkId = '{}').answer.value.ofType(integer)")
    given = [response(number, *("zab" if number < unknown else "ab")) for number in range(1_000)]
    errors: list[ViewError] = []

    found = [row for batch in view.batches([*given, b'{"resourceType":3}'], errors.append) for row in batch.to_pylist()]

    assert found == list(view.rows(given))
    assert [error.path for error in errors] == ["resourceType"]


@pytest.mark.parametrize("link", [None, 7, "", "\0", "\0\0", "a", "z", {}, []])
@pytest.mark.parametrize(
    "more",
    [
        [],
        [{"name": "any", "path": "item.where(linkId.exists()).count()"}],
        [{"name": "texts", "path": "item.linkId", "collection": True}],
        [{"name": "one", "path": "item.where(linkId = 'a').exists()"}],
        [{"name": f"t_{link}", "path": f"item.where(linkId = '{link}').text.first()"} for link in "zxay"],
        [{"name": "equal", "path": "item.where($this = %resource.item.last()).count()"}],
    ],
)
def test_a_key_is_looked_up_whatever_else_reads_it(link: Any, more: list[Any]) -> None:
    paths = {"a": "a", "nul": "\\u0000", "b": "b"}
    keyed = [
        {"name": f"q_{name}", "path": f"item.where(linkId = '{text}').text.first()"} for name, text in paths.items()
    ]
    view = compile_view({"resource": "QuestionnaireResponse", "select": [{"column": [*keyed, *more]}]})
    items = [{"linkId": "a", "text": "first"}, {"linkId": link, "text": "asked"}, {"text": "none"}]
    given = [json.dumps({"resourceType": "QuestionnaireResponse", "id": "1", "item": items}).encode()]
    errors: list[ViewError] = []
    expected: list[ViewError] = []

    found = [row for batch in view.batches(given, on_error=errors.append) for row in batch.to_pylist()]

    assert found == list(view.rows(given, on_error=expected.append))
    assert [error.path for error in errors] == [error.path for error in expected]


@pytest.mark.parametrize("answers", [[], [{}], [{}, {"valueInteger": 2}], [{"valueInteger": 1}, {"valueInteger": 2}]])
def test_the_first_value_may_stand_in_any_item(answers: list[Any]) -> None:
    path = "answer.value.ofType(integer).first()"
    column, loop = {"name": "first", "path": path}, {"forEach": "item", "column": [{"name": "each", "path": path}]}
    view = compile_view(
        {"resource": "QuestionnaireResponse", "select": [{"column": [column | {"path": f"item.{path}"}]}, loop]}
    )
    given = json.dumps({"resourceType": "QuestionnaireResponse", "item": [{"linkId": "a", "answer": answers}]}).encode()
    expected = next((each["valueInteger"] for each in answers if each), None)

    assert view.read(given) == [(expected, expected)]
    assert wide("item.where(linkId = '{}')." + path).read(given) == [(expected, None, None, None)]


def test_a_null_in_a_list_of_values_is_not_its_first() -> None:
    uses = ["usual", "official", "old"]
    columns = [{"name": use, "path": f"name.where(use = '{use}').given.first()"} for use in uses]
    view = compile_view({"resource": "Patient", "select": [{"column": columns}]})

    assert view.read(b'{"resourceType":"Patient","name":[{"use":"old","given":[null,"x"]}]}') == [(None, None, "x")]


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("Patient/1", "1"),
        ("Patient/1/_history/2", "1"),
        ("https://ehr.example.org/fhir/Patient/1", "1"),
        ("Patient/", None),
        ("Patient", None),
        ("Patients/1", None),
        ("Group/1", None),
        ("urn:uuid:1", None),
        ("", None),
        ("#p", None),
        ("Patient/1#p", None),
        ("Patient/1?x=y", None),
        (None, None),
    ],
)
def test_a_reference_has_a_key_if_it_names_a_resource_of_the_type(reference: str | None, key: str | None) -> None:
    column = {"name": "key", "path": "subject.getReferenceKey(Patient)"}
    view = compile_view({"resource": "Procedure", "select": [{"column": [column]}]})

    assert view.read(json.dumps({"resourceType": "Procedure", "subject": {"reference": reference}}).encode()) == [
        (key,)
    ]


def test_a_key_that_is_no_text_breaks_its_resource() -> None:
    view = wide("item.where(linkId = '{}').answer.value.ofType(integer)")
    errors: list[ViewError] = []

    assert list(view.batches([response(1, "a").replace(b'"a"', b"7")], on_error=errors.append)) == []
    assert [(error.reference, error.path) for error in errors] == [("QuestionnaireResponse/r1", "item[0].linkId")]


def test_text_is_taken_as_str_too(answers: CompiledView) -> None:
    given = response(1, "ü").decode()

    assert rows_of(answers, [given]) == list(answers.rows([given])) == list(answers.rows([given.encode()]))


def test_texts_are_read_out_of_arrow_batches(answers: CompiledView) -> None:
    given = [response(1, "x", "y").decode(), None, response(2).decode(), "", response(3, "z").decode()]
    batches = [pa.record_batch([pa.array(some)], ["value"]) for some in (given[:2], given[2:])]

    found = [row for batch in pickle.loads(pickle.dumps(answers)).over_arrow(batches) for row in batch.to_pylist()]

    assert found == list(answers.rows([each for each in given if each]))


def test_a_key_that_is_one_form_of_a_choice_may_be_missing() -> None:
    path = "component.where(value.ofType(string) = '{}').id.first()"
    columns = [{"name": f"q_{link}", "path": path.format(link)} for link in LINKS]
    there = {"name": "there", "path": "component.where(value.exists()).count()"}
    view = compile_view({"resource": "Observation", "select": [{"column": [*columns, there]}]})
    given = [b'{"resourceType":"Observation","component":[{"id":"1","valueString":"a"},{"id":"2"}]}']

    assert rows_of(view, given) == list(view.rows(given))
    assert rows_of(view, given)[0]["there"] == 1
