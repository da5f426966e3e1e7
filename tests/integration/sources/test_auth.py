import base64
import json
import logging
import re
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from pytest_httpserver import HTTPServer
from werkzeug import Request as WebRequest
from werkzeug import Response as WebResponse

from integration.errors import ConfigurationError, ServerNotReachedError, ServerRefusedError, SettingsError
from integration.settings import Authentication, Limits, Site
from integration.sources import auth
from integration.sources.client import Clock, FhirClient, connect

START = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Connect = Callable[..., FhirClient]


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Ehr:
    """A token endpoint and a FHIR server that takes its tokens, as strict as SMART Backend Services ask.

    Attributes:
        time: of this server.
        keys: the registered public keys by `kid`, each with its algorithm.
        secret: of the client, for servers that know no keys.
        answer: what a token's answer says beside the token.
        refuse: answers a token request before it is looked at.
        assertions: the claims of every assertion, in order.
        headers: the header of every assertion.
        forms: the form of every token request.
        fhir: method, Authorization, X-Request-Id and body of every request to the FHIR server.
        revoked: tokens that the FHIR server does not take any more.
    """

    def __init__(self, time: Time, base_url: str) -> None:
        self.time, self.base_url = time, base_url
        self.token_url = base_url.replace("/fhir", "/auth/token")
        self.keys: dict[str, tuple[RSAKey | ECKey, str]] = {}
        self.secret = ""
        self.answer: dict[str, Any] = {"token_type": "bearer", "expires_in": 300}
        self.refuse: WebResponse | None = None
        self.assertions: list[dict[str, Any]] = []
        self.headers: list[dict[str, Any]] = []
        self.forms: list[dict[str, str]] = []
        self.fhir: list[tuple[str, str, str, bytes]] = []
        self.revoked: set[str] = set()
        self._lock = threading.Lock()

    def discover(self, _: WebRequest) -> WebResponse:
        return _json({"token_endpoint": self.token_url, "capabilities": ["client-confidential-asymmetric"]})

    def token(self, request: WebRequest) -> WebResponse:
        with self._lock:
            self.forms.append(request.form.to_dict())
            if self.refuse is not None:
                return self.refuse
            code = self._fault(request)
            if code:
                return _json({"error": code, "error_description": "secret-description"}, 400)
            return _json({"access_token": f"token-{len(self.forms)}", **self.answer})

    def serve(self, request: WebRequest) -> WebResponse:
        authorization = request.headers.get("Authorization", "")
        with self._lock:
            entry = (request.method, authorization, request.headers.get("X-Request-Id", ""), request.get_data())
            self.fhir.append(entry)
        if not authorization.startswith("Bearer ") or authorization.removeprefix("Bearer ") in self.revoked:
            return _json({"resourceType": "OperationOutcome", "issue": [{"code": "login"}]}, 401)
        return _json({"resourceType": "Observation", "id": "7"}, 201 if request.method == "POST" else 200)

    def _fault(self, request: WebRequest) -> str:
        if request.form.get("grant_type") != "client_credentials":
            return "unsupported_grant_type"
        if self.secret:
            expected = "Basic " + base64.b64encode(self.secret.encode()).decode()
            return "" if request.headers.get("Authorization") == expected else "invalid_client"
        if request.form.get("client_assertion_type") != ASSERTION:
            return "invalid_request"
        return self._assertion_fault(request.form["client_assertion"])

    def _assertion_fault(self, assertion: str) -> str:
        head = assertion.split(".", maxsplit=1)[0]
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        key, algorithm = self.keys.get(header.get("kid", ""), (None, ""))
        if key is None:
            return "invalid_client"
        try:
            token = jwt.decode(assertion, key, [algorithm])
            registry = jwt.JWTClaimsRegistry(
                now=int(self.time.now.timestamp()),
                iss={"essential": True, "value": "the-client"},
                sub={"essential": True, "value": "the-client"},
                aud={"essential": True, "value": self.token_url},
                exp={"essential": True},
                jti={"essential": True},
            )
            registry.validate(token.claims)
        except JoseError:
            return "invalid_client"
        if token.claims["exp"] > self.time.now.timestamp() + 300:
            return "invalid_client"
        if token.claims["jti"] in {claims["jti"] for claims in self.assertions}:
            return "invalid_client"
        self.assertions.append(token.claims)
        self.headers.append(token.header)
        return ""


