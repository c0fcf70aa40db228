"""Conditions: Python's syntax for comparison, logic and arithmetic, and nothing else of Python.

simpleeval evaluates what an allow-list of the parsed tree lets through. By itself it calls methods
of values, multiplies strings until the memory is full, and takes an assignment for its value.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from simpleeval import EvalWithCompoundTypes, InvalidExpression

from apps.automations.expressions.errors import Failed, NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _

LONGEST = 1_000
MOST_NODES = 200
#: Numbers beyond this are no longer compared: as floats they would be infinite.
_MOST = 10**308
#: What a condition may name, beside the functions; words as in JSON and as in Python.
NAMES = ("inputs", "nodes", "params")
_WORDS = {"true": True, "false": False, "null": None}
_ASSIGNED = re.compile(r"[^=!<>]=[^=]")
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?")

_ALLOWED = (
    *(ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Attribute, ast.Subscript, ast.Call),
    *(ast.List, ast.Tuple, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
    *(ast.Is, ast.IsNot),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod),
)


def check(text: str) -> None:
    """Raises NotAllowed for what is no condition."""
    _parsed(text)


def nodes_of(text: str) -> list[str]:
    """Return the ids in `nodes.<id>` and `nodes["<id>"]`, each once. Raises NotAllowed, also for
    `nodes` without an id: all outputs together have no limit."""
    ids, named, whole = [], 0, 0
    for node in ast.walk(_parsed(text)):
        whole += isinstance(node, ast.Name) and node.id == "nodes"
        value = getattr(node, "value", None)
        if isinstance(value, ast.Name) and value.id == "nodes":
            key = node.slice if isinstance(node, ast.Subscript) else None
            if isinstance(node, ast.Attribute):
                ids.append(node.attr)
                named += 1
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                ids.append(key.value)
                named += 1
    if named < whole:
        raise NotAllowed(_("nodes needs the id of a node: nodes.<id>."))
    return list(dict.fromkeys(ids))


def evaluate(text: str, values: Mapping[str, Any]) -> bool:
    """Return whether the condition holds for these values of `NAMES`, by Python's rules of truth.

    Raises NotAllowed; Failed for a key that is missing, and for an operation that its values do not
    have.
    """
    evaluator = _Evaluator({**_WORDS, **{name: values.get(name) for name in NAMES}})
    tree = _parsed(text)
    try:
        return bool(evaluator.eval(text, previously_parsed=tree))
    except (ArithmeticError, InvalidExpression, TypeError, ValueError) as error:
        raise Failed(filled(_("The condition has no answer: {why}."), why=error)) from None


@lru_cache(maxsize=512)
def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise NotAllowed(filled(_("A condition has at most {most} characters."), most=LONGEST))
    try:
        tree = ast.parse(text.strip(), mode="eval")
        nodes = list(ast.walk(tree))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        if _ASSIGNED.search(text):
            raise NotAllowed(_("Two values are compared with ==, not with =.")) from None
        raise NotAllowed(_("It is not a comparison such as inputs.amount > 100.")) from None
    expressions = [node for node in nodes if isinstance(node, ast.expr)]
    if len(expressions) > MOST_NODES:
        raise NotAllowed(filled(_("A condition has at most {most} parts."), most=MOST_NODES))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    for node in nodes:
        _check_node(node, is_called=id(node) in called)
    return tree.body


def _check_node(node: ast.AST, *, is_called: bool) -> None:
    if not isinstance(node, _ALLOWED):
        raise NotAllowed(filled(_("A condition cannot use {what}."), what=type(node).__name__))
    if isinstance(node, ast.Constant) and not isinstance(node.value, str | int | float | None):
        raise NotAllowed(_("A condition compares texts, numbers, true, false and null."))
    if isinstance(node, ast.Attribute) and node.attr.startswith("__"):
        # As a key it would be harmless; whoever writes it means something else.
        raise NotAllowed(filled(_("A condition cannot use {what}."), what=node.attr[:100]))
    if isinstance(node, ast.Call) and (
        not isinstance(node.func, ast.Name)
        or node.keywords
        or any(isinstance(argument, ast.Starred) for argument in node.args)
    ):
        raise NotAllowed(_("A condition can call its own functions only, not methods of values."))
    if isinstance(node, ast.Name):
        known = FUNCTIONS if is_called else (*NAMES, *_WORDS)
        if node.id not in known:
            raise NotAllowed(
                filled(
                    _("{name} is not known here; known are {known}."),
                    name=node.id,
                    known=", ".join(known),
                )
            )


# --- values ---------------------------------------------------------------------------------------
class _Evaluator(EvalWithCompoundTypes):
    def __init__(self, names: Mapping[str, Any]) -> None:
        super().__init__(operators=_OPERATORS, functions=FUNCTIONS, names=dict(names))
        self.nodes[ast.Attribute] = self._key
        self.nodes[ast.Subscript] = self._item

    def _check_disallowed_items(self, item: Any) -> None:
        """Nothing: values are JSON, and walking through a large one at each of its names would take
        longer than the condition."""

    def _key(self, node: ast.Attribute) -> Any:
        return _member(self._eval(node.value), node.attr)

    def _item(self, node: ast.Subscript) -> Any:
        return _member(self._eval(node.value), self._eval(node.slice))


def _member(value: Any, key: Any) -> Any:
    """Return the value of a key, or the item at a place of a list."""
    if isinstance(value, dict) and isinstance(key, str):
        if key in value:
            return value[key]
        there = ", ".join(sorted(value)[:20])[:400]
        raise Failed(
            filled(_("{key} is missing; there are: {there}."), key=key[:100], there=there or "-")
        )
    if isinstance(value, list | tuple) and isinstance(key, int) and not isinstance(key, bool):
        if -len(value) <= key < len(value):
            return value[key]
        raise Failed(filled(_("The list has no item {key}."), key=key))
    raise Failed(filled(_("{what} has no {key}."), what=_kind(value), key=str(key)[:100]))


def _arithmetic(work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def of_numbers(left: Any, right: Any) -> Any:
        return _finite(work(_number(left), _number(right)))

    return of_numbers


def _signed(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: work(_number(value))


def _number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise Failed(filled(_("A number is needed, not {what}."), what=_kind(value)))


def _finite(value: Any) -> Any:
    if not -_MOST < value < _MOST:
        raise Failed(_("A number is too large."))
    return value


def _same(left: Any, right: Any) -> bool:
    # In Python true is 1; in JSON it is not.
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def _within(item: Any, of: Any) -> bool:
    if isinstance(of, str) and isinstance(item, str):
        return item in of
    if isinstance(of, dict) and isinstance(item, str):
        return item in of
    if isinstance(of, list | tuple):
        return any(_same(item, one) for one in of)
    raise Failed(filled(_("{what} cannot be in {of}."), what=_kind(item), of=_kind(of)))


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: _arithmetic(operator.add),
    ast.Sub: _arithmetic(operator.sub),
    ast.Mult: _arithmetic(operator.mul),
    ast.Div: _arithmetic(operator.truediv),
    ast.FloorDiv: _arithmetic(operator.floordiv),
    ast.Mod: _arithmetic(operator.mod),
    ast.USub: _signed(operator.neg),
    ast.UAdd: _signed(operator.pos),
    ast.Not: operator.not_,
    ast.Eq: _same,
    ast.NotEq: lambda left, right: not _same(left, right),
    ast.Is: _same,
    ast.IsNot: lambda left, right: not _same(left, right),
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: _within,
    ast.NotIn: lambda item, of: not _within(item, of),
}


# --- functions ------------------------------------------------------------------------------------
def _len(value: Any) -> int:
    if isinstance(value, str | list | tuple | dict):
        return len(value)
    raise Failed(filled(_("{what} has no length."), what=_kind(value)))


def _to_number(value: Any) -> Any:
    if not isinstance(value, str):
        return _number(value)
    text = value.strip()
    if not _NUMBER.fullmatch(text):
        raise Failed(filled(_("{text} is not a number."), text=text[:100]))
    return _finite(float(text) if set(text) & set(".eE") else int(text))


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str | int | float):
        return str(value)
    raise Failed(filled(_("{what} is not one text."), what=_kind(value)))


def _get(value: Any, key: Any, default: Any = None) -> Any:
    if value is None:
        return default
    try:
        return _member(value, key)
    except Failed:
        return default


def _startswith(value: Any, start: Any) -> bool:
    return _string(value).startswith(_string(start))


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Failed(filled(_("{what} is not a text."), what=_kind(value)))


def _of_many(choose: Callable[[Any], Any]) -> Callable[..., Any]:
    def chosen(*values: Any) -> Any:
        return choose(values[0] if len(values) == 1 else values)

    return chosen


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": _len,
    "lower": lambda value: _string(value).lower(),
    "upper": lambda value: _string(value).upper(),
    "number": _to_number,
    "text": _text,
    "get": _get,
    "startswith": _startswith,
    "abs": lambda value: abs(_number(value)),
    "min": _of_many(min),
    "max": _of_many(max),
}


def _kind(value: Any) -> str:
    """Return what the value is, in JSON's words."""
    names = {str: "string", bool: "boolean", int: "number", float: "number", dict: "object"}
    return "null" if value is None else names.get(type(value), "array")
