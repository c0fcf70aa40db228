"""`manage.py createapikey --user NAME --scope all`: the key is the last word on stdout."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.scopes import registered
from apps.accounts.services import api_key_create
from apps.audit.contracts import SystemActor
from apps.common.errors import DomainError

BY = SystemActor("command line")


class Command(BaseCommand):
    help = "Make an API key that acts for a person. It is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, metavar="NAME", help="whom the key acts for")
        parser.add_argument(
            "--scope",
            required=True,
            action="append",
            metavar="SCOPE",
            help=f"repeatable; one of: {', '.join(registered())}",
        )
        parser.add_argument("--name", default="command line", help="how lists call the key")
        parser.add_argument(
            "--days",
            type=int,
            default=None,
            metavar="N",
            help="expires after N days (default: never)",
        )

    def handle(
        self, *, user: str, scope: list[str], name: str, days: int | None, **options: Any
    ) -> None:
        """Print the key as the last word; CommandError names what is wrong."""
        person = User.objects.filter(username=user).first() if "\0" not in user else None
        if person is None:
            raise CommandError(f"There is no user {user!r}.")
        if days is not None and not 1 <= days <= 36_500:
            raise CommandError("--days must be between 1 and 36500.")
        try:
            key, secret = api_key_create(
                user=person,
                name=name,
                scopes=scope,
                by=BY,
                expires_at=timezone.now() + timedelta(days=days) if days else None,
            )
        except DomainError as error:
            raise CommandError(error.detail) from error
        # One line: callers take its last word.
        scopes = ", ".join(key.scopes)
        self.stdout.write(f"Key {key.prefix} of {person.username} ({scopes}): {secret}")
