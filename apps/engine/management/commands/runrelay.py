"""`manage.py runrelay`: sends commands to Temporal until SIGTERM."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from apps.engine.leaving import leave
from apps.engine.relay import Relay


class Command(BaseCommand):
    help = "Stand by, lead when no other relay does, and send commands until SIGTERM or SIGINT."
    # They load every page and form, which this process never serves; `manage.py check` is for that.
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(_run())
        leave()


async def _run() -> None:
    """Run until a signal. A second signal kills at once: the first removes the handlers."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stopping() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping)
    await Relay().run(stop)
