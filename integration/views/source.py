"""Generated Python source, line by line.

Nothing that a view's author wrote becomes source: texts and numbers are bound as constants by name, element names
come from FHIR's own list, and column names were checked to be plain identifiers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

Fact = tuple[str, ...]


class Writer:
    """Writes one function: lines, indentation, fresh names, constants, and what is known at each point."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._indent = 1
        self._names = 0
        self.loops = 0
        self.constants: dict[str, object] = {}
        self._facts: list[dict[Fact, str]] = [{}]

    def line(self, text: str) -> None:
        """Write one line at the present indentation."""
        self._lines.append("    " * self._indent + text)

    def name(self, stem: str) -> str:
        """Return a name not used before; `stem` is a FHIR element's name or our own word."""
        self._names += 1
        return f"{stem.strip('_')}_{self._names}"

    def assigned(self, stem: str, code: str) -> str:
        """Write an assignment to a new name and return the name."""
        name = self.name(stem)
        self.line(f"{name} = {code}")
        return name

    def is_there(self, code: str) -> bool:
        """Say whether code is known to hold a value and not None."""
        return code.isdigit() or code in self.constants or self.noted(("there", code)) is not None

    def constant(self, value: object) -> str:
        """Bind a value to a name and return the name; equal values of one type share it."""
        for name, known in self.constants.items():
            if type(known) is type(value) and repr(known) == repr(value):
                return name
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    @contextlib.contextmanager
    def block(self, header: str) -> Iterator[None]:
        """Write a compound statement; facts noted inside do not outlive it."""
        self.line(header)
        self._indent += 1
        self._facts.append({})
        before, is_loop = len(self._lines), header.startswith("for ")
        self.loops += is_loop
        yield
        if len(self._lines) == before:
            self.line("pass")
        self.loops -= is_loop
        self._facts.pop()
        self._indent -= 1

    def note(self, fact: Fact, code: str = "") -> None:
        """Remember, for the present block, which code holds a value, or that a value is there."""
        self._facts[-1][fact] = code

    def noted(self, fact: Fact) -> str | None:
        """Return what was noted here or in a block around, or None."""
        return next((facts[fact] for facts in reversed(self._facts) if fact in facts), None)

    @contextlib.contextmanager
    def apart(self) -> Iterator[Callable[[], list[str]]]:
        """Write lines of another function meanwhile; the yielded function returns them."""
        kept = self._lines, self._indent, self.loops, self._facts
        mine: list[str] = []
        self._lines, self._indent, self.loops, self._facts = mine, 1, 0, [{}]
        yield lambda: mine
        self._lines, self._indent, self.loops, self._facts = kept

    def lines(self) -> list[str]:
        """Return what was written."""
        return self._lines
