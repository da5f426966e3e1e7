"""The type of multiple sclerosis at the index procedure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime

from integration.records import Condition, Moment, MsType

_BEFORE_ANY_TIME = datetime.min.replace(tzinfo=UTC)


def usable(conditions: Iterable[Condition]) -> list[Condition]:
    """Return the Conditions whose verification does not deny them."""
    return [condition for condition in conditions if condition.is_usable]


def ms_type(conditions: Iterable[Condition], index_day: date) -> MsType:
    """Return the type that counts.

    The latest specified one dated on or before the index procedure; if there is none, the earliest dated later; else an
    undated one. `unspecified` never overrides a type. Ties go to the later instant, then to the higher id.
    """
    specified = [one for one in usable(conditions) if one.ms_type != "unspecified"]
    dated = [(one.moment, one) for one in specified if one.moment is not None]
    before = [pair for pair in dated if pair[0].day <= index_day]
    if before:
        return max(before, key=lambda pair: (pair[0].day, _tie(*pair)))[1].ms_type
    if dated:
        first_day = min(moment.day for moment, _ in dated)
        return max((pair for pair in dated if pair[0].day == first_day), key=lambda pair: _tie(*pair))[1].ms_type
    return max(specified, key=lambda one: one.condition_id).ms_type if specified else "unspecified"


def _tie(moment: Moment, condition: Condition) -> tuple[datetime, str]:
    return moment.instant or _BEFORE_ANY_TIME, condition.condition_id
