"""The plain endpoints as OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1), for tools that know no FHIR."""

from __future__ import annotations

from typing import Any, Final

from server.service.inbound.submission import INPUT_TYPES, RESPONSE
from server.service.operation_outcome import FHIR_JSON

_ID: Final = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}
_ERRORS: Final = {
    "400": "The request is not understood.",
    "401": "Nobody said who they are.",
    "403": "The sender may not do this.",
    "404": "There is nothing.",
    "405": "This address does not take this method.",
    "406": "The answer is FHIR JSON and nothing else.",
    "409": "The latest version is another source's, and about another patient.",
    "412": "The version that was named is not the latest.",
    "413": "The body is too long, or a Bundle has too many entries.",
    "415": "The body is not FHIR JSON.",
    "422": "What was sent can never be used.",
    "429": "The sender sends too much.",
    "503": "Nothing was stored; it may be sent again.",
}
_RESOURCE_ERRORS: Final = ("400", "401", "403", "406", "409", "412", "413", "415", "422", "429", "503")
_READ_ERRORS: Final = ("400", "401", "403", "404", "406", "429", "503")
Part = dict[str, Any]


def description(software_version: str) -> Part:
    """Return the description.

    Args:
        software_version: of Outcome Bridge.
    """
    paths: Part = {
        "/fhir/metadata": {"get": _operation("capabilities", {"200": "The CapabilityStatement."}, ("406",))},
        "/fhir": {"post": _sending("bundle", {"200": "A response Bundle.", "202": "It is taken later."}, "Bundle")},
        "/fhir/$process-message": {
            "post": _sending("processMessage", {"200": "A message.", "202": "It is taken later."}, "Bundle")
        },
        f"/fhir/{RESPONSE}/$extract": {
            "post": _sending("extract", {"200": "A transaction Bundle; nothing is stored."}, RESPONSE, "Parameters")
        },
        "/fhir/subscription/{site}": {"parameters": [_parameter("site", {"type": "string"})], "post": _hint()},
        "/fhir/_async/{name}": {
            "parameters": [_parameter("name", {"type": "string"})],
            "get": _operation("status", {"200": "The result.", "202": "It waits."}, _READ_ERRORS),
        },
    }
    for resource_type in sorted(INPUT_TYPES):
        paths |= _resource(resource_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Outcome Bridge, for integration engines", "version": software_version},
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _resource(resource_type: str) -> Part:
    stored = {"200": "A further version is stored.", "201": "It is stored.", "202": "It is taken later."}
    read = {"200": "What was sent.", "304": "It is still the version that was named."}
    key = _header("Idempotency-Key", {"type": "string", "pattern": "^[!-~]{1,255}$"})
    update = _sending(f"update{resource_type}", stored, resource_type)
    update["parameters"] = [*update["parameters"], key, _header("If-Match", {"type": "string"})]
    create = _sending(f"create{resource_type}", stored, resource_type)
    create["parameters"] = [*create["parameters"], key]
    one = _operation(f"read{resource_type}", read, _READ_ERRORS)
    version = _operation(f"vread{resource_type}", read, _READ_ERRORS)
    base = f"/fhir/{resource_type}"
    return {
        base: {"post": create},
        f"{base}/{{id}}": {"parameters": [_parameter("id", _ID)], "get": one, "put": update},
        f"{base}/{{id}}/_history/{{version}}": {
            "parameters": [_parameter("id", _ID), _parameter("version", {"type": "integer", "minimum": 0})],
            "get": version,
        },
    }


def _sending(name: str, answers: dict[str, str], *resource_types: str) -> Part:
    schemas = [{"$ref": f"#/components/schemas/{one}"} for one in resource_types]
    operation = _operation(name, answers, _RESOURCE_ERRORS)
    operation["requestBody"] = {
        "required": True,
        "content": {FHIR_JSON: {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}},
    }
    operation["parameters"] = [_header("X-Request-Id", {"type": "string"}), _header("Prefer", {"type": "string"})]
    return operation


def _hint() -> Part:
    operation = _operation("hint", {"200": "The site will be asked."}, ("401", "403", "404", "429"))
    operation["requestBody"] = {"required": False, "content": {FHIR_JSON: {"schema": {}}}}
    return operation


def _operation(name: str, answers: dict[str, str], errors: tuple[str, ...]) -> Part:
    told = {status: {"description": text, "content": {FHIR_JSON: {"schema": {}}}} for status, text in answers.items()}
    outcome = {FHIR_JSON: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}}
    refused = {status: {"description": _ERRORS[status], "content": outcome} for status in errors}
    return {"operationId": name, "responses": told | refused}


def _parameter(name: str, schema: Part) -> Part:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _header(name: str, schema: Part) -> Part:
    return {"name": name, "in": "header", "required": False, "schema": schema}


def _schemas() -> Part:
    """Return the shapes, as far as they are ours to say; FHIR says the rest."""
    named = {one: _resource_schema(one) for one in (*INPUT_TYPES, "Bundle", "Parameters")}
    issue = {
        "type": "object",
        "required": ["severity", "code"],
        "properties": {"severity": {"enum": ["fatal", "error", "warning", "information"]}, "code": {"type": "string"}},
    }
    named["OperationOutcome"] = _resource_schema("OperationOutcome")
    named["OperationOutcome"]["required"].append("issue")
    named["OperationOutcome"]["properties"]["issue"] = {"type": "array", "minItems": 1, "items": issue}
    return named


def _resource_schema(resource_type: str) -> Part:
    return {
        "type": "object",
        "required": ["resourceType"],
        "properties": {"resourceType": {"const": resource_type}, "id": _ID},
    }
