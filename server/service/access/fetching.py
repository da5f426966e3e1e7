"""What is asked of an issuer: small JSON documents, by an address that the settings or the issuer's metadata name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import requests

from integration.sources import transport

_TIMEOUTS: Final = (3.0, 5.0)
_TOGETHER_SECONDS: Final = 10.0
_LIMIT_BYTES: Final = 512 * 1024
_CHUNK_BYTES: Final = 16 * 1024


class FetchError(Exception):
    """An issuer could not be asked, or answered with something else; the message holds no secret."""


def fetch(
    url: str, *, ca_file: Path | None, form: Mapping[str, str] | None = None, login: tuple[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Ask once, without following redirections.

    Args:
        url: what.
        ca_file: certificate authorities instead of the usual ones.
        form: sent by POST; without it the request is a GET.
        login: name and password.

    Returns:
        The status and the JSON object of the answer; empty where a refusal holds none.

    Raises:
        FetchError: no answer, none in time, one that is too long, or a success that is no JSON object.
    """
    shown = url.partition("?")[0]
    try:
        with transport.within(_TOGETHER_SECONDS), transport.session(ca_file) as session, session.request(
            "GET" if form is None else "POST", url, data=form, auth=login, headers={"Accept": "application/json"},
            timeout=_TIMEOUTS, allow_redirects=False, stream=True,
        ) as response:  # fmt: skip
            return response.status_code, _object(response, shown)
    except (OSError, ValueError) as error:  # every RequestException is an OSError; a URL may be none at all
        raise FetchError(f"{shown}: no answer ({type(error).__name__})") from None  # its cause may quote the form


def _object(response: requests.Response, shown: str) -> dict[str, Any]:
    body = b""
    for chunk in response.iter_content(_CHUNK_BYTES):
        body += chunk
        if len(body) > _LIMIT_BYTES:
            raise FetchError(f"{shown}: the answer is too long")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if response.status_code == 200:
            raise FetchError(f"{shown}: the answer is no JSON object") from None
        return {}
