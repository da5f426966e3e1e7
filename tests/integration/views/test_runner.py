from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from integration.errors import ViewError
from integration.views import CompiledView, compile_view

VIEW = {
    "name": "answers",
    "resource": "QuestionnaireResponse",
    "select": [
        {"column": [{"name": "key", "path": "getResourceKey()"}, {"name": "author", "path": "author.reference"}]},
        {
            "repeat": ["item", "answer.item"],
            "column": [{"name": "link", "path": "linkId"}],
            "select": [
                {
                    "forEachOrNull": "answer",
                    "column": [
                        {"name": "integer", "path": "value.ofType(integer)"},
                        {"name": "decimal", "path": "value.ofType(decimal)"},
                    ],
                }
            ],
        },
    ],
}


def response(number: int, *answers: Any, **more: Any) -> dict[str, Any]:
    items = [{"linkId": str(at), "answer": [answer]} for at, answer in enumerate(answers)]
    return {"resourceType": "QuestionnaireResponse", "id": f"r{number}", "item": items, **more}


@pytest.fixture(scope="module")
def view() -> CompiledView:
    return compile_view(VIEW)


def text(resource: object) -> bytes:
    return json.dumps(resource).encode()


def test_rows_are_dicts_with_the_columns_in_order(view: CompiledView) -> None:
    [row] = view.rows([response(1, {"valueInteger": 3})])

    assert list(row.items()) == [("key", "r1"), ("author", None), ("link", "0"), ("integer", 3), ("decimal", None)]
    assert view.columns == ["key", "author", "link", "integer", "decimal"]
    assert (view.name, view.resource, view.warnings) == ("answers", "QuestionnaireResponse", [])


def test_dicts_and_bytes_give_the_same_rows(view: CompiledView) -> None:
    resource = response(1, {"valueDecimal": 2.5}, {"valueInteger": 1})

    assert view.read(resource) == view.read(text(resource))


def test_blank_lines_and_other_types_are_skipped_even_with_clashing_shapes(view: CompiledView) -> None:
    others = [b"", b" \r\n", b'{"item":{"linkId":3},"resourceType":"Claim"}', {"resourceType": "Patient", "id": 3}]

    assert list(view.rows(others)) == []
    assert list(view.batches(others)) == []
    assert [view.read(other) for other in others] == [[]] * 4


def test_rows_are_read_lazily(view: CompiledView) -> None:
    def endless() -> Iterator[bytes]:
        number = 0
        while True:
            number += 1
            yield text(response(number, {"valueInteger": number}))

    rows = view.rows(endless())

    assert [next(rows)["key"] for _ in range(3)] == ["r1", "r2", "r3"]


BROKEN = [
    (b'{"resourceType":"QuestionnaireResponse","id":"b"', "", ""),
    (b'{"resourceType":"QuestionnaireResponse","id":"b"} x', "", ""),
    (b"[]", "", ""),
    (b'{"id":"b"}', "", ""),
    (b'{"resourceType":7,"id":"b"}', "", "resourceType"),
    (b'\xff{"resourceType":"QuestionnaireResponse","id":"b"}', "", ""),
    (b'{"resourceType":"QuestionnaireResponse","id":"b","text":"\xff"}', "QuestionnaireResponse/b", ""),
    (text(response(1, item={})), "QuestionnaireResponse/r1", "item"),
    (text(response(1, item=None)), "QuestionnaireResponse/r1", "item"),
    (text(response(1, item=[None])), "QuestionnaireResponse/r1", "item[0]"),
    (text(response(1, author=[])), "QuestionnaireResponse/r1", "author"),
    (text(response(1, author={"reference": 3})), "QuestionnaireResponse/r1", "author.reference"),
    (
        text(response(1, {"valueInteger": 1}, {"valueInteger": "2"})),
        "QuestionnaireResponse/r1",
        "item[1].answer[0].valueInteger",
    ),
    (text(response(1, {"valueInteger": 2**31})), "QuestionnaireResponse/r1", "item[0].answer[0].valueInteger"),
    (text(response(1, {"valueInteger": 1.5})), "QuestionnaireResponse/r1", "item[0].answer[0].valueInteger"),
    (text(response(1, {}, {"valueDecimal": "2"})), "QuestionnaireResponse/r1", "item[1].answer[0].valueDecimal"),
    (text(response(1, {"item": "x"})), "QuestionnaireResponse/r1", "item[0].answer[0].item"),
    (b'{"resourceType":"QuestionnaireResponse","id":"b","status":"comp', "", ""),
    (b'{"resourceType":"QuestionnaireResponse","id":"b","item":[', "", ""),
    (b'{"resourceType":"QuestionnaireResponse","id":"b"}\x00', "", ""),
    (b"\xff\xfe{\x00}\x00", "", ""),
    (b'{"resourceType":"QuestionnaireResponse","id":"\xed\xa0\x80"}', "", ""),
    (text(response(1, item=[[]])), "QuestionnaireResponse/r1", "item[0]"),
    (text(response(1, item="x")), "QuestionnaireResponse/r1", "item"),
    (
        text(response(1, {"valueInteger": 7})).replace(b"7", b"9" * 5_000),
        "QuestionnaireResponse/r1",
        "item[0].answer[0].valueInteger",
    ),
    (
        text(response(1, {"valueInteger": 7})).replace(b"7", b"1e400"),
        "QuestionnaireResponse/r1",
        "item[0].answer[0].valueInteger",
    ),
    (b'{"resourceType":"QuestionnaireResponse","z":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "", ""),
    (
        b'{"resourceType":"QuestionnaireResponse","item":' + b'[{"item":' * 10_000 + b"[]" + b"}]" * 10_000 + b"}",
        "",
        "",
    ),
]


@pytest.mark.parametrize(("broken", "reference", "path"), BROKEN)
def test_a_broken_resource_is_named_and_the_run_goes_on(
    view: CompiledView, broken: bytes, reference: str, path: str
) -> None:
    errors: list[ViewError] = []
    given = [response(1, {"valueInteger": 1}), broken, response(2, {"valueInteger": 2})]

    keys = [row["key"] for row in view.rows(given, on_error=errors.append)]
    [batch] = view.batches(given, on_error=errors.append)

    assert keys == batch.column("key").to_pylist() == ["r1", "r2"]
    assert [(error.reference, error.path) for error in errors] == [(reference, path)] * 2
    assert errors[0].problem
    for run in (view.rows, view.batches):
        with pytest.raises(ViewError):
            list(run([broken]))


def test_no_value_of_a_resource_is_in_an_error(view: CompiledView) -> None:
    secret = "Anna-Lena"
    for broken in (response(1, {"valueInteger": secret}), response(1, author=secret), {"resourceType": [secret]}):
        with pytest.raises(ViewError) as caught:
            view.read(broken)
        assert secret not in str(caught.value)


def test_a_truncated_resource_of_another_type_is_broken_json(view: CompiledView) -> None:
    with pytest.raises(ViewError, match="broken JSON"):
        view.read(b'{"resourceType":"Patient","id":"p"')


def test_what_is_no_json_is_refused_as_a_dict(view: CompiledView) -> None:
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"item": deep}
    for broken in ({"resourceType": object()}, deep):
        with pytest.raises(ViewError, match="cannot be written as JSON"):
            view.read(broken)


