"""A small authorisation server on the loopback interface, for tests: OAuth 2, OpenID Connect and SMART App Launch.

In a test, take the fixture `authorisation` (tests/server/service/conftest.py), or:

    with AuthorisationServer() as server:
        server.register("chart", redirect_uris=["http://127.0.0.1:8080/launch/done"])  # secret=… or key=…
        server.url                       # the issuer; also base of /jwks, /authorize, /token
        server.fhir_url                  # `iss` of a SMART launch; has .well-known/smart-configuration
        server.add({"resourceType": "Patient", "id": "p1"})         # GET {fhir_url}/Patient/p1, with a token
        launch = server.launch(patient="p1")                        # the `launch` parameter; context of its token
        server.person = Person(subject="dr-1", name="Dr. Moreau", claims={"groups": ["pro-team"]})
        token = server.token(client_id="engine", scope="system/*.cud")     # a signed access token, without a request

`/authorize` asks nobody: it sends the browser back at once, as `server.person`. It wants PKCE (S256), an exact redirect
URI and a `state`, and a SMART launch's `aud`; `/token` wants the verifier, the client's secret, and each code once.

To misbehave: `server.is_down` (503 to everything), `server.rotate()` (new signing key; `keep_old=True` leaves the old
one in the JWKS), `server.id_token_changes` (claims to write over; None leaves one out), `server.authorize_changes`
(parameters of the redirection, likewise), `server.metadata_changes`, `server.token(…, header={…}, key=…, claims={…})`.
`server.asked` counts requests by path. As a command: `python tests/server/service/authorisation_server.py --help`.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import logging
import secrets
import signal
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote_plus, urlencode

import flask
from flask import Flask, Response, request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from werkzeug.serving import make_server

_LIFETIME_SECONDS = 300
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Claims = dict[str, Any]


@cache
def signing_key(kind: str = "RSA", number: int = 0) -> Key:
    """Return one of the private keys of the tests: made once, for making one takes long."""
    kid = f"{kind.lower()}-{number}"
    if kind == "RSA":
        return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})
    if kind == "Ed25519":
        return OKPKey.generate_key("Ed25519", {"kid": kid, "use": "sig"})
    return ECKey.generate_key(kind, {"kid": kid, "use": "sig"})


def algorithm_of(key: Key) -> str:
    """Return the usual algorithm of a key."""
    if isinstance(key, RSAKey):
        return "RS256"
    if isinstance(key, OctKey):
        return "HS256"
    return "EdDSA" if isinstance(key, OKPKey) else {"P-256": "ES256", "P-384": "ES384"}[key.curve_name]


def signed(claims: Claims, key: Key, header: Mapping[str, Any] | None = None) -> str:
    """Return a JWT; what `header` holds stands in its header, None leaves something out."""
    full = {"alg": algorithm_of(key), "kid": key.kid, "typ": "JWT"} | dict(header or {})
    full = {name: value for name, value in full.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc's about EdDSA, whose name is what issuers still write
        registry = JWSRegistry(algorithms=[full["alg"]], strict_check_header=False)
        return jwt.encode(full, claims, key, registry=registry, default_type=None)


@dataclass(frozen=True, kw_only=True)
class Client:
    client_id: str
    secret: str
    redirect_uris: tuple[str, ...]
    scope: str
    key: Key | None = None


@dataclass(frozen=True, kw_only=True)
class Person:
    subject: str
    name: str = ""
    fhir_user: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a code is good for."""

    client: Client
    redirect_uri: str
    challenge: str
    scope: str
    nonce: str
    person: Person
    context: Mapping[str, Any]


class OAuthError(Exception):
    def __init__(self, code: str, status: int = 400) -> None:
        self.code, self.status = code, status
        super().__init__(code)


