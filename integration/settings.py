"""The one reader of settings files and of the environment.

An installation has one settings file, `outcome-bridge.toml`, and beside it one file a site, `sites/NAME.toml`. Both are
optional until something needs them: without a file every setting has its default and the current folder is the home.
"""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from integration import environment
from integration import write_profile as profiles
from integration.addresses import is_loopback, is_protected
from integration.errors import SettingsError
from integration.service_settings import Service
from integration.toml_tables import BesideTheFile, CertificatesBesideTheFile, Table, faults

__all__ = ["Service", "Settings", "Site", "is_protected", "load"]

FILE_NAME = "outcome-bridge.toml"
VARIABLE = "OUTCOME_BRIDGE_SETTINGS"
_NOT_UTF_8 = "is not UTF-8; save it as UTF-8"
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


class LedgerPlace(Table):
    """Where the ledger is.

    Attributes:
        url: of a PostgreSQL database, `postgresql+psycopg://USER@HOST/NAME`; empty: a SQLite file in the state folder.
            The password is better kept in a file of its own, which `passfile` in the query, PGPASSFILE or
            `~/.pgpass` names (https://www.postgresql.org/docs/current/libpq-pgpass.html).
    """

    url: str = Field(default="", repr=False)

    @field_validator("url")
    @classmethod
    def _is_database(cls, url: str) -> str:
        if url and (problem := _problem_of_database(url)):
            raise ValueError(problem)
        return url


def _problem_of_database(url: str) -> str:
    """Return what is wrong with a PostgreSQL URL, without repeating any of it; empty if nothing is."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        host = parts.hostname or options.get("hostaddr", "") or options.get("host", "")
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("postgresql", "postgresql+psycopg"):
        return "must be a PostgreSQL URL, like postgresql+psycopg://USER@HOST/NAME"
    if secret := sorted({"password", "sslpassword"} & options.keys()):
        return f"must hold no {secret[0]} in its query; name a passfile there"
    is_near = not host or host.startswith("/") or is_loopback(host)
    if not is_near and "service" not in options and options.get("sslmode") not in _PROTECTED:
        return "patients' data go there, so a server elsewhere needs sslmode=verify-full (or require) in the query"
    return ""


_PROTECTED: Final = frozenset(("require", "verify-ca", "verify-full"))
"""What libpq's `sslmode` must be for nobody else to read: https://www.postgresql.org/docs/current/libpq-ssl.html."""


class Authentication(Table):
    """How a site's server wants to be asked; secrets are in files of their own, never in this one.

    Attributes:
        type: `none`, a server that trusts its network; `smart-backend`, SMART Backend Services, a signed assertion
            for a token; `client-secret`, a client's id and secret for a token; `bearer`, a token that does not change.
        client_id: as it is registered with the server.
        key_file: the private key, PEM or JWK: RSA, or EC on P-384.
        key_id: its `kid`, if the key file does not say it.
        token_url: of the token endpoint; empty if the server's `.well-known/smart-configuration` names it.
        scope: what is asked for.
        secret_file: the client's secret, one line.
        token_file: the token, one line.
    """

    type: Literal["none", "smart-backend", "bearer", "client-secret"] = "none"
    client_id: str = ""
    key_file: BesideTheFile = None
    key_id: str = ""
    token_url: str = ""
    scope: tuple[str, ...] = Field(default=(), strict=False)
    secret_file: BesideTheFile = None
    token_file: BesideTheFile = None

    @field_validator("token_url")
    @classmethod
    def _is_protected(cls, url: str) -> str:
        if url and not is_protected(url):
            raise ValueError("must start with https://, for a secret is sent there")
        return url

    @field_validator("scope")
    @classmethod
    def _are_words(cls, scope: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_SCOPE.fullmatch(word) for word in scope):
            raise ValueError("must be a list of scopes without blanks, like 'system/Observation.crus'")
        return scope

    @model_validator(mode="after")
    def _has_its_keys(self) -> Self:
        needed, possible = _KEYS[self.type]
        given = {name for name in Authentication.model_fields if getattr(self, name)} - {"type"}
        if missing := sorted(needed - given):
            raise ValueError(f"type '{self.type}' needs {' and '.join(missing)}; add what is missing")
        if useless := sorted(given - needed - possible):
            raise ValueError(f"type '{self.type}' does not use {' and '.join(useless)}; remove it")
        return self


