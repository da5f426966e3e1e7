"""The rules that a site chose."""

from __future__ import annotations

from integration import mapping
from integration.report import choices


def test_the_rule_on_missing_items_is_marked_as_not_read_in_the_manual() -> None:
    rules = choices.of(mapping.load("msis29_venoplasty").study)

    (rule,) = [one for one in rules if one.where == "study.toml: instrument.minimum_answered"]
    assert rule.what.endswith("(as commonly given; the scoring manual was not read)")
    assert rule.value == "10 of 20 physical, 5 of 9 psychological"