def _json(body: Any, status: int = 200) -> WebResponse:
    return WebResponse(json.dumps(body), status=status, content_type="application/json")


@pytest.fixture(scope="module")
def rsa() -> RSAKey:
    return RSAKey.generate_key(2048)


@pytest.fixture(scope="module")
def ec() -> ECKey:
    return ECKey.generate_key("P-384")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def ehr(httpserver: HTTPServer, time: Time, ec: ECKey) -> Ehr:
    served = Ehr(time, httpserver.url_for("/fhir"))
    served.keys["k-1"] = (ECKey.import_key(ec.as_dict()), "ES384")
    httpserver.expect_request("/fhir/.well-known/smart-configuration").respond_with_handler(served.discover)
    httpserver.expect_request("/auth/token", method="POST").respond_with_handler(served.token)
    httpserver.expect_request(re.compile("/fhir.*")).respond_with_handler(served.serve)
    return served


@pytest.fixture
def key_file(tmp_path: Path, ec: ECKey) -> Path:
    return secret(tmp_path / "key.pem", ec.as_pem(private=True))


@pytest.fixture
def site(ehr: Ehr, key_file: Path) -> Site:
    return a_site(ehr, key_file=key_file)


@pytest.fixture
def opened(time: Time) -> Iterator[Connect]:
    """Connect to a site, at the time of the test, and never pause."""
    clients: list[FhirClient] = []

    def open_(site: Site, **arguments: Any) -> FhirClient:
        clients.append(connect(site, clock=Clock(now=lambda: time.now, sleep=lambda _: None), **arguments))
        return clients[-1]

    yield open_
    for client in clients:
        client.close()


def secret(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def a_site(ehr: Ehr, **authentication: Any) -> Site:
    keys = {"type": "smart-backend", "client_id": "the-client", "key_id": "k-1", "scope": ["system/Observation.crus"]}
    own = Authentication.model_validate({**keys, **authentication})
    return Site(name="north", base_url=ehr.base_url, authentication=own, limits=Limits(timeout_seconds=5))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("form", ["PEM", "JWK"])
@pytest.mark.parametrize("kind", ["RS384", "ES384"])
def test_the_assertion_is_what_the_specification_asks_for(
    *, tmp_path: Path, ehr: Ehr, opened: Connect, rsa: RSAKey, ec: ECKey, kind: str, form: str
) -> None:
    key: Any = rsa if kind == "RS384" else ec
    content = key.as_pem(private=True) if form == "PEM" else json.dumps(key.as_dict(private=True)).encode()
    ehr.keys = {"k-1": (type(key).import_key(key.as_dict()), kind)}

    answer = opened(a_site(ehr, key_file=secret(tmp_path / "key", content))).read("Observation", "7")

    assert answer.status == 200
    assert (ehr.headers[0]["alg"], ehr.headers[0]["kid"]) == (kind, "k-1")
    assert set(ehr.assertions[0]) == {"iss", "sub", "aud", "exp", "jti"}
    assert 0 < ehr.assertions[0]["exp"] - START.timestamp() <= 300
    assert set(ehr.forms[0]) == {"grant_type", "scope", "client_assertion_type", "client_assertion"}
    assert ehr.forms[0]["scope"] == "system/Observation.crus"
    assert ehr.fhir[0][1] == "Bearer token-1"


def test_a_token_serves_until_shortly_before_it_expires(ehr: Ehr, site: Site, opened: Connect, time: Time) -> None:
    client = opened(site)

    for seconds in (0, 200, 69):
        time.pass_(seconds)
        client.read("Observation", "7")
    assert len(ehr.forms) == 1

    time.pass_(1)  # 30 s before its end
    client.create("Observation", b"{}")
    assert [entry[1] for entry in ehr.fhir[-2:]] == ["Bearer token-1", "Bearer token-2"]
    assert len({claims["jti"] for claims in ehr.assertions}) == 2


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [(20, 15), ("300", 270), (None, 270), ("soon", 270), ("nan", 270), (-5, 0), (0, 0), (10**9, 86_370)],
)
def test_how_long_a_token_serves_is_what_the_answer_says(
    *, ehr: Ehr, site: Site, opened: Connect, time: Time, expires_in: object, seconds: float
) -> None:
    ehr.answer["expires_in"] = expires_in
    client = opened(site)
    client.read("Observation", "7")

    time.pass_(seconds)
    client.read("Observation", "7")
    assert len(ehr.forms) == 2
    if seconds:
        time.pass_(seconds - 1)
        client.read("Observation", "7")
        assert len(ehr.forms) == 2


