"""Addresses in settings: whether others can be at them or listen on the way there."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit


@lru_cache(maxsize=256)  # every request asks it of the same few
def is_loopback(host: str) -> bool:
    """Whether a host's name or address, without brackets and port, is this machine by itself.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "0.0.0.0", "localhost.example")]
    [True, True, True, False, False]
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_protected(url: str) -> bool:
    """Whether nobody on the way can read what is sent there: https, or this machine."""
    host = host_of(url)
    scheme = url.partition(":")[0].lower()
    return bool(host) and (scheme == "https" or (scheme == "http" and is_loopback(host)))


@lru_cache(maxsize=256)
def host_of(url: str) -> str:
    """Return a URL's host in lower case, without brackets and port; empty if it names none or is no URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def problem_of_base(url: str) -> str:
    """Return what keeps a URL from being the base of others, or from being sent secrets; empty if nothing does."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no URL"
    if not is_protected(url):
        return "must start with https:// (http:// for this machine only) and name a host"
    if parts.query or parts.fragment or "@" in parts.netloc or "?" in url or "#" in url:
        return "must hold no query, no fragment and no password"
    return "must hold no blank and nothing but ASCII" if any(not "!" <= one <= "~" for one in url) else ""
