"""Who may ask for cards: a token signed by an EHR on the list, for this service, taken once."""

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from authorisation_server import signing_key

PATH = "/cds-services/msis29-outcomes"
PUBLISHED_NOWHERE = 7


@pytest.fixture
def hooks(open_hooks: Any) -> Any:
    return open_hooks(signed=True)


def ask(hooks: Any, call: Any, token: str) -> Any:
    return hooks.client.post(PATH, json=call, headers={"Authorization": f"Bearer {token}"})


def test_a_signed_token_opens_once(hooks: Any, make_call: Any, make_token: Any) -> None:
    token = make_token()

    first, again = ask(hooks, make_call(), token), ask(hooks, make_call(), token)

    assert (first.status_code, again.status_code) == (200, 401)
    assert len(first.get_json()["cards"]) == 1
    assert "used before (jti)" in again.text


def test_two_tokens_open_twice(hooks: Any, make_call: Any, make_token: Any) -> None:
    assert [ask(hooks, make_call(), make_token()).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "http://localhost/cds-services/another"},
        {"aud": "http://localhost"},
        {"aud": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": None},
        {"exp": 9_999_999_999},
        {"jti": None},
        {"jti": 5},
        {"header": {"kid": None}},
        {"header": {"kid": "another"}},
        {"header": {"typ": None}},
        {"header": {"typ": "at+jwt"}},
        {"header": {"jku": "https://evil.example/jwks"}},
    ],
)
def test_a_token_that_is_not_right_in_every_point_is_refused(
    hooks: Any, make_call: Any, make_token: Any, changes: Any
) -> None:
    answer = ask(hooks, make_call(), make_token(**changes))

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.get_json(force=True)["resourceType"] == "OperationOutcome"


def test_a_key_that_is_published_nowhere_is_refused(hooks: Any, make_call: Any, make_token: Any) -> None:
    stranger = signing_key("RSA", PUBLISHED_NOWHERE)

    assert ask(hooks, make_call(), make_token(key=stranger)).status_code == 401
    assert ask(hooks, make_call(), make_token(key=stranger, header={"kid": hooks.ehr.key.kid})).status_code == 401


def part(content: Any) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("changes", [{"jku": 5}, {"crit": ["x"]}, {"kid": 5}, {"typ": 5}, {"alg": 5}, {"alg": "HS256"}])
def test_a_header_of_another_shape_is_refused(hooks: Any, make_call: Any, make_token: Any, changes: Any) -> None:
    _, claims, signature = make_token().split(".")
    header = {"alg": "RS256", "kid": hooks.ehr.key.kid, "typ": "JWT"} | changes

    assert ask(hooks, make_call(), f"{part(header)}.{claims}.{signature}").status_code == 401


def test_an_hmac_of_the_public_key_is_refused(hooks: Any, make_call: Any, make_token: Any) -> None:
    signed = f"{part({'alg': 'HS256', 'kid': hooks.ehr.key.kid, 'typ': 'JWT'})}.{make_token().split('.')[1]}"
    mac = hmac.new(hooks.ehr.key.as_pem(private=False), signed.encode(), "sha256").digest()

    answer = ask(hooks, make_call(), f"{signed}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}")

    assert answer.status_code == 401


def test_a_token_that_nobody_signed_is_refused(hooks: Any, make_call: Any, make_token: Any) -> None:
    _, claims, _ = make_token().split(".")
    header = part({"alg": "none", "kid": "rsa-0", "typ": "JWT"})

    for token in (f"{header}.{claims}.", f"{header}.{claims}.x", f"{header}.{claims}"):
        assert ask(hooks, make_call(), token).status_code == 401


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer a.b.c", "Bearer " + "x" * 20_000]
)
def test_without_a_token_nothing_is_answered(hooks: Any, make_call: Any, authorization: str) -> None:
    answer = hooks.client.post(PATH, json=make_call(), headers={"Authorization": authorization})

    assert answer.status_code == 401


def test_a_token_without_jku_is_checked_with_the_keys_of_the_list(hooks: Any, make_call: Any, make_token: Any) -> None:
    assert ask(hooks, make_call(), make_token(header={"jku": None})).status_code == 200


@pytest.mark.parametrize("jku", ["its own", None])
def test_an_ehr_cannot_sign_in_anothers_name(
    open_hooks: Any, authorisation: Any, make_call: Any, make_token: Any, jku: str | None
) -> None:
    own = f"{authorisation.url}/jwks"
    call = make_call(fhirServer=authorisation.fhir_url)
    hooks = open_hooks(signed=True, others={"https://b.example": f"{authorisation.url}/nothing/jwks"})
    header = {"jku": own if jku else None}

    assert ask(hooks, call, make_token(header=header)).status_code == 200
    assert ask(hooks, call, make_token(header=header, iss="https://b.example")).status_code == (401 if jku else 503)


def test_of_several_ehrs_each_must_say_whose_ids_it_means(
    open_hooks: Any, authorisation: Any, make_call: Any, make_token: Any
) -> None:
    hooks = open_hooks(signed=True, others={"https://b.example": "https://b.example/jwks"})

    said = ask(hooks, make_call(fhirServer=authorisation.fhir_url), make_token())
    unsaid = ask(hooks, make_call(), make_token())

    assert [len(answer.get_json()["cards"]) for answer in (said, unsaid)] == [1, 0]


def test_keys_that_cannot_be_read_are_said_to_be_a_matter_of_time(hooks: Any, make_call: Any, make_token: Any) -> None:
    token = make_token()
    hooks.ehr.is_down = True

    answer = ask(hooks, make_call(), token)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


def test_the_discovery_needs_no_token_and_feedback_does(hooks: Any, make_token: Any) -> None:
    given = {"feedback": [{"card": "a", "outcome": "accepted"}]}
    token = {"Authorization": f"Bearer {make_token()}"}

    assert hooks.client.get("/cds-services").status_code == 200
    assert hooks.client.post(f"{PATH}/feedback", json=given).status_code == 401
    assert hooks.client.post(f"{PATH}/feedback", json=given, headers=token).status_code == 200
