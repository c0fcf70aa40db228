"""`manage.py resetmfa USER --reason "…"`: for somebody who lost the phone and the codes."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import User
from apps.accounts.services import second_factor_reset
from apps.audit.contracts import SystemActor
from apps.common.errors import DomainError

BY = SystemActor("command line")


class Command(BaseCommand):
    help = "Remove a person's second factor and sign them out everywhere. Audited."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER", help="the person's user name")
        parser.add_argument("--reason", required=True, help="kept in the audit trail")

    def handle(self, *, user: str, reason: str, **options: Any) -> None:
        """CommandError names what is wrong."""
        person = User.objects.filter(username=user).first() if "\0" not in user else None
        if person is None:
            raise CommandError(f"There is no user {user!r}.")
        try:
            second_factor_reset(user=person, by=BY, reason=reason, via="command")
        except DomainError as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"{user} signs in with the password alone now, and was signed out.")
