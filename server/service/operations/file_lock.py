"""A lock between the threads of a process and between processes, by a file that nothing else is done with."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FileLock:
    """One object serves the threads of one process; a process that ends lets go of it.

    Args:
        path: of the file; made if it is not there.

    Attributes:
        threads: keeps apart the threads of this process alone.
    """

    def __init__(self, path: Path) -> None:
        self.threads = threading.Lock()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep out the other threads and processes."""
        with self.threads:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
