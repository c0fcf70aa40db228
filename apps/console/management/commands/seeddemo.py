"""Fills an empty installation with demo data. Idempotent."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.demo_users import demo_people_ensure
from apps.web import demo


class Command(BaseCommand):
    help = (
        "Makes the demo's people, policies, budgets and requests, through the same services as "
        "everybody. Idempotent. Workflows are started by the relay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--bare",
            action="store_true",
            help="only what waits for the first signature, without past decisions",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Seed the parts. Refused where demo logins are disabled, because their password is
        public."""
        if not settings.DEMO_LOGINS:
            raise CommandError("These settings refuse the demo: its passwords are known.")
        people = demo_people_ensure()
        self._say("people", ", ".join(people))
        for part in demo.registered():
            if options["bare"] and not part.bare:
                continue
            for line in part.load()(people=people):
                self._say(part.title, line)
        self.stdout.write(self.style.SUCCESS("The demo is there."))

    def _say(self, what: str, line: str) -> None:
        self.stdout.write(f"{what:14} {line}")
        self.stdout.flush()
