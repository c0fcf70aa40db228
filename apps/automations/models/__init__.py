"""Tables of automations: definitions in versions."""

from apps.automations.models.definitions import Automation, AutomationVersion

__all__ = ["Automation", "AutomationVersion"]
