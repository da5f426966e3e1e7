"""Whose patient an absolute reference means."""

import json
from pathlib import Path
from typing import Any

import pytest

from integration.intake import RejectedError
from integration.settings import Service, Settings, Site
from server.service.inbound import assembly, elsewhere

BASES = ["https://ehr.example/fhir", "https://bridge.example/fhir"]


def require(**elements: Any) -> None:
    elsewhere.require_own_patient(json.dumps(elements).encode(), BASES)


@pytest.mark.parametrize(
    "reference",
    ["Patient/1", "Patient/1/_history/2", "#p", "urn:uuid:0c7f1f9e", "", *(f"{base}/Patient/1" for base in BASES)],
)
def test_a_reference_that_is_relative_or_begins_with_an_own_base_is_ours(reference: str) -> None:
    require(
        subject={"reference": reference}, patient={"reference": reference}, link=[{"other": {"reference": reference}}]
    )


@pytest.mark.parametrize(
    "reference",
    [
        "https://other.example/fhir/Patient/1",
        "http://ehr.example/fhir/Patient/1",
        "https://ehr.example/fhir2/Patient/1",
        "https://ehr.example.other.example/fhir/Patient/1",
        "//other.example/fhir/Patient/1",
        "ftp://other.example/Patient/1",
        " https://other.example/fhir/Patient/1",
        "\thttps://ehr.example/fhir/Patient/1",
        "https:other/Patient/1",
        "urn:oid:1.2/Patient/1",
        "x/Patient/1",
        "../Patient/1",
        "/Patient/1",
        "Patient/1 ",
        "Patient/1/",
        "https://ehr.example/fhir/x/Patient/1",
    ],
)
@pytest.mark.parametrize("path", ["subject", "patient", "link[0].other"])
def test_one_that_begins_otherwise_is_not(path: str, reference: str) -> None:
    named: dict[str, Any] = {path: {"reference": reference}}
    if path.startswith("link"):
        named = {"link": [{"other": {"reference": reference}}]}

    with pytest.raises(RejectedError) as caught:
        require(**named)

    assert caught.value.path == path


def test_own_are_the_sites_base_urls_and_that_of_the_service(tmp_path: Path) -> None:
    service = Service(public_url="https://bridge.example")
    settings = Settings(folder=tmp_path, state_folder=tmp_path, service=service)
    site = Site(name="north", base_url="https://ehr.example/fhir", other_base_urls=("http://ehr.internal/r4",))

    assert assembly.own_bases(settings, site) == [
        "https://ehr.example/fhir", "http://ehr.internal/r4", "https://bridge.example/fhir",
    ]  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[]", b'{"subject": "text"}', b'{"link": {}}', b"\xff", b"[" * 5000])
def test_what_is_shaped_otherwise_is_left_to_the_reader(body: bytes) -> None:
    elsewhere.require_own_patient(body, BASES)


@pytest.mark.parametrize("other", [{"link": 5}, {"patient": 5}, {"link": [{"other": 5}]}, {"item": [5]}])
def test_another_element_of_a_wrong_shape_hides_nothing(other: dict[str, Any]) -> None:
    with pytest.raises(RejectedError):
        require(subject={"reference": "https://other.example/Patient/1"}, **other)
