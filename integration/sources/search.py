"""Every resource of a type on a FHIR server, by search and its pages (https://hl7.org/fhir/R4/search.html)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

import msgspec

from integration.errors import ServerRefusedError
from integration.sources.client import Answer, FhirClient

logger = logging.getLogger(__name__)


class _Link(msgspec.Struct):
    relation: str = ""
    url: str = ""


class _Search(msgspec.Struct):
    mode: str = ""


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()
    search: _Search | None = None


class _Bundle(msgspec.Struct):
    resourceType: str  # noqa: N815 - FHIR's spelling
    entry: list[_Entry] = []
    link: list[_Link] = []
    total: int | None = None


class _Issue(msgspec.Struct):
    severity: str = ""
    code: str = ""


class _Head(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 - FHIR's spelling
    issue: list[_Issue] = []


_read_bundle = msgspec.json.Decoder(_Bundle).decode
_read_head = msgspec.json.Decoder(_Head).decode


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page of a search.

    Attributes:
        resources: raw JSON of each resource, as sent.
        warnings: `severity code` of each issue that the server put beside them.
        self_url: the search as the server understood it; empty if it does not say.
        next_url: empty on the last page.
        total: how many matches the server says there are in all; None if it does not say.
    """

    resources: list[bytes]
    warnings: list[str]
    self_url: str
    next_url: str
    total: int | None = None


def pages(client: FhirClient, resource_type: str, parameters: Mapping[str, str]) -> Iterator[Page]:
    """Ask for the first page and follow each `next` as it is written, over empty pages too.

    Raises:
        ServerUnreachableError: no answer.
        ServerRefusedError: an answer that says no, that is no Bundle, or whose `next` goes in a circle or to
            another host.
    """
    where = f"{client.base_url}/{resource_type}"
    page = _page(client.search(resource_type, parameters), where)
    seen: set[str] = set()
    yield page
    while page.next_url:
        if page.next_url in seen:
            raise ServerRefusedError(url=where, status=200, problem="the pages of the search go in a circle")
        seen.add(page.next_url)
        page = _page(client.get(urljoin(f"{client.base_url}/", page.next_url)), where)
        yield page


def resources(
    client: FhirClient,
    resource_type: str,
    *,
    page_size: int,
    parameters: Mapping[str, str] | None = None,
    on_page: Callable[[Page], None] = lambda _: None,
) -> Iterator[bytes]:
    """Yield the raw JSON of every resource of a type, in the server's order.

    Pages may drift while others write, so a resource may come twice; the warehouse keeps one. What the server warns
    of is logged, because a warning inside a success may say that part of the question was ignored.

    Args:
        client: the server.
        resource_type: `Patient`, ...
        page_size: `_count`; the server may send fewer.
        parameters: further search parameters.
        on_page: is called with each page before its resources are yielded; for progress.
    """
    for page in pages(client, resource_type, {"_count": str(page_size), **(parameters or {})}):
        for warning in page.warnings:
            logger.warning("search: %s", warning, extra={"action": "search_warning", "resource_type": resource_type})
        on_page(page)
        yield from page.resources


def _page(answer: Answer, where: str) -> Page:
    try:
        bundle = _read_bundle(answer.body)
        heads = [_read_head(entry.resource) for entry in bundle.entry if len(entry.resource)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServerRefusedError(url=where, status=answer.status, problem="the answer is not a Bundle") from error
    if bundle.resourceType != "Bundle":
        raise ServerRefusedError(url=where, status=answer.status, problem="the answer is not a Bundle")
    found = [entry for entry in bundle.entry if len(entry.resource)]
    links = {link.relation: link.url for link in bundle.link}
    return Page(
        resources=[bytes(e.resource) for e, head in zip(found, heads, strict=True) if not _is_outcome(e, head)],
        warnings=[
            f"{issue.severity} {issue.code}"
            for e, head in zip(found, heads, strict=True) if _is_outcome(e, head) for issue in head.issue
        ],
        self_url=links.get("self", ""),
        next_url=links.get("next", ""),
        total=bundle.total,
    )  # fmt: skip


def _is_outcome(entry: _Entry, head: _Head) -> bool:
    return head.resourceType == "OperationOutcome" or (entry.search is not None and entry.search.mode == "outcome")
