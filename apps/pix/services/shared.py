"""What the services of all Pix rows share: who acts from outside, which participants are ours, and
the limits of the queue's steps."""

from django.conf import settings

from apps.audit.contracts import SystemActor
from apps.engine.contracts import Timings
from apps.pix.models import Participant

#: Whoever sends a signal to the engine has no name here; and the way by which they act.
SIGNALLER, BY_SIGNAL = SystemActor("engine signal"), "signal"
DIRECTORY = SystemActor("directory")


def ours_of(*ispbs: str) -> set[str]:
    """Return those of the participants that this installation acts for; an empty one is none."""
    found = Participant.objects.filter(ispb__in=[one for one in ispbs if one], ours=True)
    return set(found.values_list("ispb", flat=True))


def is_ours(ispb: str) -> bool:
    """Return whether this installation acts for the participant."""
    return bool(ours_of(ispb))


def queue_timings(*, deadline: float = Timings.deadline) -> Timings:
    """Return the limits of this queue's steps, whose activities have a limit of their own.
    `deadline`: of the whole workflow, in seconds."""
    seconds = settings.PIX_ACTIVITY_TIMEOUT
    return Timings(
        activity=seconds,
        heartbeat=min(settings.ACTIVITY_HEARTBEAT_SECONDS, seconds),
        deadline=deadline,
        task=settings.WORKFLOW_TASK_TIMEOUT_SECONDS,
    )
