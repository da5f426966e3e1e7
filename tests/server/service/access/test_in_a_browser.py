"""A login, a logout and what other sites try, in a browser."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from authorisation_server import Person
from flask import request
from hospital import listening


@dataclass
class Site:
    url: str
    seen: list[str]
    """`Sec-Fetch-Site` and status of every request that was to change something."""


@pytest.fixture
def site(open_door: Any, issuer: Any) -> Iterator[Site]:
    """A service that `dr-1` can log in to, on a port of this machine."""
    door = open_door(staff={"issuer": issuer.url, "client_id": "bridge", "subjects": ["dr-1"]})
    seen: list[str] = []

    @door.app.after_request
    def note(response: Any) -> Any:
        if request.method == "POST":
            seen.append(f"{request.headers.get('Sec-Fetch-Site')} {response.status_code}")
        return response

    with listening(door.app) as url:
        issuer.register("bridge", redirect_uris=[f"{url}/staff/login/done"])
        yield Site(url=url, seen=seen)


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    with chromium.new_context() as context:
        yield context.new_page()


def test_a_person_logs_in_works_and_logs_out(page: Any, site: Site) -> None:
    said: list[str] = []
    page.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)

    page.goto(f"{site.url}/staff/releases?page=1")
    assert page.url == f"{site.url}/staff/releases?page=1"
    assert "Dr. Moreau" in page.inner_text(".account")
    page.get_by_role("button", name="Log out").click()

    assert page.url == f"{site.url}/staff/logged-out"
    assert page.inner_text("h1") == "You are logged out"
    assert site.seen == ["same-origin 303"]
    assert said == []
    assert page.evaluate("document.cookie") == ""


def test_a_name_out_of_a_token_is_shown_as_text(page: Any, site: Site, issuer: Any) -> None:
    name = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    issuer.person = Person(subject="dr-1", name=name)

    page.goto(site.url)

    assert name in page.inner_text(".account")
    assert page.title() != "taken"


@pytest.mark.parametrize("target", ["/staff/logout", "/try"])
def test_a_form_of_another_site_changes_nothing(page: Any, site: Site, httpserver: Any, target: str) -> None:
    page.goto(site.url)
    form = (
        f'<form method="post" action="{site.url}{target}"><input name="csrf_token" value="x"><button>Go</button></form>'
    )
    httpserver.expect_request("/").respond_with_data(form, content_type="text/html")

    page.goto(f"http://localhost:{httpserver.port}/")
    page.get_by_role("button").click()
    page.wait_for_url(f"{site.url}{target}")

    assert site.seen in (["cross-site 403"], ["cross-site 401"])
    page.goto(site.url)
    assert "Dr. Moreau" in page.inner_text(".account")


def test_another_site_can_neither_frame_nor_read_a_page(page: Any, site: Site, httpserver: Any) -> None:
    page.goto(site.url)
    httpserver.expect_request("/").respond_with_data(f'<iframe src="{site.url}/"></iframe>', content_type="text/html")
    page.goto(f"http://localhost:{httpserver.port}/")  # until all its frames are there

    read = page.evaluate(
        "url => fetch(url, {credentials: 'include'}).then(answer => answer.text(), error => 'refused')", site.url
    )

    assert read == "refused"
    assert not [frame for frame in page.frames if "Overview" in frame.content()]


def test_a_frame_of_another_site_is_what_the_policy_refuses(page: Any, site: Site, httpserver: Any) -> None:
    httpserver.expect_request("/").respond_with_data(
        f'<iframe src="{site.url}/staff/logged-out"></iframe>', content_type="text/html"
    )

    with page.expect_console_message(lambda one: "frame-ancestors" in one.text):
        page.goto(f"http://localhost:{httpserver.port}/")
