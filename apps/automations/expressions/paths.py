"""JMESPath, bounded: what an expression may ask for, and what it may take to answer.

The language by itself can double a value with every few characters, and join any text with any
other: the tree is checked before it runs, its steps and its results are counted while it does.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jmespath import functions
from jmespath.exceptions import JMESPathError
from jmespath.parser import Parser
from jmespath.visitor import Options, TreeInterpreter

from apps.automations.expressions.errors import Failed, NotAllowed
from apps.automations.values import MOST_BYTES, json_of, measure
from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _

LONGEST = 500
MOST_NODES = 60
#: How often an expression may use what multiplies.
MOST_GROWING = 2
_GROWING = ("multi_select_list", "flatten")
#: Steps of one evaluation, or of all that share them: about half a second.
MOST_STEPS = 300_000

#: What an expression may name; `secrets` only where they are sent.
NAMES = ("inputs", "nodes", "params")
SECRETS = "secrets"
_SECRET = re.compile(rf"{SECRETS}\.([A-Za-z][A-Za-z0-9_]*)")


class Steps:
    """What several expressions may take and find together: steps, and bytes of JSON."""

    def __init__(self) -> None:
        self._left, self._room = MOST_STEPS, MOST_BYTES

    def take(self) -> None:
        """Take a step. Raises Failed when there is none left."""
        self._left -= 1
        if self._left < 0:
            raise Failed(_("The expression takes too many steps for these values."))

    def keep(self, found: Any) -> None:
        """Count what an expression has found. Raises TooLarge; Invalid `value_not_json`."""
        self._room -= measure(found, most=self._room)


def check(text: str) -> None:
    """Raises NotAllowed for what is no JMESPath expression, or one that asks for too much."""
    _parsed(text)


def roots_of(text: str) -> list[str]:
    """Return the names that the expression reads from its root, each once. Raises NotAllowed."""
    return list(dict.fromkeys(path[0] for path in _rooted(_parsed(text))))


def nodes_of(text: str) -> list[str]:
    """Return the ids in `nodes.<id>`, each once. Raises NotAllowed, also for `nodes` without an id:
    all outputs together have no limit."""
    ids = []
    for path in _rooted(_parsed(text)):
        if path[0] == SECRETS and secret_of(text) is None:
            raise NotAllowed(
                _("A secret stands alone in its braces: {{ secrets.NAME }}."),
                code="secret_not_allowed",
            )
        if path == ("nodes",):
            raise NotAllowed(_("nodes needs the id of a node: nodes.<id>."))
        if path[0] == "nodes":
            ids.append(path[1])
    return list(dict.fromkeys(ids))


def secret_of(text: str) -> str | None:
    """Return NAME if the expression is `secrets.NAME`. Nothing else can be done with a secret:
    a part of it, or a comparison, would tell what it is where nobody hides it."""
    found = _SECRET.fullmatch(text.strip())
    return found[1] if found else None


def evaluate(text: str, values: Mapping[str, Any], steps: Steps | None = None) -> Any:
    """Return what the expression finds in these values; None where a path leads nowhere.

    `steps`: what it shares with other expressions; its own, if there are none. Only an expression
    that is `secrets.NAME` reads from `secrets` in the values, and raises what that does.

    Raises NotAllowed; Failed for a function that does not take what it is given, and for one that
    takes too long; with `steps` also as `Steps.keep`.
    """
    name = secret_of(text)
    if name is not None and SECRETS in values:
        found = values[SECRETS][name]
    else:
        found = _found(text, {k: v for k, v in values.items() if k != SECRETS}, steps or Steps())
    if steps is not None:
        steps.keep(found)
    return found


def _found(text: str, values: dict[str, Any], steps: Steps) -> Any:
    try:
        return _Interpreter(steps).visit(_parsed(text), values)
    except Invalid:
        raise
    except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise Failed(str(error)[:500]) from None


@lru_cache(maxsize=2048)
def _parsed(text: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise NotAllowed(filled(_("An expression has at most {most} characters."), most=LONGEST))
    try:
        tree: dict[str, Any] = Parser().parse(text).parsed
        nodes = list(_walk(tree))
    except (JMESPathError, ValueError, RecursionError) as error:
        raise NotAllowed(
            filled(_("It is not a JMESPath expression: {why}"), why=str(error).split("\n")[0][:200])
        ) from None
    if len(nodes) > MOST_NODES:
        raise NotAllowed(filled(_("An expression has at most {most} parts."), most=MOST_NODES))
    if sum(map(_grows, nodes)) > MOST_GROWING:
        raise NotAllowed(
            filled(
                _("Lists [a, b], flattening [] and join() may occur {most} times at most."),
                most=MOST_GROWING,
            )
        )
    for node in nodes:
        if node["type"] == "function_expression" and node["value"] not in _Functions.FUNCTION_TABLE:
            raise NotAllowed(filled(_("There is no function {name}()."), name=node["value"]))
    return tree


def _grows(node: dict[str, Any]) -> bool:
    is_join = node["type"] == "function_expression" and node["value"] == "join"
    return is_join or node["type"] in _GROWING


def _walk(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        # The bounds of a slice are children without a type.
        if isinstance(node, dict):
            yield node
            waiting.extend(node["children"])


#: Nodes of the tree whose first child alone sees what they see; the others see what it found.
_CHAINS = (
    *("subexpression", "index_expression", "pipe", "flatten"),
    *("projection", "value_projection", "filter_projection"),
)


def _rooted(tree: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the paths that begin at the root, as far as they consist of names."""
    waiting: list[dict[str, Any]] = [tree]
    while waiting:
        node = waiting.pop()
        if node["type"] == "field":
            yield (node["value"],)
        elif node["type"] in _CHAINS:
            names = _leading(node)
            if names:
                yield tuple(names)
            else:
                waiting.append(node["children"][0])
        elif node["type"] != "expref":
            waiting.extend(child for child in node["children"] if isinstance(child, dict))


