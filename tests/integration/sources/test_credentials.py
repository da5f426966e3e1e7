import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.dsa import generate_parameters
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from integration.errors import SettingsError
from integration.sources import credentials


def kept(path: Path, content: bytes | dict[str, Any], mode: int = 0o600) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    path.chmod(mode)
    return path


@pytest.fixture(scope="module")
def rsa() -> RSAKey:
    return RSAKey.generate_key(2048)


@pytest.fixture(scope="module")
def ec() -> ECKey:
    return ECKey.generate_key("P-384")


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize("form", ["PEM", "JWK"])
def test_a_key_signs_with_the_algorithm_of_its_type(tmp_path: Path, rsa: RSAKey, ec: ECKey, form: str) -> None:
    for key, algorithm in ((rsa, "RS384"), (ec, "ES384")):
        content = key.as_pem(private=True) if form == "PEM" else key.as_dict(private=True)

        signer = credentials.signing_key(kept(tmp_path / algorithm, content), "k-1")

        token = jwt.decode(signer.signed({"sub": "c"}), key, [algorithm])
        assert (token.header["alg"], token.header["kid"], token.claims) == (algorithm, "k-1", {"sub": "c"})


def test_a_pem_in_the_older_form_is_a_key_too(tmp_path: Path, rsa: RSAKey) -> None:
    assert rsa.private_key is not None
    old = rsa.private_key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    assert credentials.signing_key(kept(tmp_path / "k", old), "k-1").algorithm == "RS384"


def test_the_kid_of_a_jwk_counts_unless_the_site_file_names_one(tmp_path: Path, ec: ECKey) -> None:
    file = kept(tmp_path / "key.json", ec.as_dict(private=True, kid="of-the-file"))

    assert credentials.signing_key(file, "").key_id == "of-the-file"
    assert credentials.signing_key(file, "named").key_id == "named"


WRONG: dict[str, tuple[Callable[[RSAKey, ECKey], bytes | dict[str, Any]], str]] = {
    "nothing": (lambda *_: b"", "is not a private key"),
    "text": (lambda *_: b"correct horse battery staple", "is not a private key"),
    "broken PEM": (
        lambda *_: b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "is not a private key",
    ),
    "another kind, PEM": (lambda *_: OKPKey.generate_key("Ed25519").as_pem(private=True), "is not a private key"),
    "DSA": (lambda *_: pem(generate_parameters(1024).generate_private_key()), "is not a private key"),
    "passphrase": (lambda rsa, _: rsa.as_pem(private=True, password="p"), "without a passphrase"),
    "public PEM": (lambda rsa, _: rsa.as_pem(), "holds a public key"),
    "public JWK": (lambda _, ec: ec.as_dict(), "holds a public key"),
    "small": (lambda *_: pem(generate_private_key(65537, 1024)), "2048 bits or more"),
    "curve": (lambda *_: ECKey.generate_key("P-256").as_pem(private=True), "curve is P-256"),
    "symmetric": (lambda *_: OctKey.generate_key(256).as_dict(private=True), "is not a private key"),
    "half a JWK": (lambda *_: {"kty": "RSA"}, "is not a private key"),
    "no base64": (lambda *_: {"kty": "RSA", "n": "!!", "e": "AQAB", "d": "x"}, "is not a private key"),
    "unknown curve": (lambda *_: {"kty": "EC", "crv": "P-9", "x": "a", "y": "b", "d": "c"}, "is not a private key"),
    "kty no text": (lambda *_: {"kty": ["RSA"]}, "is not a private key"),
    "set of JWKs": (lambda _, ec: {"keys": [ec.as_dict(private=True)]}, "is not a private key"),
    "broken JSON": (lambda *_: b'{"kty": "RSA"', "is not a private key"),
    "for encryption": (lambda _, ec: ec.as_dict(private=True, use="enc"), "cannot sign with ES384"),
    "other algorithm": (lambda rsa, _: rsa.as_dict(private=True, alg="RS256"), "cannot sign with RS384"),
    "other operation": (lambda _, ec: ec.as_dict(private=True, key_ops=["verify"]), "cannot sign with ES384"),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_a_file_without_a_fitting_private_key_is_named_and_not_quoted(
    tmp_path: Path, rsa: RSAKey, ec: ECKey, case: str
) -> None:
    build, words = WRONG[case]
    file = kept(tmp_path / "key", build(rsa, ec))

    with pytest.raises(SettingsError) as caught:
        credentials.signing_key(file, "k-1")

    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)
    assert caught.value.exit_status == 2
    assert "staple" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_without_a_kid_says_what_to_set(tmp_path: Path, rsa: RSAKey) -> None:
    with pytest.raises(SettingsError, match=r"set authentication\.key_id"):
        credentials.signing_key(kept(tmp_path / "key", rsa.as_pem(private=True)), "")


def test_no_representation_shows_the_key(tmp_path: Path, ec: ECKey) -> None:
    signer = credentials.signing_key(kept(tmp_path / "key", ec.as_dict(private=True)), "k-1")

    assert repr(signer) == "SigningKey(key_id='k-1', algorithm='ES384')"


def test_a_secret_is_one_line_without_its_line_end(tmp_path: Path) -> None:
    assert credentials.one_line(kept(tmp_path / "s", b"s3cret\r\n"), "secret_file") == "s3cret"


@pytest.mark.parametrize("content", [b"", b"\n", b"hush\nhush\n", b"hush hush", "hüsh".encode(), b"hush\0hush"])
def test_a_secret_that_is_not_one_line_of_visible_ascii_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SettingsError, match=r"one line of ASCII, which authentication\.secret_file names") as caught:
        credentials.one_line(kept(tmp_path / "s", content), "secret_file")

    assert "hush" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named_with_its_key(tmp_path: Path) -> None:
    for file in (tmp_path / "missing", tmp_path):
        with pytest.raises(SettingsError, match=r"cannot be read .*authentication\.token_file") as caught:
            credentials.one_line(file, "token_file")

        assert str(caught.value).startswith(f"{file}: ")


@pytest.mark.parametrize(("mode", "is_warned"), [(0o600, False), (0o640, False), (0o604, True), (0o644, True)])
def test_a_secret_that_everybody_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, is_warned: bool
) -> None:
    file = kept(tmp_path / "s", b"hush\n", mode)

    with caplog.at_level(logging.WARNING):
        credentials.warn_if_public(file)

    assert [record.levelname for record in caplog.records] == ["WARNING"] * is_warned
