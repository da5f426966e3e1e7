"""The files that hold a site's secrets: a private key, a client secret, a token. None is ever logged or in an error."""

from __future__ import annotations

import logging
import re
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jwt
from joserfc.errors import InvalidKeyTypeError, JoseError, SecurityWarning
from joserfc.jwk import ECKey, RSAKey

from integration.errors import SettingsError

logger = logging.getLogger(__name__)

_WANTED: Final = "RSA of 2048 bits or more, or EC on the curve P-384"
_NO_KEY: Final = f"is not a private key; it must be PEM or a JWK, {_WANTED}"
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_BROKEN: Final = (JoseError, SecurityWarning, UnsupportedAlgorithm, ValueError, TypeError, KeyError)
"""What `joserfc` and `cryptography` raise for a file that holds no key, half a key or a weak one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningKey:
    """A private key and what it signs with.

    Attributes:
        key_id: the `kid` under which its public half is registered.
        algorithm: RS384 or ES384, by the key's type.
    """

    key_id: str
    algorithm: str
    _key: RSAKey | ECKey = field(repr=False)

    def signed(self, claims: Mapping[str, Any]) -> str:
        """Return the claims as a signed JWT."""
        header = {"alg": self.algorithm, "kid": self.key_id}
        return jwt.encode(header, dict(claims), self._key, algorithms=[self.algorithm])


def signing_key(file: Path, key_id: str, *, table: str = "authentication") -> SigningKey:
    """Read a private key, PEM (not encrypted) or JWK.

    Args:
        file: where it is.
        key_id: its `kid`; empty if the JWK says it.
        table: of the settings that names the file, for messages.

    Raises:
        SettingsError: no such file, no such key, or none that SMART Backend Services allow.
    """
    raw = _read(file, f"{table}.key_file")
    if b"ENCRYPTED" in raw:
        raise SettingsError(file=str(file), problem="the key is encrypted; store it without a passphrase")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SecurityWarning)  # an RSA key under 2048 bits
            key = _from_jwk(raw) if raw.lstrip().startswith(b"{") else _from_pem(raw)
            kid = key_id or key.kid or ""
    except _BROKEN:
        raise SettingsError(file=str(file), problem=_NO_KEY) from None  # the cause might quote the file
    if not key.is_private:
        raise SettingsError(file=str(file), problem="holds a public key; name the private one")
    if isinstance(key, ECKey) and key.curve_name != "P-384":
        raise SettingsError(file=str(file), problem=f"the key's curve is {key.curve_name}; it must be {_WANTED}")
    if not kid:
        raise SettingsError(file=str(file), problem=f"does not say its kid; set {table}.key_id")
    return _tried(SigningKey(key_id=kid, algorithm="RS384" if isinstance(key, RSAKey) else "ES384", _key=key), file)


def one_line(file: Path, key: str) -> str:
    """Read a secret or token: one line of visible ASCII, blanks around it left out.

    Args:
        file: where it is.
        key: of the `authentication` table, for the message.

    Raises:
        SettingsError: it cannot be read, or holds something else.
    """
    text = _read(file, f"authentication.{key}").decode("ascii", errors="replace").strip()
    if not is_visible(text):
        raise SettingsError(file=str(file), problem=f"must hold one line of ASCII, which authentication.{key} names")
    return text


def warn_if_public(file: Path) -> None:
    """Log a warning if everybody on this machine may read the file."""
    if file.stat().st_mode & stat.S_IROTH:
        message = "a file with a secret can be read by everybody on this machine; take that right away"
        logger.warning(message, extra={"action": "secret_public", "file": str(file)})


def is_visible(text: str) -> bool:
    """Whether a text can stand in a header."""
    return _VISIBLE.fullmatch(text) is not None


def _read(file: Path, key: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        problem = f"cannot be read ({reason}); correct {key}, or the file"
        raise SettingsError(file=str(file), problem=problem) from error


def _from_pem(raw: bytes) -> RSAKey | ECKey:
    try:
        return RSAKey.import_key(raw)
    except InvalidKeyTypeError:
        return ECKey.import_key(raw)


def _from_jwk(raw: bytes) -> RSAKey | ECKey:
    """Raises: ValueError (as msgspec's errors are) or what `joserfc` raises, if it is none."""
    table = msgspec.json.decode(raw, type=dict[str, Any])
    kinds: dict[Any, type[RSAKey | ECKey]] = {"RSA": RSAKey, "EC": ECKey}
    return kinds[table.get("kty")].import_key(table)


def _tried(key: SigningKey, file: Path) -> SigningKey:
    """Sign once, so that a JWK that is meant for something else is found when the program starts."""
    try:
        key.signed({})
    except _BROKEN:
        problem = f"the key cannot sign with {key.algorithm}; a JWK's use, key_ops and alg must allow it"
        raise SettingsError(file=str(file), problem=problem) from None
    return key
