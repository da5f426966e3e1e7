from server.delivery import references

PANEL = {
    "resourceType": "Observation",
    "subject": {"reference": "Patient/p"},
    "device": {"reference": "Device/d"},
    "hasMember": [{"reference": "Observation/a"}, {"reference": "Observation/b"}],
    "derivedFrom": [{"reference": "QuestionnaireResponse/r"}],
    "note": [{"text": "Observation/a"}],
}


def test_only_references_to_our_own_resources_are_ours() -> None:
    assert sorted(references.own(PANEL)) == ["a", "b", "d"]


def test_known_keys_are_rewritten_and_everything_else_stays() -> None:
    places = references.places({"a": "7", "d": "8"}, PANEL)

    rewritten = references.rewritten(PANEL, places)

    assert places == {"a": "Observation/7", "d": "Device/8"}
    assert rewritten == {
        **PANEL,
        "device": {"reference": "Device/8"},
        "hasMember": [{"reference": "Observation/7"}, {"reference": "Observation/b"}],
    }
    assert PANEL["device"] == {"reference": "Device/d"}
