"""Checked tree -> Python source.

`each` writes a loop whose body runs once an item; `one` writes what is needed to have the single value under a name
(None for nothing); `truth` gives the Python condition of a filter. `look_ups` has, by line that looks a key up in a
dict, the element that holds the key, and the line for a decoder that has looked it up already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from integration.views import tree
from integration.views.conditions import Body, Conditions, Names, presence
from integration.views.schema import DATE, NUMBER, TEXT
from integration.views.shapes import Shape
from integration.views.source import Writer


class Emitter:
    """Writes expressions through a `Writer`."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.look_ups: dict[str, tuple[Shape, str, str]] = {}
        self._conditions = Conditions(writer, one=self.one, each=self.each, collection=self.collection)

    # --- single values

    def one(self, node: tree.Tree, names: Names) -> str:
        """Write what gives the node's single value; return its code, `None` for nothing.

        A collection that turns out to hold several items raises at run time.
        """
        if node.is_many:
            return self._single(node, names)
        write = _ONE.get(type(node))
        if write is not None:
            return write(self, node, names)
        return self.writer.assigned("value", self._computed(node, names))

    def _nothing(self, _node: tree.Tree, _names: Names) -> str:
        return "None"

    def _focus(self, _node: tree.Tree, names: Names) -> str:
        return names.focus or "None"

    def _root(self, _node: tree.Tree, names: Names) -> str:
        return names.root or "None"

    def _row_index(self, _node: tree.Tree, names: Names) -> str:
        return names.index

    def _constant(self, node: tree.Constant, _names: Names) -> str:
        if isinstance(node.value, bool):
            return str(node.value)
        return self.writer.constant(node.value)

    def _field(self, node: tree.Field, names: Names) -> str:
        source = self.one(node.source, names)
        if source == "None":
            return "None"
        fact = ("field", source, node.option.attribute)
        known = self.writer.noted(fact)
        if known is None:
            code = self._read(node, f"{source}.{node.option.attribute}")
            if not self.writer.is_there(source):
                code = f"None if {source} is None else {code}"
            known = self.writer.assigned(node.option.attribute, code)
            self.writer.note(fact, known)
        return known

    def _read(self, node: tree.Field, code: str) -> str:
        if node.type == "integer64":
            return f"integer64({code}, {self.writer.constant(node.path)})"
        return f"decimal({code})" if node.kind == NUMBER else code

    def _single(self, node: tree.Tree, names: Names) -> str:
        found = self.writer.assigned("single", "None")

        def keep(item: str) -> None:
            with self.writer.block(f"if {found} is not None:"):
                self.writer.line(f"raise several({self.writer.constant(node.path)})")
            self.writer.line(f"{found} = {item}")

        self.each(node, names, keep)
        return found

    def _single_filter(self, node: tree.Filter, names: Names) -> str:
        found = self.writer.assigned("filtered", "None")
        self.each(node, names, lambda item: self.writer.line(f"{found} = {item}"))
        return found

    def _pick(self, node: tree.Pick, names: Names) -> str:
        if isinstance(node.source, tree.Field) and node.source.is_list and not node.source.source.is_many:
            return self._pick_of_list(node, node.source, names)
        if node.index is not None:
            items = self.collection(node.source, names)
            return self.writer.assigned("item", self._indexed(items, node.index, names))
        return self._first_of_first(node, names) or self._picked(node, names)

    def _first_of_first(self, node: tree.Pick, names: Names) -> str:
        """Write a look at the first item of a list, which nearly always is the only one; loop where it has nothing."""
        field = node.source
        if node.is_last or not isinstance(field, tree.Field) or field.is_list or not field.kind:
            return ""
        above = field.source
        if not isinstance(above, tree.Field) or not above.is_list or above.source.is_many or above.type == "Element":
            return ""
        source = self.one(above.source, names)
        if not self.writer.is_there(source):
            return ""
        items = self.writer.assigned(above.option.attribute, f"{source}.{above.option.attribute}")
        first = self._read(field, f"{items}[0].{field.option.attribute}")
        found = self.writer.assigned("first", f"{first} if {items} else None")
        with self.writer.block(f"if {found} is None and len({items}) > 1:"):
            self.each(node.source, names, lambda item: self._keep_picked(node, found, item, self.writer.loops - 1))
        return found

    def _picked(self, node: tree.Pick, names: Names) -> str:
        found = self.writer.assigned("last" if node.is_last else "first", "None")
        loops = self.writer.loops
        self.each(node.source, names, lambda item: self._keep_picked(node, found, item, loops))
        return found

    def _keep_picked(self, node: tree.Pick, found: str, item: str, loops: int) -> None:
        """Keep the item; the first one ends the loop, or goes on without effect in a loop inside another."""
        inside = self.writer.loops - loops
        if node.is_last or inside == 1:
            self.writer.line(f"{found} = {item}")
            if not node.is_last:
                self.writer.line("break")
            return
        with self.writer.block(f"if {found} is None:"):
            self.writer.line(f"{found} = {item}")

    def _pick_of_list(self, node: tree.Pick, field: tree.Field, names: Names) -> str:
        source = self.one(field.source, names)
        if source == "None":
            return "None"
        items = f"{source}.{field.option.attribute}"
        if not self.writer.is_there(source):
            items = self.writer.assigned("items", f"() if {source} is None else {items}")
        code = f"{items}[{-1 if node.is_last else 0}] if {items} else None"
        if node.index is not None:
            code = self._indexed(items, node.index, names)
        return self.writer.assigned("item", self._read(field, code))

    def _indexed(self, items: str, index: tree.Tree, names: Names) -> str:
        at = self.one(index, names)
        return f"{items}[{at}] if {at} is not None and 0 <= {at} < len({items}) else None"

    def _computed(self, node: tree.Tree, names: Names) -> str:
        match node:
            case tree.Count():
                return self._count(node, names)
            case tree.Arithmetic():
                return self._arithmetic(node, names)
            case tree.Join():
                separator = self.one(node.separator, names)
                return f"({separator} or '').join({self.collection(node.source, names)})"
        raise TypeError(type(node).__name__)

    def _one_mapped(self, node: tree.Boundary | tree.ReferenceKey | tree.Decoded, names: Names) -> str:
        return self._mapped(node, self.one(node.source, names))

    def _mapped(self, node: tree.Tree, item: str) -> str:
        """Write what makes one value of another; return its name."""
        match node:
            case tree.Boundary():
                where = "" if node.source.kind != DATE else f", {self.writer.constant(node.source.path)}"
                return self.writer.assigned("value", f"{_boundary(node)}({item}{where}, is_high={node.is_high})")
            case tree.ReferenceKey():
                return self._reference_key(node, item)
            case tree.Decoded():
                return self.writer.assigned("value", f"decode_inner_{node.decoder}({item})")
        raise TypeError(type(node).__name__)

    def _reference_key(self, node: tree.ReferenceKey, item: str) -> str:
        """Write what reads the key of nearly every reference in place: `Type/id` without what only a URL has."""
        if not node.wanted:
            return self.writer.assigned("key", f"reference_key({item})")
        if not self.writer.is_there(item):
            item = self.writer.assigned("reference", f"{item} or ''")
        wanted, prefix = self.writer.constant(node.wanted), self.writer.constant(f"{node.wanted}/")
        key = self.writer.assigned("key", f"{item}.removeprefix({prefix})")
        is_odd = " or ".join([f"{key} is {item}", f"not {key}", *(f'"{each}" in {key}' for each in "/?#")])
        with self.writer.block(f"if {is_odd}:"):
            self.writer.line(f"{key} = reference_key_of({item}, {wanted})")
        return key

    def _count(self, node: tree.Count, names: Names) -> str:
        found = self.writer.assigned("count", "0")
        source = node.source
        if isinstance(source, tree.Field) and source.is_list:
            attribute = source.option.attribute
            self.each(source.source, names, lambda item: self.writer.line(f"{found} += len({item}.{attribute})"))
        else:
            self.each(source, names, lambda _: self.writer.line(f"{found} += 1"))
        return found

    def _arithmetic(self, node: tree.Arithmetic, names: Names) -> str:
        left, right = self.one(node.left, names), self.one(node.right, names)
        if node.operator == "&":
            return f"({left} or '') + ({right} or '')"
        function = {"/": "divide", "div": "whole_divide", "mod": "remainder"}.get(node.operator)
        if function:
            return f"{function}({left}, {right})"
        return f"None if {left} is None or {right} is None else {left} {node.operator} {right}"

    # --- collections

    def each(self, node: tree.Tree, names: Names, body: Body) -> None:
        """Write a loop over the node's items; `body` writes what is done with each."""
        if not node.is_many and not isinstance(node, tree.Filter | tree.Choice):
            self._if_there(self.one(node, names), body)
            return
        match node:
            case tree.Field():
                self.each(node.source, names, lambda item: self._each_of_field(node, item, body))
            case tree.Choice():
                self.each(node.source, names, lambda item: self._if_present(node, item, body))
            case tree.Filter():
                self.each(node.source, names, lambda item: self._if_true(node, names.on(item), item, body))
            case tree.Keyed():
                self.each(node.source, names, lambda item: self._if_keyed(node, names.on(item), item, body))
            case tree.ReferenceKey() | tree.Decoded():
                self.each(
                    node.source,
                    names,
                    lambda item: self._if_there(self._mapped(node, item), body),
                )
            case _:
                self._if_there(names.focus or "None", body)

    def _if_there(self, code: str, body: Body) -> None:
        if code == "None":
            return
        if self.writer.is_there(code) or code in ("True", "False"):
            body(code)
            return
        with self.writer.block(f"if {code} is not None:"):
            self.writer.note(("there", code))
            body(code)

    def _each_of_field(self, node: tree.Field, source: str, body: Body) -> None:
        attribute = node.option.attribute
        if not node.is_list:
            self._if_there(self.writer.assigned(attribute, self._read(node, f"{source}.{attribute}")), body)
            return
        item = self.writer.name(attribute)
        with self.writer.block(f"for {item} in {source}.{attribute}:"):
            if self._read(node, item) != item:
                self.writer.line(f"{item} = {self._read(node, item)}")
            if node.kind or node.type == "Element":
                self._if_there(item, body)
                return
            self.writer.note(("there", item))
            body(item)

    def _if_present(self, node: tree.Choice, source: str, body: Body) -> None:
        with self.writer.block(f"if {presence(node, source)}:"):
            body(source)

    def _if_true(self, node: tree.Filter, names: Names, item: str, body: Body) -> None:
        comparisons = _comparisons(node.criterion) if self.writer.is_there(item) else ()
        codes = [f"{item}.{field.option.attribute} == {self.writer.constant(text)}" for field, text in comparisons]
        with self.writer.block(f"if {' and '.join(codes) or self.truth(node.criterion, names)}:"):
            body(item)

    def _if_keyed(self, node: tree.Keyed, names: Names, item: str, body: Body) -> None:
        key = self.one(node.key, names)
        line = f"{node.at} = {node.places}[{key}]"
        self.writer.line(line)
        if isinstance(node.key, tree.Field) and node.key.source.shape:
            self.look_ups[line] = node.key.source.shape, node.key.option.key, f"{node.at} = {key}.{node.places}"
        with self.writer.block(f"if {node.at} is not None:"):
            body(item)

    def collection(self, node: tree.Tree, names: Names) -> str:
        """Write what gathers the node's items; return the list's name."""
        found = self.writer.assigned("found", "[]")
        self.each(node, names, lambda item: self.writer.line(f"{found}.append({item})"))
        return found

    # --- booleans

    def truth(self, node: tree.Tree, names: Names) -> str:
        """Write what is needed, and return a Python condition that holds exactly when the node is true."""
        return self._conditions.both(node, names)[0]

    def _boolean(self, node: tree.Tree, names: Names) -> str:
        return self.writer.assigned("holds", self._conditions.value(node, names))


