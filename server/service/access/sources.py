"""Which source sends: by its bearer token, its API key or its client certificate."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

from flask import Request

from integration.service_settings import Service, Source
from server.service.access import certificates, jwts
from server.service.access.caller import Caller, unauthenticated
from server.service.access.issuer import Issuer
from server.service.access.kept import PAUSE, UnavailableError
from server.service.access.once import Once
from server.service.access.proxies import CERTIFICATE
from server.service.operation_outcome import RefusedError

KEY_PREFIX: Final = "obk_"
"""By which an API key is told from a token, and found where it should not be."""
_KEY_BYTES: Final = 32
_LONGEST_KEY: Final = 256


def new_key() -> str:
    """Return a new API key: 256 random bits."""
    return f"{KEY_PREFIX}{secrets.token_urlsafe(_KEY_BYTES)}"


def hash_of(key: str) -> str:
    """Return what the settings hold of an API key. A random key needs no slow hash: nobody can try 2**256."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Sources:
    """The sources of the settings, and how each is known.

    Args:
        service: the settings.
        issuer: of bearer tokens; None if none are taken.
        once: where the tokens are noted that may be used once only.
        now: the clock; aware.
    """

    def __init__(self, service: Service, issuer: Issuer | None, once: Once, now: Callable[[], datetime]) -> None:
        self._sources, self._issuer, self._once, self._now = service.sources, issuer, once, now
        self._is_single_use = service.tokens.is_single_use
        self._expected = jwts.Expected(
            issuers=frozenset({service.tokens.issuer}),
            audiences=frozenset(service.tokens.audience),
            algorithms=frozenset(service.tokens.algorithms),
            types=jwts.ACCESS_TOKEN,
            leeway_seconds=service.tokens.leeway_seconds,
            present=("jti",) if service.tokens.is_single_use else (),
        )

    def identify(self, request: Request) -> Caller | None:
        """Return who sent a request; None if it does not show anything.

        Raises:
            RefusedError: what it shows is not taken: 400, 401, 403, or 503 if that cannot be told now.
        """
        header, key = request.headers.get("Authorization"), request.headers.get("X-API-Key")
        if header is not None and key is not None:
            refusal = unauthenticated("a request shows one token or key, not two", "invalid_request").refusal
            raise RefusedError(400, refusal.problem, headers=refusal.headers)
        if header is not None:
            scheme, _, credential = header.partition(" ")
            if scheme.lower() != "bearer" or not credential.strip():
                raise unauthenticated("the Authorization header must be Bearer and a token or key")
            key = credential.strip() if credential.strip().startswith(KEY_PREFIX) else None
            return self._of_key(key) if key else self._of_token(credential.strip())
        if key is not None:
            return self._of_key(key.strip())
        certificate = request.environ.get(CERTIFICATE, "")
        return self._of_certificate(certificate) if certificate else None

    def _of_key(self, key: str) -> Caller:
        digest = hash_of(key[:_LONGEST_KEY])
        found = [
            source for source in self._sources if hmac.compare_digest(source.api_key_sha256 or "-" * 64, digest)
        ]  # every source is compared, so that the time does not tell which
        if not found:
            raise unauthenticated("the API key is not known", "invalid_token")
        return _caller(found[0])

    def _of_certificate(self, header: str) -> Caller:
        names = certificates.names(header)
        found = [source for source in self._sources if source.certificate and source.certificate in names]
        if not found:
            raise unauthenticated("the client certificate is of no source in service.sources")
        return _caller(found[0])

    def _of_token(self, text: str) -> Caller:
        token = self._checked(text)
        client = next((token.text(name) for name in ("client_id", "azp", "sub") if name in token.claims), "")
        source = next((one for one in self._sources if one.client_id and one.client_id == client), None)
        if source is None:
            raise RefusedError(403, "the token is good, but its client is of no source in service.sources")
        if self._is_single_use and not self._once.is_first("jti", token.text("jti"), self._until(token)):
            raise unauthenticated("the token was used before (jti)", "invalid_token")
        return _caller(source, _scopes(token))

    def _until(self, token: jwts.Token) -> float:
        return token.expires + self._expected.leeway_seconds

    def _checked(self, text: str) -> jwts.Token:
        if self._issuer is None:
            raise unauthenticated("no tokens are taken here; service.tokens names no issuer", "invalid_token")
        try:
            return jwts.check(text, self._issuer.keys, self._expected, self._now())
        except jwts.TokenError as error:
            raise unauthenticated(f"the token is not taken: {error}", "invalid_token") from None
        except UnavailableError:
            raise RefusedError(
                503,
                "the token cannot be checked now, for its issuer does not answer; try again",
                headers={"Retry-After": str(int(PAUSE.total_seconds()))},
            ) from None


def _caller(source: Source, scopes: frozenset[str] | None = None) -> Caller:
    return Caller(
        name=source.name,
        kind="source",
        scopes=scopes,
        types=frozenset(source.types),
        interactions=frozenset(source.interactions),
        poison=source.poison,
        requests_per_minute=source.requests_per_minute,
    )


def _scopes(token: jwts.Token) -> frozenset[str]:
    """Return the token's scopes: text (RFC 8693), or a list, as some issuers write."""
    for name in ("scope", "scp"):
        value = token.claims.get(name)
        if isinstance(value, str):
            return frozenset(value.split())
        if isinstance(value, list):
            return frozenset(one for one in value if isinstance(one, str))
    return frozenset()
