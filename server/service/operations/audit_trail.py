"""The file that AuditEvents are appended to: one a line, readable by its owner only, by all processes of the service.

An append is one write, so lines of several processes do not mix, and it outlives the process at once; `flush`, called
every second, has it outlive the machine. A file that is long enough is set aside under the time when that was done.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from integration.outcomes import Resource
from server.service.operations.file_lock import FileLock

_TIME: Final = "%Y%m%dT%H%M%S.%f"


class AuditTrail:
    """Appends to one file. One object serves the threads of one process.

    Args:
        path: of the file.
        most_bytes: a longer file is set aside.
        now: the clock; aware, UTC.
    """

    def __init__(self, path: Path, *, most_bytes: int, now: Callable[[], datetime]) -> None:
        self.path, self._most_bytes, self._now = path, most_bytes, now
        self._descriptor, self._is_dirty = -1, False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))

    def append(self, event: Resource) -> None:
        """Write one event down.

        Raises:
            OSError: the disk refuses.
        """
        line = msgspec.json.encode(event) + b"\n"
        with self._lock.alone():
            descriptor = self._opened()
            written = os.write(descriptor, line)
            while written < len(line):
                written += os.write(descriptor, line[written:])
            self._is_dirty = True
            if os.fstat(descriptor).st_size >= self._most_bytes:
                self._set_aside()

    def flush(self) -> None:
        """Have on the disk what was appended."""
        with self._lock.threads:
            if self._is_dirty and self._descriptor >= 0:
                os.fdatasync(self._descriptor)
            self._is_dirty = False

    def files(self) -> list[Path]:
        """Return the files that were set aside, oldest first, and the current one last."""
        aside = sorted(path for path in self.path.parent.glob(f"{self.path.name}.2*") if path.is_file())
        return [*aside, *([self.path] if self.path.exists() else [])]

    def close(self) -> None:
        """Close the file."""
        self.flush()
        with self._lock.threads:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._lock.close()
            self._descriptor = -1

    def _opened(self) -> int:
        """Return the current file, also where another process set the one before aside."""
        if self._descriptor >= 0 and not _is_at(self._descriptor, self.path):
            os.fdatasync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return self._descriptor

    def _set_aside(self) -> None:
        os.fdatasync(self._descriptor)
        self.path.rename(self.path.with_name(f"{self.path.name}.{self._now().strftime(_TIME)}"))
        os.close(self._descriptor)
        self._descriptor, self._is_dirty = -1, False


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
