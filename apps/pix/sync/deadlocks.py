"""Transactions of several statements that change entries may wait for each other's buckets."""

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError
from psycopg.errors import DeadlockDetected

R = TypeVar("R")

TRIES = 5
#: Seconds before the second try; twice as many before each further one. Without a pause who was
#: ended is often back before the other one has gone on, and both wait for each other again.
PAUSE = 0.05


def again_after_deadlock(transact: Callable[[], R]) -> R:
    """Return what `transact` does, a whole transaction; repeat it when PostgreSQL has ended it to
    let another one go on (40P01), TRIES times in all. Raises OperationalError."""
    for left in reversed(range(TRIES)):
        try:
            return transact()
        except OperationalError as error:
            if not left or not isinstance(error.__cause__, DeadlockDetected):
                raise
            time.sleep(PAUSE * 2 ** (TRIES - 1 - left))
    raise AssertionError("unreachable")
