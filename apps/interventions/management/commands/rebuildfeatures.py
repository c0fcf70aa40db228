"""`manage.py rebuildfeatures`: fills the online copy of the feature store from PostgreSQL."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.common.errors import Unavailable
from apps.interventions.services.online_store import online_rebuild


class Command(BaseCommand):
    help = (
        "Fill the online copy of the feature store in Redis from PostgreSQL, batch by batch. It "
        "may be interrupted: run again, it goes on where it was. Reads are right all the while."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--again",
            action="store_true",
            help="begin anew, also when an interrupted run could be continued",
        )

    def handle(self, *args: Any, again: bool, **options: Any) -> None:
        """Print how many targets are done after each batch; CommandError while Redis is away."""
        done = 0
        try:
            for number in online_rebuild(again=again):
                done += number
                self.stdout.write(f"{done:,} targets")
        except Unavailable as error:
            raise CommandError(f"{error.detail} {done:,} targets were filled.") from error
        except KeyboardInterrupt:
            raise CommandError(
                f"interrupted: {done:,} targets were filled; run it again to go on."
            ) from None
        self.stdout.write(self.style.SUCCESS(f"OK: {done:,} targets are in the copy"))
