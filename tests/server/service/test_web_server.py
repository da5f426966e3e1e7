"""What is no HTTP request is answered like every other bad request, and nothing of it is logged."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B import get_fhir_model_class

TINY = Path(__file__).parent / "operations" / "tiny_service.py"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The small service's."""
    with subprocess.Popen([sys.executable, str(TINY), "4", "5"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        pytest.param("Content-Type: application/fhir+json\r\n" * 2, 400, "structure", id="two content types"),
        pytest.param("Content-Length: 2\r\nContent-Length: 3\r\n", 400, "structure", id="two lengths"),
        pytest.param("secret-7\r\n", 400, "structure", id="no header"),
        pytest.param("bad name: secret-7\r\n", 400, "structure", id="no name of a header"),
        pytest.param("X-Long: " + "x" * 10_000 + "\r\n", 431, "too-long", id="a long header"),
        pytest.param("Transfer-Encoding: secret-7\r\n", 501, "processing", id="an unknown coding"),
        pytest.param("Expect: secret-7\r\n", 417, "processing", id="an unknown expectation"),
    ],
)
def test_what_cannot_be_read_is_answered_by_an_outcome_that_quotes_nothing(
    port: int, head: str, status: int, code: str
) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"POST /fhir HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        answer = http.client.HTTPResponse(connection, method="POST")
        answer.begin()
        body = answer.read()
        rest = connection.recv(1)

    outcome = json.loads(body)
    get_fhir_model_class("OperationOutcome").model_validate(outcome)
    assert (answer.status, outcome["issue"][0]["code"], rest) == (status, code, b"")
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert b"secret-7" not in body
