"""The work list: what of a site's outcomes only a person can settle, and what that person is to do."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from integration.errors import ConfigurationError
from server.ledger import Entry, Ledger
from server.ledger.planning import (
    BY_HAND,
    CHANGED_BY_HAND,
    FOLLOWS,
    NOT_AMENDED,
    NOT_RETRACTED,
    OUTCOMES,
    REFERS_TO_HAND_MADE,
    REFERS_TO_REFUSED,
    WITHDRAWN_BY_HAND,
    Kind,
)
from server.ledger.states import State
from server.sites import flowsheets
from server.sites.profile import WriteProfile

STATES: Final[frozenset[State]] = frozenset(("manual", "refused", "duplicate", "altered", "missing"))
"""What a person sees to."""
_BATCH: Final = 250
_DIFFERS: Final = "; the chart differs"

_OF_MANUAL: Final = (
    (_DIFFERS, "What was done by hand is not what the response says: correct it in the chart, then reconcile."),
    (WITHDRAWN_BY_HAND, "It was entered by hand: mark that as entered in error in the chart, then --done."),
    (BY_HAND, "It was entered by hand: correct that in the chart to what the response says now, then --done."),
    (NOT_AMENDED, "Correct it in the chart to what the response says now, then --done."),
    (NOT_RETRACTED, "Mark it as entered in error in the chart, then --done."),
    (flowsheets.NO_ENCOUNTER, "Enter the score in the chart by hand, in the right encounter, then --done."),
    (flowsheets.NO_TIME, "Enter the score in the chart by hand, at the right time, then --done."),
    (
        "in the chart of another patient",
        "Mark it there as entered in error, and enter the outcome in the right chart by hand; then --done.",
    ),
    ("merged", "Let the source follow the merge of the patients, run again, then --again."),
    ("label", "Ask who set the label; if it may be written after all, --again."),
    ("Patient", "Compare the EHR's Patient with the source's; once they agree, --again."),
    ("patient", "Find out why the EHR does not know the patient; once it does, --again."),
    ("gone from the chart", "Find out who removed it; if it shall be there, --again writes it anew."),
    ("changed", "Look at what was changed in the chart; --again writes over it, --done if it is right now."),
    ("search", "Look whether it is in the chart; if it is not, enter it by hand; then --done."),
    ("", "Look at it in the chart and mend the cause; then --again, or --done if it was done by hand."),
)
_BY_HAND_TOO: Final = "What it would refer to was done by hand: do likewise, or leave it out; then --done."
_OF_DEVICE: Final = (
    "Mend what the server refused, then --again: every outcome names it, and is refused until it is taken."
)
_OF_REFUSED: Final = (
    (REFERS_TO_REFUSED, _BY_HAND_TOO),
    (REFERS_TO_HAND_MADE, _BY_HAND_TOO),
    ("", "Mend what the server refused, then --again; or enter it by hand, then --done."),
)
_BY_REASON: Final = {"manual": _OF_MANUAL, "refused": _OF_REFUSED}
"""What to do, by the first text that the reason holds."""
_BY_STATE: Final[dict[str, str]] = {
    "altered": "Somebody changed it in the chart: correct it there, then reconcile.",
    "missing": "It was taken and is gone: find out who removed it; reconcile --repair writes it again.",
    "duplicate": "It is in the chart more than once: take the surplus ones out there, then reconcile.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One resource that a person must see to; ids only.

    Attributes:
        key: of the resource, by which it is settled.
        kind: what it says.
        resource_type: FHIR type.
        response_id: whose outcome it is; empty for a Device.
        patient_id: whose it is; empty for a Device.
        ehr_id: the server's id; empty if it is not known.
        state: `manual`, `refused`, `duplicate`, `altered` or `missing`.
        reason: codes and paths, never a value.
        advice: what to do, in one sentence.
    """

    key: str
    kind: Kind
    resource_type: str
    response_id: str
    patient_id: str
    ehr_id: str
    state: State
    reason: str
    advice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkList:
    """What is left to persons at one site.

    Attributes:
        items: to be seen to, in order of response.
        said_done: resources that a person said to have done by hand and nobody could read back; the books count them
            as `manual`.
    """

    items: tuple[Item, ...]
    said_done: int


