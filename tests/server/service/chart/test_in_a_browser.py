"""The pages in a browser: read at 390 and 1280 pixels, by keyboard, by a screen reader, in print, in light and dark."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import hospital as parts
import pytest

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8").partition("\n")[2]


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Return what opens a page; whatever its console says that is an error fails the test."""
    contexts: list[Any] = []
    said: list[str] = []

    def build(**options: Any) -> Any:
        context = chromium.new_context(**({"viewport": DESK} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        return page

    yield build
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def address(clinic: Any, make_response: Any, make_procedure: Any, make_patient: Any) -> Iterator[str]:
    """The address of a service that shows a patient with everything that a chart can have."""
    clinic.hospital.hold(
        make_patient("p1", name=[{"given": ["Ida"], "family": "Invented"}], meta={"versionId": "2"}),
        make_procedure("pr2", "2012-12-10"),
        make_response("gap", "2012-08-10T10:00:00Z", 3, without=range(1, 14)),
        make_response("wrong", "2012-07-01", status="entered-in-error"),
        make_response("vague", "2012-07"),
        make_response("newer", "2013-05-15", questionnaire="urn:outcome-bridge:questionnaire:msis-29-v2"),
    )
    clinic.hospital.plan("before", "month-1", "month-6")
    clinic.hospital.deliver("before")
    clinic.hospital.deliver("month-1", "altered", reason="valueQuantity.value")
    with parts.listening(clinic.app) as found:
        clinic.ehr.register("chart", redirect_uris=[f"{found}/launch/callback"])
        yield found


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("path", ["/chart/p1", "/chart/p1/response/before", "/launch"])
def test_no_page_scrolls_sideways(address: str, chromium: Any, viewport: Any, path: str) -> None:
    with chromium.new_context(viewport=viewport) as context:
        page = context.new_page()
        page.goto(f"{address}{path}")

        width = page.evaluate("document.documentElement.scrollWidth")

    assert width <= viewport["width"]


CROSSING = """() => {
    const words = [...document.querySelectorAll('svg.plot text')].filter(one => one.checkVisibility());
    const boxes = words.map(one => [one.textContent, one.getBoundingClientRect()]), found = [];
    boxes.forEach(([text, a], index) => boxes.slice(index + 1).forEach(([other, b]) => {
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 1 && high > 4) found.push([text, other]);  // a box is higher than its digits
    }));
    const isOutside = one => {
        const a = one.getBoundingClientRect(), picture = one.closest('svg').getBoundingClientRect();
        return a.left < picture.left - 1 || a.right > picture.right + 1;
    };
    return [found, words.filter(isOutside).map(one => one.textContent), words.length];
}"""


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("points", [6, 30])
def test_no_words_of_the_picture_lie_on_others_where_sessions_and_points_are_close(
    open_clinic: Any, hospital: Any, open_page: Any, viewport: Any, media: str, points: int
) -> None:
    first = date(2012, 5, 7)
    hospital.hold(
        *(
            parts.procedure(f"pr{n}", (first + timedelta(days=days)).isoformat())
            for n, days in enumerate((0, 10, 20, 30, 380))
        ),
        *(parts.response(f"r{n}", (first + timedelta(days=5 * n - 3)).isoformat(), 3 + n % 2) for n in range(points)),
        parts.response("last", (first + timedelta(days=388)).isoformat(), 3, without=(1, 2, 29)),
    )
    page = open_page(viewport=viewport)
    with parts.listening(open_clinic().app) as url:
        page.goto(f"{url}/chart/p1")
        page.emulate_media(media=media)
        crossing, outside, count = page.evaluate(CROSSING)
        rows = page.locator("table.scores tbody tr.heading").count()

    assert crossing == []
    assert outside == []
    assert count > 20
    assert rows == points + 1  # the table has every number, whatever the picture has room for


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/chart/p1", "/chart/p1/response/before"])
def test_every_text_has_the_contrast_of_aa(address: str, open_page: Any, scheme: str, path: str) -> None:
    page = open_page(color_scheme=scheme)
    page.goto(f"{address}{path}")

    assert page.evaluate(CONTRAST) == []


def test_a_whole_launch_ends_at_the_patients_chart(address: str, clinic: Any, open_page: Any) -> None:
    page = open_page()
    launch = clinic.ehr.launch(patient="p1")

    page.goto(f"{address}/launch?iss={clinic.ehr.fhir_url}&launch={launch}")

    assert page.url == f"{address}/chart/p1"
    assert page.locator("h1").inner_text() == "MSIS‑29 over time"
    assert page.locator(".patient").inner_text().startswith("Ida Invented · born 1970-05-01")


def test_going_back_after_a_launch_never_shows_a_fault(address: str, clinic: Any, open_page: Any) -> None:
    page = open_page()
    launch = clinic.ehr.launch(patient="p1")
    page.goto(f"{address}/chart/p1/response/before")
    page.goto(f"{address}/launch?iss={clinic.ehr.fhir_url}&launch={launch}")

    page.go_back()
    page.go_forward()

    assert page.url == f"{address}/chart/p1"


def test_everything_can_be_reached_by_keyboard_in_order_and_is_seen(address: str, open_page: Any) -> None:
    page = open_page()
    page.goto(f"{address}/chart/p1")
    expected = page.evaluate("[...document.querySelectorAll('a[href], [tabindex=\"0\"]')].map(one => one.outerHTML)")
    reached, unseen = [], []

    for _ in expected:
        page.keyboard.press("Tab")
        html, outline, box = page.evaluate(
            """() => {
                const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
                const width = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
                return [one.outerHTML, width, [box.right, box.bottom]];
            }"""
        )
        reached.append(html)
        if outline < 2 or min(box) <= 0:
            unseen.append(html)

    assert reached == expected
    assert unseen == []
    assert "Skip to the content" in reached[0]
    assert len(reached) > 10


def test_the_skip_link_leads_past_the_head(address: str, open_page: Any) -> None:
    page = open_page()
    page.goto(f"{address}/chart/p1")

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_a_screen_reader_is_told_what_the_page_shows(address: str, open_page: Any, viewport: Any) -> None:
    page = open_page(viewport=viewport)
    page.goto(f"{address}/chart/p1")

    said = page.locator("body").aria_snapshot()

    assert said.count('img "MSIS-29 scores over time Physical: 4 scores, 75 on 4 May 2012') == 1
    for wanted in ("- banner:", "- main:", "- contentinfo:", 'heading "MSIS‑29 over time" [level=1]', 'list "Marks in'):
        assert wanted in said
    assert 'region "Scores, 0 best to 100 worst' in said
    assert page.get_by_role("rowheader", name="Physical").count() == 5
    assert page.get_by_role("link", name="The response of 2012-06-06").count() == 1
    assert page.get_by_role("columnheader", name="The EHR holds", include_hidden=True).count() == 1


def test_it_prints_on_pages_of_paper(address: str, open_page: Any) -> None:
    page = open_page()
    page.goto(f"{address}/chart/p1")
    page.emulate_media(media="print")

    pdf = page.pdf(prefer_css_page_size=True)

    assert pdf.startswith(b"%PDF")
    assert 1 <= pdf.count(b"/Type /Page\n") <= 4
    assert page.locator(".skip").is_hidden()
    assert page.locator("svg.wide").is_visible()


def test_a_page_needs_no_script_and_nothing_from_elsewhere(address: str, chromium: Any) -> None:
    asked: list[str] = []
    with chromium.new_context(java_script_enabled=False, viewport=DESK) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/chart/p1")

        assert page.locator("svg.wide").is_visible()

    assert all(one.startswith(address) for one in asked)
    assert not any(one.endswith(".js") for one in asked)
