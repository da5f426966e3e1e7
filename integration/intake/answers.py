"""Turn the answer rows of one QuestionnaireResponse into the integers that the MSIS-29 is scored from."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from integration import msis29
from integration.terminology import ConceptMap

_ITEMS: Final = {str(item): item for item in msis29.ITEMS}
_LONGEST_NUMBER: Final = 9
Row = tuple[Any, ...]


def answers(rows: Iterable[Row], site_codes: ConceptMap) -> msis29.Answers:
    """Collect the answers by item number.

    Args:
        rows: of the view `response_answer`, its columns in order.
        site_codes: the site's own answer codes.

    Returns:
        Item number to its answers; None stands for an answer that is not understood. Items without an answer, and link
        ids that are not 1 to 29, are left out.
    """
    collected: dict[int, list[int | None]] = {}
    for _, link_id, has_value, *value in rows:
        item = _ITEMS.get(link_id)
        if item is not None and has_value:
            collected.setdefault(item, []).append(_integer(value, site_codes))
    return collected


def _integer(value: list[Any], site_codes: ConceptMap) -> int | None:
    integer, decimal, string, system, code, item_weight, ordinal_value = value
    if integer is not None:
        return int(integer)
    if decimal is not None:
        return _whole(decimal)
    if string is not None:
        return _digits(string)
    weight = item_weight if item_weight is not None else ordinal_value
    if weight is not None:
        return _whole(weight)
    mapped = site_codes.translate(system, code) or (code,)
    return _digits(mapped[0]) if len(mapped) == 1 else None


def _whole(decimal: Decimal) -> int | None:
    # The exponent is looked at first: to take a number like 1e999999999 apart would overflow.
    is_short = decimal.is_finite() and abs(decimal.adjusted()) < _LONGEST_NUMBER
    return int(decimal) if is_short and decimal == decimal.to_integral_value() else None


def _digits(text: str | None) -> int | None:
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    return int(text) if is_number and text else None