def test_the_token_endpoint_is_asked_for_once_or_named_in_the_site_file(
    httpserver: HTTPServer, ehr: Ehr, key_file: Path, opened: Connect, time: Time
) -> None:
    discovering = opened(a_site(ehr, key_file=key_file))
    for _ in range(2):
        discovering.read("Observation", "7")
        time.pass_(300)

    asked = [request.path for request, _ in httpserver.log]
    assert asked.count("/fhir/.well-known/smart-configuration") == 1

    opened(a_site(ehr, key_file=key_file, token_url=ehr.token_url)).read("Observation", "7")
    asked = [request.path for request, _ in httpserver.log]
    assert asked.count("/fhir/.well-known/smart-configuration") == 1


def test_an_assertion_that_is_sent_twice_is_refused(site: Site, time: Time) -> None:
    endpoint = auth.TokenEndpoint(site, now=lambda: time.now, new_id=lambda: "always-this")
    endpoint.fetch()

    with pytest.raises(ServerRefusedError, match="invalid_client"):
        endpoint.fetch()


def test_threads_share_one_token(ehr: Ehr, site: Site, opened: Connect, time: Time) -> None:
    shared = auth.authenticator(site, now=lambda: time.now)
    clients = [opened(site, authenticator=shared) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda client: client.read("Observation", "7"), clients))

    assert len(ehr.forms) == 1
    assert {entry[1] for entry in ehr.fhir} == {"Bearer token-1"}


def test_threads_that_are_all_refused_fetch_one_new_token(ehr: Ehr, site: Site, opened: Connect, time: Time) -> None:
    shared = auth.authenticator(site, now=lambda: time.now)
    clients = [opened(site, authenticator=shared) for _ in range(8)]
    clients[0].read("Observation", "7")
    ehr.revoked = {"token-1"}

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda client: client.create("Observation", b"{}").status, clients))

    assert answers == [201] * 8
    assert len(ehr.forms) == 2


def test_after_a_401_the_same_write_is_sent_once_more_with_a_new_token(ehr: Ehr, site: Site, opened: Connect) -> None:
    ehr.revoked = {"token-1"}

    answer = opened(site).create("Observation", b'{"a": 1}', request_id="r-9")

    assert answer.status == 201
    assert ehr.fhir == [
        ("POST", "Bearer token-1", "r-9", b'{"a": 1}'),
        ("POST", "Bearer token-2", "r-9", b'{"a": 1}'),
    ]


@pytest.mark.parametrize("interaction", ["read", "create"])
def test_the_second_401_is_a_refusal(ehr: Ehr, site: Site, opened: Connect, interaction: str) -> None:
    ehr.revoked = {f"token-{number}" for number in range(1, 9)}
    client = opened(site)

    with pytest.raises(ServerRefusedError, match="HTTP 401: login") as caught:
        client.read("Observation", "7") if interaction == "read" else client.create("Observation", b"{}")

    assert caught.value.status == 401
    assert (len(ehr.fhir), len(ehr.forms)) == (2, 2)


def test_a_token_that_expired_on_the_way_is_renewed_once(ehr: Ehr, site: Site, opened: Connect, time: Time) -> None:
    client = opened(site)
    client.read("Observation", "7")
    time.pass_(269)  # ours counts as fresh, the server's clock says otherwise
    ehr.revoked = {"token-1"}

    client.read("Observation", "7")

    assert len(ehr.forms) == 2
    assert [entry[1] for entry in ehr.fhir] == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


