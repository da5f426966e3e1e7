"""The FHIR interface for integration engines: what is sent to it, as HTTP."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from typing import Final

from flask import Blueprint, Response, g, request
from msgspec import json
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter
from werkzeug.sansio.utils import get_current_url

from integration.service_settings import Interaction
from integration.sources.resource_types import RESOURCE_TYPES
from server.service import negotiation
from server.service.access import caller
from server.service.inbound import body, etags, extract, openapi
from server.service.inbound.capability import capability_statement
from server.service.inbound.deposits import Answer
from server.service.inbound.sent import Kind, Sent
from server.service.inbound.submission import INPUT_TYPES, RESPONSE
from server.service.operation_outcome import FHIR_JSON, RefusedError, answer
from server.service.operations import audited
from server.service.operations.audit_of_arrivals import patient_of
from server.service.services import Services

PREFIX: Final = "/fhir"
RETRY_AFTER_SECONDS: Final = 1
_RETURN: Final = re.compile(
    r"(?:^|[,;\s])return\s*=\s*\"?(minimal|representation|OperationOutcome)\"?(?=$|[,;\s])", re.IGNORECASE
)
_ASYNC: Final = re.compile(r"(^|[,;\s])respond-async($|[,;\s])", re.IGNORECASE)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_OTHER_TYPES: Final = sorted(RESOURCE_TYPES - set(INPUT_TYPES) - {"Bundle"})


class _Name(BaseConverter):
    """A path's part that names a resource; one that begins with `$` names an operation."""

    regex = r"[^/$][^/]*"


def blueprint(services: Services) -> Blueprint:
    """Build the routes below /fhir."""
    api = Blueprint("fhir", __name__, url_prefix=PREFIX)
    negotiated_without = {"fhir.hint", "fhir.hint_resource"}

    api.record_once(lambda state: state.app.url_map.converters.update(name=_Name))

    @api.before_request
    def _require_acceptable() -> None:
        if request.endpoint not in negotiated_without and request.method != "OPTIONS":
            negotiation.require_acceptable(request, services.fhir_release)

    @api.after_request
    def _pack(response: Response) -> Response:
        if response.calculate_content_length() == 0:
            response.headers.pop("Content-Type", None)  # which would else be Flask's own, text/html
        return body.pack(request, response)

    _add_taking(api, services)
    _add_reading(api, services)
    _add_operations(api, services)
    _add_hints(api, services)
    _add_metadata(api, services)
    return api


def _add_taking(api: Blueprint, services: Services) -> None:
    @api.post("/<any({}):resource_type>".format(", ".join((*INPUT_TYPES, *_OTHER_TYPES))))
    def create(resource_type: str) -> Response:
        if "If-None-Exist" in request.headers:
            raise RefusedError(400, "conditional create is not supported: a repetition is known by its content")
        return _taken(services, "resource", resource_type)

    @api.put("/<any({}):resource_type>/<name:resource_id>".format(", ".join((*INPUT_TYPES, *_OTHER_TYPES))))
    def update(resource_type: str, resource_id: str) -> Response:
        return _taken(services, "resource", resource_type, resource_id)

    @api.post("", strict_slashes=False)
    def bundle() -> Response:
        return _taken(services, "bundle")

    @api.post("/$process-message")
    def process_message() -> Response:
        return _taken(services, "message")


def _taken(services: Services, kind: Kind, resource_type: str = "", url_id: str | None = None) -> Response:
    """Take what a request brings, now or later, and answer it."""
    who = _who(url_id, resource_type) if kind == "resource" else caller.require_source()
    is_later = _ASYNC.search(request.headers.get("Prefer", "")) is not None
    form = _form() if kind == "resource" else ""
    sent = Sent(
        kind=kind,
        caller=who.name,
        is_poison_kept=who.poison == "quarantine",
        request_id=g.request_id,
        base_url=_base_url(services),
        resource_type=resource_type,
        url_id=url_id,
        if_match=request.headers.get("If-Match", ""),
        if_none_match=request.headers.get("If-None-Match", "") if request.method == "PUT" else "",
        idempotency_key=_idempotency_key(),
    )
    content = _body(services)
    desk = services.inbound.desk
    taken = desk.take_later(sent, content, _allow) if is_later else desk.take(sent, content, _allow)
    if not taken.is_replay:
        services.wake()
    return _response(taken.answer if is_later else _formed(services, taken.answer, form))


def _form() -> str:
    """Return what the answer shall hold (https://hl7.org/fhir/R4/http.html#ops), in lower case; empty: unsaid."""
    said = _RETURN.search(request.headers.get("Prefer", ""))
    return said[1].lower() if said else ""


def _formed(services: Services, given: Answer, form: str) -> Answer:
    """Return the answer to a create or update, first or repeated, in the form that is asked for now.

    That something is set aside or not used is said in any case.
    """
    if form not in ("minimal", "representation") or "Location" not in given.headers or _is_warning(given.body):
        return given
    if form == "minimal":
        return replace(given, body=b"")
    resource_type, resource_id, _, version = given.headers["Location"].rsplit("/", 4)[1:]
    found = services.inbound.inbox.version(resource_type, resource_id, int(version))
    return replace(given, body=found.body) if found else given


