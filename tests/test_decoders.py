"""A decoder of a shape of ours is made when its module is loaded.

msgspec 0.22 works out what a Struct or dataclass holds when it is first decoded, and keeps that with the class before
it is complete: where two threads come first at once, the process ends with a segmentation fault.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("integration", "server") for path in (ROOT / folder).rglob("*.py"))


def shapes_decoded_on_the_way(source: str) -> list[str]:
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    asked = [one.value for call in calls for one in call.keywords if one.arg == "type" and _is_decode(call.func)]
    names = (node.id for one in asked for node in ast.walk(one) if isinstance(node, ast.Name))
    return [name for name in names if name != "Any" and name.lstrip("_")[:1].isupper()]


def _is_decode(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr in ("decode", "convert")


def test_the_check_sees_what_it_looks_for() -> None:
    assert shapes_decoded_on_the_way("json.decode(body, type=_Head)") == ["_Head"]
    assert shapes_decoded_on_the_way("json.decode(body, type=dict[str, Any])") == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_shape_of_ours_is_decoded_without_a_decoder_of_its_own(path: Path) -> None:
    assert shapes_decoded_on_the_way(path.read_text(encoding="utf-8")) == []
