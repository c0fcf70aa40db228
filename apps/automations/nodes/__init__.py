"""Nodes with an effect, by type."""

from collections.abc import Callable
from typing import Any

from apps.automations.contracts import NodeType
from apps.automations.nodes import database
from apps.automations.nodes.call import Call

EFFECTS: dict[NodeType, Callable[[Call], Any]] = {NodeType.DATABASE: database.run}
