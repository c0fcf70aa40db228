"""Tables of automations: definitions in versions, and what was written elsewhere."""

from apps.automations.models.definitions import Automation, AutomationVersion
from apps.automations.models.writes import Write

__all__ = ["Automation", "AutomationVersion", "Write"]
