"""Secrets of the service's settings: one line in a file of its own, read when it is needed, never shown."""

from __future__ import annotations

from pathlib import Path

from integration.errors import SettingsError
from integration.sources import credentials


def read(file: Path | None) -> str:
    """Return the secret in a file, blanks around it left out; empty if there is no file.

    Raises:
        SettingsError: it cannot be read, or holds something else than one line of visible ASCII.
    """
    if file is None:
        return ""
    try:
        text = file.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        problem = f"the secret cannot be read ({(error.strerror or 'no reason given').lower()})"
        raise SettingsError(file=str(file), problem=problem) from error
    if not credentials.is_visible(text):
        raise SettingsError(file=str(file), problem="must hold a secret: one line of ASCII without blanks")
    return text


def check(file: Path | None) -> None:
    """See when the service starts that a secret is there, and warn if everybody on this machine may read it.

    Raises:
        SettingsError: likewise.
    """
    if file is not None:
        read(file)
        credentials.warn_if_public(file)
