"""API keys, client certificates behind a proxy, and what is believed of proxies at all."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import request

from server.service.access import certificates
from server.service.access.sources import hash_of, new_key

PROXY = "10.0.0.5"
HEADER = "X-Client-Certificate"
Door = Any


@pytest.fixture(scope="module")
def certificate() -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string("CN=engine.hospital.example,O=Hospital")
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=90))
        .sign(key, hashes.SHA256())
    )


@pytest.fixture
def certificate_door(open_door: Any, certificate: x509.Certificate) -> Door:
    """A service behind the proxy 10.0.0.5, with one source by fingerprint and one by subject."""
    digest = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return open_door(
        trusted_proxies=[PROXY, "10.0.1.0/24"],
        client_certificate_header=HEADER,
        public_url="https://bridge.example",
        sources=[{"name": "north", "certificate": digest}, {"name": "south", "certificate": "CN=other,O=Hospital"}],
    )


def test_a_key_is_taken_in_either_header(key_door: Door) -> None:
    by_own = key_door.send(X_API_Key=key_door.keys["north"])
    by_bearer = key_door.send(Authorization=f"Bearer {key_door.keys['south']}")

    assert (by_own.status_code, by_own.json["name"], by_own.json["poison"]) == (200, "north", "reject")
    assert (by_bearer.status_code, by_bearer.json["name"], by_bearer.json["poison"]) == (200, "south", "quarantine")


@pytest.mark.parametrize("change", ["another", "cut", "longer", "case", "hash", "empty", "very long"])
def test_another_key_is_refused(key_door: Door, change: str) -> None:
    right = key_door.keys["north"]
    wrong = {
        "another": new_key(),
        "cut": right[:-1],
        "longer": f"{right}A",
        "case": right.swapcase(),
        "hash": hash_of(right),
        "empty": "",
        "very long": right + "A" * 1_000_000,
    }[change]

    answer = key_door.send(X_API_Key=wrong)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert answer.json["resourceType"] == "OperationOutcome"


def test_a_key_and_a_token_together_are_refused(key_door: Door) -> None:
    key = key_door.keys["north"]

    answer = key_door.send(X_API_Key=key, Authorization=f"Bearer {key}")

    assert answer.status_code == 400
    assert 'error="invalid_request"' in answer.headers["WWW-Authenticate"]


def test_a_key_is_256_random_bits_and_the_settings_hold_its_hash() -> None:
    keys = {new_key() for _ in range(100)}

    assert len(keys) == 100
    assert {len(key) for key in keys} == {len("obk_") + 43}
    assert hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


def test_a_source_may_use_its_types_only(key_door: Door) -> None:
    north, south = (f"Bearer {key_door.keys[name]}" for name in ("north", "south"))

    refused = key_door.send(kind="Patient", Authorization=north)

    assert (refused.status_code, refused.json["issue"][0]["code"]) == (403, "forbidden")
    assert "service.sources.types" in refused.json["issue"][0]["details"]["text"]
    assert key_door.send(kind="Patient", Authorization=south).status_code == 200


def test_a_source_may_do_its_interactions_only(open_door: Any) -> None:
    key = new_key()
    door = open_door(sources=[{"name": "reader", "api_key_sha256": hash_of(key), "interactions": ["read"]}])

    answer = door.send(X_API_Key=key)

    assert answer.status_code == 403
    assert "service.sources.interactions" in answer.json["issue"][0]["details"]["text"]


@pytest.mark.parametrize("kind", ["Patient%0d%0aSet-Cookie:%20a=b", 'Patient",x="', "%2e%2e", "Pat ient"])
def test_a_resource_type_that_is_none_reaches_no_header(open_door: Any, issuer: Any, kind: str) -> None:
    door = open_door(
        tokens={"issuer": issuer.url, "audience": ["https://bridge.example"]},
        sources=[{"name": "north", "client_id": "engine", "types": ["*"]}],
    )

    answer = door.send_token(issuer.token(scope=""), kind=kind)

    assert answer.status_code in (400, 404)
    assert "Set-Cookie" not in answer.headers


def test_no_key_is_logged_or_repeated(key_door: Door, caplog: pytest.LogCaptureFixture) -> None:
    wrong = new_key()

    with caplog.at_level(logging.DEBUG):
        answers = [key_door.send(X_API_Key=wrong), key_door.send(X_API_Key=key_door.keys["north"])]

    said = "".join(str(record.__dict__) for record in caplog.records)
    said += "".join(f"{answer.data!r}{answer.headers}" for answer in answers)
    assert not [secret for secret in (wrong, *key_door.keys.values()) if secret in said or hash_of(secret) in said]
    assert [record.__dict__["action"] for record in caplog.records if record.levelno >= logging.WARNING] == [
        "login_failed"
    ]


def spellings(certificate: x509.Certificate) -> dict[str, str]:
    """Return what proxies may write for one certificate."""
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    bare = "".join(pem.splitlines()[1:-1])
    return {
        "fingerprint": digest,
        "fingerprint with colons": ":".join(digest[at : at + 2] for at in range(0, 64, 2)).upper(),
        "percent-encoded PEM": quote(pem),
        "PEM in a line": pem.replace("\n", " "),
        "base64": quote(bare),
        "RFC 9440": f":{bare}:",
    }


@pytest.mark.parametrize(
    "spelling", ["fingerprint", "fingerprint with colons", "percent-encoded PEM", "base64", "RFC 9440"]
)
def test_a_certificate_is_known_however_the_proxy_writes_it(
    certificate_door: Door, certificate: x509.Certificate, spelling: str
) -> None:
    answer = certificate_door.send(address=PROXY, **{HEADER: spellings(certificate)[spelling]})

    assert (answer.status_code, answer.json["name"]) == (200, "north")


def test_a_certificate_has_its_fingerprint_and_its_subject_for_names(certificate: x509.Certificate) -> None:
    digest = certificate.fingerprint(hashes.SHA256()).hex()

    names = certificates.names(spellings(certificate)["PEM in a line"])

    assert names == {digest, "CN=engine.hospital.example,O=Hospital"}


def test_a_certificate_is_known_by_its_subject(certificate_door: Door) -> None:
    answer = certificate_door.send(address=PROXY, **{HEADER: "CN=other,O=Hospital"})

    assert (answer.status_code, answer.json["name"]) == (200, "south")


@pytest.mark.parametrize("value", ["", "-", "(null)"])
def test_a_request_without_a_certificate_is_asked_for_something(certificate_door: Door, value: str) -> None:
    answer = certificate_door.send(address=PROXY, **{HEADER: value})

    assert answer.status_code == 401
    assert "is needed" in answer.json["issue"][0]["details"]["text"]


@pytest.mark.parametrize(
    "value", ["CN=stranger", "0" * 64, "CN=other,O=Hospital,CN=other,O=Hospital", ":!!!:", ":MIIB:", "MII" * 9000]
)
def test_another_certificate_is_refused(certificate_door: Door, value: str) -> None:
    assert certificate_door.send(address=PROXY, **{HEADER: value}).status_code == 401


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.6", "10.0.2.1", "192.0.2.1", "::1", ""])
def test_a_certificate_header_from_anybody_but_a_proxy_is_ignored_and_told(
    certificate_door: Door, certificate: x509.Certificate, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    forged = {HEADER: spellings(certificate)["fingerprint"]}

    answer = certificate_door.send(address=address, **forged)

    assert answer.status_code == 401
    told = [record for record in caplog.records if record.__dict__.get("action") == "certificate_header_ignored"]
    assert [record.__dict__["address"] for record in told] == [address]


def test_whoever_forges_a_certificate_header_is_still_who_its_key_says(
    open_door: Any, certificate: x509.Certificate
) -> None:
    key, digest = new_key(), certificate.fingerprint(hashes.SHA256()).hex()
    door = open_door(
        trusted_proxies=[PROXY],
        client_certificate_header=HEADER,
        sources=[{"name": "north", "certificate": digest}, {"name": "south", "api_key_sha256": hash_of(key)}],
    )

    answer = door.send(address="192.0.2.1", X_API_Key=key, **{HEADER: digest})

    assert (answer.status_code, answer.json["name"]) == (200, "south")


def seen(door: Door, address: str, **headers: str) -> tuple[str, str, str]:
    """Return what the service takes for the client's address, scheme and host."""
    found: list[tuple[str, str, str]] = []
    door.app.before_request_funcs[None].insert(
        0, lambda: found.append((request.remote_addr or "", request.scheme, request.environ["HTTP_HOST"]))
    )
    door.send(address=address, **headers)
    door.app.before_request_funcs[None].pop(0)
    return found[0]


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("203.0.113.9, 192.0.2.7, 10.0.1.8", "192.0.2.7"),
        ("127.0.0.1, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unknown", PROXY),
        ("192.0.2.7, <script>", PROXY),
        ("", PROXY),
    ],
)
def test_a_proxy_is_believed_about_the_client_it_saw_and_nobody_before(
    certificate_door: Door, forwarded: str, client: str
) -> None:
    assert seen(certificate_door, PROXY, X_Forwarded_For=forwarded)[0] == client


