"""Attacks with tokens, and that right ones are taken."""

import hmac
import json
import logging
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from authorisation_server import signed, signing_key
from joserfc.jwk import OctKey, RSAKey

Door = Any


def challenge(answer: Any) -> str:
    return answer.headers.get("WWW-Authenticate", "")


def assert_refused(answer: Any, status: int = 401) -> str:
    """Assert that an answer says no as every error does; return what it says."""
    assert answer.status_code == status
    assert answer.content_type == "application/fhir+json"
    outcome = json.loads(answer.data)
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["code"] == {401: "login", 403: "forbidden", 503: "transient"}[status]
    return str(outcome["issue"][0]["details"]["text"])


@pytest.mark.parametrize("kind", ["RSA", "P-256", "P-384", "Ed25519"])
def test_a_right_token_is_taken_whatever_its_key(token_door: Door, issuer: Any, kind: str) -> None:
    issuer.rotate(signing_key(kind))

    answer = token_door.send_token(issuer.token())

    assert (answer.status_code, answer.json["name"]) == (200, "north")


@pytest.mark.parametrize("algorithm", ["RS384", "PS256", "PS384"])
def test_a_right_token_is_taken_whatever_its_rsa_algorithm(token_door: Door, issuer: Any, algorithm: str) -> None:
    assert token_door.send_token(issuer.token(header={"alg": algorithm})).status_code == 200


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({"aud": ["https://other.example", "https://bridge.example"]}, {}),
        ({"client_id": None, "azp": "engine", "sub": "someone"}, {}),
        ({"client_id": None}, {}),
        ({"scope": None, "scp": ["system/QuestionnaireResponse.c"]}, {}),
        ({"scope": "system/*.*"}, {}),
        ({"scope": "system/QuestionnaireResponse.cud"}, {}),
        ({"scope": "system/*.write"}, {}),
        ({"nbf": None, "iat": None}, {"typ": None}),
        ({}, {"typ": "application/at+jwt"}),
        ({}, {"kid": None}),
        ({}, {"x5t": "unknown fields mean nothing", "nonce": "n"}),
    ],
)
def test_what_a_token_may_say_otherwise(token_door: Door, issuer: Any, claims: Any, header: Any) -> None:
    assert token_door.send_token(issuer.token(claims=claims, header=header)).status_code == 200


def test_an_access_token_may_be_used_again(token_door: Door, issuer: Any) -> None:
    token = issuer.token()

    assert [token_door.send_token(token).status_code for _ in range(3)] == [200, 200, 200]


