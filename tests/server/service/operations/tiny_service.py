"""An application that says how long its body is, under the service's processes: `tiny_service.py THREADS SECONDS`.

What is asked of `/busy` is answered after a request with the query `release`; one with the query `busy` is told how
many of those there are. It prints its port; with `werkzeug` in place of THREADS it is served by that instead, for
comparison.
"""

import socket
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from integration.process_settings import Process
from server.service import web_server

_PATIENCE = 60.0
_released = threading.Event()
_busy: list[object] = []


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    if environ["PATH_INFO"] == "/busy":
        _busy.append(environ)
        _released.wait(_PATIENCE)
    if environ["QUERY_STRING"] == "release":
        _released.set()
    start_response("200 OK" if len(body) == length else "400 Bad Request", [("Content-Type", "text/plain")])
    return [str(len(_busy) if environ["QUERY_STRING"] == "busy" else len(body)).encode()]


def main(threads: str, seconds: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    if threads == "werkzeug":
        from werkzeug.serving import make_server  # noqa: PLC0415 - for comparison only

        make_server("127.0.0.1", 0, application, threaded=True, fd=listener.fileno()).serve_forever()
    process = Process(threads=int(threads), request_seconds=float(seconds), stop_seconds=5)
    web_server.run(listener, lambda: application, lambda: None, process)


if __name__ == "__main__":
    main(*sys.argv[1:])
