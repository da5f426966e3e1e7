"""What holds for every profile."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from fhir.resources.R4B import get_fhir_model_class

from integration import settings
from integration.errors import SettingsError
from integration.outcomes import Outcome, Resource
from integration.settings import Site
from integration.write_profile import Kind
from server.delivery.comparison import differences
from server.ledger.planning import RANKS, Shaped
from server.sites import WriteProfile, profile_of


def shaped_of(profile: WriteProfile, outcome: Outcome, device: Resource) -> list[Shaped]:
    """Return all that a site may get of an outcome, a stand-in among it."""
    shaped = [*profile.shape_device(device), *profile.shape(outcome)]
    observations = [one.resource for one in shaped if one.resource["resourceType"] == "Observation"]
    stand_in = profile.stand_in(observations)
    return shaped + ([stand_in] if stand_in else [])


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def is_under(path: str, dropped: tuple[str, ...]) -> bool:
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in dropped)


def test_what_is_sent_is_a_valid_resource(
    any_profile: WriteProfile, many: Mapping[str, Outcome], device: Resource
) -> None:
    for outcome in many.values():
        for one in shaped_of(any_profile, outcome, device):
            get_fhir_model_class(one.resource["resourceType"]).model_validate(one.resource)


def test_what_is_sent_agrees_with_itself_and_is_found_again(
    any_profile: WriteProfile, many: Mapping[str, Outcome], device: Resource
) -> None:
    for outcome in many.values():
        for one in shaped_of(any_profile, outcome, device):
            keeps_all = any_profile.abilities.keeps_all
            assert differences(one.resource, one.resource, base_url="http://h", keeps_all=keeps_all) == []
            assert any_profile.is_it(one.resource, {**one.resource, "id": "of the server"})


def test_a_search_asks_for_the_patient(any_profile: WriteProfile, outcome: Callable[..., Outcome]) -> None:
    for one in any_profile.shape(outcome()):
        search = any_profile.search(one.resource)
        assert search is None or search["patient"] == "p1"


def test_every_leaf_of_a_score_is_kept_or_named_as_dropped(
    any_profile: WriteProfile, many: Mapping[str, Outcome]
) -> None:
    for outcome in many.values():
        canonical = {"physical": outcome.physical, "psychological": outcome.psychological}
        for one in any_profile.shape(outcome):
            if one.kind in canonical and one.resource["resourceType"] == "Observation":
                sent = {str(value) for _, value in leaves(one.resource)}
                lost = [path for path, value in leaves(canonical[one.kind]) if str(value) not in sent]
                assert all(is_under(path, one.dropped) for path in lost)


def test_nothing_is_named_as_dropped_that_is_there(any_profile: WriteProfile, outcome: Callable[..., Outcome]) -> None:
    for one in any_profile.shape(outcome()):
        if one.resource["resourceType"] == "Observation":
            assert not set(one.dropped) & {path for path, _ in leaves(one.resource)} - {
                path for path, value in leaves(one.resource) if value != dict(leaves(outcome().physical)).get(path)
            }


def test_the_value_and_whose_it_is_and_when_are_never_dropped(
    any_profile: WriteProfile, many: Mapping[str, Outcome]
) -> None:
    for outcome in many.values():
        for one in any_profile.shape(outcome):
            assert not {"subject", "effectiveDateTime", "valueQuantity", "valueQuantity.value"} & set(one.dropped)


def test_kinds_come_in_order_and_every_observation_is_counted_or_named_as_left_out(
    any_profile: WriteProfile, many: Mapping[str, Outcome]
) -> None:
    for outcome in many.values():
        shaped = any_profile.shape(outcome)
        ranks = [RANKS[one.kind] for one in shaped]
        assert ranks == sorted(ranks)
        counted = sum(one.observations for one in shaped)
        scores = sum("valueQuantity" in one for one in (outcome.physical, outcome.psychological))
        left_out = any_profile.left_out()
        panel, absent = "panel" in left_out, "score without a value" in left_out
        assert counted in (3, (scores if absent else 2) + (0 if panel else 1))
        assert counted == 3 or left_out


def test_shaping_twice_gives_the_same(any_profile: WriteProfile, outcome: Callable[..., Outcome]) -> None:
    assert any_profile.shape(outcome()) == any_profile.shape(outcome())


def test_an_outcome_keeps_its_key_when_its_content_changes(
    any_profile: WriteProfile, outcome: Callable[..., Outcome]
) -> None:
    before = [one.resource["id"] for one in any_profile.shape(outcome())]
    after = [one.resource["id"] for one in any_profile.shape(outcome(skipped=2, status="amended"))]

    assert before == after


def test_only_a_document_can_be_replaced(any_profile: Any, outcome: Callable[..., Outcome]) -> None:
    for one in any_profile.shape(outcome()):
        replaced = any_profile.replacement(one.resource, "DocumentReference/5")
        is_document = one.resource["resourceType"] == "DocumentReference"
        target = [{"code": "replaces", "target": {"reference": "DocumentReference/5"}}]
        assert replaced == ({**one.resource, "relatesTo": target} if is_document else None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('write_profile = "epic"', "'epic' needs codes"),
        ('write_profile = "oracle"', "'oracle' needs category and codes"),
        ('write_profile = "athena"', "'athena' needs questionnaire"),
        ('write_profile = "generic"\n[profile]\nunit = "points"', "'generic' does not read unit"),
        ('write_profile = "single"\n[profile]\ndocument_updates = true', "does not read document_updates"),
        ('write_profile = "document"\n[profile]\nfallback = "document"', "does not read fallback"),
    ],
)
def test_a_key_that_is_missing_or_not_read_is_an_error_that_names_it(
    text: str, words: str, site: Callable[[str], Site]
) -> None:
    with pytest.raises(ValueError, match=words):
        site(text)


CODES = (
    '[profile.codes]\nphysical = { system = "s", code = "1" }\npsychological = { system = "s", code = "2" }\n'
    '[profile.document_type]\nsystem = "s"\ncode = "3"'
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f'write_profile = "oracle"\n[profile]\ncategory = "vital-signs"\n{CODES}', "needs performer"),
        (
            f'write_profile = "oracle"\n[profile]\ncategory = "laboratory"\nperformer_function = "LA"\n{CODES}',
            "does not read document_type and performer_function",
        ),
        (
            'write_profile = "oracle"\n[profile]\ncategory = "laboratory"\nfallback = "document"\n'
            f'document_formats = ["text", "pdf"]\n{CODES}',
            "one attachment",
        ),
        (f'write_profile = "epic"\n[profile]\ndocument_formats = ["pdf"]\n{CODES}', "does not read document_formats"),
        (
            f'write_profile = "epic"\n[profile]\nfallback = "document"\n{CODES}'.partition("[profile.document_type]")[
                0
            ],
            "needs document_type",
        ),
        ('write_profile = "epic"\n' + CODES.replace('"2"', '"1"'), "tell them apart"),
        (
            'write_profile = "athena"\n[profile.questionnaire]\nphysical = "a"\npsychological = "a"',
            "tell them apart",
        ),
    ],
)
def test_what_a_profile_needs_depends_on_the_other_keys(text: str, words: str, site: Callable[[str], Site]) -> None:
    with pytest.raises(ValueError, match=words):
        site(text)


def test_a_site_that_was_not_checked_is_refused_with_the_key() -> None:
    unchecked = Site(name="north", base_url="http://h").model_copy(update={"write_profile": "epic"})

    with pytest.raises(SettingsError, match=r"sites/north\.toml: profile: write_profile 'epic' needs codes"):
        profile_of(unchecked)


ROOT = Path(__file__).parents[3]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs" / "sites").glob("*.md")))


def examples() -> Iterator[tuple[str, str]]:
    """Yield each site file in the documents, with the profile that it names."""
    for document in DOCUMENTS:
        for block in re.findall(r"```toml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
            if named := re.search(r'^write_profile = "(\w+)"', block, re.MULTILINE):
                yield named[1], block.partition("[authentication]")[0]


def test_every_example_of_a_site_file_is_one_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "outcome-bridge.toml").touch()
    for name, text in examples():
        (tmp_path / "sites" / f"{name}.toml").write_text(text, encoding="utf-8")

        assert profile_of(settings.load(tmp_path / "outcome-bridge.toml", {}).site(name))

    assert {name for name, _ in examples()} == {"generic", "epic", "oracle", "athena", "document"}


def test_every_profile_that_shapes_down_has_a_build_sheet() -> None:
    sheets = {document.stem for document in DOCUMENTS[1:]}

    assert set(get_args(Kind)) - sheets == {"generic", "single"}