_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
"""A scope's characters: RFC 6749, section 3.3."""
_KEYS: Final[Mapping[str, tuple[set[str], set[str]]]] = {
    "none": (set(), set()),
    "smart-backend": ({"client_id", "key_file", "scope"}, {"key_id", "token_url"}),
    "client-secret": ({"client_id", "secret_file"}, {"scope", "token_url"}),
    "bearer": ({"token_file"}, set()),
}
"""By type, the keys that it needs and those that it may have."""


class Limits(Table):
    """What a site's server is asked to bear.

    Attributes:
        timeout_seconds: without a byte from the server; a write that takes longer is `unknown`.
        page_size: `_count` of a search.
        entries_per_transaction: most entries in one transaction Bundle.
        connections: how many requests it may get at once.
        writes_per_run: most resources written by one delivery; None is no limit.
        settle_seconds: how long after a request whose answer was lost the server may still be working on it; only
            then is the chart read to learn whether it took effect.
    """

    timeout_seconds: float = Field(default=30.0, gt=0, le=900, strict=False)
    page_size: int = Field(default=200, ge=1, le=10_000)
    entries_per_transaction: int = Field(default=200, ge=4, le=10_000)
    connections: int = Field(default=1, ge=1, le=32)
    writes_per_run: int | None = Field(default=None, ge=4)
    settle_seconds: float = Field(default=10.0, ge=0, le=900, strict=False)


class Safeguards(Table):
    """What must hold before something is written to a site's chart.

    Attributes:
        check_patient: whether the EHR's Patient is read before the first write to a patient, and must agree.
        stop_labels: codes of `meta.security` (`R`, `V`, ...) that stop a write, on the outcome or on the Patient.
        opt_out_file: text file with one Patient id a line; nothing is written to them. Lines with `#` are remarks.
        release: how many responses must be in the chart before others go without a person's release; `all`: none does.
    """

    check_patient: bool = True
    stop_labels: tuple[str, ...] = Field(default=(), strict=False)
    opt_out_file: BesideTheFile = None
    release: Literal["all"] | Annotated[int, Field(ge=0)] = 0

    def opted_out(self) -> frozenset[str]:
        """Read the opt-out list; empty without one.

        Raises:
            SettingsError: it cannot be read, which must not be taken for an empty list.
        """
        if self.opt_out_file is None:
            return frozenset()
        try:
            lines = self.opt_out_file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            problem = "the opt-out list cannot be read; nothing is written before it can"
            raise SettingsError(file=str(self.opt_out_file), problem=problem) from error
        return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


class Site(Table):
    """One EHR's FHIR server, as `sites/NAME.toml` describes it.

    Attributes:
        name: the file's name without `.toml`; part of every outcome's identifier, so it is chosen once.
        base_url: of the FHIR server, without a slash at its end.
        other_base_urls: under which the site's server is known too: what begins so in a reference is this server.
            Nothing is asked or sent there.
        authentication: how to ask.
        ca_file: certificate authorities (PEM) to trust instead of the usual ones, for this server and its token
            endpoint.
        write_profile: how outcomes are written: `generic` sends transactions, `single` one resource a request,
            `epic`, `oracle` and `athena` what those take, `document` a document for each response.
        profile: what the write profile needs to know of this site.
        safeguards: what must hold before something is written.
        limits: what the server is asked to bear.
    """

    not_in_files: ClassVar[frozenset[str]] = frozenset(("name",))
    name: str
    base_url: str
    other_base_urls: tuple[str, ...] = Field(default=(), strict=False)
    authentication: Authentication = Authentication()
    ca_file: CertificatesBesideTheFile = None
    write_profile: profiles.Kind = "generic"
    profile: profiles.ProfileKeys = Field(default=profiles.ProfileKeys(), validate_default=True)
    safeguards: Safeguards = Safeguards()
    limits: Limits = Limits()

    @field_validator("base_url")
    @classmethod
    def _is_plain_url(cls, url: str) -> str:
        return _plain_url(url)

    @field_validator("other_base_urls")
    @classmethod
    def _are_plain_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_plain_url, urls))

    @field_validator("authentication")
    @classmethod
    def _is_sent_protected(cls, authentication: Authentication, info: ValidationInfo) -> Authentication:
        if authentication.type != "none" and not is_protected(info.data.get("base_url", "https://was-refused")):
            raise ValueError("nobody else must read the token, so base_url must start with https://")
        return authentication

    @field_validator("profile")
    @classmethod
    def _has_what_is_read(cls, keys: profiles.ProfileKeys, info: ValidationInfo) -> profiles.ProfileKeys:
        kind: profiles.Kind | None = info.data.get("write_profile")
        if kind and (problem := profiles.problem(kind, keys)):
            raise ValueError(problem)
        return keys


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must hold no query, no fragment and no password")
    return url.rstrip("/")