def _leading(node: dict[str, Any]) -> list[str]:
    """Return the names with which a chain begins."""
    if node["type"] == "field":
        return [node["value"]]
    if node["type"] not in _CHAINS:
        return []
    first, *rest = node["children"]
    names = _leading(first)
    if names and node["type"] == "subexpression":
        for child in rest:
            if child["type"] != "field":
                break
            names.append(child["value"])
    return names


class _Functions(functions.Functions):
    """Those of the language; the two that write texts do so only within the limit."""

    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, array: list[str]) -> str:
        size = sum(map(len, array)) + len(separator) * max(len(array) - 1, 0)
        if size > MOST_BYTES:
            raise Failed(filled(_("join() would write {size} characters."), size=size))
        return separator.join(array)

    @functions.signature({"types": []})
    def _func_to_string(self, arg: Any) -> str:
        return arg if isinstance(arg, str) else json_of(arg)

    @functions.signature({"types": ["array", "string"]}, {"types": []})
    def _func_contains(self, subject: Any, search: Any) -> bool:
        if not isinstance(subject, str):
            measure([subject, search], most=2 * MOST_BYTES)
        elif not isinstance(search, str):
            return False
        return search in subject


def _measured(compare: Any) -> Any:
    def compared(left: Any, right: Any) -> Any:
        if isinstance(left, dict | list) and isinstance(right, dict | list):
            measure([left, right], most=2 * MOST_BYTES)
        return compare(left, right)

    return compared


class _Interpreter(TreeInterpreter):
    COMPARATOR_FUNC = {
        **TreeInterpreter.COMPARATOR_FUNC,
        "eq": _measured(TreeInterpreter.COMPARATOR_FUNC["eq"]),
        "ne": _measured(TreeInterpreter.COMPARATOR_FUNC["ne"]),
    }

    def __init__(self, steps: Steps) -> None:
        super().__init__(Options(custom_functions=_Functions()))
        self._steps = steps

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._steps.take()
        return super().visit(node, *args, **kwargs)
