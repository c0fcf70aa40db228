"""Node types that have an effect outside: what each does in one try."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from apps.automations.contracts import NodeType
from apps.automations.nodes import ai_agent, api_call, database, webhook
from apps.automations.nodes.call import Call
from apps.common.errors import DomainError

Effect = Callable[[Call], Any]


def _without_secrets(run: Effect) -> Effect:
    """Hide secrets in what the node gives, and in what it raises."""

    @wraps(run)
    def hidden(call: Call) -> Any:
        try:
            return call.secrets.hidden(run(call))
        except DomainError as error:
            told = call.secrets.hidden_in(error)
        # Not in the `except`, which would keep the error with the secret in it.
        raise told

    return hidden


#: Each raises Unavailable when another try may help, another DomainError when none can.
EFFECTS: dict[NodeType, Effect] = {
    NodeType.API_CALL: _without_secrets(api_call.run),
    NodeType.WEBHOOK: _without_secrets(webhook.run),
    NodeType.AI_AGENT: _without_secrets(ai_agent.run),
    NodeType.DATABASE: database.run,
}
