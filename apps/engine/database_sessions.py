"""What every session with the database is told once, when its connection is made."""

from typing import Any
from weakref import WeakSet

from django.db import DEFAULT_DB_ALIAS
from django.db.backends.signals import connection_created

#: Pages and steps read few rows by their indexes. Where the planner takes them for many, to start
#: parallel workers or to compile the query took two to ten times as long as the answer.
SETTINGS = "SET max_parallel_workers_per_gather = 0; SET jit = off"

_told: WeakSet[Any] = WeakSet()


def tell_every_session() -> None:
    """Have SETTINGS hold in all sessions from now on. Called once, when Django is ready."""
    connection_created.connect(_tell, dispatch_uid="database_sessions")


def _tell(connection: Any, **kwargs: object) -> None:
    # Django makes a connection of its own for each request; the pool's is the same for many. Not
    # as a start-up parameter, which poolers refuse.
    session = connection.connection
    if connection.alias != DEFAULT_DB_ALIAS or session in _told:
        return
    with connection.wrap_database_errors:
        session.execute(SETTINGS)
    _told.add(session)