def test_a_static_token_is_read_again_after_a_401(tmp_path: Path, ehr: Ehr, opened: Connect) -> None:
    file = secret(tmp_path / "token", b"old\n")
    site = a_site(ehr, type="bearer", client_id="", key_id="", scope=[], token_file=file)
    client = opened(site)
    client.read("Observation", "7")
    ehr.revoked = {"old"}
    secret(file, b"new\n")

    client.create("Observation", b"{}")

    assert [entry[1] for entry in ehr.fhir] == ["Bearer old", "Bearer old", "Bearer new"]
    assert ehr.forms == []


def test_a_static_token_that_is_still_the_same_is_not_sent_again(tmp_path: Path, ehr: Ehr, opened: Connect) -> None:
    file = secret(tmp_path / "token", b"old\n")
    ehr.revoked = {"old"}
    client = opened(a_site(ehr, type="bearer", client_id="", key_id="", scope=[], token_file=file))

    with pytest.raises(ServerRefusedError, match="HTTP 401"):
        client.create("Observation", b"{}")

    assert len(ehr.fhir) == 1


def test_a_client_secret_is_sent_as_basic_credentials(tmp_path: Path, ehr: Ehr, opened: Connect) -> None:
    ehr.secret = "the%3Aclient:s%2Fcret%2B1"  # RFC 6749, section 2.3.1: each part is form-encoded first
    file = secret(tmp_path / "secret", b"s/cret+1\n")

    opened(
        a_site(ehr, type="client-secret", client_id="the:client", key_id="", scope=[], secret_file=file)
    ).read("Observation", "7")  # fmt: skip

    assert ehr.forms == [{"grant_type": "client_credentials"}]
    assert ehr.fhir[0][1] == "Bearer token-1"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("invalid_client", "no token: invalid_client (the endpoint answered 400); check client_id"),
        ("invalid_scope", "no token: invalid_scope (the endpoint answered 400); check authentication.scope"),
        ("Jane Doe", "the endpoint answered 400 without an OAuth error code that is known"),
        (["invalid_client"], "the endpoint answered 400 without an OAuth error code that is known"),
        (None, "the endpoint answered 400 without an OAuth error code that is known"),
    ],
)
def test_of_a_refused_login_only_the_known_code_is_told(
    *, ehr: Ehr, site: Site, opened: Connect, code: object, said: str
) -> None:
    body = {"error": code, "error_description": "Jane Doe has no such client", "error_uri": "http://jane"}
    ehr.refuse = _json(body, 400)

    with pytest.raises(ServerRefusedError) as caught:
        opened(site).create("Observation", b"{}")

    assert said in str(caught.value)
    assert (caught.value.url, caught.value.status) == (ehr.token_url, 401)
    assert "jane" not in str(caught.value).lower()
    assert ehr.fhir == []


@pytest.mark.parametrize(("seconds", "said"), [(4000, "ahead of"), (-4000, "behind"), (0, "")])
def test_a_clock_that_is_wrong_is_named_when_the_login_is_refused(
    *, ehr: Ehr, site: Site, opened: Connect, time: Time, seconds: float, said: str
) -> None:
    ehr.refuse = _json({"error": "invalid_client"}, 401)
    time.now = datetime.now(UTC) + timedelta(seconds=seconds)  # the web server's Date is this machine's time

    with pytest.raises(ServerRefusedError) as caught:
        opened(site).read("Observation", "7")

    found = re.search(r"this machine's clock is (\d+) s (.+) the server's$", str(caught.value))
    assert (found[2] if found else "") == said
    assert found is None or abs(int(found[1]) - 4000) < 50


