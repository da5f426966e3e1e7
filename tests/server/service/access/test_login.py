"""Login of persons, and what attacks on it lead to."""

import logging
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from access_logins import BACK, CLIENT, HTML, answered, begin, log_in, open_staff_door, place
from authorisation_server import Person, signing_key

from server.service.access.login import safe_return

Door = Any


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
