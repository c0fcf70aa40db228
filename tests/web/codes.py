"""The codes of refusals and errors, as the source names them."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REFUSALS = {"Invalid", "NotAllowed", "NotFound", "Conflict", "TooMany", "Unavailable"}
#: A code that is made of an effect's name: `apps.engine.effects`.
_OF_EFFECT = r"f'\{effect\.name\}(_\w+)'"
_CODE = re.compile(r"[a-z]+(_[a-z]+)*")
#: Which argument of a call is a code: by the call's name, or of any call.
_OF_CALLS = {"ApplicationError": "type"}
_OF_ANY = ("code", "error_code")
_NAMED = re.compile(r"code=|Effect\(|ApplicationError\(|Stop\(")
#: Calls whose second argument is a code.
_SECOND = {"Stop"}


@cache
def raised() -> dict[str, set[str]]:
    """Codes that apps give to refusals, with the files."""
    found: dict[str, set[str]] = defaultdict(set)
    effects: set[str] = set()
    of_effects: dict[str, str] = {}
    for path, node in _calls("apps"):
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        name = _name(node.func)
        if name == "Effect" and "name" in given:
            effects.add(ast.literal_eval(given["name"]))
        code = given.get("code") if name in REFUSALS else None
        if isinstance(code, ast.Constant):
            found[code.value].add(path.name)
        elif code is not None and (known := re.fullmatch(_OF_EFFECT, ast.unparse(code))):
            of_effects[known[1]] = path.name
    for name in effects:
        for ending, file in of_effects.items():
            found[name + ending].add(file)
    return dict(found)


def written() -> dict[str, set[str]]:
    """Every code that apps and workers raise or write into a row, with the files."""
    found: dict[str, set[str]] = defaultdict(set, raised())
    constants = _constants()
    for path, node in [*_calls("apps"), *_calls("workers")]:
        name = _name(node.func)
        values = [
            keyword.value
            for keyword in node.keywords
            if keyword.arg in _OF_ANY or keyword.arg == _OF_CALLS.get(name, "")
        ]
        if name in _SECOND:
            values += node.args[1:2]
        for value in values:
            for code in _texts(value, constants):
                found[code].add(path.name)
    return dict(found)


def _calls(folder: str) -> Iterator[tuple[Path, ast.Call]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text()
        # Most files name no code, and parsing is what costs.
        if not _NAMED.search(text) or "simulators" in path.parts or "migrations" in path.parts:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                yield path, node


def _name(node: ast.expr) -> str:
    """The last part of a name: `Conflict` of `errors.Conflict`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _constants() -> dict[str, str]:
    """Names in capitals that stand for a text, by name."""
    found: dict[str, str] = {}
    for path in [*(ROOT / "apps").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for target in node.targets:
                    if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                        found[target.id] = node.value.value
    return found


def _texts(value: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    """Codes that the expression can be: itself, or one of its branches."""
    if isinstance(value, ast.IfExp):
        branches = [value.body, value.orelse]
    else:
        branches = value.values if isinstance(value, ast.BoolOp) else [value]
    for one in branches:
        text = one.value if isinstance(one, ast.Constant) else None
        if isinstance(one, ast.Name | ast.Attribute):
            text = constants.get(_name(one))
        if isinstance(text, str) and _CODE.fullmatch(text):
            yield text
