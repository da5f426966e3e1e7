"""Login of persons, and what attacks on it lead to."""

import logging
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from authorisation_server import Person, signing_key

from server.service.access.login import safe_return

Door = Any
CLIENT = "bridge"
BACK = "http://localhost/staff/login/done"
HTML = {"Accept": "text/html"}


def open_staff_door(open_door: Any, issuer: Any, **staff: Any) -> Door:
    issuer.register(CLIENT, redirect_uris=[BACK])
    return open_door(staff={"issuer": issuer.url, "client_id": CLIENT, "subjects": ["dr-1"]} | staff)


@pytest.fixture
def staff_door(open_door: Any, issuer: Any) -> Door:
    return open_staff_door(open_door, issuer)


def begin(client: Any, path: str = "/try") -> str:
    """Open a page without being logged in, and return the address of the provider that the browser is sent to."""
    asked = client.get(path, headers=HTML)
    assert asked.status_code == 303
    sent = client.get(asked.headers["Location"])
    assert sent.status_code == 303
    return str(sent.headers["Location"])


def answered(address: str) -> str:
    """Ask the provider, and return where it sends the browser back to."""
    back = requests.get(address, allow_redirects=False, timeout=5)
    assert back.status_code == 302, back.text
    return back.headers["Location"]


def place(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def log_in(client: Any, path: str = "/try") -> Any:
    return client.get(place(answered(begin(client, path))))


def test_a_person_who_is_staff_comes_to_the_page_that_was_asked_for(staff_door: Door) -> None:
    answer = log_in(staff_door.client, "/try?state=manual&n=1")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/try?state=manual&n=1")
    assert staff_door.client.get("/try").text.startswith("dr-1|")


def test_the_provider_is_asked_with_state_nonce_and_pkce(staff_door: Door) -> None:
    sent = parse_qs(urlsplit(begin(staff_door.client)).query)
    again = parse_qs(urlsplit(begin(staff_door.client)).query)

    assert (sent["response_type"], sent["code_challenge_method"]) == (["code"], ["S256"])
    assert (sent["client_id"], sent["redirect_uri"], sent["scope"]) == ([CLIENT], [BACK], ["openid profile"])
    assert all(len(sent[name][0]) == 43 for name in ("state", "nonce", "code_challenge"))
    assert not [name for name in ("state", "nonce", "code_challenge") if sent[name] == again[name]]


def test_a_client_with_a_secret_shows_it(open_door: Any, issuer: Any, tmp_path: Any) -> None:
    (tmp_path / "secret").write_text("s3cret%&\n", encoding="ascii")
    issuer.register(CLIENT, redirect_uris=[BACK], secret="s3cret%&")
    staff = {"issuer": issuer.url, "client_id": CLIENT, "subjects": ["dr-1"], "secret_file": tmp_path / "secret"}

    for methods in (["client_secret_basic"], ["client_secret_post"], None):
        issuer.metadata_changes = {"token_endpoint_auth_methods_supported": methods}
        assert log_in(open_door(staff=staff).client).headers["Location"] == "/try"


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"groups": "pro-team"}, 303),
        ({"groups": ["other", "pro-team"]}, 303),
        ({"groups": "pro-team-2"}, 403),
        ({"groups": ["pro-team-2", ["pro-team"]]}, 403),
        ({"groups": {"pro-team": True}}, 403),
        ({"groups": None}, 403),
        ({}, 403),
    ],
)
def test_a_claim_says_who_is_staff(open_door: Any, issuer: Any, claims: dict[str, Any], status: int) -> None:
    door = open_staff_door(open_door, issuer, subjects=[], claim="groups", value="pro-team")
    issuer.person = Person(subject="x", claims=claims)

    assert log_in(door.client).status_code == status


def test_somebody_else_is_not_let_in(staff_door: Door, issuer: Any, caplog: pytest.LogCaptureFixture) -> None:
    issuer.person = Person(subject="dr-2", name="Dr. Zylpha")

    answer = log_in(staff_door.client)

    assert answer.status_code == 403
    assert answer.content_type.startswith("text/html")
    assert staff_door.client.get("/try").status_code in (303, 401)
    assert "Zylpha" not in str([record.__dict__ for record in caplog.records])


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": ["bridge", "another-client"]},
        {"aud": ["bridge"], "azp": "another-client"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": None},
        {"iat": 4_000_000_000},
        {"sub": None},
        {"sub": ["dr-1"]},
        {"sub": ""},
    ],
)
def test_an_id_token_that_is_not_for_this_login_is_refused(
    staff_door: Door, issuer: Any, changes: dict[str, Any]
) -> None:
    issuer.id_token_changes = changes

    answer = log_in(staff_door.client)

    assert answer.status_code == 403
    assert staff_door.client.get("/try", headers=HTML).status_code == 303


def test_an_id_token_by_another_key_is_refused(staff_door: Door, issuer: Any) -> None:
    known = issuer.key
    issuer.rotate(signing_key("RSA", 9))
    issuer.jwks_answer = {"keys": [known.as_dict(private=False)]}

    assert log_in(staff_door.client).status_code == 403


@pytest.mark.parametrize("changes", [{"iss": "https://evil.example"}, {"iss": None}, {"iss": ""}])
def test_an_answer_of_another_provider_is_refused(staff_door: Door, issuer: Any, changes: dict[str, Any]) -> None:
    issuer.authorize_changes = changes

    assert log_in(staff_door.client).status_code == 400
    assert issuer.asked["/token"] == 0


