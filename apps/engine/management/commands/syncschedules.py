"""`manage.py syncschedules`: makes Temporal's Schedules equal to the rows."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.engine import client, schedules
from apps.engine.db_threads import Threads


class Command(BaseCommand):
    help = (
        "Make the engine's schedules equal to the rows, and remove those of ours that have no row. "
        "Prints what was done with each; exit 1 when one failed."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            results = asyncio.run(_synchronise())
        except Exception as error:
            raise CommandError(f"{type(error).__name__}: {error}") from error
        for result in results:
            self.stdout.write(" ".join(filter(None, (result.done, result.name, result.error))))
        if any(result.done == "failed" for result in results):
            raise CommandError("not all schedules could be made equal to their rows")


async def _synchronise() -> list[schedules.Applied]:
    threads = Threads("schedules", most=1)
    try:
        return await schedules.synchronise(await client.connect(), threads=threads)
    finally:
        threads.close()
