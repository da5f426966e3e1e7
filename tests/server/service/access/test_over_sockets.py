"""The service as an operator starts it, in two processes behind a proxy: what only real connections can show."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from authorisation_server import AuthorisationServer

from server.service.access.sources import hash_of, new_key

ROOT = Path(__file__).parents[4]
PATIENCE = 30.0
KEY = new_key()
FINGERPRINT = "ab" * 32
BODY = b'{"resourceType": "QuestionnaireResponse"}'
HEADERS = {"Content-Type": "application/fhir+json"}
SETTINGS = """
[service]
site = "north"
port = {port}
trusted_proxies = ["127.0.0.2"]
client_certificate_header = "X-Client-Certificate"
failed_logins_per_minute = 1000
[service.process]
workers = 2
[service.tokens]
issuer = "{issuer}"
audience = ["https://bridge.example"]
is_single_use = true
[[service.sources]]
name = "by-key"
api_key_sha256 = "{digest}"
[[service.sources]]
name = "by-token"
client_id = "engine"
[[service.sources]]
name = "by-certificate"
certificate = "{fingerprint}"
[service.staff]
issuer = "{issuer}"
client_id = "bridge"
subjects = ["dr-1"]
"""


@dataclass
class Running:
    port: int
    issuer: AuthorisationServer
    state: Path
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, **headers: str) -> requests.Response:
        url = f"{self.url}/fhir/QuestionnaireResponse"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(url, data=BODY, headers=HEADERS | named, timeout=PATIENCE)

    def raw(self, *lines: bytes, address: str = "127.0.0.1") -> bytes:
        """Send a request line by line from an address of this machine; return the answer."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE, source_address=(address, 0)) as connection:
            connection.sendall(b"\r\n".join((*lines, b"Connection: close", b"", b"")))
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("installation")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    (folder / "sites").mkdir()
    (folder / "sites" / "north.toml").write_text('base_url = "http://127.0.0.1:9/fhir"\n', encoding="utf-8")
    with AuthorisationServer() as issuer:
        issuer.register("bridge", redirect_uris=[f"http://127.0.0.1:{port}/staff/login/done"])
        text = SETTINGS.format(port=port, issuer=issuer.url, digest=hash_of(KEY), fingerprint=FINGERPRINT)
        (folder / "outcome-bridge.toml").write_text(text, encoding="utf-8")
        environ = {**os.environ, "OUTCOME_BRIDGE_SETTINGS": str(folder / "outcome-bridge.toml")}
        with (folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "server", "serve"]
            process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=log, stderr=log)
        try:
            made = Running(port=port, issuer=issuer, state=folder / "state", log=folder / "log")
            _wait(made, process)
            yield made
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def _wait(made: Running, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{made.url}/healthz", timeout=5).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.05)
    raise AssertionError(made.log.read_text(encoding="utf-8"))


def test_a_key_lets_in_and_nothing_does_not(running: Running) -> None:
    known, unknown = running.post(X_API_Key=KEY), running.post()

    assert known.status_code == 422  # it is let in, and what it sends is looked at
    assert (unknown.status_code, unknown.json()["issue"][0]["code"]) == (401, "login")


def test_one_token_is_taken_once_by_all_processes_together(running: Running) -> None:
    running.issuer.now = lambda: datetime.now(UTC)
    token = running.issuer.token()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: running.post(Authorization=f"Bearer {token}").status_code, range(24)))

    assert answers.count(422) == 1
    assert answers.count(401) == 23


def test_a_login_holds_in_every_process_and_so_does_its_end(running: Running) -> None:
    browser = requests.Session()
    browser.headers["Accept"] = "text/html"
    page = browser.get(running.url, timeout=PATIENCE)

    assert page.status_code == 200
    token = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', page.text)
    cookie = dict(browser.cookies)
    answers = [requests.get(running.url, cookies=cookie, timeout=PATIENCE).status_code for _ in range(12)]
    assert answers == [200] * 12
    assert token is not None, page.text
    ended = browser.post(f"{running.url}/staff/logout", data={"csrf_token": token[1]}, timeout=PATIENCE)
    assert ended.url.endswith("/staff/logged-out")
    answers = [requests.get(running.url, cookies=cookie, timeout=PATIENCE).status_code for _ in range(12)]
    assert answers == [401] * 12


