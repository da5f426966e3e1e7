from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.views import fhirpath
from integration.views.fhirpath import Binary, Call, FhirPathError, Indexer, Literal, Member, Variable
from integration.views.values import Amount


def name(text: str, source: fhirpath.Node | None = None) -> Member:
    return Member(source=source, name=text)


def test_a_path_is_read_from_left_to_right() -> None:
    assert fhirpath.parse("name[0].given.first()") == Call(
        source=name("given", Indexer(source=name("name"), index=Literal(type="integer", value=0))),
        name="first",
        arguments=(),
    )


def test_and_binds_more_than_or_and_comparison_more_than_both() -> None:
    def equal(left: str, right: str) -> Binary:
        return Binary(operator="=", left=name(left), right=name(right))

    both = Binary(operator="and", left=equal("c", "d"), right=equal("e", "f"))

    assert fhirpath.parse("a = b or c = d and e = f") == Binary(operator="or", left=equal("a", "b"), right=both)


@pytest.mark.parametrize(
    ("text", "type_name", "value"),
    [
        ("'it'", "string", "it"),
        (r"'a\'b\\c\n\u00e9'", "string", "a'b\\c\né"),
        ("12", "integer", 12),
        ("1.20", "decimal", Decimal("1.20")),
        ("true", "boolean", True),
        ("@2012-05", "date", "2012-05"),
        ("@2012-05-01T10:30:00.5+02:00", "dateTime", "2012-05-01T10:30:00.5+02:00"),
        ("@2012T", "dateTime", "2012"),
        ("@T10:30", "time", "10:30"),
        ("{}", "empty", None),
        ("4 'mg'", "Quantity", Amount(number=Decimal(4), unit="mg")),
        (r"1.50 'a\'b'", "Quantity", Amount(number=Decimal("1.50"), unit="a'b")),
        ("3 days", "duration", "3 days"),
    ],
)
def test_a_literal_has_its_type_and_value(text: str, type_name: str, value: object) -> None:
    assert fhirpath.parse(text) == Literal(type=type_name, value=value)  # type: ignore[arg-type]  # any value


def test_words_that_are_operators_may_name_elements() -> None:
    assert fhirpath.parse("a.contains") == name("contains", name("a"))
    assert fhirpath.parse("`div`") == name("div")
    assert fhirpath.parse("%`my name`") == Variable(name="%my name")


def test_comments_are_nothing() -> None:
    assert fhirpath.parse("a /* x */ . b // y") == name("b", name("a"))


@pytest.mark.parametrize(
    "text",
    ["", "@@", "a.", "a b", "(a", "a[0", "f(a,)", "a..b", "'open", r"'\q'", "1.", "a.$this", "a = ", "'é' é", "#"],
)
def test_what_is_not_fhirpath_is_refused(text: str) -> None:
    with pytest.raises(FhirPathError):
        fhirpath.parse(text)


def test_an_error_says_what_and_where() -> None:
    with pytest.raises(FhirPathError, match=r"unexpected '\)' at position 6"):
        fhirpath.parse("name.)")


def test_deep_nesting_and_long_numbers_are_refused_and_do_not_crash() -> None:
    for text in ("(" * 5000 + "a" + ")" * 5000, "9" * 5000):
        with pytest.raises(FhirPathError):
            fhirpath.parse(text)


@given(st.text())
def test_any_text_is_parsed_or_refused_in_ascii(text: str) -> None:
    problem = ""
    try:
        fhirpath.parse(text)
    except FhirPathError as error:
        problem = error.problem

    assert problem.isascii()


@given(st.text(st.characters(exclude_characters="'\\")))
def test_any_text_in_quotes_is_that_text(text: str) -> None:
    assert fhirpath.parse(f"'{text}'") == Literal(type="string", value=text)
