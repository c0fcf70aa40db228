"""`manage.py reconcile`: restarts workflows that should run and do not."""

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.engine import client, sweeper
from apps.engine.db_threads import Threads
from apps.engine.reconcile import reconcile


class Command(BaseCommand):
    help = (
        "Compare the mirror with the engine, then start workflows that ought to run and do not "
        "from their rows. The relay's leader does the same every minute."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--trust-mirror", action="store_true", help="Do not ask the engine first."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["trust_mirror"]:
            try:
                changed = asyncio.run(_compare())
            except Exception as error:
                raise CommandError(f"{type(error).__name__}: {error}") from error
            self.stdout.write(f"{changed} runs corrected in the mirror")
        restarted = reconcile()
        for name in restarted:
            self.stdout.write(f"restarted {name}")
        self.stdout.write(f"{len(restarted)} workflows restarted")


async def _compare() -> int:
    threads = Threads("reconcile", most=2)
    try:
        connected = await client.connect()
        changed = await sweeper.compare(connected, threads=threads)
        # After a restored backup: find what Temporal ran since, because those numbers are taken.
        return changed + await sweeper.sweep(connected, threads=threads)
    finally:
        threads.close()
