"""The pages' frame: static files, errors as pages, and nothing from another host."""

import re
from typing import Any

import flask
import pytest

from integration.errors import ServerUnreachableError
from server.service import pages
from server.service.operation_outcome import RefusedError

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def framed() -> Any:
    """Return the client of an application with one page that goes wrong as told."""
    app = flask.Flask("framed", static_folder=None)
    place = flask.Blueprint("place", __name__)
    pages.answer_with_pages(place)
    faults: dict[str, Exception] = {
        "page": pages.PageError(410, "This launch was used.", advice="Open the chart again."),
        "refused": RefusedError(403, "the token is <b>another's</b>", headers={"WWW-Authenticate": "Bearer"}),
        "ehr": ServerUnreachableError(url="http://127.0.0.1/fhir", problem="no answer"),
    }

    @place.get("/wrong/<kind>")
    def wrong(kind: str) -> Any:
        raise faults[kind]

    @place.get("/redirect")
    def redirect() -> Any:
        flask.abort(flask.redirect("/elsewhere"))

    app.register_blueprint(place)
    app.register_blueprint(pages.blueprint())
    return app.test_client()


def test_the_style_sheet_is_kept_by_its_digest_and_answered_304(framed: Any) -> None:
    with framed.application.test_request_context("/"):
        address = pages.static_url("bridge.css")

    first = framed.get(address)
    again = framed.get(address, headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, first.content_type) == (200, "text/css; charset=utf-8")
    assert "immutable" in first.headers["Cache-Control"]
    assert (again.status_code, again.data) == (304, b"")


def test_without_its_digest_a_file_is_kept_for_an_hour_only(framed: Any) -> None:
    assert framed.get("/static/bridge.css").headers["Cache-Control"] == "public, max-age=3600"


@pytest.mark.parametrize("name", ["nothing.css", "../pages.py", "..%2fpages.py", "%2e%2e/pages.py", ".", "__init__.py"])
def test_only_the_files_of_the_folder_are_served(framed: Any, name: str) -> None:
    assert framed.get(f"/static/{name}").status_code == 404


def test_the_style_sheet_takes_nothing_from_elsewhere() -> None:
    css = pages._files()["bridge.css"].body.decode()

    assert not re.search(r"@import|url\(", css)


def test_a_page_error_is_a_page_with_advice(framed: Any) -> None:
    answer = framed.get("/wrong/page")

    assert (answer.status_code, answer.content_type) == (410, "text/html; charset=utf-8")
    assert "This launch was used." in answer.text
    assert "Open the chart again." in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_refusal_is_a_page_that_shows_text_as_text(framed: Any) -> None:
    answer = framed.get("/wrong/refused")

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (403, "Bearer")
    assert "The token is &lt;b&gt;another&#39;s&lt;/b&gt;." in answer.text


def test_an_ehr_that_is_away_is_a_page_that_says_when_to_try_again(framed: Any) -> None:
    answer = framed.get("/wrong/ehr")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "127.0.0.1" not in answer.text


def test_a_redirection_stays_one(framed: Any) -> None:
    assert framed.get("/redirect").headers["Location"] == "/elsewhere"


def test_every_page_has_landmarks_a_skip_link_a_language_and_no_script(framed: Any) -> None:
    text = framed.get("/wrong/page").text

    for wanted in ('<html lang="en">', '<main id="main"', 'href="#main"', "<header", "<footer", "<title>"):
        assert wanted in text
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://", text)


def test_a_person_who_is_lost_gets_a_page_and_an_engine_an_operation_outcome(service: Any) -> None:
    person = service.client.get("/nowhere", headers=BROWSER)
    engine = service.client.get("/nowhere")
    under_fhir = service.client.get("/fhir/nowhere", headers=BROWSER)

    assert person.content_type == "text/html; charset=utf-8"
    assert (engine.content_type, under_fhir.content_type) == ("application/fhir+json",) * 2
