"""`manage.py automationsrole`: the SQL of the role that `database` nodes work as."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction
from django.db.utils import Error
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from apps.automations.database.role import role_name, statements


class Command(BaseCommand):
    help = (
        "Print the SQL that makes the role of AUTOMATIONS_DATABASE_URL with the rights of "
        "AUTOMATIONS_TABLES, for a superuser to run in the application's database; run it again "
        "after a change. The password is not in it: give it with \\password in psql."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--apply",
            action="store_true",
            help="run it, with the password of the address, where the application is a superuser",
        )

    def handle(self, *, apply: bool, **options: Any) -> None:
        """Print it or run it. Raises CommandError for missing settings, and for what PostgreSQL
        says."""
        if not settings.AUTOMATIONS_DATABASE_URL:
            raise CommandError("AUTOMATIONS_DATABASE_URL is not set.")
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT current_database(), current_user")
                database, application = cursor.fetchone()
                made = statements(database=database, application=application)
                if apply:
                    for statement in [*made, *_password()]:
                        cursor.execute(statement)
                else:
                    for statement in made:
                        self.stdout.write(f"{statement.as_string(cursor.connection)};\n")
        except Error as error:
            raise CommandError(str(error)) from error
        if apply:
            self.stdout.write(f"{role_name()} may do what AUTOMATIONS_TABLES says.")


def _password() -> list[sql.Composed]:
    password = conninfo_to_dict(settings.AUTOMATIONS_DATABASE_URL).get("password")
    if not password:
        return []
    return [
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(
            sql.Identifier(role_name()), sql.Literal(password)
        )
    ]
