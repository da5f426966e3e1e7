"""The launch, SMART App Launch 2.2: every check of it, and a page for everything that goes wrong."""

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from authorisation_server import signing_key

from integration.errors import ConfigurationError, SettingsError
from integration.service_settings import Chart, Service, Staff
from integration.settings import Settings
from server.service.chart import building
from server.service.chart.smart.discovery import normalized
from server.service.chart.smart.routes import granted_types


def query_of(answer: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def test_the_browser_goes_to_the_ehrs_own_login_with_what_the_specification_wants(clinic: Any) -> None:
    asked = query_of(clinic.begin())

    assert asked["response_type"] == "code"
    assert asked["client_id"] == "chart"
    assert asked["redirect_uri"] == "http://localhost/launch/callback"
    assert asked["aud"] == clinic.ehr.fhir_url
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["state"]) == len(asked["nonce"]) == 43
    assert {"launch", "openid", "fhirUser", "patient/Observation.rs"} <= set(asked["scope"].split())


@pytest.mark.parametrize("iss", ["https://evil.example/fhir", "http://127.0.0.1:1/fhir", "javascript:alert(1)", "//x"])
def test_an_ehr_that_is_not_on_the_list_is_refused_and_not_asked(clinic: Any, iss: str) -> None:
    answer = clinic.client.get("/launch", query_string={"iss": iss, "launch": "x"})

    assert (answer.status_code, answer.content_type) == (403, "text/html; charset=utf-8")
    assert not clinic.ehr.asked


def test_an_ehr_is_known_however_its_address_is_spelled(clinic: Any) -> None:
    iss = clinic.ehr.fhir_url.replace("http://", "HTTP://") + "/"

    assert clinic.client.get("/launch", query_string={"iss": iss, "launch": "x"}).status_code == 303


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://EHR.example/fhir/", "https://ehr.example/fhir"),
        ("https://ehr.example:443/fhir", "https://ehr.example/fhir"),
        ("https://ehr.example:8443/fhir", "https://ehr.example:8443/fhir"),
        ("https://ehr.example/FHIR", "https://ehr.example/FHIR"),
        ("http://[::1]:80/fhir", "http://[::1]/fhir"),
        ("https://ehr.example/fhir?x=1", ""),
        ("https://ehr.example@evil.example/fhir", ""),
        ("https://ehr.example:x/fhir", ""),
        ("https://ehr.example/\nfhir", ""),
        ("nothing", ""),
    ],
)
def test_addresses_are_compared_in_one_spelling(url: str, expected: str) -> None:
    assert normalized(url) == expected


def test_an_ehr_whose_ids_may_be_other_patients_is_refused_at_the_start(open_clinic: Any, authorisation: Any) -> None:
    other = "https://other-hospital.example/fhir"

    with pytest.raises(ConfigurationError, match=f"issuers names {other}.*same_ids_as_site"):
        open_clinic(issuers=(authorisation.fhir_url, other))

    open_clinic(issuers=(authorisation.fhir_url, other), same_ids_as_site=(other,))
    open_clinic(issuers=(f"{authorisation.fhir_url}/",))


def test_a_session_of_an_ehr_that_may_not_launch_any_more_is_over(open_clinic: Any, authorisation: Any) -> None:
    proxy = authorisation.fhir_url.replace("127.0.0.1", "localhost")
    before = open_clinic(issuers=(authorisation.fhir_url, proxy), same_ids_as_site=(proxy,))
    before.ehr.fhir_url, own = proxy, before.ehr.fhir_url
    assert before.client.get(before.launch().headers["Location"]).status_code == 200
    cookie = before.client.get_cookie("outcome-bridge-chart")
    before.ehr.fhir_url = own

    staff = Staff(issuer=authorisation.url, client_id="staff", subjects=("dr-1",))
    after = open_clinic(Service(chart=Chart(issuers=(own,), client_id="chart"), staff=staff))
    after.client.set_cookie("outcome-bridge-chart", cookie.value)

    assert after.client.get("/chart/p1").status_code == 403


def test_without_an_ehr_there_is_a_page_that_says_so(clinic: Any) -> None:
    answer = clinic.client.get("/launch", query_string={"launch": "x"})

    assert (answer.status_code, answer.content_type) == (400, "text/html; charset=utf-8")
    assert "iss is missing" in answer.text


def test_without_a_launch_there_is_a_page_that_says_so(clinic: Any) -> None:
    assert clinic.client.get("/launch", query_string={"iss": clinic.ehr.fhir_url}).status_code == 400


def test_an_ehr_that_is_down_is_a_page(clinic: Any) -> None:
    clinic.ehr.is_down = True

    answer = clinic.client.get("/launch", query_string={"iss": clinic.ehr.fhir_url, "launch": "x"})

    assert (answer.status_code, answer.content_type) == (503, "text/html; charset=utf-8")


