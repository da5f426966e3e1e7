"""How long requests took, counted by every process of the service and added up when it is asked for.

Each process counts in a file of its own, which it maps into memory, in the format of prometheus-client's multiprocess
mode; that mode itself is switched on by the environment alone, before the library is loaded, for the whole process.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.utils import floatToGoString

NAME: Final = "outcome_bridge_request_seconds"
HELP: Final = "Seconds until a request was answered, by method, route and status."
BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, float("inf"))
LABELS: Final = ("method", "route", "status")
_Series = tuple[str, str, str]


class Timings:
    """The durations of requests; one object serves the threads of one process.

    Args:
        folder: of one service, for all its processes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._lock = folder, threading.Lock()
        self._pid = 0
        self._file: MmapedDict | None = None
        self._keys: dict[_Series, list[str]] = {}

    def observe(self, series: _Series, seconds: float) -> None:
        """Count one request."""
        bucket = next(number for number, most in enumerate(BUCKETS) if seconds <= most)
        with self._lock:
            file = self._opened()
            keys = self._keys.get(series) or self._new_series(file, series)
            for key, amount in ((keys[bucket], 1.0), (keys[-1], seconds)):
                file.write_value(key, file.read_value(key)[0] + amount, 0.0)

    def collect(self) -> Iterable[Metric]:
        """Return the histogram over all processes, those that ended included."""
        files = sorted(str(path) for path in self._folder.glob("histogram_*.db"))
        merged: Iterable[Metric] = MultiProcessCollector.merge(files)
        return merged

    def close(self) -> None:
        """Close this process's file; what it counted stays."""
        with self._lock:
            if self._file is not None:
                self._file.close()
            self._file, self._pid = None, 0
            self._keys = {}

    def _opened(self) -> MmapedDict:
        """Return this process's file; after a fork, the child's own."""
        if self._file is None or self._pid != os.getpid():
            self._pid, self._keys = os.getpid(), {}
            self._file = MmapedDict(str(self._folder / f"histogram_{self._pid}.db"))
        return self._file

    def _new_series(self, file: MmapedDict, series: _Series) -> list[str]:
        bounds = [mmap_key(NAME, f"{NAME}_bucket", [*LABELS, "le"], [*series, floatToGoString(most)], HELP)
                  for most in BUCKETS]  # fmt: skip
        keys = [*bounds, mmap_key(NAME, f"{NAME}_sum", list(LABELS), list(series), HELP)]
        for key in keys:
            file.read_value(key)  # so that every bucket is told, empty ones too
        self._keys[series] = keys
        return keys


def folder_of(state_folder: Path, service: int) -> Path:
    """Return where the processes of one service count, and take away what services that ended left.

    Args:
        state_folder: of the installation.
        service: pid that all of its processes share: of their parent, or of the only one.
    """
    state_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = state_folder / "metrics"
    for old in folder.glob("*"):
        if old.name != str(service) and not _is_running(old.name):
            shutil.rmtree(old, ignore_errors=True)
    made = folder / str(service)
    made.mkdir(parents=True, exist_ok=True)
    return made


def _is_running(name: str) -> bool:
    return name.isdecimal() and Path("/proc", name).exists()
