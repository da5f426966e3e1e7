"""What a proxy in front of the service says of the client: believed from the proxies that the settings name.

`X-Forwarded-For`, `-Proto` and `-Host` from anybody else are ignored, and so is a header with a client's certificate:
the request then counts as one without it, and a warning names the address. Nothing behind this ever sees those headers.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

logger = logging.getLogger(__name__)

PEER: Final = "outcome_bridge.peer"
"""Key of the WSGI environment: the address that the connection came from, in front of which there may be others."""
CERTIFICATE: Final = "outcome_bridge.certificate"
"""Likewise: the certificate header of a trusted proxy."""
WAS_FORWARDED: Final = "outcome_bridge.was_forwarded"
"""Likewise: whether the request says that it came through a proxy, believed or not."""

_SAID_BY_PROXIES: Final = (
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX", "HTTP_X_FORWARDED_SERVER", "HTTP_X_REAL_IP", "HTTP_FORWARDED",
)  # fmt: skip
_HOST: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_WITH_PORT: Final = re.compile(r"\[?(?P<address>[0-9A-Fa-f:.]+?)\]?(:[0-9]+)?")
_NOBODY: Final = frozenset(("", "-", "(null)"))
"""What proxies write where there is no certificate."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """Addresses that are believed.

    Args:
        proxies: addresses and networks.
    """

    def __init__(self, proxies: Sequence[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(proxy) for proxy in proxies)

    def __contains__(self, address: str) -> bool:
        """Whether an address is one of them; IPv4 in IPv6 is IPv4, and a text that is no address is none of them."""
        parsed = _parsed(address) if self._networks else None
        return parsed is not None and any(
            parsed in network for network in self._networks if network.version == parsed.version
        )


class TrustedProxies:
    """WSGI middleware.

    Args:
        app: what is behind it.
        proxies: addresses and networks that are believed.
        certificate_header: in which they name the client's certificate; empty if they do not.
    """

    def __init__(self, app: WSGIApplication, proxies: Sequence[str], certificate_header: str) -> None:
        self._app, self._proxies = app, Proxies(proxies)
        self._header = f"HTTP_{certificate_header.upper().replace('-', '_')}" if certificate_header else ""

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on with what may be believed of it."""
        said: dict[str, str] = {name: environ.pop(name) for name in _SAID_BY_PROXIES if name in environ}
        certificate = environ.pop(self._header, "").strip() if self._header else ""
        peer = environ.get("REMOTE_ADDR", "")
        environ[PEER], environ[WAS_FORWARDED], environ[CERTIFICATE] = peer, bool(said), ""
        if peer in self._proxies:
            self._believe(environ, said)
            environ[CERTIFICATE] = "" if certificate in _NOBODY else certificate
        elif certificate not in _NOBODY:
            message = "a certificate header is ignored: it came from an address that is no trusted proxy"
            logger.warning(message, extra={"action": "certificate_header_ignored", "address": peer})
        return self._app(environ, start_response)

    def _believe(self, environ: dict[str, Any], said: dict[str, str]) -> None:
        environ["REMOTE_ADDR"] = self._client(said.get("HTTP_X_FORWARDED_FOR", ""), environ["REMOTE_ADDR"])
        scheme = _last(said.get("HTTP_X_FORWARDED_PROTO", "")).lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        host = _last(said.get("HTTP_X_FORWARDED_HOST", ""))
        if _HOST.fullmatch(host):
            environ["HTTP_HOST"] = host

    def _client(self, forwarded: str, peer: str) -> str:
        """Return the address that the first of the trusted proxies saw: whatever stands left of it may be invented."""
        client = peer
        for entry in reversed(forwarded.split(",")):
            found = _WITH_PORT.fullmatch(entry.strip())
            address = _parsed(found["address"]) if found else None
            if address is None:
                break
            client = str(address)
            if client not in self._proxies:
                break
        return client


def _parsed(address: str) -> Address | None:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _last(text: str) -> str:
    return text.rpartition(",")[2].strip()
