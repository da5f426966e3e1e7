"""Which request passes the gate, and what every answer carries."""

import logging
from typing import Any

import pytest

from server.service.access.sources import hash_of, new_key

Door = Any


@pytest.mark.parametrize("path", ["/healthz", "/fhir/metadata", "/static/bridge.css"])
def test_what_anybody_may_see_needs_no_login(key_door: Door, path: str) -> None:
    assert key_door.client.get(path).status_code in (200, 503)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/fhir/QuestionnaireResponse", 401),
        ("PUT", "/fhir/QuestionnaireResponse/r1", 401),
        ("POST", "/fhir/Try/Patient", 401),
        ("GET", "/try", 403),
        ("POST", "/try", 403),
    ],
)
def test_everything_else_does(key_door: Door, method: str, path: str, status: int) -> None:
    answer = key_door.client.open(path, method=method, data=b"{}", headers={"Content-Type": "application/fhir+json"})

    assert answer.status_code == status
    assert answer.json["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "path", ["/fhir//Try/Patient", "/./fhir/Try/Patient", "/fhir/metadata/../Try/Patient", "/static/../try"]
)
def test_no_spelling_of_an_address_leads_around_the_gate(key_door: Door, path: str) -> None:
    answer = key_door.client.post(path)

    assert answer.status_code in (308, 401, 404, 405)


def test_the_loopback_address_alone_is_nobody_once_sources_are_configured(key_door: Door) -> None:
    assert key_door.send(address="127.0.0.1").status_code == 401


def test_without_sources_this_machine_may_do_everything(open_door: Any) -> None:
    door = open_door()

    assert door.send().json == {"name": "loopback", "kind": "loopback", "poison": "reject"}
    assert door.client.get("/try").status_code == 200


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "", "::2"])
def test_without_sources_nobody_else_may_do_anything(open_door: Any, address: str) -> None:
    answer = open_door().send(address=address)

    assert answer.status_code == 403
    assert answer.json["issue"][0]["details"]["text"].startswith("without service.sources only this machine")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded"])
def test_without_sources_nobody_may_come_through_a_proxy(open_door: Any, header: str) -> None:
    assert open_door().send(**{header: "127.0.0.1"}).status_code == 403


@pytest.mark.parametrize(
    "settings",
    [{"public_url": "https://bridge.example"}, {"trusted_proxies": ["127.0.0.1"]}, {"trusted_proxies": ["10.0.0.5"]}],
)
def test_a_service_that_others_may_reach_is_open_to_nobody(open_door: Any, settings: dict[str, Any]) -> None:
    door = open_door(**settings)

    assert door.send().status_code == 401
    assert door.client.get("/try").status_code == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "bridge.example.evil.example", "[::1", "", "127.0.0.1@evil.example"],
)
def test_another_host_name_is_refused(open_door: Any, host: str) -> None:
    answer = open_door(public_url="https://bridge.example").send(Host=host)

    assert answer.status_code == 400
    assert answer.json["resourceType"] == "OperationOutcome"


def test_the_public_name_is_answered(open_door: Any) -> None:
    key = new_key()
    door = open_door(public_url="https://bridge.example", sources=[{"name": "n", "api_key_sha256": hash_of(key)}])

    assert door.send(Host="bridge.example", X_API_Key=key).status_code == 200
    assert door.send(Host="BRIDGE.example:443", X_API_Key=key).status_code == 200


