"""Followers of a row: callbacks for a row that contains it, or a process that waits for it."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from apps.engine.process.spec import R, SubjectRow

#: Events: the row has ended, or its outcome has changed; a person is asked about it.
SETTLED, ASKED = "settled", "asked"

_followers: dict[tuple[str, str], list[Callable[[Any], None]]] = defaultdict(list)


def follow(process: SubjectRow[R], event: str, follower: Callable[[R], None]) -> None:
    """Register `follower`, to be called with the locked row, in its transaction. In
    `AppConfig.ready()`."""
    _followers[process.subject, event].append(follower)


def tell_followers(process: SubjectRow[R], row: R, event: str) -> None:
    """Call the row's followers. Joins the transaction that holds its lock."""
    for follower in _followers[process.subject, event]:
        follower(row)
