"""What can go wrong at a simulated EHR, when it does, and the catalogue of named faults.

The answers are those that the FHIR specification's HTTP page (https://hl7.org/fhir/R4/http.html) and the vendors'
documents leave possible, and what networks do.
"""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

Kind = Literal[
    "status",  # another answer: `status`, `retry_after`, `details`; with `effect` after the work was done
    "accepted",  # 202: the work is done now, after `after` further requests, or never
    "reset",  # the connection is reset (RST); with `effect` after the work was done
    "delay",  # the answer comes `seconds` later
    "truncated",  # half of the body, then the connection ends
    "not-json",  # a body that is no JSON under a 2xx
    "empty-body",  # the right status and headers, no body
    "location",  # a Location in another form: `form`
    "no-etag",
    "index-lag",  # what this request creates is found by search only after `searches` searches or `seconds`
    "page-drift",  # the page begins `shift` entries off
    "foreign-edit",  # before the request somebody else changes the resource (or `reference`), by `change`
    "foreign-duplicate",  # after the request somebody else files a copy of what it created
    "foreign-delete",  # before the request somebody else deletes the resource (or `reference`)
    "patient-merged",  # before the request its patient is merged into another
]
Where = Literal["any", "write", "create", "update", "bundle", "read", "search", "page"]