class AuthorisationServer:
    """See the module. `now` is its clock; every token's times follow it."""

    def __init__(
        self, *, port: int = 0, key: Key | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.now = now
        self.keys = [key or signing_key()]
        self.person = Person(subject="dr-1", name="Dr. Moreau", fhir_user="Practitioner/dr-1")
        self.clients: dict[str, Client] = {}
        self.launches: dict[str, Mapping[str, Any]] = {}
        self.resources: dict[str, dict[str, Any]] = {}
        self.asked: Counter[str] = Counter()
        self.is_down = False
        self.id_token_changes: Claims = {}
        self.authorize_changes: Claims = {}
        self.metadata_changes: Claims = {}
        self.jwks_answer: Any = None
        self._grants: dict[str, Grant] = {}
        self._tokens: dict[str, str] = {}
        self._assertions: set[str] = set()
        self._server = make_server("127.0.0.1", port, self._application(), threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.fhir_url = f"{self.url}/fhir"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> AuthorisationServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def key(self) -> Key:
        """The key that signs now."""
        return self.keys[-1]

    def register(
        self,
        client_id: str,
        *,
        secret: str = "",
        key: Key | None = None,
        redirect_uris: tuple[str, ...] | list[str] = (),
        scope: str = "",
    ) -> None:
        """Let a client in; `scope` is the most it gets, empty for whatever it asks for."""
        self.clients[client_id] = Client(
            client_id=client_id, secret=secret, key=key, redirect_uris=tuple(redirect_uris), scope=scope
        )

    def launch(self, *, patient: str, **context: Any) -> str:
        """Begin a launch as the EHR does; the token's answer will hold `patient` and whatever else is given."""
        launch = secrets.token_urlsafe(12)
        self.launches[launch] = {"patient": patient, "need_patient_banner": True} | context
        return launch

    def add(self, resource: dict[str, Any]) -> None:
        """Put a resource on the FHIR server."""
        self.resources[f"{resource['resourceType']}/{resource['id']}"] = resource

    def rotate(self, key: Key | None = None, *, keep_old: bool = False) -> None:
        """Sign with another key from now on."""
        new = key or signing_key("RSA", len(self.keys))
        self.keys = [*self.keys, new] if keep_old else [new]

    def token(
        self,
        *,
        client_id: str = "engine",
        scope: str = "system/QuestionnaireResponse.cu",
        audience: Any = "https://bridge.example",
        claims: Claims | None = None,
        header: Mapping[str, Any] | None = None,
        key: Key | None = None,
    ) -> str:
        """Return a signed access token; a claim of None is left out."""
        own = self._times() | {"iss": self.url, "aud": audience, "sub": client_id, "client_id": client_id}
        own |= {"scope": scope, "jti": secrets.token_urlsafe(12)} | (claims or {})
        kept = {name: value for name, value in own.items() if value is not None}
        return signed(kept, key or self.key, {"typ": "at+jwt"} | dict(header or {}))

    def id_token(self, client_id: str, *, nonce: str = "", person: Person | None = None) -> str:
        """Return a signed ID token."""
        one = person or self.person
        claims = self._times() | {"iss": self.url, "aud": client_id, "sub": one.subject, "name": one.name}
        claims |= {"nonce": nonce} if nonce else {}
        claims |= {"fhirUser": f"{self.fhir_url}/{one.fhir_user}"} if one.fhir_user else {}
        claims |= dict(one.claims) | self.id_token_changes
        return signed({name: value for name, value in claims.items() if value is not None}, self.key)

    def _times(self) -> Claims:
        now = int(self.now().timestamp())
        return {"iat": now, "nbf": now, "exp": now + _LIFETIME_SECONDS}

    def _application(self) -> Flask:
        app = Flask("authorisation-server")
        app.before_request(self._count)
        app.register_error_handler(OAuthError, lambda error: (flask.jsonify(error=error.code), error.status))
        for path in ("openid-configuration", "oauth-authorization-server", "smart-configuration"):
            app.add_url_rule(f"/.well-known/{path}", path, self._metadata)
        app.add_url_rule("/fhir/.well-known/smart-configuration", "smart", self._metadata)
        app.add_url_rule("/jwks", "jwks", self._jwks)
        app.add_url_rule("/authorize", "authorize", self._authorize)
        app.add_url_rule("/token", "token", self._token, methods=["POST"])
        app.add_url_rule("/end-session", "end-session", lambda: "logged out")
        app.add_url_rule("/fhir/<kind>/<resource_id>", "read", self._read)
        app.add_url_rule("/fhir/<kind>", "search", self._search)
        return app

    def _count(self) -> Response | None:
        self.asked[request.path] += 1
        return Response("down", 503) if self.is_down else None

    def _metadata(self) -> Claims:
        own = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "end_session_endpoint": f"{self.url}/end-session",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES384"],
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": [
                "client_secret_basic",
                "client_secret_post",
                "private_key_jwt",
                "none",
            ],
            "authorization_response_iss_parameter_supported": True,
            "capabilities": [
                "launch-ehr",
                "client-public",
                "client-confidential-symmetric",
                "client-confidential-asymmetric",
                "context-ehr-patient",
            ],
            "scopes_supported": ["openid", "fhirUser", "launch", "profile"],
        } | self.metadata_changes
        return {name: value for name, value in own.items() if value is not None}

    def _jwks(self) -> Any:
        if self.jwks_answer is not None:
            return self.jwks_answer
        return {"keys": [key.as_dict(private=False) for key in self.keys]}

    def _authorize(self) -> Response:
        sent = request.args
        client = self.clients.get(sent.get("client_id", ""))
        if client is None or sent.get("redirect_uri") not in client.redirect_uris:
            raise OAuthError("invalid_client")
        if sent.get("response_type") != "code" or not sent.get("state"):
            raise OAuthError("invalid_request")
        if sent.get("code_challenge_method") != "S256" or len(sent.get("code_challenge", "")) != 43:
            raise OAuthError("invalid_request")
        code, scope = secrets.token_urlsafe(16), sent.get("scope", "")
        self._grants[code] = Grant(
            client=client,
            redirect_uri=sent["redirect_uri"],
            challenge=sent["code_challenge"],
            scope=self._granted(client, scope),
            nonce=sent.get("nonce", ""),
            person=self.person,
            context=self._context(sent.get("launch", ""), scope, sent.get("aud", "")),
        )
        answer = {"code": code, "state": sent["state"], "iss": self.url} | self.authorize_changes
        query = urlencode({name: value for name, value in answer.items() if value is not None})
        return flask.redirect(f"{sent['redirect_uri']}?{query}", 302)  # type: ignore[return-value]  # werkzeug's own

    def _context(self, launch: str, scope: str, audience: str) -> Mapping[str, Any]:
        if "launch" not in scope.split():
            return {}
        if audience.rstrip("/") != self.fhir_url or launch not in self.launches:
            raise OAuthError("invalid_request")
        return self.launches[launch]

    def _granted(self, client: Client, asked: str) -> str:
        most = client.scope.split()
        return " ".join(word for word in asked.split() if not most or word in most)

    def _token(self) -> Claims:
        client = self._authenticated()
        kind = request.form.get("grant_type")
        if kind == "client_credentials":
            if not client.secret:
                raise OAuthError("unauthorized_client")
            return self._answer(client, self._granted(client, request.form.get("scope", "")))
        if kind != "authorization_code":
            raise OAuthError("unsupported_grant_type")
        grant = self._grants.pop(request.form.get("code", ""), None)
        if grant is None or grant.client != client or grant.redirect_uri != request.form.get("redirect_uri"):
            raise OAuthError("invalid_grant")
        digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != grant.challenge:
            raise OAuthError("invalid_grant")
        answer = self._answer(client, grant.scope) | dict(grant.context)
        if "openid" in grant.scope.split():
            answer["id_token"] = self.id_token(client.client_id, nonce=grant.nonce, person=grant.person)
        return answer

    def _authenticated(self) -> Client:
        if "client_assertion" in request.form:
            return self._asserted()
        login = request.authorization
        by_header = bool(login and login.type == "basic")
        name = unquote_plus(login.username or "") if login and by_header else request.form.get("client_id", "")
        secret = unquote_plus(login.password or "") if login and by_header else request.form.get("client_secret", "")
        client = self.clients.get(name)
        if client is None or client.key or not secrets.compare_digest(client.secret, secret):
            raise OAuthError("invalid_client", 401)
        return client

    def _asserted(self) -> Client:
        """Return the client of an assertion (SMART App Launch 2.2, asymmetric client authentication)."""
        if request.form.get("client_assertion_type") == _ASSERTION_TYPE and "client_id" not in request.form:
            for client in self.clients.values():
                if client.key and self._is_by(client, client.key, request.form["client_assertion"]):
                    return client
        raise OAuthError("invalid_client", 401)

    def _is_by(self, client: Client, key: Key, assertion: str) -> bool:
        try:
            token = jwt.decode(assertion, key, algorithms=["RS384", "ES384"])
        except JoseError:
            return False
        claims, now = token.claims, self.now().timestamp()
        is_new = claims["jti"] not in self._assertions
        self._assertions.add(claims["jti"])
        is_in_time = now < claims["exp"] <= now + _LIFETIME_SECONDS
        who = claims["iss"], claims["sub"], claims["aud"], token.header["kid"]
        return is_new and is_in_time and who == (client.client_id, client.client_id, f"{self.url}/token", key.kid)

    def _answer(self, client: Client, scope: str) -> Claims:
        token = self.token(client_id=client.client_id, scope=scope, audience=self.fhir_url)
        self._tokens[token] = scope
        return {"access_token": token, "token_type": "Bearer", "expires_in": _LIFETIME_SECONDS, "scope": scope}

    def _require_token(self) -> None:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
            raise OAuthError("invalid_token", 401)

    def _read(self, kind: str, resource_id: str) -> Any:
        self._require_token()
        return self.resources.get(f"{kind}/{resource_id}") or Response(status=404)

    def _search(self, kind: str) -> Claims:
        """Answer with every resource of a type that is about the patient asked for; other parameters are not read."""
        self._require_token()
        patient = (request.args.get("patient") or request.args.get("subject") or "").removeprefix("Patient/")
        found = [
            one
            for one in self.resources.values()
            if one["resourceType"] == kind
            and patient in ("", one["id"], one.get("subject", {}).get("reference", "").removeprefix("Patient/"))
        ]
        entries = [{"fullUrl": f"{self.fhir_url}/{kind}/{one['id']}", "resource": one} for one in found]
        return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}


