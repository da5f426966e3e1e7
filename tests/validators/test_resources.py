"""Every resource that leaves us passes four validators by others, and each of them still catches what it should.

No single validator is enough, so a green run means something only while every one of them finds its part of the faults.
`make test` installs the two that come from npm.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError
from pyrofile_validator import Validator
from pyrofile_validator.config import ValidatorConfig

from integration import outcomes

Resource = dict[str, Any]
Findings = list[list[str]]

ROOT = Path(__file__).parents[2]
US_CORE = ROOT.parent / "shared" / "conformance" / "us-core"
NPM = ROOT / ".npm-validators"
VALIDATE = Path(__file__).with_name("validate.mjs")
SCREENING_PROFILE = outcomes.PROFILE
LABORATORY = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}

FAULTS: dict[str, Callable[[Resource], object]] = {
    "status": lambda resource: resource.update(status="finished"),
    "no code": lambda resource: resource.pop("code"),
    "bad date": lambda resource: resource.update(effectiveDateTime="2012-13-45"),
    "two values": lambda resource: resource.update(valueString="text"),
    "unknown element": lambda resource: resource.update(outcome="text"),
    "reference type": lambda resource: resource.update(subject={"reference": "Medication/1"}),
    "no category": lambda resource: resource.pop("category"),
    "wrong category": lambda resource: resource.update(category=[{"coding": [LABORATORY]}]),
    "obs-6": lambda resource: resource.update(dataAbsentReason={"text": "there is a value, too"}),
}
CATCHES = {
    "fhir": ("status", "no code", "unknown element", "reference type"),
    "medplum": ("no code", "bad date", "two values", "unknown element", "reference type", "obs-6"),
    "pyrofile": ("status", "two values", "unknown element", "no category", "wrong category"),
    "fhir.resources": ("no code", "bad date", "two values", "unknown element"),
}
# Not faults: R4's preferred and example value sets cannot hold our own codes, nor US Core's category.
OUTSIDE_PREFERRED_SETS = re.compile(
    r"warning .*\((urn:outcome-bridge:|http://hl7\.org/fhir/us/core/).* not found in value set"
)
# Not faults: the validator takes its required codes from fhir.resources' hints, which list only the first few. R4 has
# `entered-in-error` (https://hl7.org/fhir/R4/valueset-observation-status.html), and every media type is a format.
CUT_OFF_SETS = re.compile(
    r"terminology\.required (Observation\.status: Code 'entered-in-error'"
    r"|CapabilityStatement\.format\[\d\]: Code 'application/fhir\+json') "
)
NOT_FAULTS = {"fhir": OUTSIDE_PREFERRED_SETS, "pyrofile": CUT_OFF_SETS}
TITLES = {
    "fhir": "npm fhir 4.12.0",
    "medplum": "npm @medplum/core 4.5.2",
    "pyrofile": "pyrofile-validator with US Core",
    "fhir.resources": "fhir.resources (R4B)",
}


def with_fhir_resources(resource: Resource) -> list[str]:
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except ValidationError as error:
        return [f"error {fault['loc']}: {fault['type']}" for fault in error.errors(include_input=False)]
    return []


def with_pyrofile(validator: Validator, resource: Resource) -> list[str]:
    """Return its errors. Its warnings say that a reference leads out of the single resource: so it does."""
    return [f"{issue.code} {issue.path}: {issue.message}" for issue in validator.validate_resource(resource).errors]


def with_npm(name: str, resources: Sequence[Resource]) -> Findings:
    """Return errors and warnings of one of the two."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed: npm's validators cannot run")
    if not (NPM / "node_modules").is_dir():
        pytest.skip("npm's validators are not installed: `make test` installs them")
    return [verdict[name] for verdict in npm_verdicts("\n".join(json.dumps(resource) for resource in resources))]


@lru_cache(maxsize=4)  # node reads 90 MB of definitions at every start; one run serves both validators
def npm_verdicts(lines: str) -> list[dict[str, list[str]]]:
    command = ["node", VALIDATE, NPM]
    run = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, timeout=120)
    return [json.loads(line) for line in run.stdout.splitlines()]


def findings(name: str, resources: Sequence[Resource]) -> Findings:
    """Return what a validator finds wrong with each resource, without what is known not to be a fault."""
    known = NOT_FAULTS.get(name)
    found = all_findings(name, resources)
    return [[fault for fault in faults if not (known and known.match(fault))] for faults in found]


def all_findings(name: str, resources: Sequence[Resource]) -> Findings:
    if name in ("fhir", "medplum"):
        return with_npm(name, resources)
    if name == "fhir.resources":
        return [with_fhir_resources(resource) for resource in resources]
    if not US_CORE.is_dir():
        pytest.skip(
            f"US Core's profile is not there: {US_CORE.name} is looked for beside the project, in shared/conformance"
        )
    settings = {
        "fhirVersion": "4.0.1",
        "localPackagePaths": [str(US_CORE)],
        "terminology": {"mode": "local"},
        "profiles": {"Observation": [SCREENING_PROFILE]},
    }
    validator = Validator(ValidatorConfig.load_dict(settings))
    return [with_pyrofile(validator, resource) for resource in resources]


def as_sent(resource: Resource) -> Resource:
    sent: Resource = json.loads(outcomes.encode(resource))
    return sent


@pytest.mark.parametrize("name", CATCHES)
def test_every_resource_that_leaves_us_passes(
    name: str,
    resources: list[Resource],
    code_systems: list[Resource],
    answers: list[Resource],
    record_property: Callable[[str, object], None],
) -> None:
    sent = [as_sent(resource) for resource in (*resources, *code_systems, *answers)]

    found = findings(name, sent)

    assert len(found) == len(sent)
    for resource_type in sorted({resource["resourceType"] for resource in sent}):
        verdicts = [
            faults for resource, faults in zip(sent, found, strict=True) if resource["resourceType"] == resource_type
        ]
        record_property("validated", (TITLES[name], resource_type, len(verdicts), sum(map(bool, verdicts))))
    assert [faults for faults in found if faults] == []


@pytest.mark.parametrize("name", CATCHES)
def test_a_validator_still_catches_what_it_is_there_for(name: str, resources: list[Resource]) -> None:
    good = next(as_sent(resource) for resource in resources if "valueQuantity" in resource)
    broken = [json.loads(json.dumps(good)) for _ in FAULTS]
    for resource, fault in zip(broken, FAULTS.values(), strict=True):
        fault(resource)

    caught = {fault for fault, faults in zip(FAULTS, findings(name, broken), strict=True) if faults}

    assert caught >= set(CATCHES[name])


def test_together_they_catch_every_fault() -> None:
    assert {fault for caught in CATCHES.values() for fault in caught} == set(FAULTS)
