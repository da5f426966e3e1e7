"""What the tests of the inbox share: who asks, what is read, and threads whose failures are seen."""

import dataclasses
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import g
from flask.testing import FlaskClient

from server.service.access.caller import Caller
from server.service.app import create_app

sys.path.append(str(Path(__file__).parent))  # its name is its own: inbound_requests

PATIENCE = 30.0


@pytest.fixture
def in_threads() -> Callable[..., None]:
    """Return a function that runs functions at once, one a thread, and raises what one of them raised."""

    def run(*functions: Callable[[], object]) -> None:
        errors: list[BaseException] = []

        def kept(function: Callable[[], object]) -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - it is raised below
                errors.append(error)

        threads = [threading.Thread(target=kept, args=(one,)) for one in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        if errors:
            raise errors[0]

    return run


@pytest.fixture
def as_caller(service: Any) -> Callable[[Caller], None]:
    """Return a function that has all further requests come from somebody."""

    def become(who: Caller) -> None:
        def set_caller() -> None:
            g.caller = who

        functions = service.client.application.before_request_funcs[None]
        functions.append(set_caller)

    return become


@pytest.fixture
def reading(service: Any) -> Callable[[Any], FlaskClient]:
    """Return a function that gives a client of the same service with another way to read resources."""

    def make(read: Any) -> FlaskClient:
        inbound = service.services.inbound
        desk = dataclasses.replace(inbound.desk, read=read)
        services = dataclasses.replace(service.services, inbound=dataclasses.replace(inbound, desk=desk))
        return create_app(services).test_client()

    return make
