"""The evidence file of a mapping: the published figures and the later evidence."""

from __future__ import annotations

from typing import Any

import pytest

from integration import evidence
from integration.errors import MappingError
from integration.report import ReportInputs

FIGURES_OF_THE_ABSTRACT = ("259", "67.9 %", "53.6 %", "53.0 %", "44.4 %", "P < .01", "P = .01", "15 (6.3 %)", "2.5 %")
TEXTS = dict.fromkeys(("name", "citation", "headline", "source"), "")
IDENTIFIERS = ("29150995", "30266886", "24975855", "NCT01371760", "NCT01450072", "CD009903.pub3", "17263014")


def test_the_default_evidence_names_every_source_and_every_figure_of_the_abstract(
    evidence_document: dict[str, Any],
) -> None:
    found = evidence.read(evidence_document, "evidence.toml")

    text = " ".join(f"{one.citation} {one.name} {[link.label for link in one.links]}" for one in found.evidence)
    assert all(identifier in text for identifier in IDENTIFIERS)
    assert "FDA safety communication, 10 May 2012" in text
    assert [one.kind for one in found.evidence].count("sham-controlled trial") == 3
    values = " ".join(one.value for one in found.published)
    assert all(figure in values for figure in FIGURES_OF_THE_ABSTRACT)


def test_what_the_default_evidence_names_beside_the_abstract_is_computed(
    inputs: ReportInputs,
) -> None:
    keys = ("analysis", "scale", "visit", "group", "responder", "category", "statistic", "denominator_kind")
    computed = set(inputs.statistics[list(keys)].itertuples(index=False, name=None))
    any_denominator = {row[:-1] for row in computed}

    for published in inputs.published:
        for one in published.beside:
            key = tuple(getattr(one, name) for name in keys)
            assert one.analysis == "cohort" or key in computed or (not key[-1] and key[:-1] in any_denominator), key


def test_what_was_read_at_second_hand_says_so(evidence_document: dict[str, Any]) -> None:
    (trial,) = [one for one in evidence_document["evidence"] if one["name"] == "Canadian trial, 2018"]

    assert "5 (10 %) after venoplasty and in 1 (2 %) after sham" in trial["headline"]
    assert "as read in a secondary summary" in trial["headline"]
    assert "Univadis 632378" in trial["source"]
    assert "Wikipedia" in trial["source"]


def test_the_default_evidence_does_not_say_effective(evidence_document: dict[str, Any]) -> None:
    assert "effective" not in str(evidence_document).lower()


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"published": [{"label": "a", "value": "b", "source": "c", "colour": "d"}]}, "published[0].colour"),
        ({"published": [{"label": "a"}]}, "published[0]"),
        ({"published": [{"label": "a", "value": "b", "beside": [{"x": "y"}]}]}, "published[0].beside[0].x"),
        ({"evidence": [{**TEXTS, "kind": "hearsay"}]}, "evidence[0].kind"),
        ({"colour": []}, "colour"),
        ({"published": []}, "evidence"),
        ({"evidence": [{"links": [{"label": "a", "url": "javascript:alert(1)"}]}]}, "evidence[0].links[0].url"),
    ],
)
def test_a_fault_in_the_evidence_file_is_named_with_its_place(document: dict[str, Any], path: str) -> None:
    with pytest.raises(MappingError) as caught:
        evidence.read(document, "evidence.toml")

    assert caught.value.path == path
    assert caught.value.file == "evidence.toml"
