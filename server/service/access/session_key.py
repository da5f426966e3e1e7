"""The key that signs cookies: made at the first start, in a file that only this user can read."""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from integration.errors import SettingsError

FILE_NAME: Final = "session.key"
_FORM: Final = re.compile(r"[0-9a-f]{64}")


def read_or_make(folder: Path) -> bytes:
    """Return the key of the state folder, and make it if there is none. Whoever has it can write any session.

    Several processes may start at once: one makes it, complete, the others read it. Remove the file, and everybody
    logs in again; machines that share a login share its content.

    Raises:
        SettingsError: it cannot be read or written, others can read it, or it holds something else.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(path)
        text = path.read_text(encoding="ascii", errors="replace").strip()
        mode = path.stat().st_mode
    except OSError as error:
        problem = f"cannot be read or written ({(error.strerror or 'no reason given').lower()})"
        raise SettingsError(file=str(path), problem=problem) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(file=str(path), problem="others can read it; remove it, and a new one is made")
    if not _FORM.fullmatch(text):
        raise SettingsError(file=str(path), problem="holds no key; remove it, and a new one is made")
    return bytes.fromhex(text)


def _make(path: Path) -> None:
    """Write a key beside its place and link it there, so that nobody ever reads half of one."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(32)}\n")
        os.link(draft, path)
    except FileExistsError:
        return  # another process was first
    finally:
        draft.unlink()
