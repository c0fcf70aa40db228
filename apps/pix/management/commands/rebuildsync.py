"""`manage.py rebuildsync [--participant ISPB]`: makes the buckets of the synchronisation anew."""

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.pix.contracts import KeyType
from apps.pix.models.content_ids import BUCKETS
from apps.pix.sync.buckets import STEP, participants_with_buckets, rebuild


class Command(BaseCommand):
    help = "Compute the buckets of the synchronisation from the entries, and say what differed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--participant", default="", help="ISPB; without it all of them.")

    def handle(self, *args: Any, participant: str, verbosity: int, **options: Any) -> None:
        """Print a line for each participant. Idempotent, and safe beside writers."""
        for one in [participant] if participant else participants_with_buckets():
            differed: Counter[str] = Counter()
            steps = len(KeyType) * BUCKETS // STEP
            for done, step in enumerate(rebuild(one), 1):
                differed[step.key_type] += step.differed
                if verbosity and self.stderr.isatty():
                    self.stderr.write(f"\r{one} {done * 100 // steps} %", ending="\r")
            told = [f"{number:,} buckets of {name}" for name, number in differed.items() if number]
            if verbosity:
                self.stdout.write(f"{one}: {', '.join(told) or 'nothing'} differed")
