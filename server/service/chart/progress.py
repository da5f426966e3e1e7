"""Where an outcome is on its way to the EHR, in plain words (pure)."""

from __future__ import annotations

from typing import Final

from server.delivery.safeguards import LABELLED, NOT_RELEASED, OPTED_OUT
from server.ledger.reading import Held
from server.ledger.states import State
from server.service.chart.model import Said, Tone
from server.service.chart.wording import ledger_day, moment

NOT_PLANNED: Final = Said(words="not planned for the EHR")
_WITHHELD: Final = {
    NOT_RELEASED: "withheld: waits for a person’s release",
    OPTED_OUT: "withheld: the patient opted out",
    LABELLED: "withheld: a confidentiality label stops it",
}
_SENTENCES: Final[dict[State, tuple[str, Tone]]] = {
    "planned": ("waiting to be sent", "plain"),
    "sending": ("on its way since {when}", "plain"),
    "unknown": ("sent, but no answer came; the EHR is read before anything is sent again", "warn"),
    "accepted": ("taken by the EHR on {when}, not yet read back", "plain"),
    "already_there": ("found in the EHR on {when}, not yet compared", "plain"),
    "held": ("taken by the EHR, not yet filed there when last read on {when}", "warn"),
    "verified": ("verified on {when}", "good"),
    "retracted": ("taken back on {when}", "good"),
    "waiting": ("waiting: the EHR asked for a pause", "plain"),
    "refused": ("refused by the EHR on {when}; needs a person", "alarm"),
    "manual": ("needs a person: {reason}", "alarm"),
    "missing": ("not found in the EHR when read back on {when}; needs a person", "alarm"),
    "altered": ("found changed in the EHR on {when} ({reason}); needs a person", "alarm"),
    "duplicate": ("found more than once in the EHR on {when}; needs a person", "alarm"),
    "unreadable": ("in the EHR, but not to be read back on {when}; needs a person", "alarm"),
}


def said(held: Held) -> Said:
    """Say where an outcome is; a reason of the ledger holds codes and paths, never a value."""
    entry = held.entry
    if entry.state in ("planned", "waiting") and (withheld := _WITHHELD.get(entry.reason)):
        return Said(words=withheld, tone="warn")
    sentence, tone = _SENTENCES[entry.state]
    words = sentence.format(when=ledger_day(held.changed_at), reason=entry.reason or "see the work list")
    if entry.state == "waiting" and held.due:
        words += f"; sent again after {moment(held.due)}"
    if entry.is_withdrawn and entry.state != "retracted":
        return Said(words=f"to be taken back; {words}", tone="warn" if tone == "good" else tone)
    return Said(words=words, tone=tone)