def main(arguments: list[str]) -> int:
    """Serve until interrupted; print the issuer, the FHIR base and a launch first."""
    parser = argparse.ArgumentParser(description="An authorisation server on the loopback interface, for tests.")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--client", default="outcome-bridge", metavar="ID")
    parser.add_argument("--secret", default="", help="of the client; none for a public one")
    parser.add_argument("--redirect-uri", action="append", default=[], metavar="URI")
    parser.add_argument("--patient", default="p1", metavar="ID", help="of the launch that is printed")
    parser.add_argument("--subject", default="dr-1", help="of the person who logs in")
    options = parser.parse_args(arguments)
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # in every thread, so that only sigwait takes them
    with AuthorisationServer(port=options.port) as server:
        server.person = Person(
            subject=options.subject, name=options.subject, fhir_user=f"Practitioner/{options.subject}"
        )
        server.register(options.client, secret=options.secret, redirect_uris=options.redirect_uri)
        server.add({"resourceType": "Patient", "id": options.patient})
        print(
            f"issuer {server.url}\nfhir {server.fhir_url}\nlaunch {server.launch(patient=options.patient)}", flush=True
        )
        signal.sigwait(ends)
    return 0


if __name__ == "__main__":
    logging.disable(logging.INFO)
    sys.exit(main(sys.argv[1:]))
