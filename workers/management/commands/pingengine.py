"""`manage.py pingengine`: runs the empty workflow and prints how long it took."""

import asyncio
import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.common.identifiers import new_id
from apps.engine import client


class Command(BaseCommand):
    help = "Run PingWorkflow on the queue `diagnostics`; exit 1 when it does not answer in time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--timeout", type=float, default=10.0, help="Seconds, default 10.")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        try:
            answer = asyncio.run(_ping(options["timeout"]))
        except TimeoutError as error:
            raise CommandError(
                f"no answer within {options['timeout']:g} s: does a worker serve `diagnostics`?"
            ) from error
        except Exception as error:
            raise CommandError(f"{type(error).__name__}: {error}") from error
        if answer != {"pong": True}:
            raise CommandError(f"an unexpected answer: {answer!r}")
        self.stdout.write(f"pong after {1000 * (time.monotonic() - began):.0f} ms")


async def _ping(seconds: float) -> Any:
    async with asyncio.timeout(seconds):
        engine = await client.connect()
        return await engine.execute_workflow(
            "PingWorkflow",
            id=f"ping-{new_id()}",
            task_queue="diagnostics",
            execution_timeout=timedelta(seconds=seconds),
        )
