"""The ways in which proxies name a client's certificate in a header."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final
from urllib.parse import unquote

from cryptography import x509

from integration.service_settings import fingerprint

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST: Final = 16 * 1024


def names(header: str) -> frozenset[str]:
    """Return every name that a certificate header gives a certificate: its SHA-256 fingerprint, its subject.

    It may hold the fingerprint in hex; the certificate itself as PEM, percent-encoded or not (nginx, Traefik), or in
    base64 between colons (RFC 9440, section 2.1); or the subject, as the proxy writes it. Whether the certificate is
    valid was the proxy's to check.
    """
    if not header or len(header) > _LONGEST:
        return frozenset()
    plain = fingerprint(header)
    if _SHA256.fullmatch(plain):
        return frozenset({plain})
    der = _der(header)
    if der is None:
        return frozenset({header})
    try:
        subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    except ValueError:
        return frozenset()
    return frozenset({hashlib.sha256(der).hexdigest(), subject})


def _der(header: str) -> bytes | None:
    """Return the certificate; None if the header holds none but a name."""
    text = unquote(header)
    if header.startswith(":") and header.endswith(":"):
        encoded = header.strip(":")
    elif "-----BEGIN CERTIFICATE-----" in text:
        encoded = text.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END CERTIFICATE-----")[0]
    elif text.startswith("MII"):
        encoded = text
    else:
        return None
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except ValueError:
        return b""