@pytest.mark.parametrize("changes", [{"token_endpoint": None}, {"authorization_endpoint": "http://ehr.example/login"}])
def test_an_ehr_without_protected_addresses_is_not_used(clinic: Any, changes: Any) -> None:
    clinic.ehr.metadata_changes = changes

    assert clinic.begin().status_code == 503


def test_a_confidential_client_shows_its_secret(open_clinic: Any) -> None:
    clinic = open_clinic(secret="s3:cret&%")

    assert clinic.launch().status_code == 303


@pytest.mark.parametrize("kind", ["RSA", "P-384"])
def test_a_client_with_a_key_proves_it_anew_at_each_launch(open_clinic: Any, tmp_path: Path, kind: str) -> None:
    key = signing_key(kind, 7)
    (tmp_path / "key.pem").write_bytes(key.as_pem(private=True))
    clinic = open_clinic(key=key, key_file=tmp_path / "key.pem", key_id=key.kid)

    assert [clinic.launch().status_code for _ in range(2)] == [303, 303]


@pytest.mark.parametrize("registered", [{"key": signing_key("RSA", 8)}, {}], ids=["another key", "none"])
def test_a_key_that_the_ehr_does_not_know_opens_nothing(
    open_clinic: Any, tmp_path: Path, registered: dict[str, Any]
) -> None:
    key = signing_key("RSA", 7)
    (tmp_path / "key.pem").write_bytes(key.as_pem(private=True))
    clinic = open_clinic(**registered, key_file=tmp_path / "key.pem", key_id=key.kid)

    assert clinic.launch().status_code == 502


def test_a_key_that_may_not_sign_is_refused_at_the_start_and_so_is_none(tmp_path: Path, study: Any) -> None:
    (tmp_path / "key.pem").write_bytes(signing_key("P-256").as_pem(private=True))
    for file, problem in (("key.pem", "P-256"), ("nosuch.pem", "correct service.chart.key_file")):
        chart = Chart(issuers=("https://h/fhir",), client_id="chart", key_file=tmp_path / file, key_id="k")
        settings = Settings(folder=tmp_path, state_folder=tmp_path, service=Service(chart=chart))

        with pytest.raises(SettingsError, match=problem), building.opened(settings, ..., study, ..., now=...):  # type: ignore[arg-type]  # nothing else is looked at
            pass


@pytest.mark.parametrize("keys", [{"secret_file": "s", "key_file": "k"}, {"key_id": "k"}])
def test_a_client_is_asked_for_one_proof(keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"secret_file and key_file|key_id names"):
        Chart.model_validate({"issuers": ("https://h/fhir",), "client_id": "chart"} | keys)


def test_the_token_is_nowhere_in_the_browser_and_nowhere_in_clear(clinic: Any, tmp_path: Path) -> None:
    begun = clinic.begin()
    answer = clinic.client.get(clinic.authorised(begun))

    with sqlite3.connect(tmp_path / "chart-sessions.sqlite") as connection:
        [(sealed,)] = connection.execute("SELECT sealed FROM chart_session").fetchall()
    cookies = "".join(answer.headers.getlist("Set-Cookie"))
    for token in clinic.ehr._tokens:
        assert token not in cookies
        assert token.encode() not in sealed
    assert b"p1" not in sealed
    assert "HttpOnly" in cookies


def test_a_code_is_exchanged_once(clinic: Any) -> None:
    back = clinic.authorised(clinic.begin())
    first = clinic.client.get(back)

    again = clinic.client.get(back)

    assert (first.status_code, again.status_code) == (303, 400)
    assert clinic.ehr.asked["/token"] == 1
    assert "Open the chart from the EHR once more." in again.text


def test_a_cookie_that_was_copied_does_not_end_a_launch_twice(clinic: Any) -> None:
    begun = clinic.begin()
    [cookie] = [one for one in begun.headers.getlist("Set-Cookie") if "launch-" in one]
    back = clinic.authorised(begun)
    clinic.client.get(back)

    copied = clinic.app.test_client()
    name, _, value = cookie.partition(";")[0].partition("=")
    copied.set_cookie(name, value)

    assert copied.get(back).status_code == 400
    assert clinic.ehr.asked["/token"] == 1


def test_a_launch_that_another_browser_began_is_refused(clinic: Any) -> None:
    back = clinic.authorised(clinic.begin())

    assert clinic.app.test_client().get(back).status_code == 400
    assert clinic.ehr.asked["/token"] == 0


@pytest.mark.parametrize("query", [{}, {"state": "x"}, {"state": "x", "code": "y"}, {"code": "y"}])
def test_an_answer_without_a_launch_is_a_page(clinic: Any, query: Any) -> None:
    assert clinic.client.get("/launch/callback", query_string=query).status_code == 400


