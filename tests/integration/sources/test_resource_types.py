from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from integration.sources.resource_types import RESOURCE_TYPES

ABSTRACT = {"DomainResource", "CanonicalResource", "MetadataResource"}
ONLY_DSTU2 = {
    "Conformance", "DeviceUseRequest", "DiagnosticOrder", "ImagingObjectSelection", "MedicationOrder", "Order",
    "OrderResponse",
}  # fmt: skip
"""https://hl7.org/fhir/DSTU2/resourcelist.html, without those that STU3 kept."""
ONLY_R4 = {
    "EffectEvidenceSynthesis", "MedicinalProduct", "MedicinalProductAuthorization", "MedicinalProductContraindication",
    "MedicinalProductIndication", "MedicinalProductIngredient", "MedicinalProductInteraction",
    "MedicinalProductManufactured", "MedicinalProductPackaged", "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect", "RiskEvidenceSynthesis", "SubstanceSpecification",
}  # fmt: skip
"""https://hl7.org/fhir/R4/resourcelist.html, without those that STU3, R4B or R5 have too."""
_MODEL = re.compile(r"^class (\w+)\((?:resource\.Resource|(?:domain|canonical|metadata)resource\.\w+)\)", re.MULTILINE)


def modelled(release: str) -> set[str]:
    """The concrete resource types that fhir.resources has models for; read, not imported, for speed."""
    spec = importlib.util.find_spec("fhir.resources")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / release
    texts = (path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    return {name for text in texts for name in _MODEL.findall(text)} - ABSTRACT


def test_the_types_are_those_of_r5_r4b_and_stu3_and_the_ones_that_only_dstu2_or_r4_had() -> None:
    releases = [modelled(release) for release in (".", "R4B", "STU3")]

    assert [len(types) > 100 for types in releases] == [True, True, True]
    assert set().union(*releases, ONLY_DSTU2, ONLY_R4) == RESOURCE_TYPES


def test_abstract_types_and_data_types_are_none() -> None:
    assert not {"Resource", "Coding", "Extension", *ABSTRACT} & RESOURCE_TYPES
