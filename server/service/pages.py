"""Pages: the templates, the files that they need, and what goes wrong said to a person.

Every page extends `base.html`: landmarks, a skip link, one style sheet, no script and nothing from another host. What a
person may read in a page is text to Jinja2, which escapes it.
"""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import flask
from flask import Blueprint, Flask, Response, g, request
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException, NotFound

from integration.errors import DeliveryError
from server.service.operation_outcome import RefusedError

_HEADINGS: Final = {
    400: "This request cannot be understood",
    401: "Please sign in",
    403: "This is not open to you",
    404: "There is nothing here",
    405: "This address takes no such request",
    410: "This is over",
    429: "Too many requests",
    502: "The EHR did not answer as it should",
    503: "This is not available now",
    504: "The EHR did not answer in time",
}
_WENT_WRONG: Final = "Something went wrong"
_PROBLEMS: Final = {
    404: "No page is at this address.",
    405: "This address is to be opened, not sent to, or the other way round.",
}
_UNFORESEEN: Final = "An unforeseen fault. Nothing was changed."
_TRY_AGAIN: Final = "Try again in a moment."
_YEAR: Final = "public, max-age=31536000, immutable"
_HOUR: Final = "public, max-age=3600"


@dataclass(frozen=True, kw_only=True, slots=True)
class StaticFile:
    """A file that pages need: its bytes, its media type, and the beginning of their SHA-256."""

    body: bytes
    media_type: str
    digest: str


class PageError(Exception):
    """Ends the handling of a request with a page that says why.

    Args:
        status: HTTP status.
        problem: what is wrong, in a sentence without a patient's values.
        advice: what the reader can do, empty if nothing.
        heading: of the page; empty: the status's own.
        link: label and address of where to go instead.
    """

    def __init__(
        self, status: int, problem: str, *, advice: str = "", heading: str = "", link: tuple[str, str] | None = None
    ) -> None:
        self.status, self.problem, self.advice, self.link = status, problem, advice, link
        self.heading = heading or _HEADINGS.get(status, _WENT_WRONG)
        super().__init__(problem)


def render(template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a template as an answer that nobody keeps: pages show patients."""
    headers = {"Cache-Control": "no-store"}
    text = _environment().get_template(template).render(**values)
    return Response(text, status, headers, content_type="text/html; charset=utf-8")


def static_url(name: str) -> str:
    """Return the address of a file of `static/`; it changes with the file's content.

    Raises:
        KeyError: there is no such file.
    """
    return f"{request.root_path}/static/{name}?v={_files()[name].digest}"


def blueprint() -> Blueprint:
    """Build the route of the files that pages need."""
    files = Blueprint("static", __name__)

    @files.get("/static/<name>")
    def file(name: str) -> Response:
        found = _files().get(name)
        if found is None:
            raise NotFound
        answer = Response(found.body, content_type=found.media_type)
        answer.set_etag(found.digest)
        answer.headers["Cache-Control"] = _YEAR if request.args.get("v") == found.digest else _HOUR
        answer.make_conditional(request)
        return answer

    return files


def answer_with_pages(place: Blueprint | Flask) -> None:
    """Answer what goes wrong under these routes with pages instead of OperationOutcomes."""
    place.register_error_handler(PageError, of_page_error)
    place.register_error_handler(RefusedError, of_refused)
    place.register_error_handler(HTTPException, of_http)
    place.register_error_handler(DBAPIError, of_storage)
    place.register_error_handler(DeliveryError, of_ehr)


def error_page(
    status: int,
    problem: str,
    *,
    advice: str = "",
    heading: str = "",
    headers: dict[str, str] | None = None,
    link: tuple[str, str] | None = None,
) -> Response:
    """Return a page that says what is wrong."""
    answer = render(
        "error.html",
        status=status,
        code=status,
        heading=heading or _HEADINGS.get(status, _WENT_WRONG),
        problem=problem,
        advice=advice,
        link=link,
        request_id=g.get("request_id", ""),
    )
    answer.headers.update(headers or {})
    return answer


def of_page_error(error: PageError) -> Response:
    """Return the page of a PageError."""
    return error_page(error.status, error.problem, advice=error.advice, heading=error.heading, link=error.link)


def of_refused(error: RefusedError) -> Response:
    """Return a refusal as a page."""
    refusal = error.refusal
    problem = refusal.problem[:1].upper() + refusal.problem[1:].rstrip(".") + "."
    return error_page(refusal.status, problem, headers=dict(refusal.headers))


def of_http(error: HTTPException) -> Response:
    """Return an error of HTTP as a page; a redirection stays one."""
    if error.response is not None:
        return flask.make_response(error.response)
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return error_page(
        status, _PROBLEMS.get(status, _UNFORESEEN if status >= 500 else error.name + "."), headers=headers
    )


def of_storage(_: DBAPIError) -> Response:
    """Return the page that says that the store does not answer."""
    problem = "The service cannot reach what it has stored."
    return error_page(503, problem, advice=_TRY_AGAIN, headers={"Retry-After": "5"})


def of_ehr(_: DeliveryError) -> Response:
    """Return the page that says that the EHR does not answer."""
    return error_page(503, "The EHR’s server cannot be asked now.", advice=_TRY_AGAIN, headers={"Retry-After": "5"})


def is_for_a_person() -> bool:
    """Whether the request, which no route took, is a person's: asks for HTML, and not below an interface's address."""
    if request.path.startswith(("/fhir", "/cds-services", "/metrics", "/healthz", "/readyz")):
        return False
    return request.accept_mimetypes.best_match(["application/fhir+json", "text/html"]) == "text/html"


def _csrf_token() -> str:
    """Return the token of this session's forms, which the gate asks for in the hidden field `csrf_token`."""
    token: str = g.csrf_token()
    return token


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("server.service"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = static_url
    environment.globals["csrf_token"] = _csrf_token
    return environment


@cache
def _files() -> dict[str, StaticFile]:
    folder = resources.files("server.service") / "static"
    return {one.name: _static_file(one.name, one.read_bytes()) for one in folder.iterdir() if one.is_file()}


def _static_file(name: str, body: bytes) -> StaticFile:
    kind = mimetypes.types_map.get("." + name.rpartition(".")[2], "application/octet-stream")
    is_text = kind.startswith("text/") or kind.endswith("javascript")
    media_type = f"{kind}; charset=utf-8" if is_text else kind
    return StaticFile(body=body, media_type=media_type, digest=hashlib.sha256(body).hexdigest()[:16])
