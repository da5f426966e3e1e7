"""Checked boolean -> two Python conditions.

FHIRPath's booleans have three values: true, false and nothing. `both` gives the condition that holds exactly when a
node is true and the one that holds exactly when it is false, so that a filter needs no third value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from integration.views import tree
from integration.views.schema import DATE, NUMBER, PRIMITIVES
from integration.views.shapes import companion
from integration.views.source import Writer

Body = Callable[[str], None]
"""Writes what is done with an item, whose Python code it is given."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """Which Python code holds the focus, the resource, the select's focus and the row's index; None: nothing."""

    focus: str | None
    root: str | None
    context: str | None
    index: str = "0"

    def on(self, item: str) -> Names:
        """Return the names inside a criterion evaluated on one item."""
        return dataclasses.replace(self, focus=item)


class Conditions:
    """Writes conditions, and what they need before them.

    Args:
        writer: takes the lines.
        one: writes a node's single value and returns its code.
        each: writes a loop over a node's items.
        collection: writes what gathers a node's items and returns the list's code.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        one: Callable[[tree.Tree, Names], str],
        each: Callable[[tree.Tree, Names, Body], None],
        collection: Callable[[tree.Tree, Names], str],
    ) -> None:
        self._writer, self._one, self._each, self._collection = writer, one, each, collection

    def value(self, node: tree.Tree, names: Names) -> str:
        """Write what is needed, and return a Python expression: True, False, or None for nothing."""
        truth, falsity = self.both(node, names)
        return truth if isinstance(node, tree.Exists) else f"True if {truth} else False if {falsity} else None"

    def both(self, node: tree.Tree, names: Names) -> tuple[str, str]:
        """Write what is needed, and return the conditions that the node is true, and that it is false."""
        write = _BOTH.get(type(node))
        if write is not None:
            return write(self, node, names)
        value = self._one(node, names)
        return f"{value} is True", f"{value} is False"

    def _not(self, node: tree.Not, names: Names) -> tuple[str, str]:
        truth, falsity = self.both(node.source, names)
        return falsity, truth

    def _exists(self, node: tree.Exists, names: Names) -> tuple[str, str]:
        there, absent = self._presence_of(node.source, names)
        return (absent, there) if node.is_negated else (there, absent)

    def _presence_of(self, source: tree.Tree, names: Names) -> tuple[str, str]:
        if isinstance(source, tree.Nothing):
            return "False", "True"
        if isinstance(source, tree.Field) and (source.kind or source.is_list):
            return self._flag(source.source, names, lambda item: _field_presence(source, item))
        if source.is_many or isinstance(source, tree.Filter | tree.Choice):
            return self._flag(source, names, lambda _: "")
        value = self._one(source, names)
        return f"{value} is not None", f"{value} is None"

    def _flag(self, source: tree.Tree, names: Names, condition: Callable[[str], str]) -> tuple[str, str]:
        found = self._writer.assigned("exists", "False")
        loops = self._writer.loops

        def raise_flag(item: str) -> None:
            text = condition(item)
            if text:
                with self._writer.block(f"if {text}:"):
                    self._set(found, loops)
            else:
                self._set(found, loops)

        self._each(source, names, raise_flag)
        return found, f"not {found}"

    def _set(self, found: str, loops: int) -> None:
        self._writer.line(f"{found} = True")
        if self._writer.loops > loops:
            self._writer.line("break")

    def _logic(self, node: tree.Logic, names: Names) -> tuple[str, str]:
        if node.operator == "xor":
            return self._xor(node, names)
        left, not_left = self.both(node.left, names)
        right, not_right = self.both(node.right, names)
        match node.operator:
            case "and":
                return f"({left} and {right})", f"({not_left} or {not_right})"
            case "or":
                return f"({left} or {right})", f"({not_left} and {not_right})"
            case "implies":
                return f"({not_left} or {right})", f"({left} and {not_right})"
        raise ValueError(node.operator)

    def _xor(self, node: tree.Logic, names: Names) -> tuple[str, str]:
        """Write both operands under names: each stands twice in a condition, and may be a long chain itself."""
        left = self._writer.assigned("left", self.value(node.left, names))
        right = self._writer.assigned("right", self.value(node.right, names))
        both = f"({left} is not None and {right} is not None and {left}"
        return f"{both} is not {right})", f"{both} is {right})"

    def _equal(self, node: tree.Equal, names: Names) -> tuple[str, str]:
        truth, falsity = self._alike(node, names)
        return (falsity, truth) if node.is_negated else (truth, falsity)

    def _alike(self, node: tree.Equal, names: Names) -> tuple[str, str]:
        is_date = node.left.kind == DATE
        if node.left.is_many or node.right.is_many:
            left, right = self._collection(node.left, names), self._collection(node.right, names)
            both = (
                f"equal_date_lists({left}, {right}, {self._where(node)})"
                if is_date
                else f"equal_lists({left}, {right})"
            )
            return self._verdict(both)
        left, right = self._one(node.left, names), self._one(node.right, names)
        if is_date:
            return self._verdict(f"equal_dates({left}, {right}, {self._where(node)})")
        both = self._both_there(left, right)
        if self._writer.is_there(left) or self._writer.is_there(right):
            return f"{left} == {right}", f"({both}{left} != {right})"
        return f"({both}{left} == {right})", f"({both}{left} != {right})"

    def _equal_elements(self, node: tree.EqualElements, names: Names) -> tuple[str, str]:
        is_many = node.left.is_many or node.right.is_many
        gather, function = (self._collection, "equal_element_lists") if is_many else (self._one, "equal_elements")
        left, right = gather(node.left, names), gather(node.right, names)
        truth, falsity = self._verdict(f"{function}({left}, {right}, {self._writer.constant(node.what)})")
        return (falsity, truth) if node.is_negated else (truth, falsity)

    def _where(self, node: tree.Equal | tree.Order) -> str:
        return self._writer.constant(node.left.path or node.right.path)

    def _verdict(self, code: str) -> tuple[str, str]:
        verdict = self._writer.assigned("equal", code)
        return f"{verdict} is True", f"{verdict} is False"

    def _both_there(self, left: str, right: str) -> str:
        unsure = [code for code in (left, right) if not self._writer.is_there(code)]
        return "".join(f"{code} is not None and " for code in unsure if code not in ("True", "False"))

    def _order(self, node: tree.Order, names: Names) -> tuple[str, str]:
        left, right = self._one(node.left, names), self._one(node.right, names)
        if node.left.kind == DATE:
            left, right = self._writer.assigned("order", f"compare_dates({left}, {right}, {self._where(node)})"), "0"
            both = f"{left} is not None and "
        else:
            both = self._both_there(left, right)
        holds = f"{left} {node.operator} {right}"
        return f"({both}{holds})", f"({both}not {holds})"


_BOTH: Mapping[type[tree.Tree], Callable[[Conditions, Any, Names], tuple[str, str]]] = {
    tree.Exists: Conditions._exists,
    tree.Not: Conditions._not,
    tree.Logic: Conditions._logic,
    tree.Equal: Conditions._equal,
    tree.EqualElements: Conditions._equal_elements,
    tree.Order: Conditions._order,
}


def presence(node: tree.Choice, source: str) -> str:
    """Return the condition that some form of a choice is there."""
    options = list(node.element.options)
    options += [companion(option) for option in options if option.type in PRIMITIVES]
    return " or ".join(f"{source}.{option.attribute} is not None" for option in options)


def _field_presence(node: tree.Field, source: str) -> str:
    if node.kind == NUMBER and not node.is_list:
        there = f"{source}.{companion(node.option).attribute} is not None"
        return f"{there} or decimal({source}.{node.option.attribute}) is not None"
    options = [node.option, companion(node.option)] if node.kind else [node.option]
    if node.is_list:
        return " or ".join(f"{source}.{option.attribute}" for option in options)
    return " or ".join(f"{source}.{option.attribute} is not None" for option in options)
