"""Tells the runner in this process, if there is one, that an execution without the engine waits.
Runners of other processes find it within a second or two."""

import threading

from django.db import transaction

#: Set when an execution of this process has been committed; the runner clears it.
WOKEN = threading.Event()


def local_wake() -> None:
    """Wake the runner once the caller's transaction has committed."""
    transaction.on_commit(WOKEN.set)