def _is_warning(body: bytes) -> bool:
    return bool(body) and json.decode(body)["issue"][0]["severity"] != "information"


def _who(url_id: str | None, resource_type: str) -> caller.Caller:
    interaction: Interaction = "create" if url_id is None else "update"
    return caller.require(interaction, resource_type)


def _allow(interaction: Interaction, resource_type: str) -> None:
    caller.require(interaction, resource_type)


def _add_reading(api: Blueprint, services: Services) -> None:
    types = ", ".join(INPUT_TYPES)

    @api.get(f"/<any({types}):resource_type>/<name:resource_id>")
    def read(resource_type: str, resource_id: str) -> Response:
        return _version(services, resource_type, resource_id, None)

    @api.get(f"/<any({types}):resource_type>/<resource_id>/_history/<int:version>")
    def vread(resource_type: str, resource_id: str, version: int) -> Response:
        return _version(services, resource_type, resource_id, version)

    @api.get("/_async/<name>")
    def status(name: str) -> Response:
        who = caller.require_source()
        found = services.inbound.inbox.deferred.status(name, who.name)
        if found is None:
            raise NotFound
        if not found.is_open:
            return Response(found.result, 200, content_type=FHIR_JSON)
        progress = f"waits behind {found.ahead} others" if found.ahead else "is taken next"
        return Response(status=202, headers={"Retry-After": str(RETRY_AFTER_SECONDS), "X-Progress": progress})


def _version(services: Services, resource_type: str, resource_id: str, version: int | None) -> Response:
    """Answer with what was sent: nothing in it is ours but an id that it lacked."""
    caller.require("read", resource_type)
    found = None
    if version is None or version < 2**31:
        found = services.inbound.inbox.version(resource_type, resource_id, version)
    if found is None:
        raise NotFound
    whose = patient_of(resource_type, resource_id, found.body)
    audited.note("read", resource_type, resource_id, patient_id=whose)
    headers = {"ETag": f'W/"{found.version}"'}
    if etags.is_named(request.headers.get("If-None-Match", ""), found.version):
        return Response(status=304, headers=headers)
    return Response(found.body, 200, headers, content_type=FHIR_JSON)


def _add_operations(api: Blueprint, services: Services) -> None:
    @api.post(f"/{RESPONSE}/$extract")
    def extract_outcome() -> Response:
        caller.require("read", RESPONSE)
        inbound = services.inbound
        return answer(extract.extracted(_body(services), inbound.mapping, inbound.origin()), 200)


def _add_hints(api: Blueprint, services: Services) -> None:
    def _hinted(site: str) -> Response:
        caller.require("update", RESPONSE)
        if site != services.inbound.inbox.site:
            raise NotFound
        services.inbound.hint()
        services.wake()
        return Response(status=200)

    @api.post("/subscription/<site>")
    def hint(site: str) -> Response:
        return _hinted(site)

    @api.put(f"/subscription/<site>/{RESPONSE}/<resource_id>")
    def hint_resource(site: str, resource_id: str) -> Response:
        del resource_id  # what a notification says is not believed; the site is asked
        return _hinted(site)


def _add_metadata(api: Blueprint, services: Services) -> None:
    started = services.now()

    @functools.lru_cache(maxsize=16)
    def statement(base_url: str) -> bytes:
        told = capability_statement(
            software_version=services.software_version,
            fhir_version=services.fhir_version,
            url=base_url,
            started=started,
        )
        return answer(told, 200).get_data()

    def described() -> Response:
        told = json.encode(openapi.description(services.software_version))
        return Response(told, 200, content_type="application/json")

    api.add_url_rule("/openapi.json", "described", described)
    api.record_once(lambda state: state.app.add_url_rule("/openapi.json", "openapi", described))

    @api.get("/metadata")
    def metadata() -> Response:
        return Response(statement(_base_url(services)), 200, content_type=FHIR_JSON)


def _body(services: Services) -> bytes:
    return body.of(request, fhir_release=services.fhir_release, limit_bytes=services.body_limit_bytes)


def _idempotency_key() -> str:
    key = request.headers.get("Idempotency-Key", "")
    if "Idempotency-Key" in request.headers and not _KEY.fullmatch(key):
        raise RefusedError(400, "an Idempotency-Key has 1 to 255 visible ASCII characters")
    return key


def _response(given: Answer) -> Response:
    content_type = FHIR_JSON if given.body else None
    return Response(given.body, given.status, dict(given.headers), content_type=content_type)


def _base_url(services: Services) -> str:
    return f"{services.public_url or _root_url(request.scheme, request.host, request.root_path)}{PREFIX}"


@functools.lru_cache(maxsize=16)
def _root_url(scheme: str, host: str, root_path: str) -> str:
    return get_current_url(scheme, host, root_path).rstrip("/")
