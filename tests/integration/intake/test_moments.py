from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.intake.moments import NotADateTimeError, first_full, is_partial, moment


@pytest.mark.parametrize(
    ("text", "day", "instant"),
    [
        ("2012-05-01", date(2012, 5, 1), None),
        ("2012-02-29", date(2012, 2, 29), None),
        ("2012-05-01T23:50:00+02:00", date(2012, 5, 1), datetime(2012, 5, 1, 21, 50, tzinfo=UTC)),
        ("2012-05-01T00:10:00+02:00", date(2012, 5, 1), datetime(2012, 4, 30, 22, 10, tzinfo=UTC)),
        ("2012-05-01T00:10:00Z", date(2012, 5, 1), datetime(2012, 5, 1, 0, 10, tzinfo=UTC)),
        ("2012-05-01T10:00:00.5-07:00", date(2012, 5, 1), datetime(2012, 5, 1, 17, 0, 0, 500_000, tzinfo=UTC)),
        ("2012-05-01T10:00:00.1234567Z", date(2012, 5, 1), datetime(2012, 5, 1, 10, 0, 0, 123_456, tzinfo=UTC)),
        ("2012-06-30T23:59:60Z", date(2012, 6, 30), datetime(2012, 6, 30, 23, 59, 59, tzinfo=UTC)),
        ("2012-05-01T10:00:00", date(2012, 5, 1), None),
        ("2012-05-01T10:00", date(2012, 5, 1), None),
        ("2012-05-01T10:00Z", date(2012, 5, 1), datetime(2012, 5, 1, 10, tzinfo=UTC)),
    ],
)
def test_the_date_is_that_written_in_its_own_offset(text: str, day: date, instant: datetime | None) -> None:
    found = moment(text)

    assert found is not None
    assert (found.day, found.instant, found.text) == (day, instant, text)


@pytest.mark.parametrize("text", [None, "2012", "2012-05"])
def test_a_missing_or_partial_date_is_no_moment(text: str | None) -> None:
    assert moment(text) is None


@pytest.mark.parametrize(
    ("text", "partial"),
    [("2012", True), ("2012-05", True), ("2012-05-01", False), (None, False), ("", False), ("201", False)],
)
def test_a_year_or_a_month_is_partial(text: str | None, partial: bool) -> None:
    assert is_partial(text) is partial


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "20120501", "2012-5-1", "2012-W05-3", "2012-123", "2012-13-01", "2011-02-29", "0000-01-01",
        "2012-05-01 10:00:00Z", "2012-05-01T25:00:00Z", "2012-05-01T10", "2012-05-01T10:00:00+0200", "1 May 2012",
        "2012-05-01Z", "\uff12\uff10\uff11\uff12-05-01",
    ],
)  # fmt: skip
def test_what_fhir_does_not_write_is_no_date(text: str) -> None:
    with pytest.raises(NotADateTimeError) as caught:
        moment(text)

    assert str(caught.value) == "not a FHIR dateTime"


@given(
    when=st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001  # zone below
    minutes=st.integers(-14 * 60, 14 * 60),
)
def test_every_dateTime_keeps_its_day_and_its_instant(when: datetime, minutes: int) -> None:  # noqa: N802  # FHIR's name
    written = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    found = moment(written.isoformat())

    assert found is not None
    assert (found.day, found.instant) == (when.date(), written)


def test_a_partial_or_missing_date_falls_through_to_the_next() -> None:
    found = first_full(None, "2012", "2012-05", "2012-05-03", "2012-05-04")

    assert found is not None
    assert found.day == date(2012, 5, 3)


def test_only_partial_and_missing_dates_are_undated() -> None:
    assert first_full(None, "2012", "2012-05") is None


def test_a_date_that_is_none_does_not_fall_through() -> None:
    with pytest.raises(NotADateTimeError):
        first_full("yesterday", "2012-05-03")
