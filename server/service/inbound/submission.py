"""The body of a request as one resource with an identity; knows no storage and no web framework."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from integration.outcomes import Resource
from server.service.operation_outcome import RefusedError

RESOURCE_TYPE: Final = "QuestionnaireResponse"
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_decoder = msgspec.json.Decoder(float_hook=Decimal)  # a decimal's digits are kept as they were sent
_encoder = msgspec.json.Encoder(decimal_format="number")
_canonical_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """One QuestionnaireResponse as it was sent.

    Attributes:
        response_id: its logical id; empty if it was sent without one.
        content_hash: SHA-256 (hex) of all its content, whatever the order of keys and the white space; two requests
            with one hash are one request and its repetition. Its `meta` belongs to it, so that a source that goes
            back to an earlier content in a new version says something new.
        body: as sent.
    """

    response_id: str
    content_hash: str
    body: bytes

    def with_id(self, new_id: Callable[[], str]) -> tuple[str, bytes]:
        """Return its id and its body, with a new id in both if it has none."""
        if self.response_id:
            return self.response_id, self.body
        response_id = new_id()
        with _faults_refused():
            return response_id, _encoder.encode({**_decoder.decode(self.body), "id": response_id})


def read(body: bytes, *, url_id: str | None = None) -> Submission:
    """Read the body of a create (no id in the URL) or of an update.

    Raises:
        RefusedError: 400 if it is no JSON object or its id does not fit; 422 if it is of another type.
    """
    resource = _json_object(body)
    if resource.get("resourceType") != RESOURCE_TYPE:
        raise RefusedError(422, f"only {RESOURCE_TYPE} is taken here", expression="resourceType")
    response_id = resource.get("id", "")
    if "id" in resource and not (isinstance(response_id, str) and _ID.fullmatch(response_id)):
        raise RefusedError(400, "an id has 1 to 64 of A-Z, a-z, 0-9, '-' and '.'", expression=f"{RESOURCE_TYPE}.id")
    if url_id is not None and url_id != response_id:
        raise RefusedError(400, "the id in the body must be the one in the URL", expression=f"{RESOURCE_TYPE}.id")
    with _faults_refused():
        content_hash = hashlib.sha256(_canonical_encoder.encode(resource)).hexdigest()
    return Submission(response_id=response_id, content_hash=content_hash, body=body)


def _json_object(body: bytes) -> Resource:
    with _faults_refused():
        resource: Any = _decoder.decode(body)
    if not isinstance(resource, dict):
        raise RefusedError(400, "the body is not a FHIR resource: not a JSON object")
    return resource


@contextmanager
def _faults_refused() -> Iterator[None]:
    """Refuse what cannot be read or written as JSON; one that can just be read may be nested too deep to be written."""
    try:
        yield
    except RecursionError as error:
        raise RefusedError(400, "the body is nested too deep") from error
    except InvalidOperation as error:
        raise RefusedError(400, "the body holds a number that is too large") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(400, "the body is not JSON") from error
