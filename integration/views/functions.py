"""The body that the compiler wrote -> the three Python functions that run it.

`rows(resource, add)` adds tuples, one a row. `columns(resource, c_0, c_1, …)` appends each value to its column's list.
`fill` does the same for many resources in one loop, which saves a call for each; with `once`, what does not change
inside a resource is appended once a resource beside the number of its rows, and repeated when the batch is built.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

_RETURN = "return"
"""What the body writes where a resource gives no row."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """What is done with one resource.

    Attributes:
        lines: of Python, indented as in a function.
        added: by line that adds a row, the code of each column's value.
        width: how many columns there are.
        once: by column that is known before the first loop, the code of its value; empty where nothing loops.
        looked_up: by line that looks a key up, the line for the narrow decoder, which gives what is found.
        is_checked: whether the rows of a resource have to be checked for numbers that fit no column.
    """

    lines: Sequence[str]
    added: Mapping[str, Sequence[str]]
    width: int
    once: Mapping[int, str]
    looked_up: Mapping[str, str]
    is_checked: bool

    def rows(self) -> str:
        """Return the source of `rows`."""
        return "\n".join(["def rows(resource, add):", *self.lines, ""])

    def columns(self) -> str:
        """Return the source of `columns`."""
        return "\n".join([f"def columns(resource, {self._lists()}):", *self._appending({}, is_narrow=False), ""])

    def fill(self, name: str, *, is_once: bool, is_narrow: bool) -> str:
        """Return the source of a function `name(texts, decode, limit, broken, check, counts, c_0, c_1, …)`.

        It returns False when `limit` rows are there, True when the texts are at their end. What a text that cannot be
        read has added is cut out again, and the text given to `broken`; if that returns True, so does False here.
        """
        once = self.once if is_once else {}
        first = next(at for at in range(self.width) if at not in once)
        size = f"size = len(c_{first})"
        is_single = self._is_single() and not self.is_checked
        cut = [] if is_single else [f"del c_{at}[size:]" for at in range(self.width) if at not in once]
        return "\n".join(
            [
                f"def {name}(texts, decode, limit, broken, check, counts, {self._lists()}):",
                *_indented(1, [] if is_single else [size]),
                "    for text in texts:",
                "        try:",
                "            resource = decode(text)",
                "            if not text.isascii():",  # behind the decoder, which has fetched the text already
                "                text.decode()",
                *(f"        {_continuing(line)}" for line in self._appending(once, is_narrow=is_narrow)),
                *_indented(3, ["check(size)"] if self.is_checked else []),
                *self._counted(once, first),
                "        except errors as error:",
                *_indented(3, [*cut, "if broken(text, error):", "    return False"]),
                *_indented(2, [f"if len(c_{first}) >= limit:"] if is_single else [size, "if size >= limit:"]),
                "            return False",
                "    return True",
                "",
            ]
        )

    def _is_single(self) -> bool:
        """Say whether a resource gives one row at most, and nothing can go wrong once the row is begun."""
        last = self.lines[-1]
        codes = self.added.get(last.strip(), [])
        is_safe = all(code.isidentifier() or code.isdigit() for code in codes)
        return is_safe and bool(codes) and last.startswith("    add(") and _adds(self) == 1

    def _lists(self) -> str:
        return ", ".join(f"c_{at}" for at in range(self.width))

    def _appending(self, once: Mapping[int, str], *, is_narrow: bool) -> Iterator[str]:
        for line in self.lines:
            text = line.lstrip()
            indent = line[: len(line) - len(text)]
            codes = self.added.get(text)
            if codes is None:
                yield indent + self.looked_up[text] if is_narrow and text in self.looked_up else line
            else:
                yield from (f"{indent}c_{at}.append({code})" for at, code in enumerate(codes) if at not in once)

    def _counted(self, once: Mapping[int, str], first: int) -> list[str]:
        if not once:
            return []
        return [
            f"            if len(c_{first}) > size:",
            f"                counts.append(len(c_{first}) - size)",
            *(f"                c_{at}.append({code})" for at, code in once.items()),
        ]


def _indented(depth: int, lines: Sequence[str]) -> list[str]:
    return ["    " * depth + line for line in lines]


def _adds(body: Body) -> int:
    """Count where rows are added."""
    return sum(line.strip() in body.added for line in body.lines)


def _continuing(line: str) -> str:
    return line.replace(_RETURN, "continue") if line.strip() == _RETURN else line