def test_without_a_token_it_says_what_is_needed(token_door: Door) -> None:
    answer = token_door.send()

    assert_refused(answer)
    assert challenge(answer) == 'Bearer realm="outcome-bridge"'


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"exp": 1_772_441_969}, "expired"),
        ({"exp": None}, "exp is missing"),
        ({"exp": "tomorrow"}, "exp is not a time"),
        ({"exp": True}, "exp is not a time"),
        ({"exp": 1e400}, "exp is not a time"),
        ({"nbf": 1_772_442_031}, "not yet valid"),
        ({"iat": 1_772_442_031}, "in the future"),
        ({"aud": "https://other.example"}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": ["https://bridge.example.evil.example", 7, None]}, "aud"),
        ({"aud": {"https://bridge.example": 1}}, "aud"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": ["http://127.0.0.1"]}, "iss"),
        ({"iss": None}, "iss"),
        ({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, "cnf"),
    ],
)
def test_a_token_that_is_not_for_us_or_not_for_now_is_refused(
    token_door: Door, issuer: Any, claims: Any, says: str
) -> None:
    answer = token_door.send_token(issuer.token(claims=claims))

    assert says in assert_refused(answer)
    assert 'error="invalid_token"' in challenge(answer)


def test_the_leeway_is_thirty_seconds(token_door: Door, issuer: Any) -> None:
    token = issuer.token()

    token_door.time.passes(seconds=329)
    assert token_door.send_token(token).status_code == 200
    token_door.time.passes(seconds=1)
    assert token_door.send_token(token).status_code == 401


def _encoded(part: Any) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def unsigned(header: dict[str, Any], issuer: Any, signature: str) -> str:
    claims = issuer.token().split(".")[1]
    return f"{_encoded(header)}.{claims}.{signature}"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_alg_none_is_refused(token_door: Door, issuer: Any, name: str, signature: str) -> None:
    assert_refused(token_door.send_token(unsigned({"alg": name, "typ": "at+jwt"}, issuer, signature)))


@pytest.mark.parametrize("form", ["pem", "der", "jwk", "modulus"])
def test_an_hmac_with_the_public_key_is_refused(token_door: Door, issuer: Any, form: str) -> None:
    public: RSAKey = RSAKey.import_key(issuer.key.as_dict(private=False))
    secret = {
        "pem": public.as_pem(private=False),
        "der": public.as_der(private=False),
        "jwk": json.dumps(public.as_dict(private=False)).encode(),
        "modulus": str(public["n"]).encode(),
    }[form]
    claims = {"iss": issuer.url, "aud": "https://bridge.example", "sub": "engine", "exp": 2_000_000_000}
    signed_part = ".".join(_encoded(one) for one in ({"alg": "HS256", "typ": "at+jwt", "kid": issuer.key.kid}, claims))
    mac = hmac.digest(secret, signed_part.encode(), "sha256")
    forged = f"{signed_part}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    assert "alg" in assert_refused(token_door.send_token(forged))


def _octets(secret: bytes) -> dict[str, str]:
    return {"kty": "oct", "k": urlsafe_b64encode(secret).rstrip(b"=").decode()}


def test_a_shared_secret_in_the_issuers_own_key_set_is_no_key(token_door: Door, issuer: Any) -> None:
    secret = OctKey.import_key(_octets(b"s" * 64) | {"kid": "shared"})
    issuer.jwks_answer = {"keys": [secret.as_dict(private=True), issuer.key.as_dict(private=False)]}

    assert_refused(token_door.send_token(issuer.token(key=secret, header={"alg": "HS256"})))
    assert token_door.send_token(issuer.token()).status_code == 200


def test_another_key_of_the_same_name_is_refused(token_door: Door, issuer: Any) -> None:
    thief = signing_key("RSA", 9)

    answer = token_door.send_token(issuer.token(key=thief, header={"kid": issuer.key.kid}))

    assert "signature" in assert_refused(answer)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_a_key_that_the_token_brings_along_or_points_to_is_not_looked_at(
    token_door: Door, issuer: Any, httpserver: Any, name: str
) -> None:
    thief = signing_key("P-256", 9)
    httpserver.expect_request("/jwks").respond_with_json({"keys": [thief.as_dict(private=False)]})
    brought = {"jwk": thief.as_dict(private=False), "x5c": ["MIIB"]}.get(name, httpserver.url_for("/jwks"))

    answer = token_door.send_token(issuer.token(key=thief, header={name: brought, "kid": issuer.key.kid}))

    assert_refused(answer)
    assert httpserver.log == []


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"b64": True}, {"b64": True, "crit": ["b64"]}]
)
def test_a_header_that_must_be_understood_is_refused(token_door: Door, issuer: Any, header: Any) -> None:
    full = {"alg": "RS256", "kid": issuer.key.kid, "typ": "at+jwt"} | header

    assert "crit" in assert_refused(token_door.send_token(unsigned(full, issuer, "AAAA")))


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", 7, ["at+jwt"]])
def test_a_token_of_another_type_is_refused(token_door: Door, issuer: Any, kind: Any) -> None:
    full = {"alg": "RS256", "kid": issuer.key.kid, "typ": kind}

    assert "typ" in assert_refused(token_door.send_token(unsigned(full, issuer, "AAAA")))


