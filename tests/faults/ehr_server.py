"""The FHIR interactions of a simulated EHR, without anything going wrong: pure of sockets, given rules and a chart."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from ehr_chart import CLIENT, FOREIGN, Chart, Resource, Version
from ehr_messages import FHIR_JSON, Answer, Incoming, json_answer, outcome, refusal
from ehr_rules import RefusedError, Rules, attachment, is_valid
from ehr_search import BadParameterError, Term, matches, ordered, terms

_ORDER: Final = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}


@dataclass(kw_only=True, slots=True)
class Lag:
    """How long a new resource stays hidden from searches.

    Attributes:
        searches: how many do not find it.
        until: time.monotonic() before which none does.
    """

    searches: int = 0
    until: float = 0.0


class FhirServer:
    """Answers FHIR requests.

    Args:
        rules: what is taken, kept and answered; may be replaced at any time.
        chart: where it is kept.

    Attributes:
        base_url: set when the address is known.
        hidden: by reference, what searches do not find yet.
    """

    def __init__(self, rules: Rules, chart: Chart) -> None:
        self.rules = rules
        self.chart = chart
        self.base_url = ""
        self.hidden: dict[str, Lag] = {}

    def respond(self, request: Incoming, *, shift: int = 0) -> Answer:
        """Answer a request; `shift` moves a search's page by so many entries."""
        with self.chart.locked():
            try:
                return self._respond(request, shift)
            except RefusedError as refused:
                return refusal(refused)
            except BadParameterError as error:
                return refusal(RefusedError(400, "invalid", expression=error.name))

    def _respond(self, request: Incoming, shift: int) -> Answer:
        interaction = request.interaction
        if interaction == "capabilities":
            return json_answer(200, self.rules.capabilities(self.base_url))
        if interaction == "bundle":
            return self._bundle(request)
        offered = "search" if interaction == "page" else interaction
        if not self.rules.allows(offered, request.resource_type):
            raise self.rules.refusal(interaction)
        if not request.is_write and not self.rules.may_read and request.resource_type not in ("Patient", "Encounter"):
            raise RefusedError(403, is_empty=True)
        if offered == "search":
            return self._search(request, shift)
        handlers = {
            "create": self._create,
            "update": self._update,
            "delete": self._delete,
            "read": self._read,
            "vread": self._read,
            "history": self._history,
        }
        return handlers[interaction](request)

    # --- writes

    def _create(self, request: Incoming) -> Answer:
        sent = self._body(request)
        query = request.headers.get("if-none-exist")
        if query is not None and self.rules.honours_if_none_exist:
            existing = self._the_one(request.resource_type, query)
            if existing is not None:
                return self._written(200, existing, request, is_new=False)
        return self._store_new(sent, request)

    def _store_new(self, sent: Resource, request: Incoming) -> Answer:
        self.rules.check(sent, None, self.chart)
        kept = self._with_binary(self.rules.kept(sent, None, self.chart))
        new_id = request.new_id or self.rules.new_id(sent, self.chart)
        version = self.chart.create(kept, by=CLIENT, sent=sent, new_id=new_id)
        if self.rules.index_lag:
            self.hidden[version.reference] = Lag(searches=self.rules.index_lag)
        return self._written(201, version, request, is_new=True)

    def _update(self, request: Incoming) -> Answer:
        sent = self._body(request)
        reference = request.reference
        if not reference:
            existing = self._conditional_target(request)
            if existing is None:
                return self._store_new(sent, request)
            reference = existing.reference
        elif sent.get("id", request.resource_id) != request.resource_id:
            raise RefusedError(400, "invalid", expression=f"{request.resource_type}.id")
        if_match = request.headers.get("if-match")
        self.rules.check_if_match(if_match)
        held = self._held(reference)
        if if_match is not None and if_match.removeprefix("W/").strip('"') != str(held.number):
            raise RefusedError(412, "conflict")
        self.rules.check(sent, held.resource, self.chart)
        kept = self._with_binary(self.rules.kept(sent, held.resource, self.chart))
        version = self.chart.update(reference, kept, by=CLIENT, sent=sent)
        return self._written(200, version, request, is_new=True)

    def _conditional_target(self, request: Incoming) -> Version | None:
        if not self.rules.honours_if_none_exist:
            raise RefusedError(405, "not-supported")
        return self._the_one(request.resource_type, urlencode(request.parameters))

    def _delete(self, request: Incoming) -> Answer:
        last = self.chart.last(request.reference)
        if last is None or last.resource is None:
            return Answer(status=204)
        return Answer(status=204, wrote=[self.chart.delete(request.reference, by=CLIENT)])

    def _body(self, request: Incoming) -> Resource:
        sent = request.resource()
        if sent["resourceType"] != request.resource_type:
            raise RefusedError(400, "invalid", expression="resourceType")
        if self.rules.validates and not is_valid(sent):
            raise RefusedError(self.rules.invalid_status, "structure", expression=request.resource_type)
        return sent

    def _the_one(self, resource_type: str, query: str) -> Version | None:
        """Return the only match of a condition, None if nothing matches; several are refused with 412."""
        if "://" in query.partition("=")[0] or query.startswith("?"):  # only the query part, without the mark
            raise RefusedError(400, "invalid")
        wanted, unknown = terms(parse_qsl(query), self.rules.parameters())
        if unknown or not wanted:
            raise RefusedError(400, "invalid")
        found = [one for one in self.chart.versions(resource_type) if one.resource and matches(one.resource, wanted)]
        if len(found) > 1:
            raise RefusedError(412, "multiple-matches")
        return found[0] if found else None

    def _with_binary(self, resource: Resource) -> Resource:
        held = attachment(resource) if resource["resourceType"] == "DocumentReference" else {}
        if self.rules.documents_by_url and "data" in held:
            content = {"resourceType": "Binary", "contentType": held.get("contentType", ""), "data": held.pop("data")}
            held["url"] = self.chart.create(content, by=FOREIGN).reference
        return resource

    def _written(self, status: int, version: Version, request: Incoming, *, is_new: bool) -> Answer:
        prefer = request.headers.get("prefer", "")
        has_body = "return=representation" in prefer or (self.rules.write_body and "return=minimal" not in prefer)
        body = json.dumps(version.resource).encode() if has_body else b""
        headers = {"Content-Type": FHIR_JSON if has_body else self.rules.write_content_type}
        if request.method == "POST" and self.rules.location != "none":
            form = self.rules.location + ("-history" if self.rules.location_history else "")
            headers["Location"] = self.place(version, form)
        if self.rules.etag:
            headers["ETag"] = f'W/"{version.number}"'
        wrote = [version] if is_new else []
        return Answer(status=status, body=body, headers={k: v for k, v in headers.items() if v}, wrote=wrote)

    def place(self, version: Version, form: str) -> str:
        """Return where a version is, in the form that a Location may have."""
        base = f"{self.base_url}/" if form.startswith("absolute") else ""
        return f"{base}{version.reference}" + (f"/_history/{version.number}" if form.endswith("-history") else "")

    # --- reads

    def _held(self, reference: str) -> Version:
        last = self.chart.last(reference)
        if last is None:
            raise RefusedError(404, "not-found")
        if last.resource is None:
            raise RefusedError(410, "deleted")
        return last

    def _read(self, request: Incoming) -> Answer:
        version = self._version(request) if request.version else self._held(request.reference)
        if request.resource_type == "Binary" and FHIR_JSON not in request.headers.get("accept", ""):
            held = version.resource or {}
            return Answer(
                status=200, body=base64.b64decode(held["data"]), headers={"Content-Type": held["contentType"]}
            )
        answer = json_answer(200, version.resource)
        if self.rules.etag:
            answer.headers["ETag"] = f'W/"{version.number}"'
        return answer

    def _version(self, request: Incoming) -> Version:
        versions = self.chart.history(request.reference) if self.chart.last(request.reference) else []
        found = next((one for one in versions if str(one.number) == request.version), None)
        if found is None or found.resource is None:
            raise RefusedError(404 if found is None else 410, "not-found")
        return found

    def _history(self, request: Incoming) -> Answer:
        if self.chart.last(request.reference) is None:
            raise RefusedError(404, "not-found")
        entries = [
            {
                "fullUrl": f"{self.base_url}/{version.reference}",
                **({"resource": version.resource} if version.resource else {}),
                "request": {"method": version.method, "url": version.reference},
                "response": {"status": "200", "etag": f'W/"{version.number}"'},
            }
            for version in reversed(self.chart.history(request.reference))
        ]
        return json_answer(200, {"resourceType": "Bundle", "type": "history", "total": len(entries), "entry": entries})

    def _search(self, request: Incoming, shift: int) -> Answer:
        wanted, unknown = terms(request.parameters, self.rules.parameters())
        handling = "handling=strict" in request.headers.get("prefer", "")
        is_strict = handling if self.rules.strict_search is None else self.rules.strict_search
        if unknown and is_strict:
            raise RefusedError(400, "not-supported", expression=unknown[0])
        self.rules.check_search(request.resource_type, frozenset(term.name for term in wanted))
        found = [] if unknown and self.rules.unknown_parameter == "none" else self._found(request, wanted)
        control = dict(request.parameters)
        count, offset = _number(control, "_count", self.rules.page_size), _number(control, "_offset", 0)
        start = max(0, offset + shift)
        page = ordered(found, control.get("_sort", ""))[start : start + count] if count else []
        entries = [self._entry(resource, "match") for resource in page] + self._included(request, page)
        if unknown and self.rules.warns:
            warning = outcome(
                "warning", "not-supported", "59109", unknown[0]
            )  # Epic: not supported for this interaction
            entries.append({"resource": warning, "search": {"mode": "outcome"}})
        links = [{"relation": "self", "url": self._link(request, unknown, offset)}]
        if count and start + count < len(found):
            links.append({"relation": "next", "url": self._link(request, unknown, start + count)})
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "link": links, "entry": entries}
        return json_answer(200, bundle)

    def _found(self, request: Incoming, wanted: list[Term]) -> list[Resource]:
        hidden = {reference for reference in list(self.hidden) if self._is_hidden(reference, request)}
        return [
            version.resource
            for version in self.chart.versions(request.resource_type)
            if version.resource is not None and version.reference not in hidden and matches(version.resource, wanted)
        ]

    def _is_hidden(self, reference: str, request: Incoming) -> bool:
        """Tell whether a search does not find a resource yet; one more such search is counted."""
        if not reference.startswith(f"{request.resource_type}/"):
            return False
        lag = self.hidden[reference]
        if lag.searches <= 0 and time.monotonic() >= lag.until:
            del self.hidden[reference]
            return False
        lag.searches -= request.interaction == "search"
        return True

    def _included(self, request: Incoming, page: list[Resource]) -> list[dict[str, Any]]:
        asked = [value for name, value in request.parameters if name == "_revinclude"]
        if "Provenance:target" not in asked:
            return []
        found = {f"{one['resourceType']}/{one['id']}" for one in page}
        return [
            self._entry(one, "include")
            for one in self.chart.current("Provenance")
            if found & {str(target.get("reference", "")) for target in one.get("target", [])}
        ]

    def _entry(self, resource: Resource, mode: str) -> dict[str, Any]:
        url = f"{self.base_url}/{resource['resourceType']}/{resource['id']}"
        return {"fullUrl": url, "resource": resource, "search": {"mode": mode}}

    def _link(self, request: Incoming, unknown: list[str], offset: int) -> str:
        kept = [(name, value) for name, value in request.parameters if name != "_offset" and name not in unknown]
        query = urlencode(kept + ([("_offset", str(offset))] if offset else []), quote_via=quote)
        return f"{self.base_url}/{request.resource_type}" + (f"?{query}" if query else "")

    # --- bundles

    def _bundle(self, request: Incoming) -> Answer:
        if not self.rules.bundles:
            raise self.rules.refusal("bundle")
        bundle = request.resource()
        kind, entries = bundle.get("type"), bundle.get("entry", [])
        if bundle["resourceType"] != "Bundle" or kind not in ("transaction", "batch"):
            raise RefusedError(400, "invalid", expression="Bundle.type")
        if not all({"method", "url"} <= set(entry.get("request", {})) for entry in entries):
            raise RefusedError(400, "invalid", expression="Bundle.entry.request")
        if kind == "transaction":
            with self.chart.all_or_nothing():
                answers = self._transaction(entries, request.number)
        else:
            answers = [self.respond(_inner(entry, request.number)) for entry in entries]
        body = {
            "resourceType": "Bundle",
            "type": f"{kind}-response",
            "entry": [self._entry_answer(answer) for answer in answers],
        }
        answer = json_answer(200, body)
        answer.wrote = [version for one in answers for version in one.wrote]
        return answer

    def _transaction(self, entries: list[Resource], number: int) -> list[Answer]:
        """Do every entry or, by an exception, none (https://hl7.org/fhir/R4/http.html#trules)."""
        ids: dict[str, str] = {}
        references: dict[str, str] = {}
        for entry in entries:
            url, asked = entry.get("fullUrl", ""), entry["request"]
            if asked["method"] == "POST" and url:
                query = asked.get("ifNoneExist") if self.rules.honours_if_none_exist else None
                existing = self._the_one(asked["url"], query) if query else None
                ids[url] = self.rules.new_id(entry["resource"], self.chart)
                references[url] = existing.reference if existing else f"{asked['url']}/{ids[url]}"
        resolved = [{**entry, "resource": self._resolved(entry.get("resource"), references)} for entry in entries]
        answers: dict[int, Answer] = {}
        for place in sorted(range(len(entries)), key=lambda one: _ORDER.get(entries[one]["request"]["method"], 3)):
            inner = _inner(resolved[place], number)
            inner.new_id = ids.get(entries[place].get("fullUrl", ""), "")
            answers[place] = self._respond(inner, 0)
        return [answers[place] for place in range(len(entries))]

    def _resolved(self, value: Any, references: Mapping[str, str]) -> Any:
        """Return a copy with `urn:uuid:` and conditional references replaced by `Type/id`."""
        if isinstance(value, list):
            return [self._resolved(one, references) for one in value]
        if not isinstance(value, dict):
            return value
        copied = {name: self._resolved(one, references) for name, one in value.items()}
        target = copied.get("reference")
        if isinstance(target, str):
            if "?" in target:
                one = self._the_one(*target.split("?", 1))
                if one is None:
                    raise RefusedError(412, "not-found")
                target = one.reference
            copied["reference"] = references.get(target, target)
        return copied

    def _entry_answer(self, answer: Answer) -> dict[str, Any]:
        response = {"status": str(answer.status)}
        response |= {name.lower(): answer.headers[name] for name in ("Location", "ETag") if name in answer.headers}
        if answer.body and answer.status >= 400:
            return {"response": {**response, "outcome": json.loads(answer.body)}}
        read = {"resource": json.loads(answer.body)} if answer.body and not answer.wrote else {}
        return {**read, "response": response}


def _inner(entry: Resource, number: int) -> Incoming:
    asked = entry["request"]
    path, _, query = asked["url"].partition("?")
    headers = {"if-none-exist": asked.get("ifNoneExist"), "if-match": asked.get("ifMatch")}
    return Incoming(
        number=number,
        method=asked["method"],
        path=path,
        parameters=parse_qsl(query),
        headers={name: value for name, value in headers.items() if value is not None},
        body=json.dumps(entry["resource"]).encode() if entry.get("resource") is not None else b"",
    )


def _number(control: Mapping[str, str], name: str, default: int) -> int:
    text = control.get(name, str(default))
    if not text.isdecimal():
        raise BadParameterError(name)
    return int(text)
