"""The picture: what is joined, what is broken, what stands for what, and that nothing lies outside it."""

import itertools
from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree

import hospital as parts_of
import pytest

from server.service.chart import drawing, timeline

SVG = "{http://www.w3.org/2000/svg}"


def parts(picture: str, kind: str) -> list[Any]:
    """Return the elements of a picture that have a class."""
    return [one for one in ElementTree.fromstring(picture).iter() if kind in one.get("class", "").split()]


@pytest.fixture
def treated(hospital: Any, make_response: Any, make_procedure: Any) -> Any:
    hospital.hold(
        make_procedure("pr1", "2012-05-07"),
        make_response("before", "2012-05-04", 4),
        make_response("month-1", "2012-06-06", 3),
        make_response("month-6", "2012-11-02", 4),
    )
    return hospital


def joins_of(hospital: Any, scale: Any = "physical") -> list[tuple[str, str, str]]:
    return [(one.response_id, other.response_id, how) for one, other, how in drawing.joins(hospital.chart(), scale)]


def test_neighbouring_scores_are_joined(treated: Any) -> None:
    assert joins_of(treated) == [("before", "month-1", "line"), ("month-1", "month-6", "line")]


def test_a_response_dated_in_the_future_is_not_drawn_and_moves_no_axis(treated: Any, make_response: Any) -> None:
    before = drawing.draw(treated.chart())
    treated.hold(make_response("tomorrow", "2013-06-02", 3), make_response("typo", "2103-05-04", 3))
    chart = treated.chart()

    assert "tomorrow" in [line.response_id for line in chart.drawn]
    assert [line.response_id for line in chart.future] == ["typo"]
    assert "2103" not in drawing.draw(chart)
    assert "2013" in before


def test_a_gap_breaks_the_line_of_its_subscale_only(treated: Any, make_response: Any) -> None:
    treated.hold(make_response("gap", "2012-08-01", 3, without=range(1, 12)))

    assert joins_of(treated) == [("before", "month-1", "line"), ("month-1", "month-6", "line broken")]
    assert "line broken" not in [how for *_, how in joins_of(treated, "psychological")]


def test_a_visit_that_nobody_answered_at_breaks_the_line(
    hospital: Any, make_response: Any, make_procedure: Any
) -> None:
    hospital.hold(
        make_procedure("pr1", "2012-05-07"), make_response("before", "2012-05-04"), make_response("late", "2012-11-02")
    )

    assert joins_of(hospital) == [("before", "late", "line broken")]


def test_scores_of_two_versions_are_not_joined(treated: Any, make_response: Any) -> None:
    version_2 = "urn:outcome-bridge:questionnaire:msis-29-v2"
    treated.hold(make_response("month-6", "2012-11-02", questionnaire=version_2, meta={"versionId": "2"}))

    assert joins_of(treated) == [("before", "month-1", "line")]


def test_what_was_withdrawn_neither_joins_nor_breaks(treated: Any, make_response: Any) -> None:
    treated.hold(make_response("wrong", "2012-08-01", status="entered-in-error"))

    assert [how for *_, how in joins_of(treated)] == ["line", "line"]


def test_a_score_with_missing_items_is_hollow_and_one_without_a_score_is_a_cross(
    treated: Any, make_response: Any
) -> None:
    treated.hold(make_response("few", "2012-08-01", 3, without=(1,)), make_response("wrong", "2012-09-01", 9))

    picture = drawing.draw(treated.chart())

    assert len(parts(picture, "hollow")) == 1
    assert len(parts(picture, "gap")) == 2 * 2
    assert len(parts(picture, "dot")) == 4 + 4


def test_higher_is_drawn_higher(treated: Any) -> None:
    circles = [one for one in parts(drawing.draw(treated.chart()), "dot") if one.tag == f"{SVG}circle"]

    before, month_1, _ = (float(one.get("cy")) for one in circles)
    assert before < month_1  # 75 above 50: SVG counts downwards


def test_the_baseline_and_a_meaningful_change_are_drawn_from_the_baseline_on(treated: Any) -> None:
    picture = drawing.draw(treated.chart())

    [physical, psychological] = parts(picture, "base")
    lines = [one for one in parts(picture, "limit") if one.tag == f"{SVG}line"]
    panel = 190.0
    offsets = sorted({round(abs(float(one.get("y1")) - float(physical.get("y1"))) / panel * 100) for one in lines[:2]})
    assert (len(lines), offsets) == (4, [8])
    assert all(one.get("x1") == physical.get("x1") for one in lines)
    assert psychological.get("x1") == physical.get("x1")


def test_a_threshold_that_lies_outside_the_scale_is_not_drawn(
    hospital: Any, make_response: Any, make_procedure: Any
) -> None:
    hospital.hold(make_procedure("pr1", "2012-05-07"), make_response("before", "2012-05-04", 1))

    lines = [one for one in parts(drawing.draw(hospital.chart()), "limit") if one.tag == f"{SVG}line"]

    assert len(lines) == 2  # a score of 0 can only rise


def test_the_picture_says_what_it_shows(treated: Any) -> None:
    svg = ElementTree.fromstring(drawing.draw(treated.chart()))

    title, description = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert title is not None
    assert description is not None
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert description.text.startswith("Physical: 3 scores, 75 on 4 May 2012 to 75 on 2 Nov 2012.")
    assert "Procedure on 7 May 2012." in description.text
    assert "Higher is worse." in description.text


