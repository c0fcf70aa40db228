"""Prepares the database for `make run`: the migrations, then the demo data, in one process."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.loader import MigrationLoader


class Command(BaseCommand):
    help = (
        "Migrates the database and fills in the demo. Changes nothing where there is nothing to "
        "do. One process does both, because importing the programme takes longer than either."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--bare",
            action="store_true",
            help="only what waits for the first signature, without past decisions",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate and seed. Raises CommandError if an earlier set of migrations made the tables."""
        self._check_history()
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        call_command("seeddemo", bare=options["bare"], stdout=self.stdout)
        # Elsewhere an operator makes the role: it takes a superuser.
        if settings.AUTOMATIONS_DATABASE_URL and _superuser():
            call_command("automationsrole", apply=True, stdout=self.stdout)

    def _check_history(self) -> None:
        loader = MigrationLoader(connection, ignore_no_migrations=True)
        unknown = sorted(
            f"{app}.{name}"
            for app, name in loader.applied_migrations
            if app in loader.migrated_apps and (app, name) not in loader.disk_migrations
        )
        if unknown:
            raise CommandError(
                "This database was made by an earlier version, whose migrations are gone "
                f"({', '.join(unknown[:3])}{', …' if len(unknown) > 3 else ''}). Start afresh: "
                "delete the folder .local, or name another one in COUNTERSIGN_DATA."
            )


def _superuser() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return bool(cursor.fetchone()[0])