def test_a_probe_may_ask_by_any_name(open_door: Any) -> None:
    answer = open_door().client.get(
        "/healthz", headers={"Host": "10.0.0.9:8080"}, environ_overrides={"REMOTE_ADDR": "10.0.0.1"}
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:81"},
        {"Origin": "https://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_cannot_send_to_this_machine(open_door: Any, headers: dict[str, str]) -> None:
    answer = open_door().send(**headers)

    assert answer.status_code == 403
    assert "another site" in answer.json["issue"][0]["details"]["text"]


def test_a_source_that_sends_too_much_is_asked_to_wait(open_door: Any) -> None:
    keys = {name: new_key() for name in ("north", "south")}
    door = open_door(
        sources=[
            {"name": name, "api_key_sha256": hash_of(key), "requests_per_minute": 60} for name, key in keys.items()
        ]
    )

    answers = [door.send(X_API_Key=keys["north"]) for _ in range(62)]

    assert [answer.status_code for answer in answers] == [200] * 60 + [429] * 2
    assert answers[-1].headers["Retry-After"] == "1"
    assert answers[-1].json["issue"][0]["code"] == "throttled"
    assert door.send(X_API_Key=keys["south"]).status_code == 200
    door.time.passes(seconds=2)
    assert [door.send(X_API_Key=keys["north"]).status_code for _ in range(3)] == [200, 200, 429]


def test_failed_logins_from_one_address_are_answered_with_429(key_door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    answers = [key_door.send(address="192.0.2.1", X_API_Key=new_key()) for _ in range(25)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5
    assert int(answers[-1].headers["Retry-After"]) == 3
    assert len([one for one in caplog.records if one.__dict__["action"] == "login_failed"]) == 20
    assert key_door.send(address="192.0.2.2", X_API_Key=new_key()).status_code == 401
    key_door.time.passes(seconds=3)
    assert key_door.send(address="192.0.2.1", X_API_Key=new_key()).status_code == 401


def test_a_right_key_is_served_whoever_else_fails_from_its_address(key_door: Door) -> None:
    for _ in range(25):
        key_door.send(address="192.0.2.1", X_API_Key=new_key())

    assert key_door.send(address="192.0.2.1", X_API_Key=key_door.keys["north"]).status_code == 200


def test_forged_forwarded_addresses_do_not_get_around_the_limit(key_door: Door) -> None:
    answers = [
        key_door.send(address="192.0.2.1", X_API_Key=new_key(), X_Forwarded_For=f"198.51.100.{number}")
        for number in range(25)
    ]

    assert [answer.status_code for answer in answers].count(429) == 5


@pytest.mark.parametrize(
    "path", ["/healthz", "/fhir/metadata", "/fhir/nothing", "/try", "/static/bridge.css", "/fhir/QuestionnaireResponse"]
)
def test_every_answer_carries_what_protects_a_browser(open_door: Any, path: str) -> None:
    headers = open_door().client.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"
    assert "geolocation=()" in headers["Permissions-Policy"]
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'", "'none'", "'none'")
    assert "script-src" not in policy
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store" or path.startswith("/static")
    assert "Strict-Transport-Security" not in headers


def test_https_is_asked_for_from_then_on(open_door: Any) -> None:
    door = open_door(trusted_proxies=["10.0.0.5"], public_url="https://bridge.example")

    answer = door.client.get(
        "/fhir/metadata",
        headers={"Host": "bridge.example", "X-Forwarded-Proto": "https"},
        environ_overrides={"REMOTE_ADDR": "10.0.0.5"},
    )

    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_only_the_chart_may_be_framed_and_only_by_the_ehr(open_door: Any) -> None:
    door = open_door(chart={"frame_ancestors": ["https://ehr.example", "https://portal.example"]})

    chart, other = door.client.get("/chart/p1").headers, door.client.get("/try").headers

    assert "frame-ancestors https://ehr.example https://portal.example" in chart["Content-Security-Policy"]
    assert "X-Frame-Options" not in chart
    assert "frame-ancestors 'none'" in other["Content-Security-Policy"]
    assert other["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "a\nb", "a\tb", "x" * 129, "é"])
def test_a_request_id_cannot_bring_a_header_along(open_door: Any, value: str) -> None:
    door = open_door()

    answer = door.client.get("/healthz", environ_overrides={"HTTP_X_REQUEST_ID": value})

    assert answer.headers["X-Request-Id"] != value
    assert "Set-Cookie" not in answer.headers


def test_metrics_are_for_this_machine_for_proxies_and_for_sources(open_door: Any) -> None:
    key = new_key()
    door = open_door(trusted_proxies=["10.0.0.5"], sources=[{"name": "n", "api_key_sha256": hash_of(key)}])

    def status(address: str, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return door.client.get("/metrics", headers=named, environ_overrides={"REMOTE_ADDR": address}).status_code

    assert (status("127.0.0.1"), status("10.0.0.5"), status("192.0.2.1", X_API_Key=key)) == (200, 200, 200)
    assert (status("192.0.2.1"), status("10.0.0.5", X_Forwarded_For="192.0.2.1")) == (401, 401)
    assert status("192.0.2.1", X_Forwarded_For="127.0.0.1") == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-For": "10.0.0.5"},
        {"X-Forwarded-For": "garbage"},
        {"X-Forwarded-For": ""},
        {"X-Forwarded-Proto": "https"},
    ],
)
@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5"])
def test_metrics_are_not_for_whoever_comes_through_a_proxy(open_door: Any, address: str, headers: Any) -> None:
    door = open_door(trusted_proxies=["10.0.0.5"], sources=[{"name": "n", "api_key_sha256": hash_of(new_key())}])

    answer = door.client.get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": address})

    assert answer.status_code == 401


def test_failed_logins_are_counted_by_what_one_client_has_of_addresses(key_door: Door) -> None:
    def statuses(addresses: str) -> list[int]:
        return [key_door.send(address=addresses.format(number), X_API_Key="x").status_code for number in range(1, 22)]

    assert statuses("2001:db8::{}")[-1] == 429
    assert statuses("2001:db8:0:{}::1")[-1] == 401
    assert statuses("192.0.2.{}")[-1] == 401
