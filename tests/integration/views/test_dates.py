from __future__ import annotations

import pytest

from integration.views import dates
from integration.views.values import BrokenValueError


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("2012", "2013", -1),
        ("2012-05", "2012", None),
        ("2012-05-01", "2012-05-01", 0),
        ("2012-05-02", "2012-05-01", 1),
        ("2012-05-01", "2012-05-01T10:00:00Z", None),
        ("2012-05-02", "2012-05-01T10:00:00Z", 1),
        ("2012-05-01T10:00:00+02:00", "2012-05-01T08:00:00Z", 0),
        ("2012-05-01T10:00:00.500Z", "2012-05-01T10:00:00.5Z", 0),
        ("2012-01-01T00:30:00+01:00", "2011-12-31T23:45:00Z", -1),
        ("2012-05-01T10:00:00", "2012-05-01T10:00:00Z", None),
        ("2012-05-01T10:00:00", "2012-05-03T10:00:00Z", -1),
        ("10:30", "10:30:00", None),
        ("10:30", "11:00:00", -1),
    ],
)
def test_dates_compare_as_far_as_both_are_written(left: str, right: str, order: int | None) -> None:
    """FHIRPath 2.0, section 6.1 and 6.2: differing precision and nothing decided gives nothing."""
    assert dates.compare_dates(left, right) == order
    assert dates.compare_dates(right, left) == (None if order is None else -order)
    assert dates.equal_dates(left, right) == (None if order is None else order == 0)


def test_nothing_compares_to_nothing() -> None:
    assert dates.compare_dates(None, "2012") is None
    assert dates.equal_dates("2012", None) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2012-13",
        "2012-02-30",
        "2012-05-01T",
        "2012-05-01T25:00:00Z",
        "12:61",
        "2012-5-1",
        "20120501",
        "10:30",
    ],
)
def test_what_is_no_date_breaks_the_resource(text: str) -> None:
    with pytest.raises(BrokenValueError) as caught:
        dates.compare_dates(text, "2012", "onsetDateTime")
    assert caught.value.path == "onsetDateTime"
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("text", ["24:00:00", "2012-05-01T24:00:00Z", "10:30:61"])
def test_an_hour_that_fhir_does_not_have_breaks_the_resource(text: str) -> None:
    """https://hl7.org/fhir/R4/datatypes.html#time: 24:00 is not used."""
    with pytest.raises(BrokenValueError):
        dates.moment(text)


def test_a_time_and_a_date_are_no_pair() -> None:
    for left, right in (("10:30", "2012"), ("2012-05-01T10:30:00Z", "10:30"), ("10:30:00", "2012-05-01T10:30:00Z")):
        with pytest.raises(BrokenValueError):
            dates.compare_dates(left, right)


def test_boundaries_are_of_the_kind_that_the_element_has() -> None:
    for boundary, text in (
        (dates.date_boundary, "10:30"),
        (dates.datetime_boundary, "10:30"),
        (dates.time_boundary, "2012"),
        (dates.time_boundary, "2012-05-01T10:30:00Z"),
    ):
        with pytest.raises(BrokenValueError) as caught:
            boundary(text, "a.b", is_high=True)
        assert caught.value.path == "a.b"


def test_a_zone_may_not_lead_out_of_the_calendar() -> None:
    with pytest.raises(BrokenValueError):
        dates.compare_dates("0001-01-01T00:00:00+14:00", "2012-01-01T00:00:00Z")


def test_lists_of_dates_are_equal_pair_by_pair() -> None:
    assert dates.equal_date_lists(["2012", "2013"], ["2012", "2013"]) is True
    assert dates.equal_date_lists(["2012", "2013"], ["2013", "2012"]) is False
    assert dates.equal_date_lists(["2012"], ["2012", "2013"]) is False
    assert dates.equal_date_lists(["2012-01"], ["2012"]) is None
    assert dates.equal_date_lists([], ["2012"]) is None


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2012", "2012-01-01", "2012-12-31"),
        ("2012-02", "2012-02-01", "2012-02-29"),
        ("2011-02", "2011-02-01", "2011-02-28"),
        ("2012-02-07", "2012-02-07", "2012-02-07"),
    ],
)
def test_a_dates_boundaries_are_days(text: str, low: str, high: str) -> None:
    assert dates.date_boundary(text, is_high=False) == low
    assert dates.date_boundary(text, is_high=True) == high


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2012-02", "2012-02-01T00:00:00.000+14:00", "2012-02-29T23:59:59.999-12:00"),
        ("2012-02-07T10:30", "2012-02-07T10:30:00.000+14:00", "2012-02-07T10:30:59.999-12:00"),
        ("2012-02-07T10:30:05Z", "2012-02-07T10:30:05.000Z", "2012-02-07T10:30:05.999Z"),
        ("2012-02-07T10:30:05.1+02:00", "2012-02-07T10:30:05.100+02:00", "2012-02-07T10:30:05.199+02:00"),
    ],
)
def test_a_date_times_boundaries_keep_its_zone(text: str, low: str, high: str) -> None:
    assert dates.datetime_boundary(text, is_high=False) == low
    assert dates.datetime_boundary(text, is_high=True) == high


def test_a_times_boundaries_are_milliseconds() -> None:
    assert dates.time_boundary("12:34", is_high=False) == "12:34:00.000"
    assert dates.time_boundary("12", is_high=True) == "12:59:59.999"
    assert dates.time_boundary(None, is_high=True) is None
