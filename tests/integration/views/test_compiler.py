"""How selects become loops, and how nothing that an author wrote becomes code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.errors import ViewError
from integration.views import CompiledView, compile_view

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "name": [{"family": "A"}, {"family": "B"}],
}


def test_an_empty_list_and_a_missing_one_are_the_same() -> None:
    view = compile_view(
        {
            "resource": "Patient",
            "select": [
                {"column": [{"name": "some", "path": "name.exists()"}, {"name": "n", "path": "name.count()"}]},
                {"forEachOrNull": "name", "column": [{"name": "family", "path": "family"}]},
            ],
        }
    )

    assert view.read({"resourceType": "Patient"}) == view.read({"resourceType": "Patient", "name": []})
    assert view.read({"resourceType": "Patient"}) == [(False, 0, None)]


def test_repeat_finds_items_under_answers_at_any_depth() -> None:
    view = compile_view(
        {
            "resource": "QuestionnaireResponse",
            "select": [
                {
                    "repeat": ["item", "answer.item"],
                    "column": [{"name": "link", "path": "linkId"}, {"name": "row", "path": "%rowIndex"}],
                    "select": [
                        {
                            "forEachOrNull": "answer",
                            "column": [
                                {"name": "answer", "path": "value.ofType(integer)"},
                                {"name": "answer_row", "path": "%rowIndex"},
                            ],
                        }
                    ],
                }
            ],
        }
    )
    deep: dict[str, Any] = {"linkId": "5", "answer": [{"valueInteger": 5}]}
    under_answer = {"linkId": "3", "answer": [{"valueInteger": 1, "item": [{"linkId": "4", "item": [deep]}]}]}
    items = [{"linkId": "1", "item": [{"linkId": "2", "answer": [{"valueInteger": 2}, {"valueInteger": 3}]}]}]

    rows = view.read({"resourceType": "QuestionnaireResponse", "item": [*items, under_answer]})

    assert rows == [
        ("1", 0, None, 0),
        ("2", 1, 2, 0),
        ("2", 1, 3, 1),
        ("3", 2, 1, 0),
        ("4", 3, None, 0),
        ("5", 4, 5, 0),
    ]
    assert view.warnings == []


def test_a_path_of_repeat_that_exists_nowhere_is_warned_of() -> None:
    select = {"repeat": ["item", "answr.item"], "column": [{"name": "link", "path": "linkId"}]}

    [warning] = compile_view({"resource": "QuestionnaireResponse", "select": [select]}).warnings

    assert warning.startswith("select[0].repeat[1]: QuestionnaireResponseItem has no element 'answr'")


@pytest.mark.parametrize(
    ("paths", "what"),
    [
        (["name", "contact"], "leads to PatientContact and to HumanName"),
        (["name.given"], "over string is not supported"),
    ],
)
def test_repeat_over_different_types_or_primitives_is_refused(paths: list[str], what: str) -> None:
    select = {"repeat": paths, "column": [{"name": "a", "path": "id"}]}

    with pytest.raises(ViewError, match=what):
        compile_view({"resource": "Patient", "select": [select]})


def test_a_loop_over_what_does_not_exist_gives_no_row_but_keeps_its_columns() -> None:
    view = compile_view(
        {
            "resource": "Patient",
            "select": [
                {"forEach": "naem", "column": [{"name": "a", "path": "family"}]},
                {"column": [{"name": "b", "path": "id"}]},
            ],
        }
    )

    assert view.columns == ["a", "b"]
    assert view.read(PATIENT) == []
    assert len(view.warnings) == 1


def test_for_each_or_null_before_other_loops_keeps_the_cross_product() -> None:
    union = [
        {"column": [{"name": "u", "path": "'1'"}]},
        {"forEach": "name", "column": [{"name": "u", "path": "family"}]},
    ]
    view = compile_view(
        {
            "resource": "Patient",
            "select": [
                {"forEachOrNull": "telecom", "column": [{"name": "t", "path": "value"}]},
                {"unionAll": union},
                {"forEach": "name", "column": [{"name": "n", "path": "family"}, {"name": "i", "path": "%rowIndex"}]},
            ],
        }
    )

    rows = view.read({**PATIENT, "telecom": [{"value": "x"}, {}]})
    bare = view.read(PATIENT)

    cross = [(u, n, i) for u in ("1", "A", "B") for i, n in enumerate("AB")]
    assert rows == [(t, *each) for t in ("x", None) for each in cross]
    assert bare == [(None, *each) for each in cross]


def test_many_unions_side_by_side_do_not_blow_up() -> None:
    selects = [{"unionAll": [{"column": [{"name": f"c{n}", "path": "id"}]}] * 2} for n in range(12)]

    view = compile_view({"resource": "Patient", "select": selects})

    assert len(view.source) < 20_000
    assert len(view.read({"resourceType": "Patient", "id": "p"})) == 2**12


def test_loops_may_be_nested_deeper_than_python_allows_in_one_function() -> None:
    select: dict[str, Any] = {"column": [{"name": "last", "path": "url"}, {"name": "row", "path": "%rowIndex"}]}
    extension: dict[str, Any] = {"url": "innermost"}
    for _ in range(25):
        select = {"forEach": "extension", "select": [select]}
        extension = {"url": "outer", "extension": [extension]}
    view = compile_view({"resource": "Patient", "select": [select]})

    assert view.read({"resourceType": "Patient", "extension": extension["extension"]}) == [("innermost", 0)]


def test_a_view_nested_beyond_reason_is_refused_and_does_not_crash() -> None:
    select: dict[str, Any] = {"column": [{"name": "a", "path": "id"}]}
    for _ in range(3000):
        select = {"forEach": "extension", "select": [select]}

    with pytest.raises(ViewError, match="nested too deeply"):
        compile_view({"resource": "Patient", "select": [select]})


def test_an_expression_as_long_as_a_book_is_refused_and_does_not_crash(view_of: Callable[..., CompiledView]) -> None:
    with pytest.raises(ViewError, match="nested too deeply"):
        view_of("active" + " and active" * 3000)


HOSTILE = [
    "'); raise SystemExit('",
    '"""\nraise SystemExit\n"""',
    "\n    raise SystemExit",
    "\r\x0b\x0c\x1c\u2028\u0085 raise SystemExit",
    "{resource.__class__.__mro__}",
    "%s %(a)s {0}",
    "\\",
    "\x00",
    "k0",
    "__import__('os').system('exit 1')",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_the_view_reaches_generated_code_as_data_only(text: str) -> None:
    quoted = json.dumps(text)[1:-1].replace("'", "\\'")
    view = compile_view(
        {
            "name": text,
            "resource": "Patient",
            "description": text,
            "constant": [{"name": "c", "valueString": text}],
            "select": [
                {
                    "column": [
                        {"name": "constant", "path": "%c"},
                        {"name": "literal", "path": f"'{quoted}'"},
                        {"name": "named", "path": "name.where(family = %c).family.join(%c)"},
                        {"name": "class", "path": f"extension('{quoted}').exists()"},
                        {"name": "unit", "path": f"extension.value.ofType(Quantity) = 4 '{quoted}'"},
                        {"name": "import", "path": f"`{quoted.replace('`', '')}`.exists()"},
                    ]
                }
            ],
        }
    )

    amount = {"value": 4, "system": "http://unitsofmeasure.org", "code": text}
    extension = {"url": text, "valueQuantity": amount}
    [row] = view.read({"resourceType": "Patient", "name": [{"family": text}], "extension": [extension]})

    assert row == (text, text, text, True, True, False)
    assert "SystemExit" not in "".join(line for line in view.source.splitlines() if not line.startswith("# k"))
    assert view.source.isascii()


@given(st.text())
def test_any_constant_is_that_text(text: str) -> None:
    select = [{"column": [{"name": "a", "path": "%c"}, {"name": "b", "path": "name.exists(family = %c)"}]}]
    view = compile_view({"resource": "Patient", "constant": [{"name": "c", "valueString": text}], "select": select})

    assert view.read({"resourceType": "Patient", "name": [{"family": text}]}) == [(text, True)]


@pytest.mark.parametrize(
    "name", ["add", "resource", "len", "rows", "def", "None", "found", "k0", "decode_inner_0", "node"]
)
def test_a_columns_name_may_be_any_word(name: str) -> None:
    union = [{"column": [{"name": name, "path": "id"}]}, {"column": [{"name": name, "path": "gender"}]}]
    last = {"forEach": "name", "column": [{"name": "other", "path": "family"}]}
    view = compile_view({"resource": "Patient", "select": [{"unionAll": union}, last]})

    assert view.read(PATIENT) == [("p", "A"), ("p", "B"), (None, "A"), (None, "B")]
