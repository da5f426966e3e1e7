"""Whether a signed token (JWT, RFC 7519) is what it says: who made it, for whom, when, and that nobody changed it.

Follows RFC 8725 (best current practices): algorithms from an allow list, keys from the issuer only, every claim that is
relied on is checked. No message repeats anything out of a token but the names of its fields.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jws import JWSRegistry

from server.service.access.keys import PublicKey

LONGEST: Final = 16 * 1024
"""Characters of a token; a longer one is refused unread."""
ACCESS_TOKEN: Final = frozenset(("", "jwt", "at+jwt"))
ANY_JWT: Final = frozenset(("", "jwt"))

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_HEADER_BYTES: Final = 4096
_MOST_KEYS: Final = 8
_YEAR_9999: Final = 253_402_300_800


class TokenError(Exception):
    """A token is not to be believed; the message says why, without a value out of it."""


class Keys(Protocol):
    """Where the keys come from that may have signed a token."""

    def fitting(self, kid: str | None, algorithm: str) -> list[PublicKey]:
        """Return the keys of that name, if one is given, that are for that algorithm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What a token must say.

    Attributes:
        issuers: `iss` must be one of these.
        audiences: `aud` must be or hold one of these.
        algorithms: `alg` must be one of these.
        types: `typ`, in lower case and without `application/`; empty for none.
        leeway_seconds: by how much the issuer's clock may differ.
        longest_seconds: from `iat`, which it must have then, to `exp`; None is no limit.
        present: further claims that it must have, as text.
    """

    issuers: frozenset[str]
    audiences: frozenset[str]
    algorithms: frozenset[str]
    types: frozenset[str] = ANY_JWT
    leeway_seconds: float = 30
    longest_seconds: float | None = None
    present: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A token that is believed.

    Attributes:
        claims: what it says.
        expires: `exp`, seconds since 1970.
    """

    claims: Mapping[str, Any]
    expires: float

    def text(self, name: str) -> str:
        """Return a claim that is text; empty if there is none such."""
        value = self.claims.get(name)
        return value if isinstance(value, str) else ""


def check(token: str, keys: Keys, expected: Expected, now: datetime) -> Token:
    """Return what a token says, once all of it was checked.

    Args:
        token: the compact form, as it was sent.
        keys: of the issuer.
        expected: what it must say.
        now: the current time; aware.

    Raises:
        TokenError: it is not to be believed.
        UnavailableError: whether it is cannot be told now.
    """
    header = unchecked_header(token)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in expected.algorithms:
        raise TokenError("alg is not one of those that service.tokens.algorithms allows")
    kind = header.get("typ", "")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in expected.types:
        raise TokenError("typ is not that of such a token")
    kid = header.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise TokenError("kid is not text")
    claims = _verified(token, keys.fitting(kid, algorithm), algorithm)
    _check_names(claims, expected)
    return Token(claims=claims, expires=_check_times(claims, expected, now.timestamp()))


def unchecked_header(token: str) -> dict[str, Any]:
    """Return a token's header, which nobody vouches for.

    Raises:
        TokenError: it is no token, or one that must be read in a way that is not known here (`crit`).
    """
    if len(token) > LONGEST or not _COMPACT.fullmatch(token):
        raise TokenError("it is not a signed JWT")
    encoded = token.partition(".")[0]
    try:
        header = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        raise TokenError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise TokenError("its header is not a JSON object")
    if "crit" in header or "b64" in header:
        raise TokenError("its header asks for an extension (crit) that is not known here")
    return header


def unchecked_issuer(token: str) -> str:
    """Return `iss` of a token of the right form, which nobody vouches for: only to look for its keys; empty if none."""
    encoded = token.split(".")[1]
    try:
        issuer = _claims(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))).get("iss")
    except (ValueError, TokenError):
        return ""
    return issuer if isinstance(issuer, str) else ""


class _Registry(JWSRegistry):
    """One algorithm, which the allow list has let through; header fields that are not known mean nothing."""

    max_header_length = _HEADER_BYTES

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm], strict_check_header=False)

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return the algorithm without a warning about EdDSA, which has another name since RFC 9864."""
        if name not in (self.allowed or ()):
            raise TokenError("alg is not the one that was allowed")
        return self.algorithms[name]


def _verified(token: str, keys: Sequence[PublicKey], algorithm: str) -> dict[str, Any]:
    for key in keys[:_MOST_KEYS]:
        try:
            payload = jws.deserialize_compact(token, key, registry=_Registry(algorithm)).payload
        except (JoseError, ValueError, TypeError):
            continue
        return _claims(payload or b"")
    raise TokenError("its signature is not by a key of the issuer")


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        raise TokenError("its claims are not JSON") from None
    if not isinstance(claims, dict):
        raise TokenError("its claims are not a JSON object")
    return claims


def _check_names(claims: Mapping[str, Any], expected: Expected) -> None:
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or issuer not in expected.issuers:
        raise TokenError("iss is not the issuer whose tokens are taken")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(one, str) and one in expected.audiences for one in named):
        raise TokenError("aud is not this service")
    for name in expected.present:
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise TokenError(f"{name} is missing")
    if "cnf" in claims:
        raise TokenError("it is bound to its holder's key (cnf), which is not checked here")


def _check_times(claims: Mapping[str, Any], expected: Expected, now: float) -> float:
    expires, leeway = _seconds(claims, "exp"), expected.leeway_seconds
    if expires is None:
        raise TokenError("exp is missing")
    if expires + leeway <= now:
        raise TokenError("it has expired (exp)")
    begins, made = _seconds(claims, "nbf"), _seconds(claims, "iat")
    if begins is not None and begins - leeway > now:
        raise TokenError("it is not yet valid (nbf)")
    if made is not None and made - leeway > now:
        raise TokenError("it was made in the future (iat)")
    if expected.longest_seconds is not None and (made is None or expires - made > expected.longest_seconds):
        raise TokenError("it is valid for too long (iat to exp)")
    return expires


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _YEAR_9999:
        raise TokenError(f"{name} is not a time")
    return float(value)
