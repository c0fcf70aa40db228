"""Tasks of the relay's leader: fan out group notices, send e-mails, deliver webhooks."""

import asyncio

from django.conf import settings

from apps.common import correlation
from apps.engine.db_threads import Threads
from apps.engine.leader_tasks import Duty, Leader, OwnThread, register
from apps.notifications import services

logger = correlation.get_logger(__name__)

#: Webhooks on their way at once: each may take as long as WEBHOOK_TIMEOUT_SECONDS.
PLACES = 12


def notification_duties() -> list[Duty]:
    """One task for each kind of message, so that a hanging mail server delays no webhook."""
    return [
        Duty("notices", settings.NOTIFY_SECONDS, OwnThread("notices", services.notices_fan_out)),
        Duty("mails", settings.NOTIFY_SECONDS, OwnThread("mails", services.mails_deliver)),
        Duty("webhooks", settings.NOTIFY_SECONDS, Webhooks()),
    ]


def register_all() -> None:
    """Give the duties to the engine."""
    register("notifications", notification_duties)


class Webhooks:
    """Claims as many deliveries as it has free slots; a slow endpoint occupies one slot."""

    def __init__(self) -> None:
        self._threads = Threads("webhook", most=PLACES + 1)
        self._posts: set[asyncio.Task[None]] = set()

    async def __call__(self, leader: Leader) -> bool:
        free = PLACES - len(self._posts)
        claimed = await self._threads.run(services.deliveries_claim, limit=free) if free else []
        for number in claimed:
            task = asyncio.create_task(
                self._threads.run(services.delivery_post, delivery_id=number)
            )
            self._posts.add(task)
            task.add_done_callback(self._ended)
        if not self._posts:
            return False
        # More may be due as soon as one is through, and others become due meanwhile.
        await asyncio.wait(
            self._posts, timeout=settings.NOTIFY_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._posts.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease brings the delivery back.
            logger.error("a webhook broke", error=repr(error), exc_info=error, alert=True)
