"""What computes outcomes: this software, with a mapping, for a site, at a time."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib import metadata
from typing import Final

from integration import outcomes
from integration.mapping import Mapping

DISTRIBUTION: Final = "outcome-bridge"


@cache
def software_version() -> str:
    """Return the version of Outcome Bridge that runs."""
    return metadata.version(DISTRIBUTION)


def of(mapping: Mapping, site: str, now: datetime) -> outcomes.Origin:
    """Say what computes outcomes: this software, with this mapping, for this site, now (aware, UTC)."""
    return outcomes.Origin(
        site=site,
        software_version=software_version(),
        mapping=f"{mapping.name} {mapping.version}",
        recorded=now,
        minimum_answered=mapping.study.instrument.missing_item_rule,
    )
