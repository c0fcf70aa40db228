"""The tests' database: migrated once for all workers, and put back in milliseconds.

Django would run every migration for each xdist worker (ten seconds), and after each test that
commits it would truncate every table and make permissions and groups again (a quarter second).
Here the first who needs it migrates a database that all others are copied from, and PostgreSQL
keeps what the tables held before the first test and puts that back.
"""

import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from deploy.local.servers import Postgres, postgres_tool
from tests.servers import SHARED
from tests.stack import migrated_template

MIGRATED = "countersign_migrated"
DUMPED = "countersign_dumped"
#: Above this a table is truncated: to look through what was deleted would cost more.
LARGE_BYTES = 1024 * 1024


# --- one that is migrated -----------------------------------------------------------------------
def migrated_database() -> str:
    """Name of a migrated database on the session's server, to copy from; made by whoever comes
    first, whichever xdist worker that is."""
    folder = Path(json.loads(os.environ[SHARED])["folder"])
    with (folder / "migrated.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        done = folder / "migrated"
        if not done.exists():
            with _own_name(MIGRATED):
                call_command("migrate", interactive=False, verbosity=0)
            done.touch()
    return MIGRATED


@contextmanager
def _own_name(name: str) -> Iterator[None]:
    """An empty database of this name, and Django connected to it."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    before = connection.settings_dict["NAME"]
    _leave()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        # Nobody copies a database that somebody is connected to.
        _leave()
        connection.settings_dict["NAME"] = before


def _leave() -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]


def copy_migrated(postgres: Postgres) -> None:
    """Fill the empty database of another server with the migrated one."""
    migrated = migrated_database()
    # From a copy: nobody copies a database that somebody is connected to.
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {DUMPED}")
        cursor.execute(f"CREATE DATABASE {DUMPED} TEMPLATE {migrated}")
    parts = connection.settings_dict
    source = ["-h", str(parts["HOST"]), "-p", str(parts["PORT"]), "-U", str(parts["USER"])]
    target = ["-h", "127.0.0.1", "-p", str(postgres.port), "-U", "app", "-d", postgres.database]
    dump = subprocess.run(
        [postgres_tool("pg_dump"), *source, DUMPED],
        capture_output=True,
        check=True,
    )
    subprocess.run(
        [
            *(postgres_tool("psql"), *target),
            *("--no-psqlrc", "--quiet", "--single-transaction", "-v", "ON_ERROR_STOP=1"),
        ],
        input=dump.stdout,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def migrated_cluster() -> Path:
    """The data folder of a stack's PostgreSQL: migrated, with the demo; made by whoever comes
    first, whichever process of the session that is."""
    folder = Path(json.loads(os.environ[SHARED])["folder"])
    return migrated_template(folder / "template", fill=copy_migrated)


# --- as it was before the test --------------------------------------------------------------------
class Kept:
    """Rows of this test database, kept in a schema beside the tables that the tests see.

    `pristine` holds what was there before the first test, `put_back` brings exactly that back.
    """

    def __init__(self) -> None:
        self.tables = sorted(connection.introspection.django_table_names(only_existing=True))
        self.tables.append("django_migrations")
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA pristine")
            self.filled = [name for name in self.tables if _any_row(cursor, name)]
            for name in self.filled:
                cursor.execute(f'CREATE TABLE pristine."{name}" AS TABLE "{name}"')
            cursor.execute(self._function())

    def put_back(self) -> None:
        """Every table holds what it held before the first test. As TRUNCATE does, this waits for
        transactions that are still open, so that none of them commits into the next test."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pristine.put_back()")

    def _function(self) -> str:
        empty = [name for name in self.tables if name not in self.filled]
        everything = ", ".join(f'"{name}"' for name in self.tables)
        large = " OR ".join(
            f"pg_relation_size('{_quoted(name)}') > {LARGE_BYTES}" for name in self.tables
        )
        truncate = "".join(_copy_back(name) for name in self.filled)
        delete = "".join(f'DELETE FROM "{name}";\n' for name in empty)
        delete += "".join(
            f"IF {_print(f'pristine.{_quoted(name)}')} IS DISTINCT FROM {_print(_quoted(name))}"
            f' THEN DELETE FROM "{name}"; {_copy_back(name)} END IF;\n'
            for name in self.filled
        )
        # `replica`: no trigger and no foreign key has a say; what is put back was whole.
        return f"""
            CREATE FUNCTION pristine.put_back() RETURNS void LANGUAGE plpgsql
            SET session_replication_role = replica AS $put_back$
            BEGIN
              LOCK TABLE {everything} IN ACCESS EXCLUSIVE MODE;
              IF {large} THEN
                TRUNCATE {everything};
                {truncate}
              ELSE
                {delete}
              END IF;
            END $put_back$
        """


class Image:
    """Rows that `make` commits, kept; `put` inserts them again, as if they were made just now."""

    def __init__(self, name: str, kept: Kept, make: Callable[[], object]) -> None:
        self.name = name
        make()
        self.made_at = timezone.now()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {name}")
            inserts = "".join(self._keep(cursor, table, kept) for table in kept.tables)
            cursor.execute(
                f"CREATE FUNCTION {name}.put(later interval) RETURNS void LANGUAGE plpgsql "
                f"SET session_replication_role = replica AS $put$ BEGIN {inserts} END $put$"
            )
        kept.put_back()

    def put(self) -> None:
        """The rows, with times of now."""
        later: timedelta = timezone.now() - self.made_at
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {self.name}.put(%s)", [later])

    def _keep(self, cursor: Any, table: str, kept: Kept) -> str:
        """Keep the rows that are new; the statement that inserts them again."""
        known = f'WHERE t::text NOT IN (SELECT p::text FROM pristine."{table}" p)'
        rows = f'SELECT * FROM "{table}" t {known if table in kept.filled else ""}'
        cursor.execute(f'CREATE TABLE {self.name}."{table}" AS {rows}')
        if not _any_row(cursor, f'{self.name}"."{table}'):
            cursor.execute(f'DROP TABLE {self.name}."{table}"')
            return ""
        cursor.execute(
            "SELECT attname, atttypid = 'timestamptz'::regtype FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attgenerated = ''",
            [f'"{table}"'],
        )
        columns = cursor.fetchall()
        names = ", ".join(f'"{column}"' for column, _ in columns)
        values = ", ".join(
            f'"{column}"' + (" + later" if is_time else "") for column, is_time in columns
        )
        return f'INSERT INTO "{table}" ({names}) SELECT {values} FROM {self.name}."{table}";\n'


def _any_row(cursor: Any, name: str) -> bool:
    cursor.execute(f'SELECT EXISTS (SELECT FROM "{name}")')
    return bool(cursor.fetchone()[0])


def _quoted(name: str) -> str:
    return f'"{name}"'


def _print(table: str) -> str:
    """A value that differs when any row of the table differs."""
    return f"(SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {table} t)"


def _copy_back(name: str) -> str:
    return f'INSERT INTO "{name}" SELECT * FROM pristine."{name}";\n'