@pytest.mark.parametrize(
    "line",
    [
        b"X-Request-Id: a\r\n Set-Cookie: x=1",
        b"X-Request-Id: a\nSet-Cookie: x=1",
        b"X-Request-Id: a\rSet-Cookie: x=1",
        b"X-Request-Id: a%0d%0aSet-Cookie: x=1",
        b"Host: 127.0.0.1\r\nHost: evil.example",
    ],
)
def test_no_header_can_be_brought_into_an_answer(running: Running, line: bytes) -> None:
    answer = running.raw(b"GET /healthz HTTP/1.1", b"Host: 127.0.0.1", line)

    assert b"\nset-cookie" not in answer.lower()
    assert b"evil.example" not in answer
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 4"))


@pytest.mark.parametrize(
    "path",
    [
        b"/static/../session.key", b"/static/..%2f..%2fsession.key", b"/static/%2e%2e/%2e%2e/outcome-bridge.toml",
        b"/static//etc/passwd", b"/static/..\\session.key", b"//evil.example/", b"/%5c%5cevil.example",
    ],
)  # fmt: skip
def test_no_address_leads_out_of_what_is_served(running: Running, path: bytes) -> None:
    answer = running.raw(b"GET " + path + b" HTTP/1.1", b"Host: 127.0.0.1", b"Accept: text/html")

    assert answer.startswith((b"HTTP/1.1 3", b"HTTP/1.1 4"))
    location = re.search(rb"\r\nLocation: ([^\r]*)", answer)
    assert location is None or location[1].startswith((b"/staff/login", running.url.encode(), b"http://127.0.0.1/"))
    assert (running.state / "session.key").read_bytes().strip() not in answer


@pytest.mark.parametrize("name", [b"X-Client-Certificate", b"X_Client_Certificate", b"x-client_certificate"])
def test_a_certificate_is_believed_of_the_proxy_and_in_its_own_header_only(running: Running, name: bytes) -> None:
    lines = (
        b"POST /fhir/QuestionnaireResponse HTTP/1.1", b"Host: 127.0.0.1", b"Content-Type: application/fhir+json",
        b"Content-Length: 0", name + b": " + FINGERPRINT.encode(),
    )  # fmt: skip

    by_proxy, by_others = running.raw(*lines, address="127.0.0.2"), running.raw(*lines)

    assert by_others.startswith(b"HTTP/1.1 401")
    assert by_proxy.startswith(b"HTTP/1.1 400" if name == b"X-Client-Certificate" else b"HTTP/1.1 4")
    assert by_proxy.startswith(b"HTTP/1.1 401") == (b"_" in name)


def test_a_certificate_that_a_client_sends_beside_the_proxys_own_is_nobodys(running: Running) -> None:
    lines = (
        b"POST /fhir/QuestionnaireResponse HTTP/1.1", b"Host: 127.0.0.1", b"Content-Length: 0",
        b"X-Client-Certificate: " + FINGERPRINT.encode(), b"X-Client-Certificate: " + b"cd" * 32,
    )  # fmt: skip

    assert running.raw(*lines, address="127.0.0.2").startswith(b"HTTP/1.1 401")


def test_two_authorizations_are_none(running: Running) -> None:
    bearer = b"Authorization: Bearer " + KEY.encode()
    lines = (b"POST /fhir/QuestionnaireResponse HTTP/1.1", b"Host: 127.0.0.1", b"Content-Length: 0")

    assert running.raw(*lines, bearer, bearer).startswith(b"HTTP/1.1 401")
    assert not running.raw(*lines, bearer).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("size", [20_000, 1_000_000])
def test_a_huge_token_is_refused_and_the_service_goes_on(running: Running, size: int) -> None:
    head = b"GET /fhir/Patient/1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + b"A" * size + b"\r\n\r\n"

    with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as connection:
        try:
            connection.sendall(head)
            answer = connection.recv(65536)
        except (ConnectionResetError, BrokenPipeError):  # it hangs up before it has read everything
            answer = b"HTTP/1.1 4"

    assert answer.startswith(b"HTTP/1.1 4")
    assert running.post(X_API_Key=KEY).status_code == 422


def test_no_secret_is_in_the_log(running: Running) -> None:
    running.issuer.now = lambda: datetime.now(UTC)
    token = running.issuer.token(claims={"exp": 1})
    running.post(Authorization=f"Bearer {token}")
    running.post(X_API_Key=KEY)

    log = running.log.read_text(encoding="utf-8")

    assert '"login_failed"' in log
    assert all(json.loads(line) for line in log.splitlines())
    secrets: list[Any] = [KEY, hash_of(KEY), token, token.rpartition(".")[2], "csrf_token", "session.key"]
    assert not [secret for secret in secrets if secret in log]
