"""What state an automation is in, as badges and filters say it."""

from apps.automations.models import Automation


def state_of(automation: Automation) -> str:
    """Return `draft` without a version that can run, `switched_off`, or `switched_on`."""
    if not automation.valid:
        return "draft"
    return "switched_on" if automation.enabled else "switched_off"
