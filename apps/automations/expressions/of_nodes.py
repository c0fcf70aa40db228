"""Where the nodes of a definition have expressions, and which other nodes these name."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from apps.automations.contracts import NodeType
from apps.automations.expressions import conditions, paths, templates
from apps.automations.expressions.errors import NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _

#: The place of an expression in a node's data, and what returns the ids of nodes that it names.
Found = tuple[tuple[str | int, ...], Callable[[], Iterable[str]]]

#: Where strings may hold `{{ expressions }}`, by type; where they may name secrets too.
TEMPLATES: dict[NodeType, tuple[str, ...]] = {
    NodeType.API_CALL: ("url", "headers", "body"),
    NodeType.WEBHOOK: ("url", "payload"),
    NodeType.DELAY: ("delay_seconds",),
    NodeType.DATABASE: ("query", "parameters"),
    NodeType.AI_AGENT: ("prompt",),
    NodeType.APPROVAL: ("title", "detail", "amount", "currency"),
}
SENDING = (NodeType.API_CALL, NodeType.WEBHOOK)


def expressions_in(type: NodeType | None, data: dict[str, Any]) -> Iterator[Found]:
    """Yield each expression of a node's data: where it is, and a function that returns the ids of
    nodes that it names. The function raises NotAllowed for what no expression may do here."""
    text = data.get("condition")
    if type is NodeType.CONDITION and isinstance(text, str):
        yield ("condition",), partial(conditions.nodes_of, text)
    mapping = data.get("mapping")
    if type is NodeType.TRANSFORM and isinstance(mapping, dict):
        for name, text in mapping.items():
            if isinstance(text, str):
                yield ("mapping", name), partial(_path, text, ())
    for name in TEMPLATES.get(type, ()) if type else ():
        if type is NodeType.DATABASE and isinstance(data.get(name), str):
            # A query in words takes its values by parameters only.
            continue
        more = (paths.SECRETS,) if type in SENDING else ()
        for path, text in templates.strings_of(data.get(name)):
            if templates.is_template(text):
                yield (name, *path), partial(_template, text, more)


def named_nodes(type: NodeType, data: dict[str, Any]) -> list[str]:
    """Return the ids that the node's expressions name as `nodes.<id>`, each once. Raises
    NotAllowed."""
    return list(dict.fromkeys(id for _place, named in expressions_in(type, data) for id in named()))


def _template(text: str, more: tuple[str, ...]) -> list[str]:
    expressions = [part[0] for part in templates.parts_of(text) if isinstance(part, tuple)]
    return [id for expression in expressions for id in _path(expression, more)]


def _path(expression: str, more: tuple[str, ...]) -> list[str]:
    if templates.is_template(expression):
        raise NotAllowed(_("Here the whole text is an expression: write it without braces."))
    known = (*paths.NAMES, *more)
    for name in paths.roots_of(expression):
        if name == paths.SECRETS and name not in known:
            raise NotAllowed(
                _("Secrets are only for the address, the headers and the body of what is sent."),
                code="secret_not_allowed",
            )
        if name not in known:
            raise NotAllowed(
                filled(
                    _("{name} is not known here; known are {known}."),
                    name=name[:100],
                    known=", ".join(known),
                ),
                code="unknown_name",
            )
    return paths.nodes_of(expression)
