"""That the server which other tests log in at is as strict as a real one."""

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from authorisation_server import AuthorisationServer
from joserfc import jwt

BACK = "http://127.0.0.1:1/launch/done"
VERIFIER = "v" * 43


def authorize(server: AuthorisationServer, **changes: Any) -> requests.Response:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": "chart",
        "redirect_uri": BACK,
        "state": "s1",
        "scope": "launch openid fhirUser patient/Observation.rs",
        "aud": server.fhir_url,
        "launch": server.launch(patient="p1"),
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "nonce": "n1",
    } | changes
    return requests.get(f"{server.url}/authorize", params=query, allow_redirects=False, timeout=5)


def token(server: AuthorisationServer, code: str, **changes: Any) -> requests.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "chart"}
    return requests.post(f"{server.url}/token", data=form | {"code_verifier": VERIFIER} | changes, timeout=5)


def code_of(answer: requests.Response) -> str:
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def test_a_launch_ends_with_the_patient_and_who_opened_it(authorisation: AuthorisationServer) -> None:
    authorisation.register("chart", redirect_uris=[BACK])
    authorisation.add({"resourceType": "Patient", "id": "p1"})

    answer = token(authorisation, code_of(authorize(authorisation))).json()

    claims = jwt.decode(answer["id_token"], authorisation.key, algorithms=["RS256"]).claims
    assert (answer["patient"], claims["nonce"], claims["aud"]) == ("p1", "n1", "chart")
    assert claims["fhirUser"] == f"{authorisation.fhir_url}/Practitioner/dr-1"
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert requests.get(f"{authorisation.fhir_url}/Patient/p1", headers=headers, timeout=5).json()["id"] == "p1"


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "http://127.0.0.1:1/elsewhere"},
        {"code_challenge_method": "plain"},
        {"state": ""},
        {"aud": "http://127.0.0.1:1/fhir"},
        {"launch": "guessed"},
        {"client_id": "nobody"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_launch_must_send_is_wanted(authorisation: AuthorisationServer, changes: dict[str, str]) -> None:
    authorisation.register("chart", redirect_uris=[BACK])

    assert authorize(authorisation, **changes).status_code == 400


@pytest.mark.parametrize("changes", [{"code_verifier": "w" * 43}, {"redirect_uri": "http://127.0.0.1:1/"}, {}])
def test_a_code_is_good_once_and_with_its_verifier(authorisation: AuthorisationServer, changes: dict[str, str]) -> None:
    authorisation.register("chart", redirect_uris=[BACK])
    code = code_of(authorize(authorisation))

    first, second = token(authorisation, code, **changes), token(authorisation, code)

    assert first.status_code == (400 if changes else 200)
    assert second.status_code == 400


def test_a_client_with_a_secret_gets_a_token_for_itself(authorisation: AuthorisationServer) -> None:
    authorisation.register("engine", secret="s 1", scope="system/QuestionnaireResponse.c")
    form = {"grant_type": "client_credentials", "scope": "system/*.* system/QuestionnaireResponse.c"}

    right = requests.post(f"{authorisation.url}/token", data=form, auth=("engine", "s+1"), timeout=5)
    wrong = requests.post(f"{authorisation.url}/token", data=form, auth=("engine", "s2"), timeout=5)

    assert right.json()["scope"] == "system/QuestionnaireResponse.c"
    assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client"})
