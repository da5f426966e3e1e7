"""FHIRPath text -> syntax tree.

The grammar is FHIRPath 2.0's (http://hl7.org/fhirpath/N1/grammar.html), read as a whole: what the compiler does not
support is refused there by name, and only what is not FHIRPath at all is refused here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from decimal import Decimal

from integration.views.values import Amount


class FhirPathError(Exception):
    """The text is not FHIRPath; `problem` says what is wrong and where."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Literal:
    """A value in the text; `type` is a FHIR type, `duration` for `4 days`, or `empty` for `{}`."""

    type: str
    value: str | int | Decimal | bool | Amount | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """`$this`, `$index`, `$total`, or an external constant `%name`."""

    name: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """An element's name, of `source` or, without one, of the focus."""

    source: Node | None
    name: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A function's call, on `source` or, without one, on the focus."""

    source: Node | None
    name: str
    arguments: tuple[Node, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Indexer:
    """`source[index]`."""

    source: Node
    index: Node


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Binary:
    """`left operator right`."""

    operator: str
    left: Node
    right: Node


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sign:
    """`+operand` or `-operand`."""

    operator: str
    operand: Node


Node = Literal | Variable | Member | Call | Indexer | Binary | Sign

_DEEPEST = 50
_LONGEST_NUMBER = 100

_LEVELS = {
    operator: level
    for level, operators in enumerate(
        ("implies", "or xor", "and", "in contains", "= ~ != !~", "<= < > >=", "|", "is as", "+ - &", "* / div mod")
    )
    for operator in operators.split()
}

_WORD_OPERATORS = frozenset({"implies", "or", "xor", "and", "in", "contains", "is", "as", "div", "mod"})
_NAMES_TOO = frozenset({"as", "contains", "in", "is"})

_TIME = r"\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?"
_TOKEN = re.compile(
    rf"""
    (?P<space>[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)
  | (?P<datetime>@\d{{4}}(?:-\d\d(?:-\d\d)?)?T(?:{_TIME}(?:Z|[+-]\d\d:\d\d)?)?)
  | (?P<time>@T{_TIME})
  | (?P<date>@\d{{4}}(?:-\d\d(?:-\d\d)?)?)
  | (?P<number>[0-9]+(?:\.[0-9]+)?)
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<delimited>`(?:[^`\\]|\\.)*`)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<variable>\$[a-z]+)
  | (?P<operator><=|>=|!=|!~|[()\[\]{{}}.,=~<>|+\-&*/%])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {"`": "`", "'": "'", "\\": "\\", "/": "/", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"'}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int


def parse(text: str) -> Node:
    """Parse one FHIRPath expression.

    Raises:
        FhirPathError: the text is not FHIRPath.
    """
    return _Parser(text).whole()


def _tokens(text: str) -> list[_Token]:
    found, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise FhirPathError(f"{_quoted(text[position])} at position {position + 1} is not FHIRPath")
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(_Token(kind=kind, text=match.group(), start=position))
        position = match.end()
    found.append(_Token(kind="end", text="", start=len(text)))
    return found


def _quoted(text: str) -> str:
    return ascii(text)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_unescape, text[1:-1])


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if len(code) > 1:
        return chr(int(code[1:], 16))
    if code not in _ESCAPES:
        raise FhirPathError(f"the escape {_quoted(match.group())} is not FHIRPath")
    return _ESCAPES[code]


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._expression()
        if self._next.kind != "end":
            raise self._unexpected()
        return node

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _unexpected(self) -> FhirPathError:
        token = self._next
        what = "the end" if token.kind == "end" else _quoted(token.text)
        return FhirPathError(f"unexpected {what} at position {token.start + 1}")

    def _take(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, text: str) -> bool:
        if self._next.kind == "operator" and self._next.text == text:
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise self._unexpected()

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise FhirPathError(f"the expression is nested more than {_DEEPEST} deep")
        node = self._binary(0)
        self._depth -= 1
        return node

    def _binary(self, lowest: int) -> Node:
        node = self._sign()
        while (level := _LEVELS.get(self._operator(), -1)) >= lowest:
            operator = self._take().text
            node = Binary(operator=operator, left=node, right=self._binary(level + 1))
        return node

    def _operator(self) -> str:
        token = self._next
        is_operator = token.kind == "operator" or (token.kind == "name" and token.text in _WORD_OPERATORS)
        return token.text if is_operator else ""

    def _sign(self) -> Node:
        signs = []
        while self._operator() in ("+", "-"):
            signs.append(self._take().text)
        node = self._postfix(self._term())
        for operator in reversed(signs):
            node = Sign(operator=operator, operand=node)
        return node

    def _postfix(self, node: Node) -> Node:
        while True:
            if self._takes("."):
                node = self._invocation(node)
            elif self._takes("["):
                node = Indexer(source=node, index=self._expression())
                self._expect("]")
            else:
                return node

    def _invocation(self, source: Node | None) -> Node:
        token = self._take()
        if token.kind == "delimited":
            return Member(source=source, name=_unescaped(token.text))
        if token.kind == "variable" and source is None:
            return Variable(name=token.text)
        if token.kind != "name" or (token.text in _WORD_OPERATORS and token.text not in _NAMES_TOO):
            self._at -= 1
            raise self._unexpected()
        if self._takes("("):
            return Call(source=source, name=token.text, arguments=self._arguments())
        return Member(source=source, name=token.text)

    def _arguments(self) -> tuple[Node, ...]:
        if self._takes(")"):
            return ()
        arguments = [self._expression()]
        while self._takes(","):
            arguments.append(self._expression())
        self._expect(")")
        return tuple(arguments)

    def _term(self) -> Node:
        if self._takes("("):
            node = self._expression()
            self._expect(")")
            return node
        if self._takes("{"):
            self._expect("}")
            return Literal(type="empty", value=None)
        if self._takes("%"):
            return self._constant()
        token = self._next
        if token.kind in _LITERALS:
            self._at += 1
            return self._literal(token)
        if token.kind == "name" and token.text in ("true", "false"):
            self._at += 1
            return Literal(type="boolean", value=token.text == "true")
        return self._invocation(None)

    def _constant(self) -> Node:
        token = self._take()
        if token.kind == "name":
            return Variable(name=f"%{token.text}")
        if token.kind in ("string", "delimited"):
            return Variable(name=f"%{_unescaped(token.text)}")
        self._at -= 1
        raise self._unexpected()

    def _literal(self, token: _Token) -> Node:
        literal = _LITERALS[token.kind](token.text)
        if token.kind != "number":
            return literal
        if self._next.kind == "string":
            amount = Amount(number=Decimal(token.text), unit=_unescaped(self._take().text))
            return Literal(type="Quantity", value=amount)
        is_duration = self._next.kind == "name" and self._next.text in _CALENDAR_UNITS
        return Literal(type="duration", value=f"{token.text} {self._take().text}") if is_duration else literal


_CALENDAR_UNITS = frozenset(
    name + plural
    for name in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for plural in ("", "s")
)


def _number(text: str) -> Literal:
    if len(text) > _LONGEST_NUMBER:
        raise FhirPathError(f"a number has more than {_LONGEST_NUMBER} characters")
    if "." in text:
        return Literal(type="decimal", value=Decimal(text))
    return Literal(type="integer", value=int(text))


_LITERALS: dict[str, Callable[[str], Literal]] = {
    "string": lambda text: Literal(type="string", value=_unescaped(text)),
    "number": _number,
    "date": lambda text: Literal(type="date", value=text[1:]),
    "datetime": lambda text: Literal(type="dateTime", value=text[1:].removesuffix("T")),
    "time": lambda text: Literal(type="time", value=text[2:]),
}