def test_an_id_token_is_no_access_token(token_door: Door, issuer: Any) -> None:
    assert "aud" in assert_refused(token_door.send_token(issuer.id_token("engine")))


def test_a_token_that_was_changed_or_cut_is_refused(token_door: Door, issuer: Any) -> None:
    token = issuer.token()
    head, claims, signature = token.split(".")
    more = json.dumps({"iss": issuer.url, "aud": "https://bridge.example", "sub": "engine", "exp": 2e9})
    other = urlsafe_b64encode(more.encode()).rstrip(b"=").decode()

    for broken in (
        f"{head}.{other}.{signature}", f"{head}.{claims}.{signature[:-8]}", f"{head}.{claims}.", f"{head}.{claims}",
        f"{token}.AAAA", token[:-1] + chr(1), f"{head}.{claims}.{signature}==", token[: len(token) // 2], "a.b.c",
        f".{claims}.{signature}", "é.é.é",
    ):  # fmt: skip
        assert_refused(token_door.send_token(broken.encode("utf-8").decode("latin-1")))


@pytest.mark.parametrize("size", [16_385, 1_000_000])
def test_a_token_that_is_too_long_is_refused_unread(token_door: Door, size: int) -> None:
    assert "not a signed JWT" in assert_refused(token_door.send_token(f"eyJhbGciOiJSUzI1NiJ9.{'A' * size}.AAAA"))


def test_a_header_nested_too_deep_is_refused(token_door: Door) -> None:
    head = urlsafe_b64encode(b'{"alg": "RS256", "x": ' + b"[" * 3000 + b"]" * 3000 + b"}").rstrip(b"=").decode()

    assert_refused(token_door.send_token(f"{head}.AAAA.AAAA"))


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Basic bm9ydGg6cw==", "Digest x", "eyJhbGciOiJSUzI1NiJ9.e30.AA"]
)
def test_other_ways_to_log_in_are_refused(token_door: Door, value: str) -> None:
    answer = token_door.send(Authorization=value)

    assert_refused(answer)
    assert challenge(answer).startswith("Bearer ")


def test_a_token_in_the_address_is_not_looked_at(token_door: Door, issuer: Any) -> None:
    answer = token_door.client.post(f"/fhir/Try/QuestionnaireResponse?access_token={issuer.token()}")

    assert_refused(answer)


@pytest.mark.parametrize(
    "scope",
    [
        "", "openid", "system/QuestionnaireResponse.r", "system/Observation.c", "user/*.*", "patient/*.*",
        "system/QuestionnaireResponse.c?status=completed", "system/*.read", "system/QuestionnaireResponse.uc", "*.*",
    ],
)  # fmt: skip
def test_scopes_that_do_not_allow_it_are_said_to_be_insufficient(token_door: Door, issuer: Any, scope: str) -> None:
    answer = token_door.send_token(issuer.token(scope=scope))

    assert "system/QuestionnaireResponse.c" in assert_refused(answer, 403)
    assert 'error="insufficient_scope", scope="system/QuestionnaireResponse.c"' in challenge(answer)


def test_a_client_that_is_no_source_is_refused(token_door: Door, issuer: Any) -> None:
    assert "no source" in assert_refused(token_door.send_token(issuer.token(client_id="stranger")), 403)


def test_client_id_goes_before_azp_and_sub(token_door: Door, issuer: Any) -> None:
    token = issuer.token(claims={"client_id": "stranger", "azp": "engine", "sub": "engine"})

    assert_refused(token_door.send_token(token), 403)


def test_a_new_key_of_the_issuer_is_taken_at_once(token_door: Door, issuer: Any) -> None:
    assert token_door.send_token(issuer.token()).status_code == 200
    token_door.time.passes(seconds=31)

    issuer.rotate()

    assert token_door.send_token(issuer.token()).status_code == 200
    assert_refused(token_door.send_token(issuer.token(key=signing_key("RSA", 0))))