ANSWERS: Final = frozenset(("status", "accepted", "reset"))
"""Kinds of which at most one befalls a request."""
_MEETS: Final[Mapping[str, frozenset[str]]] = {
    "write": frozenset(("create", "update", "delete", "bundle")),
    "read": frozenset(("read", "vread", "history")),
    "search": frozenset(("search", "page")),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault: what happens, and which requests it may befall.

    Attributes:
        name: in the log.
        kind: what happens.
        on: which interactions: `write` is create, update, delete and bundle; `create` is also a bundle; `page` is a
            search's second or later page.
        status: HTTP status of kind status.
        effect: whether the request took effect before the bad answer.
        retry_after: seconds in Retry-After, None for no such header.
        retry_after_form: as seconds or as an HTTP date.
        code: OperationOutcome.issue.code; empty for an answer without a body.
        details: the vendor's code in issue.details.
        expression: the element in issue.expression.
        form: of the Location: absolute, relative, none, or either with `-history`.
        when: for accepted, when the effect comes.
        after: for accepted and later, after how many further requests.
        seconds: for delay and index-lag.
        searches: for index-lag, how many searches do not find it.
        shift: for page-drift; -1 repeats the last entry of the page before, 1 leaves one out.
        reference: for the foreign kinds and patient-merged, of what; empty for what the request is about.
        change: for foreign-edit, elements to put in; empty to add 1 to the value.
        times: how often, None for always.
        probability: that it befalls a request that it may befall.
        nth: only from the n-th request on that it may befall.
        method: HTTP method, empty for any.
        resource_type: of the URL, empty for any.
        where: a further condition on the request, in the test's own process.
    """

    name: str
    kind: Kind
    on: Where = "any"
    status: int = 0
    effect: bool = False
    retry_after: int | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"
    code: str = ""
    details: str = ""
    expression: str = ""
    form: str = ""
    when: Literal["now", "later", "never"] = "now"
    after: int = 0
    seconds: float = 0.0
    searches: int = 0
    shift: int = 0
    reference: str = ""
    change: Mapping[str, Any] = field(default_factory=dict)
    times: int | None = 1
    probability: float = 1.0
    nth: int = 1
    method: str = ""
    resource_type: str = ""
    where: Callable[[Any], bool] | None = None

    def meets(self, interaction: str, method: str, resource_type: str) -> bool:
        """Tell whether it may befall such a request."""
        if self.method not in ("", method) or self.resource_type not in ("", resource_type):
            return False
        creates = self.on == "create" and interaction in ("create", "bundle")
        return self.on in ("any", interaction) or creates or interaction in _MEETS.get(self.on, ())


@dataclass(kw_only=True, slots=True)
class Armed:
    """A fault that waits.

    Attributes:
        fault: which.
        met: how many requests it might have befallen.
        fired: how many it did.
    """

    fault: Fault
    met: int = 0
    fired: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether it has happened as often as it should."""
        return self.fault.times is not None and self.fired >= self.fault.times


class Plan:
    """The armed faults. Draws come from one seeded generator, in the order of the requests.

    Args:
        seed: of the draws.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"faults {seed}")
        self._lock = threading.Lock()
        self.armed: list[Armed] = []

    def arm(self, fault: Fault) -> Armed:
        """Let a fault wait for its requests."""
        armed = Armed(fault=fault)
        with self._lock:
            self.armed.append(armed)
        return armed

    def clear(self) -> None:
        """Let nothing wait any more."""
        with self._lock:
            self.armed = []

    def befalling(self, request: Any) -> list[Fault]:
        """Return the faults that befall a request, in the order of arming, at most one of them an answer.

        Args:
            request: has `interaction`, `method` and `resource_type`.
        """
        found: list[Fault] = []
        with self._lock:
            for armed in self.armed:
                fault = armed.fault
                if armed.is_spent or not fault.meets(request.interaction, request.method, request.resource_type):
                    continue
                if fault.where is not None and not fault.where(request):
                    continue
                armed.met += 1
                is_second = fault.kind in ANSWERS and any(one.kind in ANSWERS for one in found)
                if armed.met < fault.nth or is_second or self._random.random() >= fault.probability:
                    continue
                armed.fired += 1
                found.append(fault)
        return found


def _status(name: str, status: int, code: str, **more: Any) -> Fault:
    return Fault(name=name, kind="status", status=status, code=code, **more)


def _after_effect(fault: Fault) -> Fault:
    return replace(fault, name=f"{fault.name}-after-effect", effect=True, on="write")


_BEFORE: Final = (
    _status("500", 500, "exception"),
    _status("502", 502, ""),
    _status("503", 503, "transient"),
    _status("504", 504, ""),
    _status("503-retry-after", 503, "transient", retry_after=1),
    _status("503-retry-after-date", 503, "transient", retry_after=1, retry_after_form="date"),
    _status("429", 429, "throttled", retry_after=1),
    _status("429-date", 429, "throttled", retry_after=1, retry_after_form="date"),
    _status("408", 408, "timeout", on="write"),
)

CATALOGUE: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for fault in (
        *_BEFORE,
        *(_after_effect(fault) for fault in _BEFORE if fault.status >= 500),
        Fault(name="reset-before", kind="reset"),
        Fault(name="reset-after", kind="reset", effect=True),
        _status("401", 401, "login"),
        _status("403", 403, "forbidden", on="write"),
        _status("read-403", 403, "", on="read"),
        _status("search-403", 403, "", on="search"),
        _status("404-subject", 404, "not-found", on="write", expression="Observation.subject"),
        _status("410-subject", 410, "deleted", on="write", expression="Observation.subject"),
        _status("404-encounter", 404, "not-found", on="write", expression="Observation.encounter"),
        _status("409", 409, "conflict", on="write"),
        _status("412", 412, "conflict", on="write"),
        _status("400", 400, "invalid", on="write", expression="Observation.value"),
        _status("422", 422, "invariant", on="write", expression="Observation.value"),
        _status("duplicate-59189", 400, "processing", on="create", details="59189", expression="code/instant"),
        _status("duplicate-59141", 400, "processing", on="create", details="59141"),
        _status("duplicate-409", 409, "duplicate", on="create"),
        Fault(name="accepted-now", kind="accepted", on="write"),
        Fault(name="accepted-later", kind="accepted", on="write", when="later", after=3),
        Fault(name="accepted-never", kind="accepted", on="write", when="never"),
        Fault(name="delay", kind="delay", seconds=0.05),
        Fault(name="truncated", kind="truncated"),
        Fault(name="not-json", kind="not-json"),
        Fault(name="empty-body", kind="empty-body", on="write"),
        Fault(name="no-location", kind="location", form="none", on="write"),
        Fault(name="location-relative", kind="location", form="relative", on="write"),
        Fault(name="location-relative-history", kind="location", form="relative-history", on="write"),
        Fault(name="location-absolute", kind="location", form="absolute", on="write"),
        Fault(name="location-absolute-history", kind="location", form="absolute-history", on="write"),
        Fault(name="no-etag", kind="no-etag"),
        Fault(name="index-lag", kind="index-lag", on="create", searches=2),
        Fault(name="page-repeats", kind="page-drift", on="page", shift=-1),
        Fault(name="page-skips", kind="page-drift", on="page", shift=1),
        Fault(name="foreign-edit", kind="foreign-edit"),
        Fault(name="foreign-delete", kind="foreign-delete", on="read"),
        Fault(name="foreign-duplicate", kind="foreign-duplicate", on="create"),
        Fault(name="patient-merged", kind="patient-merged", on="write"),
    )
}
"""The faults by name, ready to arm; any attribute may be changed on arming."""


def named(fault: str | Fault, **changes: Any) -> Fault:
    """Return a fault of the catalogue, or the given one, with changes.

    Raises:
        ValueError: the catalogue has no such fault; the message lists it.
    """
    if isinstance(fault, str):
        if fault not in CATALOGUE:
            raise ValueError(f"no fault {fault!r}; there are {', '.join(CATALOGUE)}")
        fault = CATALOGUE[fault]
    return replace(fault, **changes)
