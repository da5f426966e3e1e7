"""How the service runs: `[service.process]` and `[service.audit]` of the settings."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from integration.addresses import problem_of_base
from integration.toml_tables import BesideTheFile, CertificatesBesideTheFile, Table


def _base(url: str) -> str:
    if url and (problem := problem_of_base(url)):
        raise ValueError(problem)
    return url.rstrip("/")


class Process(Table):
    """The processes of the service, and what they write to the log.

    Attributes:
        workers: processes that answer; each plans and delivers, too.
        threads: requests that each works on at once; those that a client is still sending are not counted.
        request_seconds: by when a client must have sent all of a request, head and body each.
        stop_seconds: by when requests and the worker's step are finished after the service was told to stop.
        log_level: the least that is logged.
        log_form: `json` lines, `text` for a person, `auto`: text on a terminal, else JSON.
        least_free_mb: with less room (10^6 bytes) on the disk of `state_folder`, `/readyz` says no.
    """

    workers: int = Field(default=1, ge=1, le=64)
    threads: int = Field(default=32, ge=1, le=1024)
    request_seconds: float = Field(default=30.0, gt=0, strict=False)
    stop_seconds: float = Field(default=30.0, gt=0, strict=False)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_form: Literal["auto", "json", "text"] = "auto"
    least_free_mb: int = Field(default=200, ge=0)


class Audit(Table):
    """Where AuditEvents go.

    Attributes:
        file: they are appended to it, one a line; empty: `audit.ndjson` in the state folder.
        file_mb: it is set aside as `FILE.1` when it is longer (10^6 bytes), `FILE.1` as `FILE.2` and so on.
        files: how many of those are kept; with a `url` those that were not sent are kept in any case.
        url: base URL of an audit repository, which each is posted to (IHE ITI-20, RESTful); empty: none.
        token_file: bearer token for it, one line, read for every batch.
        ca_file: certificate authorities (PEM) to trust instead of the usual ones, for it.
    """

    file: BesideTheFile = None
    file_mb: int = Field(default=100, ge=1)
    files: int = Field(default=10, ge=1, le=10_000)
    url: Annotated[str, AfterValidator(_base)] = ""
    token_file: BesideTheFile = None
    ca_file: CertificatesBesideTheFile = None

    @model_validator(mode="after")
    def _has_its_keys(self) -> Self:
        if not self.url and (self.token_file or self.ca_file):
            raise ValueError("token_file and ca_file need url; add it or remove them")
        return self