def test_a_resource_that_breaks_midway_gives_no_row() -> None:
    column = {"name": "given", "path": "given"}
    view = compile_view({"resource": "Patient", "select": [{"forEach": "name", "column": [column]}]})
    errors: list[ViewError] = []
    broken = {"resourceType": "Patient", "id": "p", "name": [{"given": ["a"]}, {"given": ["b", "c"]}]}

    rows = list(view.rows([broken], on_error=errors.append))
    batches = list(view.batches([broken], on_error=errors.append))

    assert (rows, batches) == ([], [])
    assert [(error.reference, error.path) for error in errors] == [("Patient/p", "name.given")] * 2
    assert "several values" in errors[0].problem


def test_a_date_that_is_none_breaks_what_compares_it() -> None:
    column = {"name": "early", "path": "birthDate < @2000"}
    view = compile_view({"resource": "Patient", "select": [{"column": [column]}]})

    with pytest.raises(ViewError) as caught:
        view.read({"resourceType": "Patient", "birthDate": "Maundy Thursday"})
    assert caught.value.path == "birthDate"
    assert "Maundy" not in str(caught.value)


def test_a_compiled_view_pickles(view: CompiledView) -> None:
    again = pickle.loads(pickle.dumps(view))

    assert again.source == view.source
    assert again.read(response(1, {"valueInteger": 3})) == [("r1", None, "0", 3, None)]


def test_a_views_error_pickles() -> None:
    error = ViewError(view="v", path="a", problem="b", reference="Patient/p")

    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_source_is_python_that_names_what_it_reads(view: CompiledView) -> None:
    compile(view.source, "<view>", "exec")

    assert "def rows(resource, add):" in view.source
    assert ".linkId" in view.source


def test_batches_hold_the_rows_typed_by_the_columns(view: CompiledView) -> None:
    given = [response(1, {"valueInteger": 3}, {"valueDecimal": 1.25}), response(2)]

    [batch] = view.batches(given)

    assert batch.schema.types == [pa.string(), pa.string(), pa.string(), pa.int64(), pa.decimal128(38, 18)]
    assert batch.to_pylist() == list(view.rows(given))


def test_batches_type_lists_booleans_and_what_is_unknown() -> None:
    columns = [
        {"name": "given", "path": "name.given", "collection": True},
        {"name": "active", "path": "active"},
        {"name": "sum", "path": "1 + 1", "type": "decimal"},
        {"name": "nothing", "path": "naem"},
    ]
    view = compile_view({"resource": "Patient", "select": [{"column": columns}]})

    [batch] = view.batches([{"resourceType": "Patient", "active": True, "name": [{"given": ["a", "b"]}]}])

    assert batch.schema.types == [pa.list_(pa.string()), pa.bool_(), pa.decimal128(38, 18), pa.string()]
    assert batch.to_pylist() == [{"given": ["a", "b"], "active": True, "sum": Decimal(2), "nothing": None}]


def test_batches_are_cut_between_resources_and_hold_few_rows_at_a_time(view: CompiledView) -> None:
    given = (response(number, *[{"valueInteger": 1}] * 29) for number in range(1000))

    sizes = [batch.num_rows for batch in view.batches(given)]

    assert sum(sizes) == 29_000
    assert all(size % 29 == 0 and size < 10_029 for size in sizes)


@pytest.mark.parametrize("number", ["1e30", "1e-30", "123456789012345678901"])
def test_a_number_that_fits_no_arrow_column_breaks_its_resource_only(view: CompiledView, number: str) -> None:
    too_large = text(response(1, {"valueDecimal": 7})).replace(b"7", number.encode())
    errors: list[ViewError] = []

    batches = list(view.batches([too_large, response(2, {"valueInteger": 1})], on_error=errors.append))

    assert [batch.column("key").to_pylist() for batch in batches] == [["r2"]]
    assert [(error.reference, error.path) for error in errors] == [("QuestionnaireResponse/r1", "decimal")]
    assert len(view.read(too_large)) == 1
