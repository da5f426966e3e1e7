"""What all tests share."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("without a clock", deadline=None)  # a busy machine is no failure
settings.load_profile("without a clock")


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Leave logging as it was: commands configure it for their process, with the stream that they find."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