def test_a_provider_that_never_names_itself_need_not(staff_door: Door, issuer: Any) -> None:
    issuer.metadata_changes = {"authorization_response_iss_parameter_supported": None}
    issuer.authorize_changes = {"iss": None}

    assert log_in(staff_door.client).status_code == 303


@pytest.mark.parametrize("state", ["another", "", None])
def test_an_answer_to_no_login_of_this_browser_is_refused(staff_door: Door, issuer: Any, state: str | None) -> None:
    issuer.authorize_changes = {"state": state}

    assert log_in(staff_door.client).status_code == 400
    assert issuer.asked["/token"] == 0


def test_a_login_cannot_be_ended_in_another_browser(staff_door: Door, issuer: Any) -> None:
    back = place(answered(begin(staff_door.client)))

    assert staff_door.app.test_client().get(back).status_code == 400
    assert issuer.asked["/token"] == 0


def test_a_login_cannot_be_ended_twice_even_with_a_copy_of_the_cookie(staff_door: Door, issuer: Any) -> None:
    address = begin(staff_door.client)
    copy = staff_door.client.get_cookie("outcome-bridge").value
    back = place(answered(address))
    assert staff_door.client.get(back).status_code == 303

    other = staff_door.app.test_client()
    other.set_cookie("outcome-bridge", copy)

    assert other.get(back).status_code == 400
    assert issuer.asked["/token"] == 1


def test_a_login_must_be_ended_within_ten_minutes(staff_door: Door) -> None:
    back = place(answered(begin(staff_door.client)))
    staff_door.time.passes(minutes=10)

    assert staff_door.client.get(back).status_code == 400


def test_several_tabs_may_log_in_at_once(staff_door: Door) -> None:
    addresses = [begin(staff_door.client, f"/try?tab={number}") for number in range(5)]

    first, last = place(answered(addresses[0])), place(answered(addresses[1]))

    assert staff_door.client.get(first).status_code == 400  # the fifth took its place
    assert staff_door.client.get(last).headers["Location"] == "/try?tab=1"


@pytest.mark.parametrize(
    ("error", "said"), [("access_denied", "access_denied"), ("<script>", "no code"), ("", "no code")]
)
def test_a_refusal_of_the_provider_is_told_by_its_code(staff_door: Door, issuer: Any, error: str, said: str) -> None:
    issuer.authorize_changes = {"code": None, "error": error, "error_description": "Zylpha"}

    answer = log_in(staff_door.client)

    assert answer.status_code == 403
    assert said in answer.text
    assert "<script" not in answer.text
    assert "Zylpha" not in answer.text


@pytest.mark.parametrize("changes", [{"code": "guessed"}, {"code": ""}])
def test_a_code_that_the_provider_does_not_know_logs_nobody_in(
    staff_door: Door, issuer: Any, changes: dict[str, Any]
) -> None:
    issuer.authorize_changes = changes

    assert log_in(staff_door.client).status_code == 403


def test_a_provider_that_is_down_is_said_to_be(staff_door: Door, issuer: Any) -> None:
    issuer.is_down = True

    answer = staff_door.client.get("/staff/login")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "30"


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
@pytest.mark.parametrize("value", [None, "http://provider.example/x", "javascript:alert(1)", 7])
def test_a_provider_is_not_asked_at_an_address_that_others_can_read(
    staff_door: Door, issuer: Any, name: str, value: Any
) -> None:
    issuer.metadata_changes = {name: value}

    assert staff_door.client.get("/staff/login").status_code == 503


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
        "/a\r\nb", "evil.example", "/\t/evil.example", "", "/é", "/" + "a" * 400, "/staff/login?next=/", " /try",
    ],
)  # fmt: skip
def test_a_return_to_elsewhere_leads_to_the_first_page(staff_door: Door, target: str) -> None:
    sent = staff_door.client.get(f"/staff/login?{urlencode({'next': target})}")

    answer = staff_door.client.get(place(answered(sent.headers["Location"])))

    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize("target", ["/", "/work", "/work?state=manual&page=2", "/patient/p-1.2", "/a%2Fb"])
def test_a_return_to_a_page_of_ours_is_kept(target: str) -> None:
    assert safe_return(target) == target


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


def test_a_login_for_pages_gives_nothing_at_the_fhir_interface(staff_door: Door) -> None:
    log_in(staff_door.client)

    assert staff_door.send().status_code == 401


def test_a_token_for_the_fhir_interface_gives_nothing_at_the_pages(open_door: Any, issuer: Any) -> None:
    door = open_door(
        tokens={"issuer": issuer.url, "audience": ["https://bridge.example"]},
        sources=[{"name": "north", "client_id": "engine"}],
        staff={"issuer": issuer.url, "client_id": CLIENT, "subjects": ["engine"]},
    )

    answer = door.client.get("/try", headers={"Authorization": f"Bearer {issuer.token()}"})

    assert answer.status_code == 401


def test_a_program_is_not_sent_to_a_login(staff_door: Door) -> None:
    assert staff_door.client.get("/try").status_code == 401
    assert staff_door.client.post("/try", headers=HTML).status_code == 401


def test_no_secret_of_a_login_is_logged(staff_door: Door, issuer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    issuer.person = replace(issuer.person, name="Zylpha Moreau")

    address = answered(begin(staff_door.client))
    staff_door.client.get(place(address))

    code = parse_qs(urlsplit(address).query)["code"][0]
    cookie = staff_door.client.get_cookie("outcome-bridge").value
    ours = [record for record in caplog.records if record.name.startswith(("server", "integration"))]
    assert {"staff_logged_in"} <= {record.__dict__.get("action") for record in ours}
    assert not [word for word in (code, cookie, "Zylpha") if word in str([record.__dict__ for record in ours])]
