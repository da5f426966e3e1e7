"""Whatever is sent: an answer with the right status, nothing seen that must not be, and the service goes on."""

import pytest
from attack_case import Attack
from attack_catalogue import ATTACKS
from live_service import Service


@pytest.mark.parametrize("attack", [pytest.param(one, id=f"{one.kind}: {one.name}") for one in ATTACKS])
def test_an_attack_is_answered_as_it_should_and_does_no_harm(attack: Attack, target: Service) -> None:
    replies = attack.send(target)

    assert attack.faults(replies) == []
