"""The task of the relay's leader that polls the directory."""

from django.conf import settings

from apps.engine.leader_tasks import Duty, OwnThread, register
from apps.pix.services import polling


def duties() -> list[Duty]:
    """Return the task with its period, in a thread of its own: the directory may be slow."""
    every = settings.DIRECTORY_POLL_SECONDS
    return [Duty("directory", every, OwnThread("directory", polling.poll_all))]


def register_all() -> None:
    """Give the task to the engine."""
    register("pix", duties)
