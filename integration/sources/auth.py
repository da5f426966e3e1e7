"""The Authorization of requests to one site: a token out of a file, or one that a token endpoint gives for a time.

SMART Backend Services (https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html) exchange a signed assertion
for a token; small vendors a client secret (RFC 6749, sections 2.3.1 and 4.4). A failed token request means that the
request it was for did not leave. No token, key, secret or assertion is ever logged or in an error, and of the token
endpoint's answer nothing but a known error code.
"""

from __future__ import annotations

import logging
import math
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote_plus

import msgspec
import requests

from integration import settings
from integration.errors import ConfigurationError, ServerNotReachedError, ServerRefusedError, SettingsError
from integration.sources import credentials, scopes, transport

logger = logging.getLogger(__name__)

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS: Final = 240
"""The specification allows 300; the rest is for a server whose clock is behind ours."""
_USUAL_SECONDS: Final = 300.0
"""How long a token is used if the answer does not say: no token should last longer (SMART Backend Services)."""
_MARGIN_SECONDS: Final = 30.0
_CLOCK_SECONDS: Final = 60.0
_BUSY: Final = frozenset((429, 503))
_CODES: Final[Mapping[str, str]] = {
    "invalid_client": "check client_id, the registered key and key_id, or the secret",
    "invalid_scope": "check authentication.scope",
    "unauthorized_client": "the server must allow this client to log in by itself (client_credentials)",
    "unsupported_grant_type": "the server does not let clients log in by themselves (client_credentials)",
    "invalid_grant": "check that the client is registered and active",
    "invalid_request": "check authentication.token_url",
    "access_denied": "check that the client is registered and active",
}
"""OAuth's error codes (RFC 6749, section 5.2, and 4.1.2.1 for the last), and what to do about each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """A bearer token.

    Attributes:
        value: what is sent.
        scope: what was granted; None if nobody said.
        fresh_until: when a new one shall be fetched, aware; None if it does not change.
    """

    value: str = field(repr=False)
    scope: str | None = None
    fresh_until: datetime | None = None


class TokenSource(Protocol):
    """Where tokens come from."""

    def check(self) -> None:
        """Raise SettingsError if a file is missing or wrong; nothing is sent."""

    def fetch(self) -> Token:
        """Get a token.

        Raises:
            SettingsError: a file cannot be used (any more).
            ServerNotReachedError: nobody answers, or nothing that could be understood.
            ServerRefusedError: the answer is no.
        """


class Authenticator:
    """One token for all threads that ask one site; it lives in memory only.

    Args:
        source: where tokens come from.
        base_url: of the FHIR server, for messages.
        now: the current time; aware.
    """

    def __init__(self, source: TokenSource, *, base_url: str, now: Callable[[], datetime]) -> None:
        self._source, self._base_url, self._now = source, base_url, now
        self._lock = threading.Lock()
        self._token: Token | None = None

    def header(self) -> str:
        """Return the Authorization header's value, with a new token if there is none or it is about to expire.

        Raises:
            ServerNotReachedError: there is no token to be had now; the request must not leave.
            ServerRefusedError: the token endpoint says no (401), or later (429, 503).
        """
        return f"Bearer {self._current().value}"

    def renewed(self, refused: str) -> str:
        """Return the header after a 401, with a new token unless another thread has fetched one since.

        Args:
            refused: the header that the server did not accept.

        Raises:
            ServerNotReachedError, ServerRefusedError: as in `header`.
        """
        with self._lock:
            if self._token is not None and refused == f"Bearer {self._token.value}":
                self._token = None
        return self.header()

    def not_granted(self, needed: Iterable[scopes.Interaction]) -> list[scopes.Interaction]:
        """Return the needed interactions that the token does not allow; none where the server did not say its scope.

        Raises:
            ServerNotReachedError, ServerRefusedError: as in `header`.
        """
        return scopes.not_granted(needed, self._current().scope)

    def require(self, needed: Iterable[scopes.Interaction]) -> None:
        """Make sure, before the first write, that everything that is needed was granted.

        Raises:
            ConfigurationError: something was not; one sentence names all of it.
            ServerNotReachedError, ServerRefusedError: as in `header`.
        """
        if missing := self.not_granted(needed):
            raise ConfigurationError(
                f"{self._base_url}: the server did not grant {scopes.spelled(missing)}; "
                "have it added to the client's registration there and to authentication.scope"
            )

    def _current(self) -> Token:
        with self._lock:
            token = self._token
            if token is None or (token.fresh_until is not None and self._now() >= token.fresh_until):
                token = self._token = self._fetched()
            return token

    def _fetched(self) -> Token:
        try:
            return self._source.fetch()
        except SettingsError as error:  # the file was there when the program started
            raise ServerNotReachedError(url=self._base_url, problem=f"no token, as {error}") from error


class FileToken:
    """A token that somebody put into a file; read anew after a 401, so that it may be replaced while we run."""

    def __init__(self, authentication: settings.Authentication) -> None:
        self._file = _named(authentication.token_file)

    def check(self) -> None:
        """Raise SettingsError if the file cannot be used."""
        self.fetch()

    def fetch(self) -> Token:
        """Read the file."""
        return Token(value=credentials.one_line(self._file, "token_file"))


class TokenEndpoint:
    """A token endpoint that a client logs in at by itself.

    Args:
        site: how, and with what.
        now: the current time; aware.
        new_id: gives each assertion its `jti`.
    """

    def __init__(
        self,
        site: settings.Site,
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._base_url, self._authentication = site.base_url, site.authentication
        self._now, self._new_id = now, new_id
        self._session = transport.session(site.ca_file)
        self._timeouts = transport.timeouts(site.limits.timeout_seconds)
        self._url = site.authentication.token_url

    def check(self) -> None:
        """Raise SettingsError if the file of the key or secret cannot be used."""
        self._proof("")

    def fetch(self) -> Token:
        """Ask for a token; the key or secret is read anew, so that it may be replaced while we run."""
        if not self._url:
            self._url = self._discovered()
        scope = " ".join(self._authentication.scope)
        fields, login = self._proof(self._url)
        form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {}), **fields}
        asked = self._now()
        response = self._ask("POST", self._url, data=form, auth=login)
        if response.status_code != 200:
            raise self._refusal(response)
        token = self._token(response, asked)
        logger.debug("token fetched", extra={"action": "token_fetched", "url": transport.without_query(self._url)})
        return token

    def _proof(self, url: str) -> tuple[dict[str, str], tuple[str, str] | None]:
        """Return what proves who we are: form fields, or name and password."""
        own = self._authentication
        if own.type == "client-secret":
            secret = credentials.one_line(_named(own.secret_file), "secret_file")
            return {}, (quote_plus(own.client_id), quote_plus(secret))
        key = credentials.signing_key(_named(own.key_file), own.key_id)
        return assertion(own.client_id, key, url, now=self._now(), token_id=self._new_id()), None

    def _discovered(self) -> str:
        """Return the token endpoint that the server names (SMART App Launch 2.2.0, section 4.12)."""
        place = f"{self._base_url}/.well-known/smart-configuration"
        response = self._ask("GET", place)
        url = _table(response).get("token_endpoint") if response.status_code == 200 else None
        if not isinstance(url, str) or not settings.is_protected(url):
            problem = f"names no token endpoint with https (HTTP {response.status_code}); set authentication.token_url"
            raise ServerNotReachedError(url=place, problem=problem)
        return url

    def _ask(self, method: str, url: str, **content: Any) -> requests.Response:
        try:
            with transport.within(sum(self._timeouts)):
                return self._session.request(
                    method, url, headers={"Accept": "application/json"}, timeout=self._timeouts,
                    allow_redirects=False, **content,
                )  # fmt: skip
        except OSError as error:  # every RequestException is one
            failure = transport.translated(error, url)
            raise ServerNotReachedError(url=failure.url, problem=f"no token: {failure.problem}") from error

    def _refusal(self, response: requests.Response) -> ServerNotReachedError | ServerRefusedError:
        """Say what an answer other than 200 means.

        A refusal counts as 401, whatever its status: our caller's request was not authenticated, and did not leave.
        """
        status, url = response.status_code, transport.without_query(self._url)
        if status in _BUSY:
            seconds = transport.retry_after(response.headers.get("Retry-After", ""), self._now())
            problem = "the token endpoint asks to wait"
            return ServerRefusedError(url=url, status=status, problem=problem, retry_after_seconds=seconds)
        code = _table(response).get("error")
        if isinstance(code, str) and code in _CODES:
            problem = (
                f"no token: {code} (the endpoint answered {status}); {_CODES[code]}{self._clock_problem(response)}"
            )
            return ServerRefusedError(url=url, status=401, problem=problem)
        if status in (400, 401, 403):
            problem = f"no token: the endpoint answered {status} without an OAuth error code that is known"
            return ServerRefusedError(url=url, status=401, problem=problem)
        return ServerNotReachedError(url=url, problem=f"no token: the endpoint answered {status}")

    def _clock_problem(self, response: requests.Response) -> str:
        """Say by how much our clock differs from the server's, if that may be why: an assertion lasts for minutes."""
        theirs = transport.http_date(response.headers.get("Date", ""))
        seconds = (self._now() - theirs).total_seconds() if theirs else 0.0
        if abs(seconds) < _CLOCK_SECONDS:
            return ""
        return f"; this machine's clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the server's"

    def _token(self, response: requests.Response, asked: datetime) -> Token:
        answer = _table(response)
        value, scope, kind = answer.get("access_token"), answer.get("scope"), answer.get("token_type", "bearer")
        if not isinstance(value, str) or not credentials.is_visible(value) or str(kind).lower() != "bearer":
            problem = "no token: the endpoint's answer holds no bearer token"
            raise ServerNotReachedError(url=transport.without_query(self._url), problem=problem)
        seconds = _seconds(answer.get("expires_in"))
        fresh = timedelta(seconds=seconds - min(_MARGIN_SECONDS, seconds / 4))
        return Token(value=value, scope=scope if isinstance(scope, str) else None, fresh_until=asked + fresh)