def test_a_proxy_is_believed_about_scheme_and_host(certificate_door: Door) -> None:
    said = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "bridge.example"}

    assert seen(certificate_door, "10.0.1.200", **said) == ("10.0.1.200", "https", "bridge.example")
    assert seen(certificate_door, "::ffff:10.0.0.5", **said)[1:] == ("https", "bridge.example")


@pytest.mark.parametrize("host", ["evil.example/path", "bridge.example\\@evil.example", "a b", "", "x" * 10 + ":port"])
def test_a_host_that_is_none_is_not_believed_of_anybody(certificate_door: Door, host: str) -> None:
    assert seen(certificate_door, PROXY, X_Forwarded_Host=host)[2] == "localhost"


def test_forwarded_headers_of_anybody_else_are_ignored(certificate_door: Door) -> None:
    said = {
        "X_Forwarded_For": PROXY,
        "X_Forwarded_Proto": "https",
        "X_Forwarded_Host": "evil.example",
        "Forwarded": "for=::1",
    }

    assert seen(certificate_door, "192.0.2.9", **said) == ("192.0.2.9", "http", "localhost")


def test_nobody_becomes_a_proxy_by_what_a_proxy_forwards(certificate_door: Door, certificate: x509.Certificate) -> None:
    forged = {"X_Forwarded_For": PROXY, HEADER: spellings(certificate)["fingerprint"]}

    assert certificate_door.send(address="192.0.2.9", **forged).status_code == 401
