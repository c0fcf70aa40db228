"""The task of the relay's leader that forgets old writes of `database` nodes."""

from django.utils import timezone

from apps.automations.services import writes
from apps.engine.leader_tasks import Duty, Leader, register

FORGET_SECONDS = 600.0


def duties() -> list[Duty]:
    """Return the task with its period."""
    return [Duty("automation_writes_forget", FORGET_SECONDS, forget)]


def register_all() -> None:
    """Give the task to the engine."""
    register("automations", duties)


async def forget(leader: Leader) -> bool:
    """Delete a step of old writes; return whether there may be more."""
    deleted = await leader.threads.run(writes.writes_forget, now=timezone.now())
    return deleted >= writes.STEP
