"""Begin a launch, and check everything that comes back of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from integration.intake import logical_id
from integration.service_settings import Chart
from integration.sources import auth, credentials
from server.service.access import jwts, secret_files
from server.service.access.fetching import FetchError, fetch
from server.service.access.issuer import Metadata
from server.service.access.kept import UnavailableError
from server.service.access.once import Once
from server.service.chart.smart.discovery import Ehr, normalized
from server.service.chart.smart.sessions import Launched
from server.service.pages import PageError

logger = logging.getLogger(__name__)

PENDING_SECONDS: Final = 600
_LONGEST_SESSION_SECONDS: Final = 12 * 3600
_USUAL_SESSION_SECONDS: Final = 3600
"""Where the token's answer does not say how long it holds."""
_CODE: Final = re.compile(r"[a-z_]{1,40}")
_LONGEST_LAUNCH: Final = 1024
AGAIN: Final = "Open the chart from the EHR once more."


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """A launch that has begun; it stands, signed, in the browser that began it.

    Attributes:
        state: by which the answer belongs to it.
        nonce: that the ID token must repeat.
        verifier: of PKCE.
        fhir_url: of the EHR.
    """

    state: str
    nonce: str
    verifier: str
    fhir_url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Launching:
    """What launches work with.

    Attributes:
        chart: the settings.
        ehrs: those that may launch, by their normalized FHIR base.
        once: where launches are noted that were ended.
        now: the clock; aware.
        algorithms: how an ID token may be signed.
    """

    chart: Chart
    ehrs: Mapping[str, Ehr]
    once: Once
    now: Callable[[], datetime]
    algorithms: frozenset[str]

    def begun(self, iss: str, launch: str, redirect_uri: str) -> tuple[Pending, str]:
        """Return a launch that begins, and where the browser goes on.

        Raises:
            PageError: 400, no EHR or no launch; 403, the EHR is not one that may; 503, it cannot be asked.
        """
        if not iss:
            raise PageError(400, "iss is missing: the EHR that opens this page says by it which it is.", advice=AGAIN)
        ehr = self._ehr(iss)
        if not launch or len(launch) > _LONGEST_LAUNCH:
            raise PageError(400, "The EHR did not say which launch this is (launch).", advice=AGAIN)
        configuration = _configuration(ehr)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.chart.client_id,
            "redirect_uri": redirect_uri,
            "launch": launch,
            "scope": " ".join(self.chart.scope),
            "state": state,
            "nonce": nonce,
            "aud": iss,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        separator = "&" if "?" in configuration.authorization_url else "?"
        pending = Pending(state=state, nonce=nonce, verifier=verifier, fhir_url=ehr.fhir_url)
        return pending, f"{configuration.authorization_url}{separator}{urlencode(query)}"

    def ended(self, pending: Pending, answer: Mapping[str, str], redirect_uri: str) -> Launched:
        """Return what a launch gave, once all of it was checked.

        Args:
            pending: the launch that the answer belongs to.
            answer: the query of the redirection.
            redirect_uri: as it was sent when the launch began.

        Raises:
            PageError: it cannot be ended, and why.
        """
        ends = self.now().timestamp() + PENDING_SECONDS
        if not self.once.is_first("launch", pending.state, ends):
            raise PageError(400, "This launch was used before.", advice=AGAIN)
        ehr = self._ehr(pending.fhir_url)
        configuration = _configuration(ehr)
        _check_answer(configuration, answer)
        given = self._exchanged(ehr, configuration, pending, answer.get("code", ""), redirect_uri)
        return self._launched(ehr, configuration, pending, given)

    def _ehr(self, iss: str) -> Ehr:
        ehr = self.ehrs.get(normalized(iss))
        if ehr is None:
            problem = "The EHR that opens this page (iss) is not one that may."
            raise PageError(403, problem, advice="Whoever runs this service lists those that may.")
        return ehr

    def _exchanged(
        self, ehr: Ehr, configuration: Metadata, pending: Pending, code: str, redirect_uri: str
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": pending.verifier,
        }
        proof, login = self._proof(configuration)
        try:
            status, given = fetch(configuration.token_url, ca_file=ehr.ca_file, form=form | proof, login=login)
        except FetchError:
            raise _unavailable("code_not_exchanged") from None
        token_type = given.get("token_type")
        is_bearer = isinstance(token_type, str) and token_type.lower() == "bearer"
        if status != 200 or not _text(given, "access_token") or not is_bearer:
            logger.warning("a code was not exchanged", extra={"action": "code_refused", "status": status})
            raise PageError(502, "The EHR did not take its own code back.", advice=AGAIN)
        return given

    def _proof(self, configuration: Metadata) -> tuple[dict[str, str], tuple[str, str] | None]:
        """Return what proves who we are: form fields, or name and password; the key or secret is read anew."""
        client = self.chart.client_id
        if key := client_key(self.chart):
            token_id = str(uuid.uuid4())
            return auth.assertion(client, key, configuration.token_url, now=self.now(), token_id=token_id), None
        secret = secret_files.read(self.chart.secret_file)
        if secret and configuration.takes_basic:
            return {}, (quote_plus(client), quote_plus(secret))
        return {"client_id": client} | ({"client_secret": secret} if secret else {}), None

    def _launched(self, ehr: Ehr, configuration: Metadata, pending: Pending, given: Mapping[str, Any]) -> Launched:
        patient_id = given.get("patient")
        if not logical_id.is_valid(patient_id):
            raise PageError(400, "The EHR opened this page without a patient.", advice="Select a patient there first.")
        scope = _text(given, "scope") or " ".join(self.chart.scope)
        subject = self._subject(ehr, configuration, pending, given) if "openid" in scope.split() else ""
        return Launched(
            patient_id=str(patient_id),
            fhir_url=ehr.fhir_url,
            token=_text(given, "access_token"),
            scope=scope,
            subject=subject,
            needs_banner=given.get("need_patient_banner") is True,
            until=int(self.now().timestamp()) + _seconds(given.get("expires_in")),
        )

    def _subject(self, ehr: Ehr, configuration: Metadata, pending: Pending, given: Mapping[str, Any]) -> str:
        """Return who the person is, by the ID token (OpenID Connect Core 1.0, section 3.1.3.7)."""
        expected = jwts.Expected(
            issuers=frozenset({configuration.issuer}),
            audiences=frozenset({self.chart.client_id}),
            algorithms=self.algorithms,
            present=("sub", "nonce"),
        )
        try:
            token = jwts.check(_text(given, "id_token"), ehr.keys, expected, self.now())
        except jwts.TokenError as error:
            raise _not_believed(str(error)) from None
        except UnavailableError:
            raise _unavailable("ehr_keys_unknown") from None
        client = self.chart.client_id
        audience, party = token.claims["aud"], token.claims.get("azp", client)
        if party != client or (isinstance(audience, list) and len(audience) > 1 and "azp" not in token.claims):
            raise _not_believed("it was made for another client (azp)")
        if not hmac.compare_digest(token.text("nonce").encode(), pending.nonce.encode()):
            raise _not_believed("it is of another launch (nonce)")
        return token.text("sub")


