"""Where automations and their executions appear in what all apps share."""

from apps.automations.registration import definitions, executions


def register() -> None:
    """Register everything. Called once, when Django is ready."""
    definitions.register()
    executions.register()
