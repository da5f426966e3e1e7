"""The words of the page for the short names of the frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

SCALES: Final[Mapping[str, str]] = {"physical": "Physical", "psychological": "Psychological"}
ITEMS: Final[Mapping[str, int]] = {"physical": 20, "psychological": 9}
BASELINE: Final = "baseline"
DENOMINATORS: Final[Mapping[str, str]] = {
    "cohort": "cohort",
    "seen": "seen at the visit",
    "with_change": "with a change score",
}
SEXES: Final[Mapping[str, str]] = {"female": "Women", "male": "Men"}
MS_TYPES: Final[Mapping[str, str]] = {
    "RRMS": "Relapsing-remitting",
    "SPMS": "Secondary progressive",
    "PPMS": "Primary progressive",
    "unspecified": "Type not specified",
}
SITES: Final[Mapping[str, str]] = {"1": "1 site", "2": "2 sites", "3+": "3 sites or more"}
GROUPS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "sex": ("Sex", SEXES),
    "ms_type": ("MS type", MS_TYPES),
    "vein_sites": ("Vein sites treated", SITES),
}
"""Analysis to its heading and the labels of its groups, in the order shown."""

CRITERIA: Final[Mapping[str, str]] = {
    "venoplasty": "no completed venoplasty or venous stent in a target vein",
    "multiple_sclerosis": "no usable diagnosis of multiple sclerosis",
    "baseline": "no scorable MSIS-29 in the baseline window",
    "imaging_before": "no imaging in the time before the procedure",
}
PASSED: Final[Mapping[str, str]] = {
    "venoplasty": "Treated",
    "multiple_sclerosis": "Treated, with multiple sclerosis",
    "baseline": "Treated, with a baseline score",
    "imaging_before": "Treated, with imaging before",
}
"""Criterion to what those who passed it and all before are called in the flow diagram."""
REASONS: Final[Mapping[str, str]] = {
    "status": "status is not completed or amended",
    "not msis-29": "another questionnaire",
    "no subject": "no patient named",
    "unknown patient": "the patient is not in the data",
    "partial date": "the date is missing or not a full date",
    "answer out of range": "an answer outside the version's range",
    "several answers": "several answers to one item",
    "answer not understood": "an answer that is not understood",
    "too few answers": "too few items answered on both scales",
    "rejected": "the resource was rejected",
}
RESPONDERS: Final[Mapping[str, str]] = {
    "any_decrease": "Any decrease",
    "reliable": "Reliable change",
}


def responder(name: str) -> str:
    """Return a threshold's label: `7.5` becomes `7.5 points or more`."""
    return RESPONDERS.get(name, f"{name} points or more")


def visit(name: str) -> str:
    """Return a visit's label: `month_6` becomes `6 months`, any other name its words.

    >>> visit("month_1"), visit("month_6"), visit("baseline"), visit("long_term")
    ('1 month', '6 months', 'Baseline', 'Long term')
    """
    counted = re.fullmatch(r"(day|week|month|year)_(\d+)", name)
    if counted:
        unit, number = counted.groups()
        return f"{number} {unit}" if number == "1" else f"{number} {unit}s"
    return name.replace("_", " ").capitalize()


def scale_visit(scale: str, visit_name: str) -> str:
    """Return `Physical, 1 month`."""
    return f"{SCALES.get(scale, scale)}, {visit(visit_name)}"


def group(analysis: str, name: str) -> str:
    """Return a group's label; of a pair `a vs b`, both."""
    known = GROUPS.get(analysis, ("", {}))[1]
    return " vs ".join(known.get(part, part) for part in name.split(" vs "))
