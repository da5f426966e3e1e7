"""How a test logs a person in, step by step or at once."""

from typing import Any
from urllib.parse import urlsplit

import requests

Door = Any
CLIENT = "bridge"
BACK = "http://localhost/staff/login/done"
HTML = {"Accept": "text/html"}


def open_staff_door(open_door: Any, issuer: Any, **staff: Any) -> Door:
    issuer.register(CLIENT, redirect_uris=[BACK])
    return open_door(staff={"issuer": issuer.url, "client_id": CLIENT, "subjects": ["dr-1"]} | staff)


def begin(client: Any, path: str = "/try") -> str:
    """Open a page without being logged in, and return the address of the provider that the browser is sent to."""
    asked = client.get(path, headers=HTML)
    assert asked.status_code == 303
    sent = client.get(asked.headers["Location"])
    assert sent.status_code == 303
    return str(sent.headers["Location"])


def answered(address: str) -> str:
    """Ask the provider, and return where it sends the browser back to."""
    back = requests.get(address, allow_redirects=False, timeout=5)
    assert back.status_code == 302, back.text
    return back.headers["Location"]


def place(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}"


def log_in(client: Any, path: str = "/try") -> Any:
    return client.get(place(answered(begin(client, path))))
