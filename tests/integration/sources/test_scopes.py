import pytest

from integration.sources import scopes

WRITE = [("Observation", "c"), ("Observation", "u")]
READ = [("Observation", "r"), ("Observation", "s")]


@pytest.mark.parametrize(
    ("scope", "missing"),
    [
        ("system/Observation.write", READ),
        ("system/Observation.read", WRITE),
        ("system/Observation.read system/Observation.write", []),
        ("system/Observation.*", []),
        ("system/*.*", []),
        ("system/*.write", READ),
        ("system/*.cruds", []),
        ("system/Observation.crus", []),
        ("system/Observation.cu", READ),
        ("system/Observation.c system/Observation.u system/*.rs", []),
        ("system/Observation.c", [("Observation", "u"), *READ]),
        ("system/Observation.crus?category=http://terminology.hl7.org/CodeSystem/observation-category|survey", []),
        ("user/Observation.crus", []),
        ("patient/Observation.crus", [*WRITE, *READ]),
        ("system/Patient.cruds", [*WRITE, *READ]),
        ("system/Observations.crus", [*WRITE, *READ]),
        ("system/Observation.wrote", [*WRITE, *READ]),
        ("system/Observation", [*WRITE, *READ]),
        ("athena/service/Athenanet.MDP.* system/Observation.rs", WRITE),
    ],
)
def test_each_spelling_grants_what_it_says(scope: str, missing: list[scopes.Interaction]) -> None:
    needed: list[scopes.Interaction] = [("Observation", letter) for letter in "crus"]  # type: ignore[misc]  # each is one of them

    found = scopes.not_granted(needed, scope)

    assert set(found) == set(missing)


@pytest.mark.parametrize("scope", [None, "", "openid profile", "athena/service/Athenanet.MDP.*", "offline_access"])
def test_a_scope_that_speaks_of_no_resource_is_unknown_and_not_refused(scope: str | None) -> None:
    assert scopes.not_granted([("Observation", "c")], scope) == []


def test_what_is_missing_comes_once_and_in_order() -> None:
    needed: list[scopes.Interaction] = [
        ("Observation", "u"),
        ("Device", "c"),
        ("Observation", "c"),
        ("Observation", "u"),
    ]

    missing = scopes.not_granted(needed, "system/Patient.rs")

    assert missing == [("Device", "c"), ("Observation", "c"), ("Observation", "u")]
    assert scopes.spelled(missing) == "system/Device.c system/Observation.cu"
