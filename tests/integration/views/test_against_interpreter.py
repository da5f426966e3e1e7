"""Compiled views against a plain interpreter: the specification's own algorithm on dicts, nothing optimised.

https://sql-on-fhir.org/ig/2.0.0/StructureDefinition-ViewDefinition.html#processing-algorithm-model
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from integration.errors import ViewError
from integration.views import CompiledView, compile_view, compile_views, fhirpath
from integration.views.values import Amount

Json = dict[str, Any]
Row = dict[str, Any]


class SeveralValuesError(Exception):
    """A collection where one value is expected."""


# --- FHIRPath on lists of JSON values


def evaluate(node: fhirpath.Node, focus: list[Any], index: int) -> list[Any]:
    match node:
        case fhirpath.Literal():
            return [] if node.value is None else [literal(node.value)]
        case fhirpath.Variable():
            return [index] if node.name == "%rowIndex" else focus
        case fhirpath.Member():
            return children(evaluate(node.source, focus, index) if node.source else focus, node.name)
        case fhirpath.Indexer():
            items, at = evaluate(node.source, focus, index), single(evaluate(node.index, focus, index))
            return items[at : at + 1]
        case fhirpath.Binary():
            return binary(node, focus, index)
        case fhirpath.Call():
            return call(node, focus, index)
    raise TypeError(node)


def literal(value: Any) -> Any:
    return mg(float(value.number), value.unit) if isinstance(value, Amount) else value


def children(items: list[Any], name: str) -> list[Any]:
    found = [item[name] for item in items if isinstance(item, dict) and item.get(name) is not None]
    return [each for one in found for each in (one if isinstance(one, list) else [one])]


def single(items: list[Any]) -> Any:
    if len(items) > 1:
        raise SeveralValuesError
    return items[0] if items else None


def binary(node: fhirpath.Binary, focus: list[Any], index: int) -> list[Any]:
    left, right = evaluate(node.left, focus, index), evaluate(node.right, focus, index)
    if node.operator in ("=", "!="):
        verdict = same(left, right) if left and right else None
        return [] if verdict is None else [verdict == (node.operator == "=")]
    one, other = single(left), single(right)
    table = {"and": three_and, "or": three_or}
    if node.operator in table:
        return [each for each in [table[node.operator](one, other)] if each is not None]
    if node.operator == "xor":
        return [] if None in (one, other) else [one != other]
    if one is None or other is None:
        return []
    return [{"<": one < other, ">=": one >= other}[node.operator]]


def same(left: Any, right: Any, key: str = "") -> bool | None:
    """Say whether two JSON values are equal in everything; None: not known."""
    if isinstance(left, list) and isinstance(right, list):
        pairs = [same(one, other, key) for one, other in zip(left, right, strict=False)]
        return all_of(len(left) == len(right), *pairs)
    if isinstance(left, dict) and isinstance(right, dict):
        return same_quantity(left, right) if "value" in left or "value" in right else same_children(left, right)
    if key == "valueDate" and left != right and (left.startswith(right) or right.startswith(left)):
        return None
    return bool(left == right)


def same_children(left: Json, right: Json) -> bool | None:
    there = [{key for key, child in each.items() if child not in (None, [])} for each in (left, right)]
    pairs = [same(left[key], right[key], key) for key in sorted(there[0] & there[1])]
    return all_of(there[0] == there[1], *pairs)


def same_quantity(left: Json, right: Json) -> bool | None:
    """Every quantity that is generated has a value, and UCUM's unit or none."""
    if left.get("code") != right.get("code"):
        return None
    return left["value"] == right["value"] if "code" in left else same_children(left, right)


def all_of(*verdicts: bool | None) -> bool | None:
    return functools.reduce(three_and, verdicts)


def three_and(one: bool | None, other: bool | None) -> bool | None:
    return False if False in (one, other) else None if None in (one, other) else True


def three_or(one: bool | None, other: bool | None) -> bool | None:
    return True if True in (one, other) else None if None in (one, other) else False


