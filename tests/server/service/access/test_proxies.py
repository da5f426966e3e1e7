"""Which addresses are believed."""

import pytest

from server.service.access.proxies import Proxies


@pytest.mark.parametrize(
    ("address", "is_believed"),
    [
        ("10.0.0.5", True),
        ("::ffff:10.0.0.5", True),
        ("10.0.0.6", False),
        ("10.0.1.200", True),
        ("2001:db8::1", True),
        ("2001:db8::1%eth0", True),
        ("2001:db8::2", False),
        ("", False),
        ("unix:", False),
    ],
)
def test_addresses_are_believed_one_by_one_and_by_network(address: str, is_believed: bool) -> None:
    assert (address in Proxies(["10.0.0.5", "10.0.1.0/24", "2001:db8::1"])) is is_believed
    assert address not in Proxies([])
