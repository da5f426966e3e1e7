"""The staff pages in a browser: 390 and 1280 pixels, by keyboard, in light and dark, and a decision being made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hospital import listening

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
PATHS = {
    "overview": "/",
    "review": "/staff/review",
    "quarantine": "/staff/quarantine",
    "late": "/staff/late",
    "releases": "/staff/releases",
    "find": "/staff/find?id=nobody",
    "patient": "/staff/patients/p1",
    "response": "/staff/responses/response-6",
}
CONTRAST = (Path(__file__).parents[1] / "chart" / "contrast.js").read_text(encoding="utf-8").partition("\n")[2]


@pytest.fixture
def address(busy: Any) -> Iterator[str]:
    with listening(busy.client.application) as url:
        yield url


@pytest.fixture
def page(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    said: list[str] = []
    with chromium.new_context(**getattr(request, "param", {"viewport": DESK})) as context:
        opened = context.new_page()
        opened.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
        yield opened
    assert said == []


@pytest.mark.parametrize("page", [{"viewport": DESK}, {"viewport": PHONE}], ids=["desk", "phone"], indirect=True)
def test_no_page_scrolls_sideways(address: str, page: Any, tmp_path: Path) -> None:
    for name, path in PATHS.items():
        page.goto(f"{address}{path}")
        page.screenshot(path=tmp_path / f"staff-{name}.png", full_page=True)

        assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"], name


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
def test_every_text_has_the_contrast_of_aa(address: str, page: Any) -> None:
    for path in PATHS.values():
        page.goto(f"{address}{path}")

        assert page.evaluate(CONTRAST) == [], path


@pytest.mark.parametrize("path", ["/", "/staff/review", "/staff/patients/p1"])
def test_everything_can_be_reached_by_keyboard_in_order(address: str, page: Any, path: str) -> None:
    page.goto(f"{address}{path}")
    controls = "a[href], input:not([type=hidden]), select, textarea, button"
    expected = page.evaluate(f"[...document.querySelectorAll('{controls}')].map(one => one.outerHTML)")
    reached = []

    for _ in expected:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.outerHTML"))

    assert reached == expected


def test_every_control_has_a_name(address: str, page: Any) -> None:
    for path in PATHS.values():
        page.goto(f"{address}{path}")

        unnamed = page.evaluate(
            """[...document.querySelectorAll('input:not([type=hidden]), select, textarea, button')]
               .filter(one => !(one.labels && one.labels.length) && !one.textContent.trim() && !one.ariaLabel)
               .map(one => one.outerHTML)"""
        )

        assert unnamed == [], path


def test_a_person_settles_an_outcome_from_end_to_end(address: str, page: Any, busy: Any) -> None:
    page.goto(f"{address}/")
    page.get_by_role("navigation").get_by_role("link", name="To review").click()
    page.get_by_label("State").select_option("refused")
    page.get_by_role("button", name="Show").click()

    page.get_by_label("physical").first.check()
    page.get_by_label("Who decides").fill("Dr. Moreau")
    page.get_by_label("Why").fill("The flowsheet row was made")
    page.get_by_role("button", name="Make due again").click()

    assert "made due again" in page.get_by_role("status").inner_text()
    [decision] = busy.ledger.decisions.all("north")
    assert (decision.who, decision.why) == ("Dr. Moreau", "The flowsheet row was made")
