"""What every session with the database is told."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from django.db import connection

from apps.engine import database_sessions


def shown() -> tuple[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('jit'), current_setting('max_parallel_workers_per_gather')"
        )
        jit, workers = cursor.fetchone()
    return jit, workers


@pytest.mark.django_db(transaction=True)
def test_sessions_of_threads_and_of_tests_are_told() -> None:
    def elsewhere() -> tuple[str, str]:
        try:
            return shown()
        finally:
            connection.close()

    assert shown() == ("off", "0")
    with ThreadPoolExecutor(1) as pool:
        assert [pool.submit(elsewhere).result() for _ in range(3)] == [("off", "0")] * 3


def test_a_session_is_told_once() -> None:
    class Session:
        def __init__(self) -> None:
            self.told: list[str] = []

        def execute(self, statement: str) -> None:
            self.told.append(statement)

    one, other = Session(), Session()
    for session, alias in ((one, "default"), (one, "default"), (other, "elsewhere")):
        made = SimpleNamespace(alias=alias, connection=session, wrap_database_errors=nullcontext())
        database_sessions._tell(made)
    assert (one.told, other.told) == ([database_sessions.SETTINGS], [])
