"""That no route is left open by oversight: every one that the application has is tried by nobody in particular."""

import re
from typing import Any

import pytest
from werkzeug.routing import Rule

from server.service.access.sources import hash_of, new_key

OPEN = {
    "/healthz",
    "/readyz",
    "/fhir/metadata",
    "/cds-services",
    "/static/<name>",
    "/staff/login",
    "/staff/login/done",
    "/staff/logged-out",
}
"""What anybody may see. Whoever adds a route here says why it shows nothing of a patient and changes nothing."""
OWN = ("/launch", "/chart", "/cds-services/")
"""What asks by itself who may: by a launch from the EHR, or by the EHR's token."""
MANY = 200


def filled(rule: Rule) -> str:
    """Return an address that leads to a route."""

    def value(found: re.Match[str]) -> str:
        converter = found[1] or ""
        if converter.startswith("any("):
            return re.split(r"[,)]", converter[4:])[0].strip()
        return "1" if converter.startswith("int") else "x"

    return re.sub(r"<(?:([a-z]+(?:\([^)]*\))?):)?[a-z_]+>", value, rule.rule)


@pytest.fixture
def closed_door(open_door: Any, issuer: Any) -> Any:
    """A service with all that can be configured, which nobody is logged in to."""
    return open_door(
        public_url="https://bridge.example",
        trusted_proxies=["10.0.0.5"],
        client_certificate_header="X-Client-Certificate",
        tokens={"issuer": issuer.url, "audience": ["https://bridge.example"]},
        sources=[{"name": "north", "api_key_sha256": hash_of(new_key()), "requests_per_minute": MANY}],
        staff={"issuer": issuer.url, "client_id": "bridge", "subjects": ["dr-1"]},
        failed_logins_per_minute=MANY,
    )


@pytest.mark.parametrize("accept", ["text/html", "application/fhir+json"])
def test_nobody_gets_anything_of_a_route_that_is_not_open(closed_door: Any, accept: str) -> None:
    tried = 0

    for rule in closed_door.app.url_map.iter_rules():
        if rule.rule in OPEN or rule.rule.startswith(OWN):
            continue
        for method in rule.methods - {"OPTIONS", "HEAD"}:
            answer = closed_door.client.open(
                filled(rule), method=method, headers={"Accept": accept}, environ_overrides={"REMOTE_ADDR": "192.0.2.1"}
            )
            assert answer.status_code in (303, 401), f"{method} {rule.rule}: {answer.status_code}"
            if answer.status_code == 303:
                assert answer.headers["Location"].startswith("/staff/login?next=")
            tried += 1

    assert tried >= 4


def test_what_is_open_changes_nothing(closed_door: Any) -> None:
    rules = [rule for rule in closed_door.app.url_map.iter_rules() if rule.rule in OPEN]

    assert {rule.rule for rule in rules} >= {"/healthz", "/fhir/metadata", "/staff/login"}
    assert {method for rule in rules for method in rule.methods} == {"GET", "HEAD", "OPTIONS"}


def test_no_answer_to_nobody_may_be_kept(closed_door: Any) -> None:
    for rule in closed_door.app.url_map.iter_rules():
        if not rule.rule.startswith("/static"):
            answer = closed_door.client.open(filled(rule), method=sorted(rule.methods)[0])
            assert answer.headers["Cache-Control"] == "no-store", rule.rule
