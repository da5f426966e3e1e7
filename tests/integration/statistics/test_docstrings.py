"""The examples in the docstrings say what the functions do."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import integration.statistics

MODULES = [module.name for module in pkgutil.iter_modules(integration.statistics.__path__, "integration.statistics.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
