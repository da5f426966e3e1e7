"""The `[service]` table of the settings: what the HTTP service listens on, who may use it, and what it shows.

A secret is never a value here: a file of its own holds it, or only its hash is known.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from integration.addresses import is_loopback, problem_of_base
from integration.process_settings import Audit, Process
from integration.toml_tables import BesideTheFile, CertificatesBesideTheFile, Table

Interaction = Literal["create", "update", "read", "search", "delete"]
"""What a source may do with a resource type; an operation that stores nothing counts as `read`."""
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""How a token may be signed: by key pairs only (RFC 7518, section 3.1; RFC 8037, renamed by RFC 9864)."""

OWN_NAMES: Final = frozenset(("loopback", "pull"))
"""Under which the service stores what comes from its own machine, and what it reads at the site."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TYPE: Final = re.compile(r"\*|[A-Z][A-Za-z]+")
_WORD: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def _base(url: str) -> str:
    if url and (problem := problem_of_base(url)):
        raise ValueError(problem)
    return url


def _words(words: tuple[str, ...]) -> tuple[str, ...]:
    if not all(_WORD.fullmatch(word) for word in words):
        raise ValueError("must be a list of words without blanks")
    return words


Url = Annotated[str, AfterValidator(_base)]
"""`https://…`, or `http://` on this machine; no query, no fragment. Empty: none."""
BaseUrl = Annotated[str, AfterValidator(lambda url: _base(url).rstrip("/"))]
"""The same, without a slash at its end."""
Words = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_words)]
Urls = Annotated[tuple[Url, ...], Field(strict=False)]


class Tokens(Table):
    """Bearer tokens (JWT, RFC 9068) that this service takes; without an issuer it takes none.

    Attributes:
        issuer: `iss` of every token, letter by letter.
        audience: of these, a token's `aud` must hold one.
        jwks_url: where the issuer's keys are; empty: as the issuer's metadata says.
        ca_file: certificate authorities (PEM) to trust instead of the usual ones, for the issuer.
        algorithms: how a token may be signed.
        leeway_seconds: by how much the issuer's clock may differ.
        is_single_use: whether each token needs a `jti` and is taken once.
    """

    issuer: Url = ""
    audience: Words = ()
    jwks_url: Url = ""
    ca_file: CertificatesBesideTheFile = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(strict=False, min_length=1)] = (
        "RS256", "RS384", "PS256", "PS384", "ES256", "ES384", "EdDSA", "Ed25519",
    )  # fmt: skip
    leeway_seconds: int = Field(default=30, ge=0, le=300)
    is_single_use: bool = False

    @property
    def are_taken(self) -> bool:
        """Whether there is an issuer."""
        return bool(self.issuer)

    @model_validator(mode="after")
    def _has_its_keys(self) -> Self:
        if self.issuer and not self.audience:
            raise ValueError("needs audience; without it a token made for another service would be taken here")
        if not self.issuer and self.model_fields_set:
            raise ValueError("needs issuer; add it or remove the table")
        return self


class Source(Table):
    """Something that sends, by one way to know it, and what it may do.

    Attributes:
        name: for the log, the audit and what is stored.
        api_key_sha256: hash of its key, as `outcome-bridge key` prints it.
        certificate: its client certificate: SHA-256 fingerprint in hex, or the subject as the proxy writes it.
        client_id: `client_id`, `azp` or `sub` of its tokens.
        types: resource types that it may use; `*` is all.
        interactions: what it may do with them.
        poison: what becomes of a resource that can never be used: `reject` (422), or `quarantine`: it is stored, set
            aside and answered with success, for an engine that would hold back everything behind it.
        requests_per_minute: beyond them 429; counted by each process for itself.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    api_key_sha256: str = Field(default="", repr=False)
    certificate: str = ""
    client_id: str = ""
    types: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("QuestionnaireResponse",)
    interactions: Annotated[tuple[Interaction, ...], Field(strict=False, min_length=1)] = ("create", "update", "read")
    poison: Literal["reject", "quarantine"] = "reject"
    requests_per_minute: int = Field(default=6000, ge=1)

    @field_validator("name")
    @classmethod
    def _is_nobody_elses(cls, name: str) -> str:
        if name in OWN_NAMES:
            raise ValueError(f"must not be {name}, which the service calls itself; take another name")
        return name

    @field_validator("api_key_sha256")
    @classmethod
    def _is_hash(cls, value: str) -> str:
        if value and not _SHA256.fullmatch(value.lower()):
            raise ValueError("must be the 64 hex digits that outcome-bridge key prints, never the key itself")
        return value.lower()

    @field_validator("certificate")
    @classmethod
    def _is_no_sha1(cls, value: str) -> str:
        plain = fingerprint(value)
        if _SHA1.fullmatch(plain):
            raise ValueError("must not be a SHA-1 fingerprint; name the SHA-256 one, or the subject")
        return plain if _SHA256.fullmatch(plain) else value

    @field_validator("types")
    @classmethod
    def _are_types(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_TYPE.fullmatch(one) for one in types):
            raise ValueError("must be a list of resource types, like 'QuestionnaireResponse', or '*'")
        return types

    @model_validator(mode="after")
    def _is_known_one_way(self) -> Self:
        if sum(map(bool, (self.api_key_sha256, self.certificate, self.client_id))) != 1:
            raise ValueError("needs one of api_key_sha256, certificate and client_id")
        return self


