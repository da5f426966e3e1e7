"""A copy of everything that must not be lost, made while the service runs, and put back.

The order makes the copies fit: what the inbox says is planned is in the ledger already, so the inbox is copied first.
Each copy is one state of its database, and blocks nobody who writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from integration import origin
from integration.errors import ConfigurationError, InputError
from integration.settings import Settings
from server.jobs import stores
from server.ledger import restoring
from server.ledger.restoring import Doubted

MANIFEST: Final = "backup.json"
FILES: Final = ("inbox.sqlite", "ledger.sqlite", "warehouse.sqlite")
"""In the order in which they are copied."""
_BLOCK: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A backup.

    Attributes:
        folder: where it lies.
        taken_at: when; ISO 8601, UTC.
        sizes: bytes by file.
        has_ledger: whether the ledger is in it; one in PostgreSQL is not.
    """

    folder: Path
    taken_at: str
    sizes: Mapping[str, int]
    has_ledger: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What was put back.

    Attributes:
        copy: from which backup.
        doubted: what is looked for in the chart before anything is sent.
    """

    copy: Copy
    doubted: Doubted


def back_up(settings: Settings, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Copy:
    """Copy inbox, ledger and warehouse of an installation, whatever is running; the folder appears whole or not at all.

    Raises:
        ConfigurationError: there is something at the folder already, or nothing to copy.
        InputError: a store cannot be read or a copy cannot be written.
    """
    if folder.exists():
        raise ConfigurationError(f"{folder}: there is something already; name a folder that is not there")
    there = [name for name in FILES if (settings.state_folder / name).is_file()]
    if not there:
        raise ConfigurationError(f"{settings.state_folder}: holds no store; nothing to back up")
    making = folder.with_name(f".{folder.name}.making")
    taken_at = now().isoformat(timespec="milliseconds")
    try:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True, mode=0o700)
        for name in there:
            _copied(settings.state_folder / name, making / name)
        _write_manifest(making, taken_at, there)
        making.rename(folder)
    except (OSError, sqlite3.Error) as error:
        raise InputError(path=str(folder), problem=f"the backup cannot be written ({type(error).__name__})") from error
    return read(folder)


def read(folder: Path) -> Copy:
    """Read a backup, and see that it is whole.

    Raises:
        InputError: it is no backup, or a file of it is not what was written.
    """
    manifest = _manifest(folder)
    for name, said in manifest["files"].items():
        if not (folder / name).is_file() or _digest(folder / name) != said["sha256"]:
            raise InputError(path=str(folder / name), problem="is not what the backup wrote; take another backup")
    sizes = {name: int(said["bytes"]) for name, said in manifest["files"].items()}
    return Copy(folder=folder, taken_at=manifest["taken_at"], sizes=sizes, has_ledger="ledger.sqlite" in sizes)


def restore(settings: Settings, folder: Path) -> Restored:
    """Put a backup into an installation's empty state folder, and have all of it looked for before it is sent.

    A ledger in PostgreSQL is put back before, by PostgreSQL's own means.

    Raises:
        ConfigurationError: the state folder holds a store, or the ledger is neither in the backup nor in PostgreSQL.
        InputError: the backup is not whole, or cannot be read.
    """
    copy, state = read(folder), settings.state_folder
    if found := [name for name in FILES if (state / name).exists()]:
        raise ConfigurationError(f"{state / found[0]}: is there already; move the old state away before")
    if copy.has_ledger == bool(settings.ledger.url):
        problem = "the settings name a PostgreSQL ledger" if copy.has_ledger else "it holds no ledger"
        raise ConfigurationError(f"{folder}: {problem}, which does not fit; see ledger.url in the settings")
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in copy.sizes:
            _copied(folder / name, state / f".{name}.restored")
        for name in copy.sizes:
            (state / f".{name}.restored").rename(state / name)
    except (OSError, sqlite3.Error) as error:
        raise InputError(path=str(state), problem=f"cannot be written ({type(error).__name__})") from error
    return Restored(copy=copy, doubted=restoring.doubt(stores.ledger_place(settings)))


def _copied(source: Path, target: Path) -> None:
    """Copy one state of a database that others may be writing to; on the disk when this returns."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.close(descriptor)
    with (
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as from_,
        contextlib.closing(sqlite3.connect(target)) as to,
    ):
        from_.backup(to)  # in one step, so that one state is read
        to.execute("PRAGMA journal_mode = DELETE")
        if to.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the copy is damaged")
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _write_manifest(folder: Path, taken_at: str, names: list[str]) -> None:
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": _digest(folder / name)} for name in names}
    manifest = {"taken_at": taken_at, "software_version": origin.software_version(), "files": files}
    with (folder / MANIFEST).open("x", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.flush()
        os.fsync(file.fileno())


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path=str(folder), problem=f"is no backup: {MANIFEST} cannot be read") from error
    if not set(manifest["files"]) <= set(FILES):
        raise InputError(path=str(folder), problem=f"is no backup of this version: {MANIFEST} names other files")
    return manifest


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