def client_key(chart: Chart) -> credentials.SigningKey | None:
    """Return the key of a client that has one.

    Raises:
        SettingsError: the file is missing, or holds none that SMART App Launch allows.
    """
    if chart.key_file is None:
        return None
    return credentials.signing_key(chart.key_file, chart.key_id, table="service.chart")


def _check_answer(configuration: Metadata, answer: Mapping[str, str]) -> None:
    """See that an answer is by the server that was asked, and that it is a yes."""
    issuer = answer.get("iss")
    if issuer != configuration.issuer and (issuer is not None or configuration.names_itself):
        raise PageError(400, "The answer is by another server than was asked (iss).", advice=AGAIN)
    if "error" in answer or not answer.get("code"):
        code = answer.get("error", "")
        reason = code if _CODE.fullmatch(code) else "no code"
        said = " ".join(answer.get("error_description", "").split())[:200]
        problem = f"The EHR did not open the chart ({reason})" + (f": “{said}”" if said else ".")
        raise PageError(403, problem, advice=AGAIN)


def _configuration(ehr: Ehr) -> Metadata:
    try:
        configuration = ehr.configuration()
    except UnavailableError:
        raise _unavailable("ehr_not_discovered") from None
    if not configuration.authorization_url or not configuration.token_url:
        raise _unavailable("ehr_without_addresses")
    return configuration


def _seconds(expires_in: Any) -> int:
    is_number = isinstance(expires_in, int | float) and not isinstance(expires_in, bool) and expires_in > 0
    return int(min(expires_in, _LONGEST_SESSION_SECONDS)) if is_number else _USUAL_SESSION_SECONDS


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""


def _unavailable(action: str) -> PageError:
    logger.warning("a launch could not go on: the EHR cannot be asked", extra={"action": action})
    return PageError(503, "The EHR’s login cannot be asked now.", advice="Try again in a moment.")


def _not_believed(why: str) -> PageError:
    logger.warning("an EHR's ID token is not taken: %s", why, extra={"action": "id_token_refused"})
    return PageError(403, f"The EHR’s word on who you are is not taken: {why}.", advice=AGAIN)
