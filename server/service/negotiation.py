"""Which content types a request may send and ask for (https://hl7.org/fhir/R4/http.html#mime-type)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from flask import Request
from werkzeug.http import parse_options_header

from server.service.operation_outcome import RefusedError

SENT_TYPES: Final = ("application/fhir+json", "application/json")
_ENCODINGS: Final = frozenset(("identity", "gzip", "x-gzip"))
_ACCEPTED_RANGES: Final = frozenset((*SENT_TYPES, "application/*", "*/*"))
_ACCEPTED_FORMATS: Final = frozenset((*SENT_TYPES, "json"))


def require_json_body(request: Request, fhir_version: str) -> None:
    """See that the body is FHIR JSON of our version.

    Args:
        request: the request.
        fhir_version: major and minor (`4.0`).

    Raises:
        RefusedError: 415.
    """
    media_type, parameters = parse_options_header(request.headers.get("Content-Type"))
    if media_type.lower() not in SENT_TYPES:
        raise RefusedError(415, f"the body must be {' or '.join(SENT_TYPES)}: set Content-Type")
    if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise RefusedError(415, "the body must be UTF-8")
    if not _is_version(parameters, fhir_version):
        raise RefusedError(415, f"this service speaks FHIR {fhir_version}")
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in _ENCODINGS:
        raise RefusedError(415, "the body may be compressed with gzip, once, and in no other way")


def require_acceptable(request: Request, fhir_version: str) -> None:
    """See that the client takes FHIR JSON of our version as an answer; `_format` goes before Accept.

    Raises:
        RefusedError: 406.
    """
    if asked := request.args.get("_format"):
        acceptable = parse_options_header(asked.replace(" ", "+"))[0].lower() in _ACCEPTED_FORMATS
    else:
        acceptable = not request.headers.get("Accept") or _takes_json(request.accept_mimetypes, fhir_version)
    if not acceptable:
        raise RefusedError(406, f"the answer is {SENT_TYPES[0]}, FHIR {fhir_version}: set Accept")


def _takes_json(accepted: Iterable[tuple[str, float]], fhir_version: str) -> bool:
    for value, quality in accepted:
        media_range, parameters = parse_options_header(value)
        if quality > 0 and media_range.lower() in _ACCEPTED_RANGES and _is_version(parameters, fhir_version):
            return True
    return False


def _is_version(parameters: Mapping[str, str], fhir_version: str) -> bool:
    return parameters.get("fhirversion", parameters.get("fhirVersion", fhir_version)) == fhir_version
