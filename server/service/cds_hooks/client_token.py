"""Whether a request is by an EHR that may ask: its signed token, taken once.

CDS Hooks 2.0, "Trusting CDS Clients" (https://cds-hooks.hl7.org/2.0/#trusting-cds-clients).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from integration.service_settings import CdsHooks
from server.service.access import Caller, jwts
from server.service.access.caller import unauthenticated
from server.service.access.kept import UnavailableError
from server.service.access.keys import IssuerKeys, PublicKey
from server.service.access.once import Once
from server.service.operation_outcome import RefusedError

_LONGEST_SECONDS: Final = 3600
_TYPES: Final = frozenset(("jwt",))


@dataclass(frozen=True, kw_only=True, slots=True)
class AnyKeys:
    """The keys of several sets, for a token that does not say where its key is."""

    sets: tuple[IssuerKeys, ...]

    def fitting(self, kid: str | None, algorithm: str) -> list[PublicKey]:
        """Return the keys of that name in any set that can be read.

        Raises:
            UnavailableError: none could be, so nothing can be said now.
        """
        found: list[PublicKey] = []
        unread = 0
        for one in self.sets:
            try:
                found += one.fitting(kid, algorithm)
            except UnavailableError:
                unread += 1
        if not found and unread:
            raise UnavailableError
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientTokens:
    """The tokens of the EHRs that may ask.

    Attributes:
        keys: by `iss` of each, its own sets of keys, which a token may name (`jku`), by their address.
        once: where a token's `jti` is noted.
        now: the clock; aware.
        algorithms: how a token may be signed: by key pairs only.
    """

    keys: Mapping[str, Mapping[str, IssuerKeys]]
    once: Once
    now: Callable[[], datetime]
    algorithms: frozenset[str]

    def check(self, authorization: str, endpoints: Iterable[str]) -> Caller:
        """Return who asks.

        Args:
            authorization: the header.
            endpoints: addresses that the token may be for: that of the service which is called.

        Raises:
            RefusedError: 401, no token, or one that is not to be believed; 503, its keys cannot be read now.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthenticated("the EHR's signed token is needed (CDS Hooks 2.0, Trusting CDS Clients)")
        try:
            checked = self._checked(token.strip(), frozenset(endpoints))
        except jwts.TokenError as error:
            raise unauthenticated(f"the token is not taken: {error}", "invalid_token") from None
        except UnavailableError:
            problem = "the keys of the token's issuer cannot be read now; try again"
            raise RefusedError(503, problem, headers={"Retry-After": "30"}) from None
        value = f"cds-hooks {checked.text('iss')} {checked.text('jti')}"
        if not self.once.is_first("jti", value, checked.expires + 60):
            raise unauthenticated("the token is not taken: it was used before (jti)", "invalid_token")
        return Caller(name=checked.text("iss"), kind="source", types=frozenset())

    def _checked(self, token: str, endpoints: frozenset[str]) -> jwts.Token:
        header = jwts.unchecked_header(token)
        if not isinstance(header.get("kid"), str) or header.get("typ") is None:
            raise jwts.TokenError("its header must have kid and typ")
        issuer = jwts.unchecked_issuer(token)
        expected = jwts.Expected(
            issuers=frozenset({issuer} & self.keys.keys()),
            audiences=endpoints,
            algorithms=self.algorithms,
            types=_TYPES,
            longest_seconds=_LONGEST_SECONDS,
            present=("iss", "jti"),
        )
        return jwts.check(token, self._keys(issuer, header.get("jku")), expected, self.now())

    def _keys(self, issuer: str, address: object) -> jwts.Keys:
        """Return the issuer's keys; those that a token names only if their address is listed beside that issuer."""
        if issuer not in self.keys:
            raise jwts.TokenError("iss is not one that service.cds_hooks.issuers lists")
        own = self.keys[issuer]
        if address is None:
            return AnyKeys(sets=tuple(own.values()))
        if not isinstance(address, str) or address not in own:
            raise jwts.TokenError("its keys are not where service.cds_hooks.jwks_urls says that its issuer's are (jku)")
        return own[address]


def of(settings: CdsHooks, once: Once, now: Callable[[], datetime], algorithms: frozenset[str]) -> ClientTokens | None:
    """Return the tokens that the settings allow; None if they name no issuer."""
    if not settings.issuers:
        return None
    sets = {url: _keys_at(url, settings, now) for url in settings.jwks_urls}
    keys: dict[str, dict[str, IssuerKeys]] = {issuer: {} for issuer in settings.issuers}
    for issuer, url in zip(settings.issuers, settings.jwks_urls, strict=True):
        keys[issuer][url] = sets[url]
    return ClientTokens(keys=keys, once=once, now=now, algorithms=algorithms)


def _keys_at(url: str, settings: CdsHooks, now: Callable[[], datetime]) -> IssuerKeys:
    return IssuerKeys(lambda: url, ca_file=settings.ca_file, now=now)
