"""The service as its users meet it: a process of its own, on a free port, in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from live_hospital import PATIENCE, Hospital

from server.demo import fhir_server

SITE = "hospital"
BRIDGE = (sys.executable, "-m", "server")
"""The command `outcome-bridge`, of the checkout that is tested."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service that runs.

    Attributes:
        folder: holds its settings, its state and its log.
        port: of 127.0.0.1.
        process: what was started.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def fhir(self) -> str:
        """Base URL of its FHIR interface."""
        return f"{self.url}/fhir"

    def log(self) -> str:
        """Everything that it wrote on its standard output and error output."""
        return (self.folder / "service.log").read_text(encoding="utf-8", errors="replace")

    def is_well(self) -> bool:
        """Whether it answers that it works."""
        return requests.get(f"{self.url}/healthz", timeout=PATIENCE).ok

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `outcome-bridge` with its settings, beside it."""
        line = [*BRIDGE, *arguments, "--settings", self.folder / "outcome-bridge.toml"]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, cwd=self.folder)


def configure(folder: Path, hospital: Hospital, settings: str = "") -> Path:
    """Write the settings of a service: of a hospital, and what is given besides, as TOML."""
    (folder / "sites").mkdir(parents=True, exist_ok=True)
    site = f'base_url = "{hospital.base_url}"\n[limits]\nsettle_seconds = 1\n'
    (folder / "sites" / f"{SITE}.toml").write_text(site, encoding="utf-8")
    file = folder / "outcome-bridge.toml"
    file.write_text(f'state_folder = "state"\n{settings}', encoding="utf-8")
    return file


@contextmanager
def running(
    folder: Path, hospital: Hospital, settings: str = "", *, environment: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Run `outcome-bridge serve` for a hospital until the end of the block."""
    file, port = configure(folder, hospital, settings), fhir_server.free_port()
    arguments = ["serve", "--settings", str(file), "--site", SITE, "--port", str(port)]
    with started([*BRIDGE, *arguments], folder, port, environment) as service:
        yield service


@contextmanager
def started(
    command: Sequence[str], folder: Path, port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Run a command that serves on a port; wait for it, and stop it by its pid at the end."""
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
        service = Service(folder=folder, port=port, process=process)
        try:
            fhir_server.wait_until_ready(f"{service.url}/healthz", process)
            yield service
        finally:
            if process.poll() is None:
                fhir_server.stop(process)