@pytest.mark.parametrize(("seconds", "is_taken"), [(-239, True), (-241, False), (60, True), (61, False)])
def test_an_assertion_holds_for_clocks_that_differ_by_a_minute(
    *, ehr: Ehr, site: Site, opened: Connect, seconds: float, is_taken: bool
) -> None:
    ehr.time = Time()
    ehr.time.pass_(-seconds)
    client = opened(site)

    if is_taken:
        assert client.read("Observation", "7").status == 200
    else:
        with pytest.raises(ServerRefusedError, match="invalid_client"):
            client.read("Observation", "7")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_token_endpoint_says_when_and_nothing_was_written(
    ehr: Ehr, site: Site, opened: Connect, status: int
) -> None:
    ehr.refuse = WebResponse(b"", status=status, headers={"Retry-After": "7"})

    with pytest.raises(ServerRefusedError) as caught:
        opened(site).create("Observation", b"{}")

    assert (caught.value.status, caught.value.retry_after_seconds, ehr.fhir) == (status, 7.0, [])


@pytest.mark.parametrize("status", [302, 404, 405, 500, 502])
def test_a_token_endpoint_that_does_not_work_means_that_nothing_was_sent(
    ehr: Ehr, site: Site, opened: Connect, status: int
) -> None:
    ehr.refuse = WebResponse(b"<html>", status=status, headers={"Location": "http://example.invalid/"})

    with pytest.raises(ServerNotReachedError, match=f"no token: the endpoint answered {status}"):
        opened(site).create("Observation", b"{}")

    assert (len(ehr.forms), ehr.fhir) == (1, [])


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": "two words"},
        {"access_token": "a\r\nX-Evil: 1"},
        {"token_type": "mac"},
    ],
)
def test_an_answer_without_a_usable_token_means_that_nothing_was_sent(
    *, ehr: Ehr, site: Site, opened: Connect, answer: dict[str, object]
) -> None:
    ehr.answer.update(answer)

    with pytest.raises(ServerNotReachedError, match="holds no bearer token"):
        opened(site).create("Observation", b"{}")

    assert ehr.fhir == []


def test_a_token_endpoint_that_nobody_listens_at_means_that_nothing_was_sent(
    ehr: Ehr, key_file: Path, opened: Connect
) -> None:
    client = opened(a_site(ehr, key_file=key_file, token_url=f"http://127.0.0.1:{free_port()}/token?tenant=x"))

    with pytest.raises(ServerNotReachedError, match=r"/token: no token: no connection; check") as caught:
        client.create("Observation", b"{}")

    assert "tenant" not in str(caught.value)
    assert ehr.fhir == []


