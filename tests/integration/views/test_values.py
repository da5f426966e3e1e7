from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from integration.views import values


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("Patient/p-1", "p-1"),
        ("Patient/p.1/_history/3", "p.1"),
        ("https://ehr.example.org/fhir/Patient/1", "1"),
        ("https://ehr.example.org/fhir/Patient/1/_history/2", "1"),
        ("Group/1", None),
        ("https://ehr.example.org/Patient/Group/1", None),
        ("#p", None),
        ("Patient/1#p", None),
        ("urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", None),
        ("urn:oid:1.2.3", None),
        ("Patient?identifier=x|1", None),
        ("Patient", None),
        ("Patient/", None),
        ("patient/1", None),
        ("", None),
        (None, None),
    ],
)
def test_a_patients_key_is_behind_any_literal_reference(reference: str | None, key: str | None) -> None:
    assert values.reference_key_of(reference, "Patient") == key


def test_without_a_type_any_literal_reference_has_a_key() -> None:
    assert values.reference_key("Group/1") == "1"
    assert values.reference_key("#1") is None


@pytest.mark.parametrize(
    ("number", "low", "high"),
    [("1.0", "0.95", "1.05"), ("2", "1.5", "2.5"), ("-1.50", "-1.505", "-1.495"), ("0", "-0.5", "0.5")],
)
def test_a_decimals_boundaries_lie_half_a_digit_away(number: str, low: str, high: str) -> None:
    assert values.decimal_boundary(Decimal(number), is_high=False) == Decimal(low)
    assert values.decimal_boundary(Decimal(number), is_high=True) == Decimal(high)


@pytest.mark.parametrize("text", ["1.50", "-0.0", "1e3", "123456789012345678901234567890.123", "1e400"])
def test_a_decimal_is_kept_as_written(text: str) -> None:
    assert str(values.decimal(msgspec.Raw(text))) == str(Decimal(text))


@pytest.mark.parametrize("text", ['"1.5"', "true", "[1]", '{"a":1}', "1e99999999999999999999"])
def test_what_is_no_number_breaks_the_resource(text: str) -> None:
    with pytest.raises(values.BrokenValueError):
        values.decimal(msgspec.Raw(text))


def test_nothing_is_computed_with_nothing_or_zero() -> None:
    assert values.divide(1, 0) is None
    assert values.divide(None, 2) is None
    assert values.whole_divide(7, Decimal(0)) is None
    assert values.remainder(7, 0) is None


def test_div_cuts_towards_zero_and_mod_keeps_the_sign() -> None:
    assert values.divide(3, 2) == Decimal("1.5")
    assert (values.whole_divide(-7, 2), values.remainder(-7, 2)) == (-3, -1)
    assert values.remainder(Decimal("5.5"), 2) == Decimal("1.5")
    assert isinstance(values.remainder(7, 2), int)


def test_collections_are_equal_in_order() -> None:
    assert values.equal_lists([1, 2], [1, 2]) is True
    assert values.equal_lists([1, 2], [2, 1]) is False
    assert values.equal_lists([], [1]) is None
