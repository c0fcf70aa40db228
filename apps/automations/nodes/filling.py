"""The data of a node with its expressions filled in."""

from typing import Any

from apps.automations.expressions import paths
from apps.automations.expressions.templates import filled_in
from apps.automations.nodes.call import Call


def filled_parts(call: Call, *names: str, secrets: bool = False) -> list[Any]:
    """Return these parts of the node's data, filled in within the limits of one node together.
    `secrets`: their expressions may read secrets. Raises as `filled_in`."""
    values = {name: call.values.get(name) for name in paths.NAMES}
    if secrets:
        values[paths.SECRETS] = call.secrets
    steps = paths.Steps()
    return [filled_in(call.data.get(name), values, steps) for name in names]
