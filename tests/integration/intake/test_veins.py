from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.intake import veins
from integration.mapping import Mapping

SNOMED = "http://snomed.info/sct"
IJV, AZYGOS, BRACHIOCEPHALIC, JUGULAR = "12123001", "72107004", "8887007", "63190004"
LEFT, RIGHT, BILATERAL = "7771000", "24028007", "51440002"
FEMORAL, EXTERNAL_JUGULAR, SUBCLAVIAN = "83419000", "71585003", "9454009"
Sites = set[tuple[str, str]]


class BodySite:
    def __init__(self, *codes: str, text: str | None = None, system: str | None = SNOMED) -> None:
        self.codes, self.text, self.system = codes, text, system

    def rows(self, number: int) -> list[tuple[Any, ...]]:
        listed = [(self.system, code) for code in self.codes] or [(None, None)]
        return [("x", number, self.text, system, code) for system, code in listed]


def sites(mapping: Mapping, *body_sites: BodySite) -> Sites:
    rows = [row for number, site in enumerate(body_sites) for row in site.rows(number)]
    return set(veins.of_body_sites(rows, mapping.concept_maps["vein"], mapping.concept_maps["laterality"]))


@pytest.mark.parametrize(
    ("code", "vein"),
    [(IJV, "internal_jugular"), (BRACHIOCEPHALIC, "brachiocephalic"), (JUGULAR, "jugular"), (AZYGOS, "azygos")],
)
def test_a_target_vein_without_a_side_is_one_site(default_mapping: Mapping, code: str, vein: str) -> None:
    assert sites(default_mapping, BodySite(code)) == {(vein, "")}


@pytest.mark.parametrize("code", [FEMORAL, EXTERNAL_JUGULAR, SUBCLAVIAN, "56400007", "1"])
def test_another_vein_is_no_target(default_mapping: Mapping, code: str) -> None:
    assert sites(default_mapping, BodySite(code)) == set()


@pytest.mark.parametrize("system", [None, "", "urn:site", "http://hl7.org/fhir/sid/icd-10-cm"])
def test_a_code_without_its_system_is_no_target(default_mapping: Mapping, system: str | None) -> None:
    assert sites(default_mapping, BodySite(IJV, system=system)) == set()


@pytest.mark.parametrize(("side", "name"), [(LEFT, "left"), (RIGHT, "right")])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_side_is_a_coding_beside_the_vein_in_either_order(
    default_mapping: Mapping, side: str, name: str, is_first: bool
) -> None:
    codes = (side, IJV) if is_first else (IJV, side)

    assert sites(default_mapping, BodySite(*codes)) == {("internal_jugular", name)}


def test_bilateral_is_two_sites(default_mapping: Mapping) -> None:
    both = {("internal_jugular", "left"), ("internal_jugular", "right")}

    assert sites(default_mapping, BodySite(IJV, BILATERAL)) == both
    assert sites(default_mapping, BodySite(IJV, LEFT, RIGHT)) == both
    assert sites(default_mapping, BodySite(IJV, BILATERAL, LEFT)) == both


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("Left internal jugular vein", {"left"}),
        ("internal jugular vein, RIGHT", {"right"}),
        ("Bilateral IJV", {"left", "right"}),
        ("right and left IJV", {"left", "right"}),
        ("internal jugular vein", {""}),
        ("lefthanded bright", {""}),
        ("", {""}),
    ],
)
def test_else_the_side_is_a_word_of_the_text(default_mapping: Mapping, text: str, sides: set[str]) -> None:
    assert sites_of(default_mapping, BodySite(IJV, text=text)) == sides


def sites_of(mapping: Mapping, *body_sites: BodySite) -> set[str]:
    return {side for _, side in sites(mapping, *body_sites)}


def test_a_coded_side_goes_before_the_words(default_mapping: Mapping) -> None:
    assert sites_of(default_mapping, BodySite(IJV, LEFT, text="Right internal jugular vein")) == {"left"}


