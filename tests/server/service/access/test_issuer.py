"""What a metadata document is taken to say."""

from typing import Any

import pytest

from server.service.access.issuer import metadata_of

METHODS = "token_endpoint_auth_methods_supported"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("https://issuer.example/token", "https://issuer.example/token"),
        ("http://127.0.0.1:8080/token", "http://127.0.0.1:8080/token"),
        ("http://issuer.example/token", ""),
        (["https://issuer.example/token"], ""),
        (None, ""),
    ],
)
def test_an_address_that_is_none_or_not_protected_is_as_good_as_missing(value: Any, address: str) -> None:
    found = metadata_of({"token_endpoint": value, METHODS: []}, "https://issuer.example")

    assert (found.issuer, found.token_url, found.jwks_url) == ("https://issuer.example", address, "")


@pytest.mark.parametrize(
    ("answer", "takes_basic"),
    [
        ({}, True),
        ({METHODS: None}, True),
        ({METHODS: ["client_secret_post", "client_secret_basic"]}, True),
        ({METHODS: ["client_secret_post"]}, False),
        ({METHODS: []}, False),
    ],
)
def test_a_secret_goes_in_the_header_unless_the_document_leaves_that_out(
    answer: dict[str, Any], takes_basic: bool
) -> None:
    assert metadata_of(answer, "https://issuer.example").takes_basic is takes_basic