def test_forged_key_names_do_not_flood_the_issuer(token_door: Door, issuer: Any) -> None:
    answers = [token_door.send_token(issuer.token(header={"kid": f"forged-{number}"})) for number in range(100)]

    assert {answer.status_code for answer in answers} == {401, 429}
    assert issuer.asked["/jwks"] == 1
    token_door.time.passes(seconds=30)
    for number in range(50):
        token_door.send_token(issuer.token(header={"kid": f"forged-{number}"}))
    assert issuer.asked["/jwks"] == 2


def test_the_keys_outlive_an_outage_of_the_issuer_for_a_day(token_door: Door, issuer: Any) -> None:
    assert token_door.send_token(issuer.token()).status_code == 200
    issuer.is_down = True

    for _ in range(23):
        token_door.time.passes(hours=1)
        assert token_door.send_token(issuer.token()).status_code == 200
    token_door.time.passes(hours=1)
    answer = token_door.send_token(issuer.token())

    assert_refused(answer, 503)
    assert answer.headers["Retry-After"] == "30"
    issuer.is_down = False
    token_door.time.passes(seconds=30)
    assert token_door.send_token(issuer.token()).status_code == 200


@pytest.mark.parametrize(
    "answer", [b"<html>", b"[]", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [7, {"kty": "oct"}]}', b"{" * 9]
)
def test_a_key_set_that_is_none_leaves_the_last_one_standing(token_door: Door, issuer: Any, answer: bytes) -> None:
    assert token_door.send_token(issuer.token()).status_code == 200
    issuer.jwks_answer = answer
    token_door.time.passes(hours=2)

    assert token_door.send_token(issuer.token()).status_code == 200


def test_metadata_of_another_issuer_are_not_believed(token_door: Door, issuer: Any) -> None:
    issuer.metadata_changes = {"issuer": "https://evil.example"}

    assert_refused(token_door.send_token(issuer.token()), 503)


def test_a_small_rsa_key_of_the_issuer_is_not_used(token_door: Door, issuer: Any) -> None:
    small = {"kty": "RSA", "kid": "small", "n": urlsafe_b64encode(b"\xc1" * 128).decode().rstrip("="), "e": "AQAB"}
    issuer.jwks_answer = {"keys": [small]}

    assert_refused(token_door.send_token(issuer.token(header={"kid": "small"})), 503)


def test_a_token_may_be_asked_to_be_used_once(open_door: Any, issuer: Any) -> None:
    door = open_door(
        tokens={"issuer": issuer.url, "audience": ["https://bridge.example"], "is_single_use": True},
        sources=[{"name": "north", "client_id": "engine"}],
    )
    token = issuer.token()

    assert door.send_token(token).status_code == 200
    assert "used before" in assert_refused(door.send_token(token))
    assert "jti is missing" in assert_refused(door.send_token(issuer.token(claims={"jti": None})))


def test_no_token_and_no_claim_is_logged_or_repeated(
    token_door: Door, issuer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = [
        issuer.token(claims={"sub": "Zylpha-4711", "exp": 1}),
        issuer.token(claims={"iss": "Zylpha-4711"}),
        issuer.token(header={"kid": "Zylpha-4711"}),
        signed({"iss": "Zylpha-4711"}, issuer.key, {"alg": "RS256", "typ": "Zylpha-4711"}),
    ]

    with caplog.at_level(logging.DEBUG):
        answers = [token_door.send_token(token) for token in tokens]

    assert [answer.status_code for answer in answers] == [401] * 4
    said = "".join(str(record.__dict__) for record in caplog.records)
    said += "".join(f"{answer.data!r}{answer.headers}" for answer in answers)
    assert "Zylpha" not in said
    assert not [token for token in tokens if token in said or token.split(".")[2] in said]
