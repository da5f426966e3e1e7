"""One FHIR server over HTTP: read, search, create, update, transaction.

Only reads are repeated, after a broken connection, 429 or 503 (https://hl7.org/fhir/R4/http.html). A write leaves at
most once, save after a 401, which means that nothing was stored: then once more, with a new token. Whether a lost
answer hides an effect is for the caller to find out, so a write's errors tell apart `ServerNotReachedError` (nothing
was sent), `ServerUnreachableError` (not known) and `ServerRefusedError` (an answer).
No body is ever logged, and of an OperationOutcome only codes and expressions are kept: diagnostics may hold PHI.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from integration import settings
from integration.errors import ServerRefusedError, ServerUnreachableError
from integration.sources import auth, scopes, transport

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/fhir+json"
READ_TIMEOUTS = 4.0
"""So many timeouts a whole answer to a read may take: a page of a search is long, and a line may be slow."""
_BUSY = frozenset((429, 503))
_EXPRESSION_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.[]()_:-/")


Leaves = Callable[[], object]
"""Is called right before a write leaves, after all that may take long; if it raises, nothing leaves."""


def _may() -> None:
    """Let everything leave."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """Time as an argument.

    Attributes:
        now: the current time; aware, UTC.
        sleep: waits so many seconds.
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """Which version of which resource an answer speaks of.

    Attributes:
        resource_type: `Observation`, ...
        resource_id: the server's logical id.
        version: from `/_history/n`, empty if the server did not say.
    """

    resource_type: str
    resource_id: str
    version: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A success (2xx).

    Attributes:
        status: HTTP status.
        body: may be empty, whatever was asked.
        location: None if there was no Location header, or none that names a resource.
        version: of the ETag, else of the Location; empty if neither says.
        request_id: the X-Request-Id that was sent.
    """

    status: int
    body: bytes
    location: Location | None
    version: str
    request_id: str

    def json(self) -> Any:
        """Decode the body; None if it is empty or not JSON (an empty 201 may call itself text/html)."""
        try:
            return msgspec.json.decode(self.body) if self.body else None
        except msgspec.DecodeError:
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Retries:
    """How often a read is repeated.

    Attributes:
        attempts: how often at most, the first included.
        first_seconds: pause after the first failure, doubled after each one.
        longest_seconds: no pause is longer, whatever Retry-After asks (servers were seen to ask for hours).
    """

    attempts: int = 4
    first_seconds: float = 0.5
    longest_seconds: float = 60.0


class FhirClient:
    """Ask one FHIR server, in one thread.

    Args:
        base_url: without a slash at its end.
        timeout_seconds: without a byte from the server; also the most that a whole answer takes, connecting aside.
        read_seconds: the most that a whole answer to a read takes, if that may be longer.
        retries: of reads.
        clock: for the pauses between reads, and a Retry-After that is a date.
        new_request_id: gives the X-Request-Id of a request that the caller gave none.
        authenticator: gives each request its Authorization; None for a server that wants none.
        ca_file: certificate authorities instead of the usual ones.

    Attributes:
        on_end: called whenever a request has ended, with or without an answer.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout_seconds: float = 30.0,
        read_seconds: float = 0.0,
        retries: Retries | None = None,
        clock: Clock | None = None,
        new_request_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        authenticator: auth.Authenticator | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeouts = transport.timeouts(timeout_seconds)
        self._read_seconds = max(sum(self._timeouts), read_seconds)
        self._retries = retries or Retries()
        self._clock, self._new_request_id = clock or Clock(), new_request_id
        self._authenticator = authenticator
        self._session = transport.session(ca_file)
        self.on_end: Callable[[], object] = lambda: None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> FhirClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def require(self, needed: Iterable[scopes.Interaction]) -> None:
        """Make sure, before the first write, that the token allows what is needed: `[("Observation", "c")]`, ...

        Nothing is checked where there is no token, or where the server did not say what it granted.

        Raises:
            ConfigurationError: something was not granted; one sentence names all of it.
            ServerNotReachedError, ServerRefusedError: there is no token to be had.
        """
        if self._authenticator is not None:
            self._authenticator.require(needed)

    def read(self, resource_type: str, resource_id: str) -> Answer:
        """Read the current version; 404 and 410 are ServerRefusedError."""
        return self.get(f"{self.base_url}/{resource_type}/{resource_id}")

    def search(self, resource_type: str, parameters: Mapping[str, str]) -> Answer:
        """Ask for the first page; `handling=strict`, because an ignored parameter would answer another question."""
        return self.get(f"{self.base_url}/{resource_type}", parameters, headers={"Prefer": "handling=strict"})

    def capabilities(self) -> Any:
        """Read the server's CapabilityStatement; None if it has no JSON body."""
        return self.get(f"{self.base_url}/metadata").json()

    def get(
        self, url: str, parameters: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask for a URL of this server, repeating what a pause may cure.

        Raises:
            ServerUnreachableError: no answer, after all attempts.
            ServerRefusedError: an answer other than 2xx, or the URL belongs to another host.
        """
        for attempt in range(1, self._retries.attempts + 1):
            try:
                return self._send("GET", url, parameters=parameters, headers=headers or {})
            except (ServerUnreachableError, ServerRefusedError) as error:
                pause = self._pause_seconds(error, attempt)
                if pause is None:
                    raise
                logger.info("read is repeated", extra={"action": "read_repeated", "seconds": pause})
                self._clock.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def create(
        self, resource_type: str, body: bytes, *, request_id: str = "", if_none_exist: str = "", leaves: Leaves = _may
    ) -> Answer:
        """Create a resource, once; `leaves` is called when there is a token, right before the request leaves."""
        headers = _headers(request_id, {"If-None-Exist": if_none_exist} if if_none_exist else {})
        return self._send("POST", f"{self.base_url}/{resource_type}", body=body, headers=headers, leaves=leaves)

    def update(
        self,
        resource_type: str,
        resource_id: str,
        body: bytes,
        *,
        request_id: str = "",
        if_match: str = "",
        leaves: Leaves = _may,
    ) -> Answer:
        """Replace a resource, once; `if_match` is a bare version id; `leaves` as for `create`."""
        headers = _headers(request_id, {"If-Match": f'W/"{if_match}"'} if if_match else {})
        url = f"{self.base_url}/{resource_type}/{resource_id}"
        return self._send("PUT", url, body=body, headers=headers, leaves=leaves)

    def transaction(self, body: bytes, *, request_id: str = "", leaves: Leaves = _may) -> Answer:
        """Send a transaction Bundle, once; `leaves` as for `create`."""
        return self._send("POST", self.base_url, body=body, headers=_headers(request_id, {}), leaves=leaves)

    def _send(
        self,
        method: str,
        url: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str],
        leaves: Leaves = _may,
    ) -> Answer:
        self._refuse_other_origin(url)
        own = {"Accept": MEDIA_TYPE, "X-Request-Id": self._new_request_id(), **headers}
        if body is not None:
            own["Content-Type"] = MEDIA_TYPE
        request = requests.Request(method, url, params=parameters, data=body, headers=own)
        return self._answer(self._authenticated(request, leaves), url, own["X-Request-Id"])

    def _authenticated(self, request: requests.Request, leaves: Leaves) -> requests.Response:
        """Send a request with the token, and once more with a new one if that was refused."""
        if self._authenticator is None:
            leaves()
            return self._sent(request, "")
        authorization = self._authenticator.header()
        leaves()
        response = self._sent(request, authorization)
        if response.status_code == 401:
            renewed = self._authenticator.renewed(authorization)
            if renewed != authorization:
                leaves()
                return self._sent(request, renewed)
        return response

    def _sent(self, request: requests.Request, authorization: str) -> requests.Response:
        headers = {**request.headers, **({"Authorization": authorization} if authorization else {})}
        try:
            with transport.within(self._read_seconds if request.method == "GET" else sum(self._timeouts)):
                return self._session.request(
                    request.method, request.url, params=request.params, data=request.data, headers=headers,
                    timeout=self._timeouts, allow_redirects=False,
                )  # fmt: skip
        except OSError as error:  # every RequestException is one
            raise transport.translated(error, request.url) from error
        finally:
            self.on_end()

    def _answer(self, response: requests.Response, url: str, request_id: str) -> Answer:
        if not 200 <= response.status_code < 300:
            raise ServerRefusedError(
                url=transport.without_query(url),
                status=response.status_code,
                problem=_issues(response.content),
                retry_after_seconds=transport.retry_after(response.headers.get("Retry-After", ""), self._clock.now()),
            )
        location = parse_location(response.headers.get("Location", "") or response.headers.get("Content-Location", ""))
        version = parse_etag(response.headers.get("ETag", "")) or (location.version if location else "")
        return Answer(
            status=response.status_code, body=response.content, location=location, version=version,
            request_id=request_id,
        )  # fmt: skip

    def _pause_seconds(self, error: ServerUnreachableError | ServerRefusedError, attempt: int) -> float | None:
        """Return how long to wait before the next attempt; None if there shall be none."""
        if attempt >= self._retries.attempts:
            return None
        pause = self._retries.first_seconds * 2.0 ** (attempt - 1)
        if isinstance(error, ServerRefusedError):
            if error.status not in _BUSY:
                return None
            pause = pause if error.retry_after_seconds is None else error.retry_after_seconds
        return min(pause, self._retries.longest_seconds)

    def _refuse_other_origin(self, url: str) -> None:
        if transport.origin(url) != transport.origin(self.base_url):
            problem = "a link leads to another host and was not followed; check the site's base_url"
            raise ServerRefusedError(url=self.base_url, status=200, problem=problem)


def connect(
    site: settings.Site, *, authenticator: auth.Authenticator | None = None, clock: Clock | None = None
) -> FhirClient:
    """Make the client of a site's server; nothing is sent yet.

    Args:
        site: its settings.
        authenticator: of this site, `auth.authenticator(site)`, if several clients shall share one token.
        clock: for pauses and for a token's life.

    Raises:
        SettingsError: a file with a key, secret or token is missing, or does not hold one.
    """
    clock = clock or Clock()
    return FhirClient(
        site.base_url,
        timeout_seconds=site.limits.timeout_seconds,
        read_seconds=READ_TIMEOUTS * site.limits.timeout_seconds,
        clock=clock,
        authenticator=authenticator or auth.authenticator(site, now=clock.now),
        ca_file=site.ca_file,
    )


def parse_location(text: str) -> Location | None:
    """Read a Location header, relative or absolute, with or without `/_history/n`.

    >>> parse_location("Observation/7/_history/2")
    Location(resource_type='Observation', resource_id='7', version='2')
    >>> parse_location("http://h/fhir/") is None
    True
    """
    parts = urlsplit(text).path.strip("/").split("/")
    version = ""
    if len(parts) >= 4 and parts[-2] == "_history":
        version, parts = parts[-1], parts[:-2]
    if len(parts) < 2 or not parts[-1] or not parts[-2][:1].isupper():
        return None
    return Location(resource_type=parts[-2], resource_id=parts[-1], version=version)


def parse_etag(text: str) -> str:
    """Return the version id in an ETag: `W/"3"`, `"3"` or a bare `3`; empty if there is none.

    >>> parse_etag('W/"3"'), parse_etag("3"), parse_etag("")
    ('3', '3', '')
    """
    return text.strip().removeprefix("W/").strip('"')


def _headers(request_id: str, others: dict[str, str]) -> dict[str, str]:
    return {"X-Request-Id": request_id, **others} if request_id else others


def _issues(body: bytes) -> str:
    """Return an OperationOutcome's codes and expressions, ` | ` between issues; never a text out of it."""
    try:
        outcome = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no OperationOutcome"
    issues = outcome.get("issue") if isinstance(outcome, dict) else None
    texts = [_issue(issue) for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []
    return " | ".join(texts[:5]) or "no OperationOutcome"


def _issue(issue: dict[str, Any]) -> str:
    details = issue.get("details")
    codings = details.get("coding") if isinstance(details, dict) else None
    codes = [coding.get("code") for coding in codings if isinstance(coding, dict)] if isinstance(codings, list) else []
    places = issue.get("expression") or issue.get("location")
    words = [issue.get("code"), *codes, *(places if isinstance(places, list) else [])]
    return " ".join(word for word in words if isinstance(word, str) and _is_plain(word)) or "no code"


def _is_plain(word: str) -> bool:
    """Whether it can only be a code or a path: anything else might quote the resource."""
    return 0 < len(word) <= 120 and _EXPRESSION_CHARACTERS.issuperset(word)
