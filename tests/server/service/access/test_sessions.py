"""Sessions of persons, and the forms that only our own pages can send."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from access_logins import CLIENT, HTML, begin, log_in, open_staff_door

Door = Any


def test_a_login_begins_a_session_of_its_own(staff_door: Door) -> None:
    """Session fixation: what somebody planted in the browser before is worth nothing afterwards."""
    attacker = staff_door.app.test_client()
    begin(attacker)
    planted = attacker.get_cookie("outcome-bridge").value
    victim = staff_door.app.test_client()
    victim.set_cookie("outcome-bridge", planted)

    log_in(victim)

    assert victim.get("/try").status_code == 200
    assert victim.get_cookie("outcome-bridge").value != planted
    assert attacker.get("/try", headers=HTML).status_code == 303


def test_the_form_token_before_a_login_is_worth_nothing_afterwards(open_door: Any, issuer: Any) -> None:
    door = open_staff_door(open_door, issuer)
    log_in(door.client)
    first = door.client.get("/try").text.partition("|")[2]
    door.client.post("/staff/logout", data={"csrf_token": first})
    log_in(door.client)

    assert door.client.post("/try", data={"csrf_token": first}).status_code == 403


def test_a_cookie_is_for_this_host_and_not_for_scripts(open_door: Any, issuer: Any) -> None:
    door = open_staff_door(open_door, issuer)

    header = door.client.get("/staff/login").headers["Set-Cookie"]

    assert header.startswith("outcome-bridge=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(header.split("; "))
    assert "Secure" not in header
    assert "Domain" not in header


def test_elsewhere_than_on_this_machine_a_cookie_goes_by_https_only(open_door: Any, issuer: Any) -> None:
    settings = {"issuer": issuer.url, "client_id": CLIENT, "subjects": ["dr-1"]}
    door = open_door(staff=settings, public_url="https://bridge.example")

    for scheme in ("http", "https"):
        answer = door.client.get("/staff/login", base_url=f"{scheme}://bridge.example")
        assert answer.headers["Set-Cookie"].startswith("__Host-outcome-bridge=")
        assert "Secure" in answer.headers["Set-Cookie"].split("; ")
        redirect = parse_qs(urlsplit(answer.headers["Location"]).query)["redirect_uri"]
        assert redirect == ["https://bridge.example/staff/login/done"]


@pytest.mark.parametrize("position", [0, 5, 20, -1, -10, -30])
def test_a_cookie_that_was_changed_is_nobodys(staff_door: Door, position: int) -> None:
    log_in(staff_door.client)
    cookie = staff_door.client.get_cookie("outcome-bridge").value
    at = position % len(cookie)
    other = "A" if cookie[at] != "A" else "B"
    changed = cookie[:at] + other + cookie[at + 1 :]
    if position == -1:  # the last character holds bits that count for nothing
        changed = cookie[:-2]

    thief = staff_door.app.test_client()
    thief.set_cookie("outcome-bridge", changed)

    assert thief.get("/try", headers=HTML).status_code == 303


def test_a_cookie_signed_with_another_key_is_nobodys(staff_door: Door) -> None:
    log_in(staff_door.client)
    cookie = staff_door.client.get_cookie("outcome-bridge").value
    staff_door.app.secret_key = b"another key of somebody else....."

    staff_door.client.set_cookie("outcome-bridge", cookie)

    assert staff_door.client.get("/try", headers=HTML).status_code == 303


def test_a_session_ends_after_half_an_hour_without_a_request(staff_door: Door) -> None:
    log_in(staff_door.client)

    for _ in range(4):
        staff_door.time.passes(minutes=29)
        assert staff_door.client.get("/try").status_code == 200
    staff_door.time.passes(minutes=30)

    assert staff_door.client.get("/try", headers=HTML).status_code == 303


def test_a_session_ends_after_ten_hours_in_any_case(staff_door: Door) -> None:
    log_in(staff_door.client)

    for _ in range(23):
        staff_door.time.passes(minutes=25)
        assert staff_door.client.get("/try").status_code == 200
    staff_door.time.passes(minutes=25)

    assert staff_door.client.get("/try", headers=HTML).status_code == 303


@pytest.mark.parametrize(
    "changed",
    [
        {"subjects": ["dr-2"]},
        {"issuer": "https://another.example"},
        {"client_id": "another"},
        {"claim": "groups", "value": "staff"},
    ],
)
def test_a_session_ends_when_the_settings_say_otherwise_who_is_staff(
    staff_door: Door, open_door: Any, issuer: Any, changed: dict[str, Any]
) -> None:
    log_in(staff_door.client)
    cookie = staff_door.client.get_cookie("outcome-bridge").value
    settings = {"issuer": issuer.url, "client_id": CLIENT, "subjects": ["dr-1"]}
    as_before, after = open_door(staff=settings), open_door(staff=settings | changed)

    for door in (as_before, after):
        door.client.set_cookie("outcome-bridge", cookie)

    assert as_before.client.get("/try").status_code == 200
    assert after.client.get("/try", headers=HTML).status_code == 303


def test_after_a_logout_a_copy_of_the_cookie_is_worth_nothing(staff_door: Door) -> None:
    log_in(staff_door.client)
    cookie = staff_door.client.get_cookie("outcome-bridge").value
    token = staff_door.client.get("/try").text.partition("|")[2]

    answer = staff_door.client.post("/staff/logout", data={"csrf_token": token})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/staff/logged-out")
    assert staff_door.client.get("/staff/logged-out").status_code == 200
    staff_door.client.set_cookie("outcome-bridge", cookie)
    assert staff_door.client.get("/try", headers=HTML).status_code == 303


def test_a_page_of_another_site_cannot_log_anybody_out(staff_door: Door) -> None:
    log_in(staff_door.client)

    assert staff_door.client.post("/staff/logout").status_code == 403
    assert staff_door.client.get("/try").status_code == 200


@pytest.mark.parametrize("kind", ["none", "empty", "another session", "changed", "not ASCII"])
def test_a_form_without_the_token_of_its_session_is_refused(staff_door: Door, kind: str) -> None:
    log_in(staff_door.client)
    token = staff_door.client.get("/try").text.partition("|")[2]
    other = staff_door.app.test_client()
    log_in(other)
    sent = {
        "none": {},
        "empty": {"csrf_token": ""},
        "another session": {"csrf_token": other.get("/try").text.partition("|")[2]},
        "changed": {"csrf_token": token[:-1] + ("0" if token[-1] != "0" else "1")},
        "not ASCII": {"csrf_token": "é" * 64},
    }[kind]

    assert staff_door.client.post("/try", data=sent).status_code == 403
    assert staff_door.client.post("/try", data={"csrf_token": token}).status_code == 200
    assert staff_door.client.post("/try", headers={"X-CSRF-Token": token}).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_a_form_of_another_site_is_refused_though_it_knows_the_token(staff_door: Door, headers: dict[str, str]) -> None:
    log_in(staff_door.client)
    token = staff_door.client.get("/try").text.partition("|")[2]

    assert staff_door.client.post("/try", data={"csrf_token": token}, headers=headers).status_code == 403


def test_forms_need_the_token_where_nobody_logs_in_as_well(open_door: Any) -> None:
    door = open_door()
    token = door.client.get("/try").text.partition("|")[2]

    assert door.client.post("/try").status_code == 403
    assert door.client.post("/try", data={"csrf_token": token}).status_code == 200