def fingerprint(text: str) -> str:
    """Return a fingerprint without its colons and in lower case.

    >>> fingerprint("AB:CD")
    'abcd'
    """
    return text.replace(":", "").strip().lower()


class Staff(Table):
    """How persons log in to the staff pages: OpenID Connect; without an issuer nobody can.

    Attributes:
        issuer: of the identity provider, as its metadata says.
        client_id: as this service is registered there; its redirect URI is `PUBLIC_URL/staff/login/done`.
        secret_file: the client's secret, one line; none for a public client.
        ca_file: certificate authorities (PEM) to trust instead of the usual ones, for the provider.
        scope: what is asked for.
        subjects: `sub` of those who are staff.
        claim: else the claim of the ID token that says so, text or list.
        value: what that claim must be, or hold.
        idle_minutes: without a request, after which one logs in again.
        hours: after which one logs in again in any case.
    """

    issuer: Url = ""
    client_id: str = ""
    secret_file: BesideTheFile = None
    ca_file: CertificatesBesideTheFile = None
    scope: Words = ("openid", "profile")
    subjects: Words = ()
    claim: str = ""
    value: str = ""
    idle_minutes: int = Field(default=30, ge=1, le=24 * 60)
    hours: int = Field(default=10, ge=1, le=24)

    @property
    def can_log_in(self) -> bool:
        """Whether there is an issuer."""
        return bool(self.issuer)

    @model_validator(mode="after")
    def _has_its_keys(self) -> Self:
        if not self.issuer and self.model_fields_set:
            raise ValueError("needs issuer; add it or remove the table")
        if self.issuer and not self.client_id:
            raise ValueError("needs client_id; add it")
        if bool(self.claim) != bool(self.value):
            raise ValueError("claim and value go together; add what is missing")
        if self.issuer and not (self.subjects or self.claim):
            raise ValueError("must say who is staff; add subjects, or claim and value")
        if self.issuer and "openid" not in self.scope:
            raise ValueError("scope must hold openid")
        return self


class Chart(Table):
    """The chart page, opened from the EHR by SMART App Launch.

    Attributes:
        issuers: FHIR base URLs of the site's own EHR, whose launches (`iss`) are taken.
        same_ids_as_site: those of `issuers` that are not the site's `base_url`, but have its patients under its ids.
        client_id: as the app is registered with them.
        secret_file: the client's secret, one line; without it and `key_file` the client is public.
        key_file: the client's private key, PEM or JWK: RSA, or EC on P-384.
        key_id: its `kid`, if the key file does not say it.
        ca_file: certificate authorities (PEM) to trust instead of the usual ones, for the EHR.
        scope: what is asked for.
        frame_ancestors: origins that may show the page in a frame; none by default.
    """

    issuers: Annotated[tuple[BaseUrl, ...], Field(strict=False)] = ()
    same_ids_as_site: Annotated[tuple[BaseUrl, ...], Field(strict=False)] = ()
    client_id: str = ""
    secret_file: BesideTheFile = None
    key_file: BesideTheFile = None
    key_id: str = ""
    ca_file: CertificatesBesideTheFile = None
    scope: Words = (
        "launch", "openid", "fhirUser", "patient/Patient.rs", "patient/Observation.rs",
        "patient/QuestionnaireResponse.rs", "patient/Procedure.rs",
    )  # fmt: skip
    frame_ancestors: Annotated[tuple[Url, ...], Field(strict=False)] = ()

    @field_validator("frame_ancestors")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        if any(one.count("/") != 2 or ";" in one or "," in one or "*" in one for one in origins):
            raise ValueError("must be a list of origins without a path, like 'https://ehr.hospital.example'")
        return origins

    @model_validator(mode="after")
    def _has_its_keys(self) -> Self:
        if bool(self.issuers) != bool(self.client_id):
            raise ValueError("issuers and client_id go together; add what is missing")
        if self.key_file and self.secret_file:
            raise ValueError("secret_file and key_file exclude each other; remove what is not registered")
        if self.key_id and not self.key_file:
            raise ValueError("key_id names a key in key_file; add what is missing")
        if not set(self.same_ids_as_site) <= set(self.issuers):
            raise ValueError("same_ids_as_site must be some of issuers, spelled as there")
        return self


