"""Messages name a resource by its type and id, and repeat nothing else that stands in it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from integration.errors import ViewError
from integration.views import CompiledView, faults

LONGEST = "a" * 64


@pytest.mark.parametrize(
    ("resource", "named"),
    [
        ({"resourceType": "Patient", "id": "p-1.A"}, "Patient/p-1.A"),
        ({"resourceType": "Patient", "id": LONGEST}, f"Patient/{LONGEST}"),
        ({"resourceType": "Patient", "id": f"{LONGEST}a"}, "Patient/?"),
        ({"resourceType": "Patient", "id": "Anna Lena"}, "Patient/?"),
        ({"resourceType": "Patient", "id": "Ann\u00e9"}, "Patient/?"),
        ({"resourceType": "Patient", "id": "p\n"}, "Patient/?"),
        ({"resourceType": "Patient", "id": "\x1b[2J"}, "Patient/?"),
        ({"resourceType": "Patient", "id": "a/b"}, "Patient/?"),
        ({"resourceType": "Patient", "id": ""}, "Patient/?"),
        ({"resourceType": "Patient", "id": 7}, "Patient/?"),
        ({"resourceType": "Patient"}, "Patient/?"),
        ({"resourceType": "NutritionIntake", "id": "only-in-r5"}, "NutritionIntake/only-in-r5"),
        ({"resourceType": "Anna", "id": "p"}, ""),
        ({"resourceType": ["Patient"], "id": "p"}, ""),
        ({"id": "p"}, ""),
        ([], ""),
    ],
)
def test_only_a_type_and_an_id_as_fhir_has_them_are_named(resource: object, named: str) -> None:
    assert faults.reference(json.dumps(resource).encode()) == named


@pytest.mark.parametrize("secret", ["Anna Lena Meier", "Anna\r\nMeier", "Anna" * 20])
def test_a_name_in_the_place_of_an_id_is_in_no_message(view_of: Callable[..., CompiledView], secret: str) -> None:
    broken = json.dumps({"resourceType": "Patient", "id": secret, "birthDate": [secret]}).encode()
    errors: list[ViewError] = []

    rows = list(view_of("birthDate").rows([broken], on_error=errors.append))
    batches = list(view_of("birthDate").batches([broken], on_error=errors.append))

    assert (rows, batches) == ([], [])
    assert [(error.reference, error.path) for error in errors] == [("Patient/?", "birthDate")] * 2
    assert "Anna" not in "".join(map(str, errors))
