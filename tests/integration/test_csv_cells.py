from __future__ import annotations

import pytest

from integration.csv_cells import no_formula


@pytest.mark.parametrize("text", ["=1+1", "+1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_looks_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert no_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "-1", "a=1", "1+1", "'=1"])
def test_any_other_text_is_left_alone(text: str) -> None:
    assert no_formula(text) == text
