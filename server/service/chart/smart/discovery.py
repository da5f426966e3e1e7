"""What an EHR says about logging in to it: `.well-known/smart-configuration`, and which EHRs may launch at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from integration.addresses import is_protected
from server.service.access.fetching import FetchError, fetch
from server.service.access.kept import Kept
from server.service.access.keys import IssuerKeys

_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """Where an EHR's parts are; an address is empty if there is none such, or one that is not protected.

    Attributes:
        authorization_url: where the launch goes on.
        token_url: where a code is exchanged.
        jwks_url: the keys of its ID tokens.
        issuer: `iss` of its ID tokens.
        names_itself: whether it names itself in every answer to the browser (RFC 9207).
        takes_basic: whether a client's secret may be sent in the Authorization header.
    """

    authorization_url: str
    token_url: str
    jwks_url: str
    issuer: str
    names_itself: bool
    takes_basic: bool


class Ehr:
    """One EHR that may launch; threads share the object.

    Args:
        fhir_url: its FHIR base, without a slash at its end.
        ca_file: certificate authorities instead of the usual ones.
        now: the clock; aware.
    """

    def __init__(self, fhir_url: str, *, ca_file: Path | None, now: Callable[[], datetime]) -> None:
        self.fhir_url, self.ca_file = fhir_url, ca_file
        self._kept = Kept(lambda: _discovered(fhir_url, ca_file), "the EHR's SMART configuration", now)
        self.keys = IssuerKeys(lambda: self.configuration().jwks_url, ca_file=ca_file, now=now)

    def configuration(self) -> Configuration:
        """Return what it says of itself.

        Raises:
            UnavailableError: it cannot be asked now.
        """
        return self._kept.get()


def ehrs(fhir_urls: Iterable[str], *, ca_file: Path | None, now: Callable[[], datetime]) -> dict[str, Ehr]:
    """Return the EHRs that may launch, by their normalized FHIR base."""
    return {normalized(one): Ehr(one.rstrip("/"), ca_file=ca_file, now=now) for one in fhir_urls}


def normalized(url: str) -> str:
    """Return a base URL with scheme and host in lower case, no usual port and no slash at its end; empty if it is none.

    >>> normalized("HTTPS://EHR.example:443/fhir/r4/"), normalized("https://ehr.example@evil.example/fhir")
    ('https://ehr.example/fhir/r4', '')
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    if not host or parts.query or parts.fragment or "@" in parts.netloc or any(not "!" <= one <= "~" for one in url):
        return ""
    place = f"[{host}]" if ":" in host else host
    shown = f":{port}" if port not in (None, _PORTS.get(scheme)) else ""
    return f"{scheme}://{place}{shown}{parts.path.rstrip('/')}"


def _discovered(fhir_url: str, ca_file: Path | None) -> Configuration:
    place = f"{fhir_url}/.well-known/smart-configuration"
    status, answer = fetch(place, ca_file=ca_file)
    if status != 200:
        raise FetchError(f"{place}: HTTP {status}")
    return _configuration(fhir_url, answer)


def _configuration(fhir_url: str, answer: Mapping[str, Any]) -> Configuration:
    methods, issuer = answer.get("token_endpoint_auth_methods_supported"), answer.get("issuer")
    return Configuration(
        authorization_url=_address(answer, "authorization_endpoint"),
        token_url=_address(answer, "token_endpoint"),
        jwks_url=_address(answer, "jwks_uri"),
        issuer=issuer if isinstance(issuer, str) and issuer else fhir_url,
        names_itself=answer.get("authorization_response_iss_parameter_supported") is True,
        takes_basic=not isinstance(methods, list) or "client_secret_basic" in methods,
    )


def _address(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    return value if isinstance(value, str) and is_protected(value) else ""
