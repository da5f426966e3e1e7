"""One QuestionnaireResponse as the page of a response shows it: what was sent, as text (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from integration import msis29
from integration.outcomes import Resource

_DEEPEST: Final = 12
_LONGEST: Final = 400
_SUBSCALES: Final = {str(item): one.name for one in msis29.SUBSCALES for item in one.items}


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One item of a response.

    Attributes:
        link_id: as sent.
        text: `item.text`, if the response brings it: this software has no wording of its own.
        answers: as text; empty: not answered.
        scale: which subscale an item 1 to 29 belongs to, empty for every other.
        depth: 0 for an item that is in no group.
    """

    link_id: str
    text: str
    answers: tuple[str, ...]
    scale: str
    depth: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A response as it was sent.

    Attributes:
        facts: label and text of what stands beside the items, in order; empty ones left out.
        items: in order, those of groups after the group.
        unanswered: numbers of the instrument's items that have no answer.
    """

    facts: tuple[tuple[str, str], ...]
    items: tuple[Item, ...]
    unanswered: tuple[int, ...]


def sent(body: bytes) -> Sent:
    """Read a response, of any shape; JSON that is no object gives an empty one."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = None
    resource: Resource = decoded if isinstance(decoded, dict) else {}
    items = tuple(_items(resource.get("item"), 0))
    answered = {item.link_id for item in items if item.answers}
    return Sent(
        facts=tuple((label, text) for label, text in _facts(resource) if text),
        items=items,
        unanswered=tuple(item for item in msis29.ITEMS if str(item) not in answered),
    )


def _facts(resource: Resource) -> Iterator[tuple[str, str]]:
    meta = resource.get("meta") if isinstance(resource.get("meta"), dict) else {}
    yield "Id", _shown(resource.get("id"))
    yield "Status", _shown(resource.get("status"))
    yield "Authored", _shown(resource.get("authored"))
    yield "Author", _reference(resource.get("author"))
    yield "Answered by", _reference(resource.get("source"))
    yield "Subject", _reference(resource.get("subject"))
    yield "Encounter", _reference(resource.get("encounter"))
    yield "Questionnaire", _shown(resource.get("questionnaire"))
    yield "Version", _shown((meta or {}).get("versionId"))
    yield "Last updated", _shown((meta or {}).get("lastUpdated"))


def _items(listed: Any, depth: int) -> Iterator[Item]:
    if depth > _DEEPEST or not isinstance(listed, list):
        return
    for one in listed:
        if not isinstance(one, dict):
            continue
        link_id = _shown(one.get("linkId"))
        answers = [answer for answer in _list(one.get("answer")) if isinstance(answer, dict)]
        yield Item(
            link_id=link_id,
            text=_shown(one.get("text")),
            answers=tuple(text for answer in answers if (text := _answer(answer))),
            scale=_SUBSCALES.get(link_id, ""),
            depth=depth,
        )
        yield from _items(one.get("item"), depth + 1)
        for answer in answers:
            yield from _items(answer.get("item"), depth + 1)


def _answer(answer: Mapping[str, Any]) -> str:
    name = next((name for name in answer if name.startswith("value")), "")
    value = answer.get(name)
    if isinstance(value, dict):
        return _coded(value) or _shown(msgspec.json.encode(value).decode())
    return _shown(value)


def _coded(value: Mapping[str, Any]) -> str:
    """Return a Coding as code and display, a Quantity as value and unit, a Reference as what it refers to."""
    code, display = _shown(value.get("code")), _shown(value.get("display"))
    if "value" in value:
        return f"{_shown(value.get('value'))} {_shown(value.get('unit')) or code}".strip()
    if code or display:
        return f"{code} ({display})" if code and display else code or display
    return _reference(value)


def _reference(value: Any) -> str:
    return _shown(value.get("reference") or value.get("display")) if isinstance(value, dict) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(value: Any) -> str:
    """Return a simple value as text, cut where it is too long to be read; nothing for what is no simple value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str | int | float):
        return ""
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text):,} characters)"
