"""A FHIR server on this machine, for the demo and for tests: started, waited for, and stopped again by its pid.

It is `sekmet-fhir` (https://pypi.org/project/sekmet-fhir/), written by others, in an environment of its own.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import requests

from integration.errors import ConfigurationError, ServerUnreachableError

VERSION: Final = "0.1.1"
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_SETTINGS: Final = """\
# Written anew at every start.
host: 127.0.0.1
port: {port}
base_url: http://127.0.0.1:{port}/fhir
data_dir: {data}
simulator: {{enabled: false}}
"""


def executable(named: Path | None = None) -> Path:
    """Return the server's executable: the one named, else `.sekmet/bin/sekmet` here or in the checkout, else on PATH.

    Raises:
        ConfigurationError: it is not there; the message says how to get it.
    """
    checkout = Path(__file__).resolve().parents[2]
    on_path = shutil.which("sekmet")
    usual = [folder / ".sekmet" / "bin" / "sekmet" for folder in (Path.cwd(), checkout)]
    candidates = [named] if named else [*usual, *([Path(on_path)] if on_path else [])]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.absolute()
    raise ConfigurationError(
        f"the demo needs the FHIR server sekmet-fhir, which is not at {named or usual[0]}; install it with "
        f"`{Path(sys.executable).name} -m venv .sekmet && .sekmet/bin/pip install sekmet-fhir=={VERSION}`"
    )


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(program: Path, folder: Path, port: int | None = None) -> Iterator[str]:
    """Run the server on a data folder; gives its base URL, and stops it at the end.

    Args:
        program: its executable.
        folder: where it keeps its data; used again, it holds what it held before.
        port: of the loopback address; a free one if none is given.
    """
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    data = (folder / "data").absolute()
    (folder / "settings.yaml").write_text(_SETTINGS.format(port=port, data=data), encoding="utf-8")
    command = [str(program), "serve", "-c", "settings.yaml"]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603  # our own command
        try:
            base_url = f"http://127.0.0.1:{port}/fhir"
            wait_until_ready(f"{base_url}/metadata", process)
            yield base_url
        finally:
            stop(process)


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server that was just started answers.

    Raises:
        ServerUnreachableError: it ended, or did not answer in time.
    """
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerUnreachableError(url=url, problem=f"the server ended at its start, status {process.returncode}")
        try:
            if requests.get(url, timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise ServerUnreachableError(url=url, problem=f"the server did not answer within {_READY_SECONDS:.0f} seconds")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process that we started to end, and end it if it does not."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
