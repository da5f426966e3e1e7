"""The whole walk: an engine's POST, the scores in a chart by others, a clinician's page; amended, and taken back."""

import hashlib
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live_service
import pytest
import requests
from live_hospital import PATIENCE, Hospital
from live_messages import FHIR, encoded, response, score_of
from live_service import Service

sys.path.append(str(Path(__file__).parents[1] / "server" / "service"))

from authorisation_server import AuthorisationServer, Person

CHROMIUM = shutil.which("chromium")
AUDIENCE = "urn:example:bridge"
KEY = "obk_an-engine-that-can-do-no-more-than-a-key"
SETTINGS = """
[service.tokens]
issuer = "{issuer}"
audience = ["{audience}"]

[[service.sources]]
name = "engine"
client_id = "engine"

[[service.sources]]
name = "old-engine"
api_key_sha256 = "{key}"

[service.staff]
issuer = "{issuer}"
client_id = "bridge"
subjects = ["dr-1"]
"""


@pytest.fixture(scope="module")
def authorisation() -> Iterator[AuthorisationServer]:
    """Who makes the engine's tokens, and logs persons in."""
    with AuthorisationServer() as server:
        server.person = Person(subject="dr-1", name="Dr. Moreau")
        yield server


@pytest.fixture(scope="module")
def guarded(
    hospital: Hospital, authorisation: AuthorisationServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service that wants to know who sends, and who looks."""
    key = hashlib.sha256(KEY.encode()).hexdigest()
    settings = SETTINGS.format(issuer=authorisation.url, audience=AUDIENCE, key=key)
    with live_service.running(tmp_path_factory.mktemp("guarded"), hospital, settings) as running:
        authorisation.register("bridge", redirect_uris=[f"{running.url}/staff/login/done"])
        yield running


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of a browser in which nobody has logged in yet."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser.new_page()
        browser.close()


def _sent(method: str, service: Service, path: str, body: dict[str, Any], token: str) -> requests.Response:
    headers = {"Content-Type": FHIR, "Authorization": f"Bearer {token}"}
    return requests.request(method, f"{service.fhir}/{path}", data=encoded(body), headers=headers, timeout=PATIENCE)


def _verified(service: Service, state: str) -> None:
    """Have everything read back, and see that it is proven."""
    done = service.command("reconcile", "--site", live_service.SITE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"outcomes = .*{state}", done.stdout)


def _shown(page: Any, service: Service, patient_id: str) -> dict[str, list[str]]:
    """The columns of the chart page's table of scores, by their headings."""
    page.goto(f"{service.url}/chart/{patient_id}")
    columns = ("Score", "The EHR holds", "Delivery to the EHR")
    return {name: page.locator(f"td[data-label='{name}']").all_inner_texts() for name in columns}


def test_a_response_goes_from_an_engine_to_the_clinicians_page_and_back(
    hospital: Hospital,
    guarded: Service,
    authorisation: AuthorisationServer,
    page: Any,
    record_property: Any,
) -> None:
    patient = hospital.admit("walker")
    token = authorisation.token(client_id="engine", scope="system/QuestionnaireResponse.cu", audience=AUDIENCE)
    filed = hospital.put(response("walk", patient))
    page.goto(f"{guarded.url}/")  # as nobody: the login asks no more than who it is
    assert "Dr. Moreau" in page.inner_text("body")

    begin = time.perf_counter()
    assert _sent("POST", guarded, "QuestionnaireResponse", filed, token).status_code == 201
    answered = time.perf_counter() - begin
    hospital.wait_for("walk", values={score_of(2)})
    charted = time.perf_counter() - begin
    _verified(guarded, "verified")
    proven = time.perf_counter() - begin
    told = f"answered after {answered:.3f} s, in the chart after {charted:.3f} s, proven after {proven:.1f} s"
    record_property("measured", f"POST with a token: {told}")
    shown = _shown(page, guarded, patient)
    assert shown["Score"] == ["25", "25"]
    assert all(text.startswith("verified on") for text in shown["Delivery to the EHR"])

    filed = hospital.put(response("walk", patient, answer=4, status="amended"))
    assert _sent("PUT", guarded, "QuestionnaireResponse/walk", filed, token).status_code == 200
    hospital.wait_for("walk", status="amended", values={score_of(4)})
    _verified(guarded, "verified")
    assert _shown(page, guarded, patient)["Score"] == ["75", "75"]

    filed = hospital.put(response("walk", patient, answer=4, status="entered-in-error"))
    assert _sent("PUT", guarded, "QuestionnaireResponse/walk", filed, KEY).status_code == 200
    hospital.wait_for("walk", status="entered-in-error")
    _verified(guarded, "retracted")
    assert _shown(page, guarded, patient)["Score"] == []
    assert "withdrawn, entered in error" in page.inner_text("main")


def test_who_shows_nothing_or_a_forged_token_gets_nothing(
    hospital: Hospital, guarded: Service, authorisation: AuthorisationServer
) -> None:
    body = response("forged", hospital.admit("forged"))
    tokens = {
        "none": "",
        "for another audience": authorisation.token(audience="urn:example:another"),
        "over": authorisation.token(audience=AUDIENCE, claims={"exp": 1_300_000_000}),
        "of another source": authorisation.token(audience=AUDIENCE, client_id="somebody"),
    }

    statuses = {
        name: _sent("POST", guarded, "QuestionnaireResponse", body, token).status_code for name, token in tokens.items()
    }

    assert statuses == {"none": 401, "for another audience": 401, "over": 401, "of another source": 403}
    assert requests.get(f"{guarded.url}/metrics", timeout=PATIENCE).status_code == 200  # this machine's own
    assert all(token not in guarded.log() for token in tokens.values() if token)