class Settings(Table):
    """What an operator may change.

    Attributes:
        folder: where the settings file lies, and `sites/` beside it.
        file: the settings file's name for messages.
        state_folder: where the ledger and the warehouse lie.
        ledger: where else the ledger is.
        service: the HTTP service.
        line_limit_bytes: a longer line or resource is rejected unread.
    """

    folder: Path
    file: str = FILE_NAME
    state_folder: Path
    ledger: LedgerPlace = LedgerPlace()
    service: Service = Service()
    line_limit_bytes: int = Field(default=16 * 1024 * 1024, gt=0)

    def site(self, name: str) -> Site:
        """Read `sites/NAME.toml`.

        Raises:
            SettingsError: no such site (the message lists those there are), or its file is wrong.
        """
        path = self.folder / "sites" / f"{name}.toml"
        if not name or name.startswith(".") or not _NAME_CHARACTERS.issuperset(name):
            raise SettingsError(file="sites", problem="a site's name holds letters, digits, '-', '_' and '.' only")
        if not path.is_file():
            raise SettingsError(file=str(path), problem=f"no such site; {self._known_sites()}")
        table = _read(path)
        if "name" in table:
            raise SettingsError(file=str(path), problem="name: remove it; the file's name is the site's name")
        return _validated(Site, {**table, "name": name}, path)

    def site_names(self) -> list[str]:
        """List the sites that have a file, sorted."""
        return sorted(path.stem for path in (self.folder / "sites").glob("*.toml"))

    def _known_sites(self) -> str:
        names = self.site_names()
        return f"there are: {', '.join(names)}" if names else "write this file; it needs at least a base_url"


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings: `path`, else the file that OUTCOME_BRIDGE_SETTINGS names, else ./outcome-bridge.toml.

    A file that was named must exist; the last one may be missing, which gives the defaults. Variables like
    OUTCOME_BRIDGE_SERVICE__PORT go before what the file says (`integration.environment`).

    Raises:
        SettingsError: the file is missing, unreadable, not TOML, or holds an unknown key or a wrong value.
    """
    named = path or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    file = (named or Path(FILE_NAME)).absolute()
    table = _read(file) if named or file.is_file() else {}
    variables = environment.variables(Settings, environ, apart=(VARIABLE,))
    table = environment.merged(table, variables)
    for key in ("folder", "file"):
        if key in table:
            raise SettingsError(file=str(file), problem=f"unknown key '{key}'; remove it")
    state_folder = table.get("state_folder", "state")
    if not isinstance(state_folder, str):
        raise SettingsError(file=str(file), problem="state_folder: must be a path in quotes")
    own = {"folder": file.parent, "file": str(file), "state_folder": file.parent / Path(state_folder).expanduser()}
    return _validated(Settings, {**table, **own}, file, {".".join(one.keys): one.name for one in variables})


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if "\0" in text:  # UTF-16 without a byte order mark
            raise SettingsError(file=str(path), problem=_NOT_UTF_8)
        return tomllib.loads(text)
    except FileNotFoundError as error:
        raise SettingsError(file=str(path), problem="there is no such file; write it or name another one") from error
    except OSError as error:
        raise SettingsError(file=str(path), problem=f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SettingsError(file=str(path), problem=_NOT_UTF_8) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(file=str(path), problem=f"is not TOML: {error}") from error


_Model = TypeVar("_Model", bound=Table)


def _validated(
    model: type[_Model], table: dict[str, Any], path: Path, variables: Mapping[str, str] = types.MappingProxyType({})
) -> _Model:
    """Check a table; a key whose value is from a variable is called by the variable's name."""
    try:
        return model.model_validate(table, context={"folder": path.parent})
    except ValidationError as error:
        problems = [f"{variables.get(key, key)}: {problem}" for key, problem in faults(model, error)]
        raise SettingsError(file=str(path), problem="; ".join(problems)) from None