def call(node: fhirpath.Call, focus: list[Any], index: int) -> list[Any]:
    if node.name == "ofType":
        choice, wanted = node.source, node.arguments[0]
        assert isinstance(choice, fhirpath.Member)
        assert isinstance(wanted, fhirpath.Member)
        source = evaluate(choice.source, focus, index) if choice.source else focus
        return children(source, choice.name + wanted.name[0].upper() + wanted.name[1:])
    items = evaluate(node.source, focus, index) if node.source else focus
    if node.name == "where":
        return [item for item in items if single(evaluate(node.arguments[0], [item], index)) is True]
    if node.name == "not":
        return [not each for each in [single(items)] if each is not None]
    if node.name == "join":
        return [single(evaluate(node.arguments[0], focus, index)).join(items)]
    found: dict[str, list[Any]] = {"exists": [bool(items)], "empty": [not items], "count": [len(items)]}
    return {"first": items[:1], "last": items[-1:], **found}[node.name]


# --- the view


def rows(view: Json, resource: Json) -> list[Row]:
    for condition in view.get("where", []):
        if single(evaluate(fhirpath.parse(condition["path"]), [resource], 0)) is not True:
            return []
    return product(view["select"], resource, 0)


def product(selects: list[Json], focus: Any, index: int) -> list[Row]:
    combined = itertools.product(*(process(select, focus, index) for select in selects))
    return [{name: value for part in parts for name, value in part.items()} for parts in combined]


def process(select: Json, focus: Any, index: int) -> list[Row]:
    over = select.get("forEach") or select.get("forEachOrNull")
    if "repeat" in select:
        foci = list(repeated(select["repeat"], focus, index))
    else:
        foci = evaluate(fhirpath.parse(over), [focus], index) if over else [focus]
    found = [
        row for at, each in enumerate(foci) for row in inside(select, each, at if over or "repeat" in select else index)
    ]
    if not foci and "forEachOrNull" in select:
        return [{name: null(each) for name, each in columns(select)}]
    return found


def repeated(paths: list[str], focus: Any, index: int) -> Iterator[Any]:
    for path in paths:
        for child in evaluate(fhirpath.parse(path), [focus], index):
            yield child
            yield from repeated(paths, child, index)


def inside(select: Json, focus: Any, index: int) -> list[Row]:
    row = {column["name"]: value(column, focus, index) for column in select.get("column", [])}
    parts = [[row], product(select.get("select", []), focus, index)]
    if "unionAll" in select:
        parts.append([each for branch in select["unionAll"] for each in process(branch, focus, index)])
    return [{name: each for part in parts for name, each in part.items()} for parts in itertools.product(*parts)]


def value(column: Json, focus: Any, index: int) -> Any:
    found = evaluate(fhirpath.parse(column["path"]), [focus], index)
    return found if column.get("collection") else single(found)


def null(column: Json) -> Any:
    """`%rowIndex` is 0 in the row that stands for nothing; everything else is null."""
    if column["path"] != "%rowIndex":
        return None
    return [0] if column.get("collection") else 0


def columns(select: Json) -> list[tuple[str, Json]]:
    mine = [(column["name"], column) for column in select.get("column", [])]
    below = [*select.get("select", []), *select.get("unionAll", [])[:1]]
    return mine + [each for nested in below for each in columns(nested)]


# --- what is generated: responses, and views over them

words = st.sampled_from(["a", "b", "c"])


def mg(value: float, unit: str = "mg") -> Json:
    return {"value": value, "system": "http://unitsofmeasure.org", "code": unit}


amounts = st.sampled_from([1, 1.0, 2])
quantities = st.one_of(
    st.builds(mg, amounts, st.sampled_from(["mg", "g"])), st.builds(lambda one: {"value": one}, amounts)
)
codings = st.fixed_dictionaries({}, optional={"code": words, "display": words})
dates = st.sampled_from(["2020", "2020-01", "2020-02"])
companions = st.fixed_dictionaries({"id": words})


def items(depth: int) -> st.SearchStrategy[list[Json]]:
    """Items with answers and, down to a depth, items under both."""
    below: dict[str, Any] = {"item": items(depth - 1)} if depth else {}
    values = {"valueInteger": st.integers(0, 3), "valueString": words, "valueBoolean": st.booleans()}
    compared = {"valueCoding": codings, "valueQuantity": quantities, "valueDate": dates}
    answer = st.fixed_dictionaries({}, optional={**values, **compared, **below})
    item = st.fixed_dictionaries(
        {"linkId": words},
        optional={"_linkId": companions, "text": words, "answer": st.lists(answer, max_size=2), **below},
    )
    return st.lists(item, max_size=2)


