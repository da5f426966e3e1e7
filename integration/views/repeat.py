"""`repeat`: one recursive Python function for each, and one struct that holds itself."""

from __future__ import annotations

import functools

from integration.errors import ViewError
from integration.views import tree
from integration.views.columns import Place
from integration.views.conditions import Body, Names
from integration.views.definition import Expression, Select
from integration.views.emit import Emitter
from integration.views.resolve import Resolver
from integration.views.steps import Steps, focus_on

_INSIDE = Names(focus="node", root=None, context=None)


class Repeats:
    """Writes the `repeat`s of one view; `functions` holds the source of what they call."""

    def __init__(self, view: str, steps: Steps, resolver: Resolver, emitter: Emitter) -> None:
        self._view, self._steps, self._resolver, self._emitter = view, steps, resolver, emitter
        self.functions: list[str] = []

    def each(self, select: Select, place: Place, focus: tree.Tree, body: Body) -> None:
        """Write a loop over everything that the paths lead to, at any depth, parents before their children."""
        writer = self._emitter.writer
        found = writer.name("found")
        writer.line(f"{found} = []")
        function = self._function(select, focus)
        for over in select.over:
            node = self._quietly(over, place)
            self._emitter.each(node, place.names, functools.partial(self._keep, function, found))
        item = writer.name("item")
        with writer.block(f"for {item} in {found}:"):
            writer.note(("there", item))
            body(item)

    def focus(self, select: Select, place: Place) -> tree.Tree:
        """Resolve the paths where they start and on what they lead to; return the one type that they lead to.

        Raises:
            ViewError: they lead to several types, or to what has no children.
        """
        starts = [self._step(over, place) for over in select.over]
        found = [node for node in starts if node is not None]
        focus: tree.Tree = focus_on(found[0]) if found else tree.Nothing()
        below = Place(root=None, focus=focus, names=_INSIDE)
        steps = [self._step(over, below) for over in select.over]
        for over, start, step in zip(select.over, starts, steps, strict=True):
            if start is None and step is None:
                self._resolver.resolve(over.node, (below if found else place).scope(over))
            for node in (start, step):
                self._merge(over, focus, node)
        return focus

    def _merge(self, over: Expression, focus: tree.Tree, node: tree.Tree | None) -> None:
        if node is None or node.shape is None or focus.shape is None:
            return
        if node.type != focus.type:
            problem = f"repeat leads to {node.type} and to {focus.type}, which is not supported"
            raise ViewError(view=self._view, path=over.path, problem=problem)
        focus.shape.merge(node.shape)

    def _step(self, over: Expression, place: Place) -> tree.Tree | None:
        node = self._quietly(over, place)
        if isinstance(node, tree.Nothing):
            return None
        if node.shape is None:
            problem = f"repeat over {node.type} is not supported; it needs an element with children"
            raise ViewError(view=self._view, path=over.path, problem=problem)
        return node

    def _quietly(self, over: Expression, place: Place) -> tree.Tree:
        """Resolve without warnings: a path need not exist both at the start and further down."""
        warnings = dict(self._steps.warnings)
        node = self._resolver.resolve(over.node, place.scope(over))
        self._steps.warnings = warnings
        return node

    def _keep(self, function: str, found: str, item: str) -> None:
        self._emitter.writer.line(f"{found}.append({item})")
        self._emitter.writer.line(f"{function}({item}, {found})")

    def _function(self, select: Select, focus: tree.Tree) -> str:
        writer = self._emitter.writer
        function = writer.name("repeat")
        below = Place(root=None, focus=focus, names=_INSIDE)
        with writer.apart() as lines:
            writer.note(("there", "node"))
            for over in select.over:
                self._emitter.each(
                    self._quietly(over, below), _INSIDE, functools.partial(self._keep, function, "found")
                )
            self.functions.append("\n".join([f"def {function}(node, found):", *(lines() or ["    return"]), ""]))
        return function