class CdsHooks(Table):
    """Which EHRs may ask for CDS Hooks cards; without an issuer it answers without a token on loopback only.

    Attributes:
        issuers: `iss` of the EHR's tokens; one with several sets of keys is named once for each.
        jwks_urls: of each issuer, in the same order, where its keys are: the `jku` that its tokens may name.
        ca_file: certificate authorities (PEM) to trust instead of the usual ones, for those addresses.
    """

    issuers: Words = ()
    jwks_urls: Urls = ()
    ca_file: CertificatesBesideTheFile = None

    @model_validator(mode="after")
    def _has_its_keys(self) -> Self:
        if bool(self.issuers) != bool(self.jwks_urls):
            raise ValueError("issuers and jwks_urls go together; add what is missing")
        if len(self.issuers) != len(self.jwks_urls):
            raise ValueError("jwks_urls must name one address for each of issuers, in the same order")
        return self


class Service(Table):
    """The HTTP service.

    Attributes:
        port: TCP port.
        site: name of the site whose server gets the outcomes; empty if the service only stores.
        body_limit_bytes: a longer request body, unpacked or not, is refused with 413.
        bundle_entries: most entries of a Bundle.
        public_url: as others reach the service: base of Location, redirect URIs and audiences; empty: as asked.
        trusted_proxies: addresses and networks whose X-Forwarded-* and certificate headers are believed.
        client_certificate_header: in which they name the client's certificate; empty: they do not.
        failed_logins_per_minute: from one address; beyond them 429. Counted by each process for itself.
        tokens: bearer tokens.
        sources: who sends.
        staff: login of persons.
        chart: the chart page.
        cds_hooks: CDS Hooks.
        process: its processes, and what they log.
        audit: AuditEvents.
        host: what it listens on; anything but a loopback address needs authentication and a public_url.
    """

    port: int = Field(default=8080, ge=0, le=65535)
    site: str = ""
    body_limit_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    bundle_entries: int = Field(default=1000, ge=1)
    public_url: BaseUrl = ""
    trusted_proxies: Annotated[tuple[str, ...], Field(strict=False)] = ()
    client_certificate_header: str = ""
    failed_logins_per_minute: int = Field(default=20, ge=1)
    tokens: Tokens = Tokens()
    sources: Annotated[tuple[Source, ...], Field(strict=False)] = ()
    staff: Staff = Staff()
    chart: Chart = Chart()
    cds_hooks: CdsHooks = CdsHooks()
    process: Process = Process()
    audit: Audit = Audit()
    host: str = "127.0.0.1"  # the last, for its validator reads the others

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                network = ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError("must be a list of addresses and networks, like '10.0.0.5' or '10.0.0.0/28'") from None
            if network.prefixlen == 0:
                raise ValueError(f"{proxy} would believe everybody; name the proxies' own addresses")
        return proxies

    @field_validator("client_certificate_header")
    @classmethod
    def _is_believed_of_somebody(cls, header: str, info: ValidationInfo) -> str:
        if header and not _HEADER.fullmatch(header):
            raise ValueError("must be a header's name, like X-Client-Certificate")
        if header and not info.data.get("trusted_proxies", True):
            raise ValueError("needs trusted_proxies, for whoever is not one could write any certificate into it")
        return header

    @field_validator("sources")
    @classmethod
    def _can_be_known(cls, sources: tuple[Source, ...], info: ValidationInfo) -> tuple[Source, ...]:
        for key in ("name", "api_key_sha256", "certificate", "client_id"):
            given = [value for source in sources if (value := getattr(source, key))]
            if len(given) != len(set(given)):
                raise ValueError(f"two sources have the same {key}; each needs its own")
        tokens: Tokens | None = info.data.get("tokens")
        if tokens and not tokens.are_taken and any(source.client_id for source in sources):
            raise ValueError("a source with client_id needs service.tokens, which says whose tokens are taken")
        if not info.data.get("client_certificate_header", "?") and any(source.certificate for source in sources):
            raise ValueError("a source with certificate needs service.client_certificate_header and trusted_proxies")
        return sources

    @field_validator("host")
    @classmethod
    def _is_for_those_who_may(cls, host: str, info: ValidationInfo) -> str:
        bare = host.strip("[]")
        if is_loopback(bare):
            return bare
        if not info.data.get("sources", True):
            raise ValueError(
                "must be a loopback address (127.0.0.1, ::1, localhost) as long as service.sources names nobody who"
                " can prove who it is, because anybody could send"
            )
        if not info.data.get("public_url", "?"):
            raise ValueError("needs service.public_url, because a name that nobody checks could be anybody's")
        return bare
