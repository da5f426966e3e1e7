"""A PostgreSQL server of our own, for tests and benchmarks: in a temporary folder, on a Unix socket, never on a port.

It runs as the user who asks, or as `postgres` or `nobody` if that is root, which PostgreSQL refuses. It wants a
password, which lies in a password file, as an operator is told to keep it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

PASSWORD = "not-a-secret"
_READY_SECONDS = 30.0


def program_folder() -> Path | None:
    """Return the folder with `initdb` and `postgres`, newest version first; None if PostgreSQL is not installed."""
    versions = Path("/usr/lib/postgresql")
    newest = sorted(versions.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    folders = [*newest, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((one for one in folders if (one / "initdb").is_file() and (one / "postgres").is_file()), None)


class Cluster:
    """A running server.

    Attributes:
        folder: with its data, its socket and the password file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, *, user: str = "postgres", database: str = "postgres", password: str = "", schema: str = "") -> str:
        """Return a database's URL; without a password in it, the password file's counts."""
        secret = f":{password}" if password else ""
        options = f"host={quote(str(self.folder))}&passfile={quote(str(self.folder / 'pgpass'))}"
        path = f"&options={quote(f'-csearch_path={schema}')}" if schema else ""
        return f"postgresql+psycopg://{user}{secret}@/{database}?{options}{path}"

    def execute(self, *statements: str) -> None:
        """Run statements as the superuser, each by itself."""
        options = {"host": str(self.folder), "user": "postgres", "password": PASSWORD, "dbname": "postgres"}
        with psycopg.connect(**options, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def new_schema(self) -> str:
        """Make an empty schema, and return the URL under which everything is made in it."""
        schema = f"s{uuid.uuid4().hex}"
        self.execute(f"CREATE SCHEMA {schema}")
        return self.url(schema=schema)


@contextmanager
def running(programs: Path) -> Iterator[Cluster]:
    """Make a server, run it, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: a socket's path has at most 107 bytes
    owner = _owner()
    secret = folder / "password"
    secret.write_text(PASSWORD, encoding="utf-8")
    pass_file = folder / "pgpass"
    pass_file.write_text(f"*:*:*:*:{PASSWORD}\n", encoding="utf-8")
    pass_file.chmod(0o600)
    if owner is not None:
        for path in (folder, secret):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner is not None else {}
    data = folder / "data"
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8"]
    made = subprocess.run(
        [*initdb, "--locale=C.UTF-8", f"--pwfile={secret}"], cwd=folder, capture_output=True, check=False, **as_owner
    )
    if made.returncode:
        raise RuntimeError(f"initdb: {made.stderr.decode(errors='replace')}")
    postgres = [str(programs / "postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses="]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(postgres, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **as_owner)
    try:
        cluster = Cluster(folder)
        _wait_until_ready(cluster, process)
        yield cluster
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: its data are thrown away
        process.wait(30)
        shutil.rmtree(folder)


def _owner() -> pwd.struct_passwd | None:
    """Return who shall run the server; None: who asks."""
    if os.geteuid() != 0:
        return None
    names = {one.pw_name: one for one in pwd.getpwall()}
    return next(names[name] for name in ("postgres", "nobody") if name in names)


def _wait_until_ready(cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            cluster.execute("SELECT 1")
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError((cluster.folder / "log").read_text(encoding="utf-8", errors="replace"))