def assertion(
    client_id: str, key: credentials.SigningKey, token_url: str, *, now: datetime, token_id: str
) -> dict[str, str]:
    """Return the form fields by which a client with a key proves who it is to a token endpoint.

    https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html

    Args:
        client_id: as it is registered there.
        key: whose public half is registered there.
        token_url: of the endpoint; nobody else takes the assertion.
        now: the current time; aware.
        token_id: `jti`, never used before.
    """
    expires = int(now.timestamp()) + _ASSERTION_SECONDS
    claims = {"iss": client_id, "sub": client_id, "aud": token_url, "exp": expires, "jti": token_id}
    return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": key.signed(claims)}


def authenticator(site: settings.Site, *, now: Callable[[], datetime] | None = None) -> Authenticator | None:
    """Make what a site's requests are authenticated with; threads share it. Nothing is sent yet.

    Args:
        site: its settings.
        now: the current time; aware.

    Returns:
        None for a server that trusts its network.

    Raises:
        SettingsError: a file with a key, secret or token is missing, or does not hold one.
    """
    clock = now or (lambda: datetime.now(UTC))
    if site.authentication.type == "none":
        return None
    is_static = site.authentication.type == "bearer"
    source: TokenSource = FileToken(site.authentication) if is_static else TokenEndpoint(site, now=clock)
    source.check()
    for file in (site.authentication.key_file, site.authentication.secret_file, site.authentication.token_file):
        if file is not None:
            credentials.warn_if_public(file)
    return Authenticator(source, base_url=site.base_url, now=clock)


def _named(path: Path | None) -> Path:
    if path is None:
        raise AssertionError("unreachable: the settings were checked")
    return path


def _table(response: requests.Response) -> dict[str, Any]:
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _seconds(value: object) -> float:
    """Read `expires_in`, which some servers write as text."""
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) else _USUAL_SECONDS
    except ValueError:
        return _USUAL_SECONDS
    return min(max(seconds, 0.0), 86_400.0) if math.isfinite(seconds) else _USUAL_SECONDS