responses = st.fixed_dictionaries(
    {"resourceType": st.just("QuestionnaireResponse"), "item": items(3)}, optional={"id": words, "status": words}
)

ITEM_TEXTS = [
    "linkId",
    "text",
    "item.linkId",
    "answer.item.text",
    "answer.value.ofType(string)",
    "item.answer.item.text",
]
ITEM_BOOLEANS = ["answer.value.ofType(boolean)", "item.answer.value.ofType(boolean)"]
ITEM_INTEGERS = ["answer.value.ofType(integer)", "item.count()", "item.answer.value.ofType(integer)"]
ELEMENTS = [
    ["item", "item.item", "item.first()", "item.item.last()", "item.where(linkId = 'a')", "item.answer.item"],
    ["item.answer", "item.item.answer", "item.answer.first()", "item.answer.last()"],
    ["item.answer.value.ofType(Coding)", "item.first().answer.value.ofType(Coding).first()"],
    ["item.answer.value.ofType(Quantity)", "item.answer.value.ofType(Quantity).first()", "1 'mg'", "2.0 'g'"],
]
"""Paths to elements with children, those of one type in one list."""
ITEM_ELEMENTS = [
    ["$this", "answer.item", "answer.item.first()"],
    ["answer", "answer.last()"],
    ["answer.value.ofType(Coding)", "answer.first().value.ofType(Coding)"],
    ["answer.value.ofType(Quantity)", "answer.value.ofType(Quantity).last()"],
]
"""The same from an item only."""
RESOURCE_TEXTS = ["id", "status", "item.linkId", "item.item.text", "item.answer.value.ofType(string)"]


@st.composite
def texts(draw: st.DrawFn, of_item: bool, depth: int = 1) -> str:
    """Draw a path to texts; a function, because what composes it is too long to be shown."""
    return draw(texts_to(of_item, depth))


@functools.cache
def texts_to(of_item: bool, depth: int) -> st.SearchStrategy[str]:
    found = st.sampled_from(ITEM_TEXTS if of_item else RESOURCE_TEXTS)
    found |= st.builds("item[{}].text".format, st.integers(0, 2))
    if depth:
        found |= st.builds("item.where({}).linkId".format, conditions(True, depth - 1))
    return found | found.map("{}.first()".format) | found.map("{}.join('-')".format)


@st.composite
def equalities(draw: st.DrawFn, of_item: bool) -> str:
    """Draw a comparison of elements with children."""
    at = draw(st.integers(0, len(ELEMENTS) - 1))
    some = st.sampled_from(ELEMENTS[at] + (ITEM_ELEMENTS[at] if of_item else []))
    return f"({draw(some)} {draw(st.sampled_from(['=', '!=']))} {draw(some)})"


@st.composite
def conditions(draw: st.DrawFn, of_item: bool, depth: int = 1) -> str:
    """Draw what is true, false or nothing."""
    return draw(conditions_on(of_item, depth))


@functools.cache
def conditions_on(of_item: bool, depth: int) -> st.SearchStrategy[str]:
    path = texts(of_item, depth)
    booleans = [f"{each}.first()" for each in ITEM_BOOLEANS] if of_item else ["true", "{}"]
    integers = st.sampled_from(ITEM_INTEGERS if of_item else ["item.count()"])
    simple = st.one_of(
        st.builds("{}.{}()".format, path, st.sampled_from(["exists", "empty"])),
        st.builds("({} {} '{}')".format, path, st.sampled_from(["=", "!="]), words),
        st.builds("({} = {})".format, path, path),
        equalities(of_item),
        st.builds("({}.first() < '{}')".format, path, words),
        st.sampled_from(booleans),
        st.builds("({}.first() >= {})".format, integers, st.integers(0, 2)),
    )
    return st.recursive(
        simple,
        lambda inner: (
            st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or", "xor"]), inner)
            | inner.map("{}.not()".format)
        ),
        max_leaves=4,
    )


