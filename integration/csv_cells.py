"""What every CSV that is written for people has in common: no cell is taken for a formula."""

from __future__ import annotations

from typing import Final

_STARTS_OF_FORMULAS: Final = ("=", "+", "@", "\t", "\r")


def no_formula(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would take for a formula.

    A leading `-` is left alone, though a formula may begin with it: negative numbers and ids do too. After
    https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"'{text}" if text.startswith(_STARTS_OF_FORMULAS) else text