@pytest.mark.parametrize(
    "loose", [BodySite(LEFT), BodySite(text="Left"), BodySite(LEFT, text="Left side"), BodySite(text=" (left) ")]
)
def test_a_body_site_that_holds_only_a_side_gives_it_to_the_veins_without_one(
    default_mapping: Mapping, loose: BodySite
) -> None:
    found = sites(default_mapping, BodySite(IJV), BodySite(BRACHIOCEPHALIC, RIGHT), BodySite(AZYGOS), loose)

    assert found == {("internal_jugular", "left"), ("brachiocephalic", "right"), ("azygos", "")}


@pytest.mark.parametrize(
    "other", [BodySite(FEMORAL, LEFT), BodySite(text="Left femoral vein"), BodySite(BRACHIOCEPHALIC, LEFT)]
)
def test_the_side_of_another_vein_is_not_lent(default_mapping: Mapping, other: BodySite) -> None:
    assert ("internal_jugular", "") in sites(default_mapping, BodySite(IJV), other)


def test_the_azygos_vein_has_no_side(default_mapping: Mapping) -> None:
    assert sites(default_mapping, BodySite(AZYGOS, RIGHT, text="left"), BodySite(BILATERAL)) == {("azygos", "")}


def test_the_access_vein_beside_the_target_adds_nothing(default_mapping: Mapping) -> None:
    assert sites(default_mapping, BodySite(FEMORAL, RIGHT), BodySite(IJV, LEFT)) == {("internal_jugular", "left")}


def test_a_vein_named_twice_is_one_site(default_mapping: Mapping) -> None:
    assert len(sites(default_mapping, BodySite(IJV, LEFT), BodySite(IJV, text="left"))) == 1


def test_two_veins_in_one_body_site_share_its_side(default_mapping: Mapping) -> None:
    found = sites(default_mapping, BodySite(IJV, BRACHIOCEPHALIC, LEFT))

    assert found == {("internal_jugular", "left"), ("brachiocephalic", "left")}


def test_no_body_site_is_no_vein(default_mapping: Mapping) -> None:
    assert sites(default_mapping) == set()


@given(data=st.data())
def test_the_order_of_body_sites_does_not_matter(default_mapping: Mapping, data: st.DataObject) -> None:
    some = st.lists(st.sampled_from([IJV, AZYGOS, LEFT, RIGHT, BILATERAL, FEMORAL]), max_size=3)
    chosen = data.draw(st.lists(some, max_size=4))
    body_sites = [BodySite(*codes) for codes in chosen]

    shuffled = data.draw(st.permutations(body_sites))

    assert sites(default_mapping, *shuffled) == sites(default_mapping, *body_sites)


# Codes that name the vein


@pytest.mark.parametrize("system", ["http://www.cms.gov/Medicare/Coding/ICD10", "http://hl7.org/fhir/sid/icd-10-pcs"])
@pytest.mark.parametrize("end", ["ZZ", "DZ"])
@pytest.mark.parametrize(
    ("code", "site"),
    [
        ("05703", ("azygos", "")),
        ("05713", ("hemiazygos", "")),
        ("05733", ("brachiocephalic", "right")),
        ("05743", ("brachiocephalic", "left")),
        ("057M3", ("internal_jugular", "right")),
        ("057N3", ("internal_jugular", "left")),
    ],
)
def test_a_procedure_code_names_its_vein_and_side(
    default_mapping: Mapping, system: str, code: str, end: str, site: tuple[str, str]
) -> None:
    """Body parts of ICD-10-PCS table 057: 0, 1, 3, 4, M and N."""
    maps = default_mapping.concept_maps

    found = veins.of_codes([(system, f"{code}{end}")], maps["procedure-vein"], maps["procedure-laterality"])

    assert found == {site}


@pytest.mark.parametrize(
    "code",
    [
        ("http://www.cms.gov/Medicare/Coding/ICD10", "057R3ZZ"),
        ("http://www.cms.gov/Medicare/Coding/ICD10", "057M3Z1"),
        (SNOMED, "057M3ZZ"),
        (None, "057M3ZZ"),
    ],
)
def test_other_codes_name_no_vein(default_mapping: Mapping, code: tuple[str | None, str]) -> None:
    maps = default_mapping.concept_maps

    assert veins.of_codes([code], maps["procedure-vein"], maps["procedure-laterality"]) == frozenset()