def work_list(ledger: Ledger, site: str, profile: WriteProfile) -> WorkList:
    """Read what is left to persons; what a document stands for is not."""
    entries = list(_entries(ledger, site))
    left = [one for one in entries if not (goes_along(one) or is_said_done(one))]
    with_work = {one.response_id for one in left}
    is_explained = with_work | ({one.response_id for one in entries} if "" in with_work else set())  # by a Device
    orphans = [one for one in entries if _is_orphan(one) and one.response_id not in is_explained]
    items = sorted((_item(one, profile) for one in (*left, *orphans)), key=lambda one: (one.response_id, one.key))
    return WorkList(items=tuple(items), said_done=sum(map(is_said_done, entries)))


def is_said_done(entry: Entry) -> bool:
    """Whether a person said that it is in the chart, and nothing contradicts that."""
    is_open = entry.reason in (CHANGED_BY_HAND, WITHDRAWN_BY_HAND) or _DIFFERS in entry.reason
    return entry.state == "manual" and BY_HAND in entry.reason and not is_open


def whole_key(ledger: Ledger, site: str, beginning: str) -> str:
    """Return the key that begins so.

    Raises:
        ConfigurationError: none does, or more than one.
    """
    found = ledger.keys_beginning(site, beginning, limit=2)
    if not found:
        raise ConfigurationError(f"the ledger has nothing of key {beginning} at {site}; see outcome-bridge work")
    if len(found) > 1 and beginning not in found:
        raise ConfigurationError(f"more than one key at {site} begins with {beginning}; give more of it")
    return beginning if beginning in found else found[0]


def check_keys(ledger: Ledger, site: str, given: Collection[str]) -> list[str]:
    """Return the whole keys of outcomes left to a person, whose keys begin so, each once.

    Raises:
        ConfigurationError: some are not, or a beginning is that of none, or of several.
    """
    keys = list(dict.fromkeys(whole_key(ledger, site, one) for one in given))
    known = {entry.key for entry in ledger.entries(site, keys) if entry.state in STATES}
    if wrong := sorted(set(keys) - known):
        raise ConfigurationError(f"not on the work list of {site}: {', '.join(wrong)}; see outcome-bridge work")
    return keys


def _entries(ledger: Ledger, site: str) -> Iterator[Entry]:
    after = ""
    while entries := ledger.in_state(site, STATES, after=after, limit=_BATCH):
        yield from entries
        after = entries[-1].key


def goes_along(entry: Entry) -> bool:
    """Whether something else settles it: a document that stands for it, or what it refers to."""
    stands_elsewhere = entry.kind in OUTCOMES and entry.observations == 0
    return entry.state == "refused" and (stands_elsewhere or entry.reason in FOLLOWS)


def _is_orphan(entry: Entry) -> bool:
    """Whether the books count it as refused for something that it refers to; nobody asks for it once that is done."""
    return entry.reason in FOLLOWS and entry.state == "refused" and entry.observations > 0


def _item(entry: Entry, profile: WriteProfile) -> Item:
    return Item(
        key=entry.key,
        kind=entry.kind,
        resource_type=entry.resource_type,
        response_id=entry.response_id,
        patient_id=entry.patient_id,
        ehr_id=entry.ehr_id,
        state=entry.state,
        reason=entry.reason,
        advice=_advice(entry, can_update=profile.abilities.updates),
    )


_REFERS_ELSEWHERE: Final = "It refers to an outcome that was written anew: reconcile --repair writes it again."


def _advice(entry: Entry, *, can_update: bool) -> str:
    if entry.state == "altered" and can_update and _differs_in_references(entry.reason):
        return _REFERS_ELSEWHERE
    if entry.state == "altered" and can_update:
        return (
            "Somebody changed it in the chart: reconcile --repair writes it again, or correct it there and reconcile."
        )
    if entry.kind == "device" and entry.state == "refused":
        return _OF_DEVICE
    if entry.state in ("manual", "refused"):
        return next(advice for text, advice in _BY_REASON[entry.state] if text in entry.reason)
    return _BY_STATE[entry.state]


def _differs_in_references(reason: str) -> bool:
    """Whether nothing differs but what it refers to of ours; nobody at the EHR has a reason to change that."""
    return all(re.fullmatch(r"(hasMember|target)\[\d+\]\.reference", path) for path in reason.split(", "))
