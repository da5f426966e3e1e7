"""How far something came that one of several processes does, kept in a file; and which process that is."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from server.service.operations.file_lock import FileLock


class Marks:
    """Numbers by name in one file; several processes may write it, one after the other.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        self._writing = FileLock(path.with_name(f"{path.name}.write"))

    def lead(self) -> bool:
        """Whether this process leads, now or until it ends: the first that asks does."""
        with suppress(BlockingIOError):
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def get(self, name: str) -> int | None:
        """Return a number; None if there is none."""
        found = self._read().get(name)
        return int(found) if found is not None else None

    def set(self, name: str, number: int) -> None:
        """Keep a number, durably.

        Raises:
            OSError: the disk refuses.
        """
        self.set_all({name: number})

    def set_all(self, numbers: dict[str, int]) -> None:
        """Keep several numbers, all of them or none.

        Raises:
            OSError: the disk refuses.
        """
        with self._writing.alone():
            self._write({**self._read(), **numbers})

    def begin(self, name: str, number: int) -> None:
        """Keep a number unless there is one already.

        Raises:
            OSError: the disk refuses.
        """
        with self._writing.alone():
            kept = self._read()
            if name not in kept:
                self._write({**kept, name: number})

    def close(self) -> None:
        """Let another process lead."""
        os.close(self._guard)
        self._writing.close()

    def _write(self, numbers: dict[str, Any]) -> None:
        making = self._path.with_name(f".{self._path.name}.making")
        with making.open("w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(numbers, file)
            file.flush()
            os.fsync(file.fileno())
        making.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            read: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return read
