"""Nodes with an effect, tried without an execution around them."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.automations.contracts import NodeType
from apps.automations.nodes import EFFECTS
from apps.automations.nodes.call import Call
from apps.automations.secrets import Secrets
from apps.common.errors import DomainError
from tests.support import LONG_ENOUGH

KEY = "exec-1:node"


def tried(
    type: str,
    *,
    inputs: Any = None,
    nodes: Any = None,
    params: Any = None,
    key: str = KEY,
    seconds: float = LONG_ENOUGH,
    stopped: Callable[[], bool] = lambda: False,
    number: int = 1,
    secrets: Secrets | None = None,
    **data: Any,
) -> Any:
    """Run a node once; return its output."""
    values = {"inputs": inputs, "nodes": nodes or {}, "params": params or {}}
    call = Call(data, values, key, seconds, secrets or Secrets(), stopped, number)
    return EFFECTS[NodeType(type)](call)


def refused(type: str, **given: Any) -> DomainError:
    """Run a node once; return what it raised."""
    with pytest.raises(DomainError) as error:
        tried(type, **given)
    return error.value


def told(type: str, **given: Any) -> tuple[str, str]:
    """Run a node once; return the class and the code of what it raised."""
    error = refused(type, **given)
    return error.__class__.__name__, error.code
