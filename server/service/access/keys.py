"""An issuer's public keys (JWK Set, RFC 7517).

Which keys count is never said by a token: its `jku`, `jwk`, `x5u` and `x5c` are not looked at. A token that names a
key which is not known (`kid`) has the set read again, for the issuer may have changed its key; but not more often than
twice a minute, however many such tokens come, so that forged ones cannot be used to flood the issuer.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from server.service.access.fetching import FetchError, fetch
from server.service.access.kept import Kept

PublicKey = RSAKey | ECKey | OKPKey

_MOST_KEYS: Final = 100
_PUBLIC: Final = frozenset(("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"))
_KINDS: Final[Mapping[str, type[PublicKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
_RSA_BITS: Final = 2048


class IssuerKeys:
    """The keys of one issuer; threads share the object, each process has its own.

    Args:
        url: where they are; asked when they are read, for the issuer's metadata may say it.
        ca_file: certificate authorities instead of the usual ones.
        now: the clock; aware.
    """

    def __init__(self, url: Callable[[], str], *, ca_file: Path | None, now: Callable[[], datetime]) -> None:
        self._kept = Kept(lambda: _read_set(url(), ca_file), "the issuer's keys", now)

    def fitting(self, kid: str | None, algorithm: str) -> list[PublicKey]:
        """Return the keys that may have signed a token: of that name, if it gives one, and for that algorithm.

        Raises:
            UnavailableError: nothing can be said now.
        """
        found = _fitting(self._kept.get(), kid, algorithm)
        if not found and kid is not None:
            found = _fitting(self._kept.again(), kid, algorithm)
        return found


def _read_set(url: str, ca_file: Path | None) -> tuple[PublicKey, ...]:
    status, answer = fetch(url, ca_file=ca_file)
    entries = answer.get("keys")
    if status != 200 or not isinstance(entries, list):
        raise FetchError(f"{url}: is no JWK Set (HTTP {status})")
    keys = tuple(key for entry in entries[:_MOST_KEYS] if (key := public_key(entry)) is not None)
    if not keys:
        raise FetchError(f"{url}: holds no key that can be used here")
    return keys


def public_key(entry: Any) -> PublicKey | None:
    """Return the public key of a JWK; None for one that must not or cannot be used here.

    A shared secret (`oct`) is never a key of ours, nor one for encryption, nor RSA under 2048 bits (NIST SP 800-131A).
    """
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or entry.get("kty") not in _KINDS:
        return None
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        if entry["kty"] == "RSA" and _bits(entry["n"]) < _RSA_BITS:
            return None
        key = _KINDS[entry["kty"]].import_key({name: value for name, value in entry.items() if name in _PUBLIC})
        _ = key.public_key  # a point that is not on its curve is found here
    except (JoseError, KeyError, TypeError, ValueError):
        return None
    return key


def _bits(number: str) -> int:
    try:
        return int.from_bytes(urlsafe_b64decode(number + "=" * (-len(number) % 4)), "big").bit_length()
    except binascii.Error as error:
        raise ValueError from error


def _fitting(keys: tuple[PublicKey, ...], kid: str | None, algorithm: str) -> list[PublicKey]:
    return [key for key in keys if (kid is None or key.kid == kid) and _fits(key, algorithm)]


def _fits(key: PublicKey, algorithm: str) -> bool:
    if key.alg is not None and key.alg != algorithm:
        return False
    if isinstance(key, RSAKey):
        return algorithm[:2] in ("RS", "PS")
    return algorithm in _CURVES and key.curve_name == _CURVES[algorithm]
