"""Tables of automations: definitions in versions, and their executions."""

from apps.automations.models.definitions import Automation, AutomationVersion
from apps.automations.models.executions import Execution, ExecutionEvent, NodeRun

__all__ = ["Automation", "AutomationVersion", "Execution", "ExecutionEvent", "NodeRun"]