@st.composite
def selects(draw: st.DrawFn, names: Iterator[int], of_item: bool, depth: int) -> Json:
    select: Json = {}
    over = draw(st.sampled_from(["", "forEach", "forEachOrNull", "repeat"]))
    if over == "repeat":
        select["repeat"] = draw(st.sampled_from([["item"], ["item", "answer.item"]]))
    elif over:
        select[over] = draw(st.sampled_from(["item", "item.item", "item.answer.item", "item.where(linkId = 'a')"]))
    inner = of_item or bool(over)
    select["column"] = [draw(column(names, inner)) for _ in range(draw(st.integers(1, 2)))]
    select["column"] += draw(st.just([]) | wide(names))
    if depth:
        select["select"] = [draw(selects(names, inner, depth - 1)) for _ in range(draw(st.integers(0, 2)))]
        if draw(st.booleans()):
            branch = draw(selects(names, inner, 0))
            branches = [branch, draw(same_columns(branch, inner))]
            select["unionAll"] = branches
    return select


WIDE = ["item.where(linkId = '{}').text", "item.where('{}' = linkId).answer.value.ofType(integer).first()"]
"""Paths that several columns share but for a constant, so that one loop reads them."""


@st.composite
def wide(draw: st.DrawFn, names: Iterator[int]) -> list[Json]:
    path, is_collection = draw(st.sampled_from(WIDE)), draw(st.booleans())
    wanted = draw(st.lists(words, min_size=3, max_size=4))
    return [{"name": f"c{next(names)}", "path": path.format(each), "collection": is_collection} for each in wanted]


@st.composite
def column(draw: st.DrawFn, names: Iterator[int], of_item: bool) -> Json:
    path = draw(texts(of_item) | conditions(of_item) | st.just("%rowIndex"))
    return {"name": f"c{next(names)}", "path": path, "collection": draw(st.booleans())}


@st.composite
def same_columns(draw: st.DrawFn, branch: Json, of_item: bool) -> Json:
    """A branch over something else with the same columns."""
    others: list[Json] = [{}, {"forEach": "item"}, {"repeat": ["item"]}]
    other = draw(st.sampled_from(others))
    is_needed = of_item or not any(key in branch for key in ("forEach", "forEachOrNull", "repeat"))
    return {**(other if is_needed else {"forEach": "item"}), "column": branch["column"]}


@st.composite
def views(draw: st.DrawFn) -> Json:
    names = itertools.count()
    found: Json = {"resource": "QuestionnaireResponse"}
    found["select"] = [draw(selects(names, False, 1)) for _ in range(draw(st.integers(1, 2)))]
    found["where"] = [{"path": path} for path in draw(st.lists(conditions(False), max_size=1))]
    return found


@settings(max_examples=60, deadline=None)
@given(views(), st.lists(responses, min_size=2, max_size=4))
def test_a_compiled_view_gives_what_the_interpreter_gives(view: Json, resources: list[Json]) -> None:
    """Only the interpreter looks for several values in what can give no row; else even the errors are the same."""
    compiled = compile_view(view)

    for resource in resources:
        found = _read(compiled, resource)
        expected = _interpreted(view, resource)
        event("breaks" if expected is None else "rows" if expected else "no row")

        assert expected is None or found == expected


@settings(max_examples=30, deadline=None)
@given(st.lists(views(), min_size=2, max_size=3), st.lists(responses, min_size=2, max_size=4), st.integers(1, 40))
def test_batches_and_views_together_give_the_same_rows(some: list[Json], resources: list[Json], copies: int) -> None:
    """Whichever way is chosen by how many rows a resource has, and whatever other view reads the same resource."""
    lines = [json.dumps(resource).encode() for resource in resources] * copies
    together = compile_views(some)
    found: list[list[Row]] = [[] for _ in some]

    for at, batch in together.batches(lines, on_error=_ignored):
        found[at] += batch.to_pylist()

    for view, rows_together in zip(together.views, found, strict=True):
        expected = list(view.rows(lines, on_error=_ignored))
        assert [row for batch in view.batches(lines, on_error=_ignored) for row in batch.to_pylist()] == expected
        assert rows_together == expected


def _ignored(error: ViewError) -> None:
    event(f"broken: {error.problem}")


def _read(compiled: CompiledView, resource: Json) -> list[Row] | None:
    try:
        found = compiled.read(json.dumps(resource).encode())
    except ViewError:
        return None
    return [dict(zip(compiled.columns, row, strict=True)) for row in found]


def _interpreted(view: Json, resource: Json) -> list[Row] | None:
    try:
        return rows(view, resource)
    except SeveralValuesError:
        return None