def test_a_token_endpoint_that_cuts_the_connection_means_that_nothing_was_sent(
    ehr: Ehr, key_file: Path, opened: Connect
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            listener.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        client = opened(a_site(ehr, key_file=key_file, token_url=f"http://127.0.0.1:{listener.getsockname()[1]}/token"))

        with pytest.raises(ServerNotReachedError, match="no token: the connection broke"):
            client.create("Observation", b"{}")

    assert ehr.fhir == []


@pytest.mark.parametrize(
    "answer",
    [
        WebResponse(b"", status=404),
        WebResponse(b"<html>", status=200),
        _json([]),
        _json({}),
        _json({"token_endpoint": 7}),
        _json({"token_endpoint": "http://example.invalid/token"}),
        _json({"token_endpoint": "file:///etc/passwd"}),
        WebResponse(b"", status=302, headers={"Location": "http://example.invalid/"}),
    ],
)
def test_a_server_that_names_no_token_endpoint_says_what_to_set(
    httpserver: HTTPServer, key_file: Path, time: Time, opened: Connect, answer: WebResponse
) -> None:
    httpserver.expect_request("/fhir/.well-known/smart-configuration").respond_with_response(answer)
    client = opened(a_site(Ehr(time, httpserver.url_for("/fhir")), key_file=key_file))

    with pytest.raises(ServerNotReachedError, match=r"set authentication\.token_url"):
        client.create("Observation", b"{}")

    assert len(httpserver.log) == 1


def test_what_was_not_granted_is_told_before_the_first_write(ehr: Ehr, site: Site, opened: Connect) -> None:
    ehr.answer["scope"] = "system/Observation.rs system/Device.write"

    with pytest.raises(ConfigurationError) as caught:
        opened(site).require([("Observation", "c"), ("Observation", "u"), ("Device", "c"), ("Patient", "r")])

    assert str(caught.value) == (
        f"{ehr.base_url}: the server did not grant system/Observation.cu system/Patient.r; "
        "have it added to the client's registration there and to authentication.scope"
    )
    assert (caught.value.exit_status, ehr.fhir) == (2, [])


@pytest.mark.parametrize("scope", ["system/*.*", "system/*.cruds", None, "openid", 7])
def test_what_was_granted_or_not_said_stops_nothing(
    ehr: Ehr, site: Site, opened: Connect, scope: str | int | None
) -> None:
    ehr.answer["scope"] = scope
    client = opened(site)

    client.require([("Observation", "c"), ("Observation", "u")])

    assert client.create("Observation", b"{}").status == 201
    assert len(ehr.forms) == 1


def test_a_server_that_wants_no_login_is_asked_without_one(ehr: Ehr, opened: Connect) -> None:
    client = opened(Site(name="north", base_url=ehr.base_url))

    client.require([("Observation", "c")])
    with pytest.raises(ServerRefusedError, match="HTTP 401"):
        client.read("Observation", "7")

    assert [entry[1] for entry in ehr.fhir] == [""]


def test_the_token_is_never_sent_to_another_host(httpserver: HTTPServer, site: Site, opened: Connect) -> None:
    client = opened(site)
    client.read("Observation", "7")
    before = len(httpserver.log)

    with HTTPServer(host="127.0.0.1", port=0) as other:
        with pytest.raises(ServerRefusedError, match="another host"):
            client.get(other.url_for("/fhir/Observation?page=2"))
        assert other.log == []

    assert len(httpserver.log) == before


def test_the_token_does_not_follow_a_redirect(httpserver: HTTPServer, ehr: Ehr, site: Site, opened: Connect) -> None:
    with HTTPServer(host="127.0.0.1", port=0) as other:
        moved = {"Location": other.url_for("/fhir/Patient/p")}
        httpserver.expect_oneshot_request("/fhir/Patient/p").respond_with_data(b"", status=307, headers=moved)

        with pytest.raises(ServerRefusedError, match="HTTP 307"):
            opened(site).read("Patient", "p")

        assert other.log == []
    assert len(ehr.forms) == 1


@pytest.mark.parametrize("type_", ["smart-backend", "client-secret", "bearer"])
def test_a_missing_file_is_told_before_anything_is_sent(
    tmp_path: Path, ehr: Ehr, opened: Connect, httpserver: HTTPServer, type_: str
) -> None:
    key = {"smart-backend": "key_file", "client-secret": "secret_file", "bearer": "token_file"}[type_]
    others = {} if type_ == "smart-backend" else {"key_id": "", "scope": []}
    others |= {"client_id": ""} if type_ == "bearer" else {}

    with pytest.raises(SettingsError, match=rf"missing: cannot be read .*authentication\.{key}") as caught:
        opened(a_site(ehr, type=type_, **others, **{key: tmp_path / "missing"}))

    assert caught.value.exit_status == 2
    assert httpserver.log == []


def test_a_key_that_is_replaced_is_used_for_the_next_token(
    ehr: Ehr, key_file: Path, opened: Connect, time: Time, rsa: RSAKey
) -> None:
    client = opened(a_site(ehr, key_file=key_file))
    client.read("Observation", "7")
    ehr.keys["k-1"] = (RSAKey.import_key(rsa.as_dict()), "RS384")
    secret(key_file, rsa.as_pem(private=True))
    time.pass_(300)

    client.read("Observation", "7")

    assert [header["alg"] for header in ehr.headers] == ["ES384", "RS384"]


def test_a_key_that_vanishes_means_that_nothing_was_sent(ehr: Ehr, key_file: Path, opened: Connect, time: Time) -> None:
    client = opened(a_site(ehr, key_file=key_file))
    client.read("Observation", "7")
    key_file.unlink()
    time.pass_(300)

    with pytest.raises(ServerNotReachedError, match=r"no token, as .*key\.pem: cannot be read"):
        client.create("Observation", b"{}")

    assert len(ehr.fhir) == 1


def test_a_file_that_everybody_can_read_is_warned_of_once(
    ehr: Ehr, key_file: Path, opened: Connect, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    key_file.chmod(0o644)

    with caplog.at_level(logging.WARNING, logger="integration"):
        client = opened(a_site(ehr, key_file=key_file))
        for _ in range(3):
            client.read("Observation", "7")
            time.pass_(300)

    assert [getattr(record, "file", "") for record in caplog.records] == [str(key_file)]


def test_no_secret_is_in_a_log_a_representation_or_an_error(
    *, tmp_path: Path, ehr: Ehr, opened: Connect, caplog: pytest.LogCaptureFixture, key_file: Path, time: Time
) -> None:
    texts: list[str] = []
    ehr.secret = "the-client:s3cret"
    by_secret = a_site(ehr, type="client-secret", key_id="", secret_file=secret(tmp_path / "secret", b"s3cret"))

    with caplog.at_level(logging.DEBUG):
        for site in (a_site(ehr, key_file=key_file), by_secret):
            ehr.secret = "" if site.authentication.key_file else ehr.secret
            ehr.refuse, ehr.revoked = None, set()
            shared = auth.authenticator(site, now=lambda: time.now)
            client = opened(site, authenticator=shared)
            client.read("Observation", "7")
            texts += [repr(site), repr(shared), repr(client), repr(vars(shared))]
            ehr.revoked = {f"token-{number}" for number in range(1, 9)}
            with pytest.raises(ServerRefusedError) as refused:
                client.create("Observation", b"{}")
            ehr.refuse = _json({"error": "invalid_client", "error_description": "s3cret"}, 400)
            with pytest.raises(ServerRefusedError) as no_token:
                client.create("Observation", b"{}")
            for error in (refused.value, no_token.value):
                texts += [str(error), repr(error), *traceback.format_exception(error)]
            ehr.secret = "the-client:s3cret"

    everything = "\n".join([caplog.text, *texts, *(str(vars(record)) for record in caplog.records)])
    assert "token fetched" in everything
    assert "Token(scope=" in everything
    for form in ehr.forms:
        assert form.get("client_assertion", "s3cret") not in everything
    assert re.findall(r"token-\d|s3cret|(?:Bearer|Basic) \w", everything) == []


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[tuple[HTTPServer, Path]]:
    """Start an https server whose certificate only its own authority vouches for; gives that authority's file."""
    key = ECKey.generate_key("P-384").private_key
    assert key is not None
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA384())
    )
    authority = secret(tmp_path / "ca.pem", certificate.public_bytes(Encoding.PEM))
    private = secret(
        tmp_path / "server.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, private)
    with HTTPServer(host="127.0.0.1", port=0, ssl_context=context) as server:
        yield server, authority


def test_a_certificate_is_held_against_the_authorities_of_the_site_file(
    *, protected: tuple[HTTPServer, Path], key_file: Path, time: Time, opened: Connect, ec: ECKey
) -> None:
    server, authority = protected
    ehr = Ehr(time, server.url_for("/fhir"))
    ehr.keys["k-1"] = (ECKey.import_key(ec.as_dict()), "ES384")
    server.expect_request("/fhir/.well-known/smart-configuration").respond_with_handler(ehr.discover)
    server.expect_request("/auth/token").respond_with_handler(ehr.token)
    server.expect_request("/fhir/Observation").respond_with_handler(ehr.serve)
    site = a_site(ehr, key_file=key_file)

    with pytest.raises(ServerNotReachedError, match="the certificate does not verify"):
        opened(site).create("Observation", b"{}")

    assert ehr.base_url.startswith("https://")
    assert ehr.fhir == []
    trusting = opened(site.model_copy(update={"ca_file": authority}))
    assert trusting.create("Observation", b"{}").status == 201
    authority.unlink()
    with pytest.raises(ServerNotReachedError, match=r"certificate authorities .* cannot be read"):
        trusting.create("Observation", b"{}")
