"""What an issuer says of itself: OpenID Connect Discovery 1.0, section 4; RFC 8414 for those that know no persons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from integration.addresses import is_protected
from server.service.access.fetching import FetchError, fetch
from server.service.access.kept import Kept
from server.service.access.keys import IssuerKeys


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """Where the parts of an issuer, or of an EHR, are; an address is empty if there is none, or it is not protected.

    Attributes:
        issuer: `iss` of its ID tokens.
        authorization_url: where a person logs in.
        token_url: where a code is exchanged.
        jwks_url: its keys.
        logout_url: where a person logs out.
        names_itself: whether it names itself in every answer to the browser (RFC 9207).
        takes_basic: whether a client's secret may be sent in the Authorization header.
    """

    issuer: str
    authorization_url: str
    token_url: str
    jwks_url: str
    logout_url: str
    names_itself: bool
    takes_basic: bool


class Issuer:
    """One issuer, its metadata and its keys; threads share the object.

    Args:
        url: as its metadata and its tokens spell it.
        ca_file: certificate authorities instead of the usual ones.
        now: the clock; aware.
        jwks_url: where its keys are, if its metadata is not to be asked.
    """

    def __init__(self, url: str, *, ca_file: Path | None, now: Callable[[], datetime], jwks_url: str = "") -> None:
        self.url, self.ca_file = url, ca_file
        self._kept = Kept(lambda: _discovered(url, ca_file), "the issuer's metadata", now)
        self.keys = IssuerKeys(lambda: jwks_url or self.metadata().jwks_url, ca_file=ca_file, now=now)

    def metadata(self) -> Metadata:
        """Return what it says of itself.

        Raises:
            UnavailableError: it cannot be asked now.
        """
        return self._kept.get()


def _discovered(issuer: str, ca_file: Path | None) -> Metadata:
    for place in _places(issuer):
        status, answer = fetch(place, ca_file=ca_file)
        if status == 200:
            if answer.get("issuer") != issuer:
                raise FetchError(f"{place}: speaks for another issuer than the settings name")
            return metadata_of(answer, issuer)
    raise FetchError(f"{issuer}: publishes no metadata (HTTP {status})")


def _places(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    oauth = parts._replace(path=f"/.well-known/oauth-authorization-server{parts.path.rstrip('/')}").geturl()
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration", oauth


def metadata_of(answer: Mapping[str, Any], issuer: str) -> Metadata:
    """Return what a metadata document says, of an issuer or an EHR.

    Args:
        answer: the document.
        issuer: `iss` of its ID tokens.
    """
    methods = answer.get("token_endpoint_auth_methods_supported")
    return Metadata(
        issuer=issuer,
        authorization_url=_address(answer, "authorization_endpoint"),
        token_url=_address(answer, "token_endpoint"),
        jwks_url=_address(answer, "jwks_uri"),
        logout_url=_address(answer, "end_session_endpoint"),
        names_itself=answer.get("authorization_response_iss_parameter_supported") is True,
        takes_basic=not isinstance(methods, list) or "client_secret_basic" in methods,
    )


def _address(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    return value if isinstance(value, str) and is_protected(value) else ""
