"""Read one patient's scores, responses and procedures from the EHR, for one page and in bounded time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from integration.errors import DeliveryError, OutcomeBridgeError, ServerRefusedError
from integration.outcomes import CODE_SYSTEM
from integration.sources import search
from integration.sources.client import FhirClient
from server.service.chart.found import CODES, EhrReading

logger = logging.getLogger(__name__)

SECONDS: Final = 4.0
"""How long a page waits for the EHR in all."""
_RESPONSE: Final = "QuestionnaireResponse"
OTHERS: Final = (_RESPONSE, "Procedure")
_MOST_PAGES: Final = 10
_IDS_A_SEARCH: Final = 40
_NOT_UNDERSTOOD: Final = 400
_NOT_ALLOWED: Final = "the login does not allow it"
_KNOWN: Final = "known"
_CODED: Final = "coded"

Connect = Callable[[], FhirClient]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What to read.

    Attributes:
        patient_id: whose.
        ehr_ids: the EHR's ids of the Observations that the ledger knows.
        response_ids: ids of the responses that the ledger knows, for a server that finds none by patient.
        granted: types that may be asked for; None if nobody said.
    """

    patient_id: str
    ehr_ids: tuple[str, ...]
    response_ids: tuple[str, ...] = ()
    granted: frozenset[str] | None = None

    def may_ask(self, resource_type: str) -> bool:
        """Whether the login lets this type be read, as far as it says."""
        return self.granted is None or bool({resource_type, "*"} & self.granted)


def read(connect: Connect, question: Question, *, now: Callable[[], datetime], seconds: float = SECONDS) -> EhrReading:
    """Read the EHR; what cannot be read in time is said, never raised.

    Args:
        connect: makes a connection, one a search; each is closed here.
        question: what to read.
        now: the clock; aware.
        seconds: after which what has not come is left out.
    """
    if not question.may_ask("Observation"):
        return EhrReading(problem="the login does not allow to read Observations")
    pool = futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="chart-ehr")
    tasks = {name: pool.submit(_all, connect, wanted) for name, wanted in _searches(question).items()}
    futures.wait(tasks.values(), timeout=seconds)
    pool.shutdown(wait=False, cancel_futures=True)
    came = {name: task.result() for name, task in tasks.items() if task.done() and not task.cancelled()}
    return _reading(question, came, now())


Search = tuple[str, dict[str, str]]
Came = tuple[bytes, ...] | str
"""What a search found, or why it found nothing."""


def _searches(question: Question) -> dict[str, list[list[Search]]]:
    """Return the searches by name: of each the ways to ask, the next for a server that does not know the one before."""
    codes = ",".join(f"{CODE_SYSTEM}|{code}" for code in CODES)
    of_patient = {"patient": question.patient_id, "_count": "100"}
    of_subject = {"subject": f"Patient/{question.patient_id}", "_count": "100"}
    wanted = {
        _KNOWN: [_by_id("Observation", question.ehr_ids)],
        _CODED: [[("Observation", {**asked, "code": codes})] for asked in (of_patient, of_subject)],
    }
    wanted |= {one: [[(one, of_patient)], [(one, of_subject)]] for one in OTHERS if question.may_ask(one)}
    if _RESPONSE in wanted and question.response_ids:
        wanted[_RESPONSE].append(_by_id(_RESPONSE, question.response_ids))
    return wanted


def _by_id(resource_type: str, ids: Iterable[str]) -> list[Search]:
    ordered = sorted(ids)
    return [
        (resource_type, {"_id": ",".join(ordered[start : start + _IDS_A_SEARCH]), "_count": str(_IDS_A_SEARCH)})
        for start in range(0, len(ordered), _IDS_A_SEARCH)
    ]


def _all(connect: Connect, ways: Sequence[Sequence[Search]]) -> Came:
    """Return everything that searches find, asked in the first way that the server knows; a fault in words."""
    came: Came = ""
    for searches in ways:
        came, is_unknown = _asked(connect, searches)
        if not is_unknown:
            break
    return came


def _asked(connect: Connect, searches: Iterable[Search]) -> tuple[Came, bool]:
    """Return what searches find or their first fault, and whether the server did not know what it was asked."""
    try:
        with connect() as client:
            found = [body for kind, parameters in searches for body in _pages(client, kind, parameters)]
    except ServerRefusedError as error:
        _log(error)
        return _refusal(error.status), error.status == _NOT_UNDERSTOOD
    except DeliveryError as error:
        _log(error)
        return "it did not answer", False
    except OutcomeBridgeError as error:
        _log(error)
        return "this service cannot log in there", False
    return tuple(found), False


def _refusal(status: int) -> str:
    if status == _NOT_UNDERSTOOD:
        return f"it does not know this search: status {status}"
    return f"it answered with status {status}" if status > _NOT_UNDERSTOOD else "its answer cannot be used"


def _pages(client: FhirClient, resource_type: str, parameters: Mapping[str, str]) -> Iterable[bytes]:
    for number, page in enumerate(search.pages(client, resource_type, parameters), start=1):
        yield from page.resources
        if number == _MOST_PAGES:
            return


def _reading(question: Question, came: Mapping[str, Came], at: datetime) -> EhrReading:
    """Make one reading of the answers: without the known Observations, and some others, it is none."""
    late = "it did not answer in time"
    known, coded = came.get(_KNOWN, late), came.get(_CODED, late)
    needed = known if question.ehr_ids or isinstance(known, str) else coded
    if isinstance(needed, str):
        return EhrReading(problem=needed, others=_others(came))
    reasons = {"scores of others": coded}
    reasons |= {f"{one}s": came.get(one, late if question.may_ask(one) else _NOT_ALLOWED) for one in OTHERS}
    failed = [f"{what} ({reason})" for what, reason in reasons.items() if isinstance(reason, str)]
    return EhrReading(
        read_at=at,
        problem=f"not read: {', '.join(failed)}" if failed else "",
        observations=(*_found(known), *_found(coded)),
        others=_others(came),
    )


def _others(came: Mapping[str, Came]) -> dict[str, tuple[bytes, ...]]:
    return {one: found for one in OTHERS if isinstance(found := came.get(one), tuple)}


def _found(came: Came) -> Collection[bytes]:
    return came if isinstance(came, tuple) else ()


def _log(error: OutcomeBridgeError) -> None:
    logger.warning("the EHR was not read for a chart", extra={"action": "chart_ehr", "error": type(error).__name__})
