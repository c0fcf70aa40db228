"""Tables of automations: definitions in versions, their executions, and what nodes have written."""

from apps.automations.models.definitions import Automation, AutomationVersion
from apps.automations.models.executions import Execution, ExecutionEvent, NodeRun
from apps.automations.models.writes import Write

__all__ = ["Automation", "AutomationVersion", "Execution", "ExecutionEvent", "NodeRun", "Write"]
