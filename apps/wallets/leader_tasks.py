"""Tasks of the relay's leader: look at webhooks without an outcome, send money back, and queue the
receipts of reviewed payments."""

from collections.abc import Callable

from django.conf import settings

from apps.engine.db_threads import Threads
from apps.engine.leader_tasks import Duty, Leader, register
from apps.wallets.services import invoices, reviews, webhooks


def payment_duties() -> list[Duty]:
    """Return a task for each kind of work, in threads of their own: Paystack may be slow."""
    every = settings.TOPUP_POLL_SECONDS
    return [
        Duty("payment_events", every, _Own("payment_events", webhooks.events_look)),
        Duty("payment_returns", every, _Own("payment_returns", reviews.payments_return)),
        Duty("receipts", every, _Own("receipts", invoices.receipts_queue)),
    ]


def register_all() -> None:
    """Give the tasks to the engine."""
    register("payments", payment_duties)


class _Own:
    """Runs a function in its own thread, because the leader's threads must not wait for others."""

    def __init__(self, name: str, fn: Callable[[], int]) -> None:
        self._threads = Threads(name, most=1)
        self._fn = fn

    async def __call__(self, leader: Leader) -> bool:
        return bool(await self._threads.run(self._fn))