def test_two_launches_at_once_both_end_and_the_later_counts(clinic: Any, make_patient: Any, tmp_path: Path) -> None:
    clinic.hospital.hold(make_patient("p2"))
    first, second = clinic.begin("p1"), clinic.begin("p2")
    back_of_first, back_of_second = clinic.authorised(first), clinic.authorised(second)

    assert clinic.client.get(back_of_second).headers["Location"] == "/chart/p2"
    assert clinic.client.get(back_of_first).headers["Location"] == "/chart/p1"
    assert clinic.client.get("/chart/p1").status_code == 200
    assert clinic.client.get("/chart/p2").status_code == 403  # the later launch is what counts
    with sqlite3.connect(tmp_path / "chart-sessions.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM chart_session").fetchone() == (1,)


def test_an_answer_that_comes_late_is_refused(clinic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    back = clinic.authorised(clinic.begin())
    import time  # noqa: PLC0415

    really = time.time
    monkeypatch.setattr(time, "time", lambda: really() + 601)

    assert clinic.client.get(back).status_code == 400


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"iss": "https://evil.example"}, 400),
        ({"iss": None}, 400),
        ({"code": None, "error": "access_denied", "error_description": "<b>not today</b>"}, 403),
        ({"code": None}, 403),
        ({"code": "another"}, 502),
    ],
)
def test_what_the_authorisation_server_answers_is_checked(clinic: Any, changes: Any, status: int) -> None:
    clinic.ehr.authorize_changes = changes

    answer = clinic.launch()

    assert (answer.status_code, answer.content_type) == (status, "text/html; charset=utf-8")
    assert "<b>" not in answer.text
    assert clinic.client.get("/chart/p1").status_code == 200  # this machine needs no login; nothing was launched


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": ["chart", "another"]},
        {"azp": "another"},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"exp": 1_000_000_000},
        {"exp": None},
    ],
)
def test_an_id_token_that_is_not_for_this_launch_is_refused(clinic: Any, changes: Any) -> None:
    clinic.ehr.id_token_changes = changes

    answer = clinic.launch()

    assert answer.status_code == 403
    assert "is not taken" in answer.text


def test_an_id_token_by_another_key_is_refused(clinic: Any) -> None:
    clinic.launch()
    published = clinic.ehr.keys
    clinic.ehr.rotate()
    clinic.ehr.jwks_answer = {"keys": [key.as_dict(private=False) for key in published]}

    assert clinic.launch().status_code == 403


def test_without_a_patient_there_is_no_chart(clinic: Any) -> None:
    for patient in (None, "", "../p1", 7):
        assert clinic.launch(patient).status_code == 400


def test_a_token_answer_that_cannot_be_used_is_a_page(clinic: Any) -> None:
    for changes in ({"token_type": "mac"}, {"access_token": ""}, {"access_token": 5}):
        assert clinic.launch(**changes).status_code == 502


def test_a_session_ends_with_its_token(clinic: Any) -> None:
    clinic.launch()
    during = clinic.client.get("/chart/p9").status_code
    clinic.time.passes(seconds=301)

    assert during == 403  # bound to p1
    assert clinic.client.get("/chart/p9").status_code != 403  # as anybody on this machine


def test_the_cookie_is_for_frames_only_where_frames_are_allowed(open_clinic: Any) -> None:
    framed = open_clinic(frame_ancestors=("https://ehr.example",))
    launch = framed.ehr.launch(patient="p1")

    begun = framed.client.get(
        "/launch", query_string={"iss": framed.ehr.fhir_url, "launch": launch}, base_url="https://localhost"
    )

    [cookie] = [one for one in begun.headers.getlist("Set-Cookie") if "launch-" in one]
    assert cookie.startswith("__Host-outcome-bridge-launch-")
    for wanted in ("Secure", "HttpOnly", "SameSite=None", "Partitioned", "Path=/"):
        assert wanted in cookie
    assert "frame-ancestors https://ehr.example" in begun.headers["Content-Security-Policy"]


def test_the_cookie_is_lax_where_frames_are_not_allowed(clinic: Any) -> None:
    [cookie] = [one for one in clinic.begin().headers.getlist("Set-Cookie") if "launch-" in one]

    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize(
    ("scope", "types"),
    [
        ("patient/*.rs", {"*"}),
        ("patient/*.read launch openid", {"*"}),
        ("patient/Observation.rs?category=survey patient/Patient.r", {"Observation"}),
        ("system/Observation.rs patientObservation.rs", set()),
        ("", set()),
    ],
)
def test_scopes_are_read_in_both_spellings(scope: str, types: set[str]) -> None:
    assert granted_types(scope) == types
