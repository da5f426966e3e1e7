"""What an EHR says about logging in to it: `.well-known/smart-configuration`, and which EHRs may launch at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from server.service.access.fetching import FetchError, fetch
from server.service.access.issuer import Metadata, metadata_of
from server.service.access.kept import Kept
from server.service.access.keys import IssuerKeys

_PORTS = {"https": 443, "http": 80}


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

    def configuration(self) -> Metadata:
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


def _discovered(fhir_url: str, ca_file: Path | None) -> Metadata:
    place = f"{fhir_url}/.well-known/smart-configuration"
    status, answer = fetch(place, ca_file=ca_file)
    if status != 200:
        raise FetchError(f"{place}: HTTP {status}")
    issuer = answer.get("issuer")
    return metadata_of(answer, issuer if isinstance(issuer, str) and issuer else fhir_url)