_ONE: Mapping[type[tree.Tree], Callable[[Emitter, Any, Names], str]] = {
    tree.Nothing: Emitter._nothing,
    tree.Constant: Emitter._constant,
    tree.Focus: Emitter._focus,
    tree.Root: Emitter._root,
    tree.RowIndex: Emitter._row_index,
    tree.Field: Emitter._field,
    tree.Pick: Emitter._pick,
    tree.Filter: Emitter._single_filter,
    tree.Boundary: Emitter._one_mapped,
    tree.ReferenceKey: Emitter._one_mapped,
    tree.Decoded: Emitter._one_mapped,
    tree.Exists: Emitter._boolean,
    tree.Not: Emitter._boolean,
    tree.Logic: Emitter._boolean,
    tree.Equal: Emitter._boolean,
    tree.EqualElements: Emitter._boolean,
    tree.Order: Emitter._boolean,
}


def _comparisons(node: tree.Tree) -> list[tuple[tree.Field, str]]:
    """Return what a criterion compares if it is nothing but comparisons of an item's own texts with constants.

    The shortest constant comes first: a code tells more items apart than its system does. Nothing for other criteria.
    """
    match node:
        case tree.Logic(operator="and"):
            left, right = _comparisons(node.left), _comparisons(node.right)
            return sorted([*left, *right], key=lambda each: len(each[1])) if left and right else []
        case tree.Equal(
            is_negated=False, left=tree.Field(source=tree.Focus()) as field, right=tree.Constant(value=text)
        ):
            is_plain = field.kind == TEXT and not field.is_many and not field.is_list
            return [(field, text)] if is_plain and isinstance(text, str) else []
    return []


def _boundary(node: tree.Boundary) -> str:
    if node.source.kind != DATE:
        return "decimal_boundary"
    return {"date": "date_boundary", "time": "time_boundary"}.get(node.source.type, "datetime_boundary")