def test_two_pictures_of_one_page_share_no_identifier(treated: Any) -> None:
    chart = treated.chart()

    ids = [
        one.get("id")
        for picture in (drawing.draw(chart), drawing.draw(chart, width=drawing.NARROW, name="narrow"))
        for one in ElementTree.fromstring(picture).iter()
        if one.get("id")
    ]
    assert len(ids) == len(set(ids)) == 4


def test_without_a_date_there_is_no_picture(hospital: Any, make_response: Any) -> None:
    hospital.hold(make_response("vague", "2012"))

    assert drawing.draw(hospital.chart()) == ""


def test_many_responses_of_one_day_are_drawn(hospital: Any, make_response: Any) -> None:
    hospital.hold(*(make_response(f"r{number}", "2012-05-04") for number in range(40)))

    assert len(parts(drawing.draw(hospital.chart()), "dot")) == 80


@pytest.mark.parametrize("width", [drawing.WIDE, drawing.NARROW])
def test_nothing_is_drawn_outside_the_picture(treated: Any, make_procedure: Any, width: int) -> None:
    treated.hold(*(make_procedure(f"pr{year}", f"{year}-03-01") for year in range(2013, 2020)))

    svg = ElementTree.fromstring(drawing.draw(treated.chart(), width=width))

    height = float(svg.get("viewBox").split()[3])
    for one in svg.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(one.get(name, 0)) <= width
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(one.get(name, 0)) <= height


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (date(2012, 1, 1), date(2012, 2, 1), ["Jan 2012", "Feb 2012"]),
        (date(2000, 1, 1), date(2019, 12, 31), ["2000", "2005", "2010", "2015"]),
    ],
)
def test_the_axis_of_time_names_as_much_as_there_is_room_for(first: date, last: date, words: list[str]) -> None:
    axis = timeline.Timeline(first=first, last=last, left=0, right=300)

    assert [text for _, text in axis.ticks(70)] == words


def test_words_that_would_overlap_stand_in_rows() -> None:
    placed = timeline.labels([("Procedure", 100, "mark"), ("Retreatment 1", 110, "mark"), ("far", 300, "mark")],
                             left=0, right=400)  # fmt: skip

    assert [one.row for one in placed] == [0, 1, 0]


def boxes(picture: str, kind: str) -> list[tuple[float, float, float, float]]:
    """Return the left, top, right and bottom of rectangles."""
    found = [[float(one.get(name)) for name in ("x", "y", "width", "height")] for one in parts(picture, kind)]
    return [(x, y, x + width, y + height) for x, y, width, height in found]


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("width", [drawing.WIDE, drawing.NARROW])
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_names_of_close_sessions_stand_on_a_ground_of_their_own(
    hospital: Any, make_procedure: Any, width: int, count: int
) -> None:
    days = [date(2012, 5, 7) + timedelta(days=10 * number) for number in range(count)]
    hospital.hold(*(make_procedure(f"pr{number}", day.isoformat()) for number, day in enumerate(days)))

    picture = drawing.draw(hospital.chart(), width=width)

    plates = boxes(picture, "plate")
    words = [one.text for one in ElementTree.fromstring(picture).iter(f"{SVG}text") if one.get("class") == "mark"]
    assert words in (
        ["Procedure", *(f"Retreatment {number}" for number in range(1, count))],
        ["P", *(f"R{number}" for number in range(1, count))],
    )
    assert not any(overlap(one, other) for one, other in itertools.combinations(plates, 2))
    assert all(left >= 0 and right <= width for left, _, right, _ in plates)
    assert picture.rindex('<line class="mark"') < picture.index('class="plate"')
    assert len({round(top) for _, top, _, _ in plates}) <= 4


def test_a_short_name_is_explained_where_the_sessions_are_listed(clinic: Any) -> None:
    clinic.hospital.hold(parts_of.procedure("pr2", "2012-05-17"))

    page = clinic.client.get("/chart/p1").get_data(as_text=True)

    assert "7 May 2012: Procedure (P);" in page
    assert "17 May 2012: Retreatment 1 (R1), 10 days after the first;" in page


@pytest.mark.parametrize("width", [drawing.WIDE, drawing.NARROW])
def test_a_value_lies_on_no_point_and_no_other_value_however_close_they_are(
    treated: Any, make_response: Any, width: int
) -> None:
    days = [date(2012, 5, 10) + timedelta(days=5 * number) for number in range(6)]
    treated.hold(*(make_response(f"r{number}", day.isoformat(), 1 + number % 5) for number, day in enumerate(days)))

    picture = drawing.draw(treated.chart(), width=width)

    values = [
        (float(one.get("x")) - 4 * len(one.text), float(one.get("y")) - 9, float(one.get("x")) + 4 * len(one.text),
         float(one.get("y")))
        for one in parts(picture, "value")
    ]  # fmt: skip
    circles = [one for one in parts(picture, "dot") if one.tag == f"{SVG}circle"]
    points = [tuple(float(one.get(name)) + by for by in (-3, 3) for name in ("cx", "cy")) for one in circles]
    assert len(values) > 8
    assert not any(overlap(one, other) for one, other in itertools.combinations(values, 2))
    assert not any(overlap(one, other) for one in values for other in points)


def test_dates_at_the_ends_of_the_calendar_do_not_break_the_axis() -> None:
    axis = timeline.timeline([date.min, date.max], left=0, right=300)

    assert axis.x(date.min) == 0
    assert axis.ticks(70)


@pytest.mark.parametrize("day", ["0001-01-02", "9999-12-30"])
def test_a_procedure_at_an_end_of_the_calendar_is_drawn(hospital: Any, make_procedure: Any, day: str) -> None:
    hospital.hold(make_procedure("pr1", day))

    assert parts(drawing.draw(hospital.chart()), "mark")
