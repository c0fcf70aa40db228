"""Lists by the time of the last change: ascending, both ends of the window in it, and late by the
lag."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from apps.simulators.directory.refusals import Refused
from apps.simulators.directory.store import Store, microseconds

USUAL, MOST = 20, 200


def page(
    store: Store, table: str, request: Any, *, roles: Mapping[str, str]
) -> tuple[list[sqlite3.Row], bool]:
    """Return the rows, and whether there are more in the window."""
    if request.role and request.role not in roles:
        raise Refused("BadRequest", "There is no such role.", field="role", value=request.role)
    columns = [roles[request.role]] if request.role else list(roles.values())
    since, until = window(store, request.modified_from, request.modified_to)
    words: list[Any] = [request.participant] * len(columns)
    where = " OR ".join(f"{column} = ?" for column in columns)
    sql = f"SELECT body FROM {table} WHERE ({where}) AND modified_at BETWEEN ? AND ?"  # noqa: S608
    words += [since, until]
    if request.statuses:
        sql += f" AND status IN ({', '.join('?' * len(request.statuses))})"
        words += list(request.statuses)
    limit = limit_of(request.limit, USUAL, MOST)
    rows = store.db.execute(f"{sql} ORDER BY modified_at, id LIMIT ?", [*words, limit + 1])
    found = rows.fetchall()
    return found[:limit], len(found) > limit


def window(store: Store, since: Any, until: Any) -> tuple[int, int]:
    """The ends in microseconds, the later one before what the lag still hides."""
    latest = store.now() - store.lag
    until_at = microseconds(until) if until.seconds else latest
    # Nanoseconds of a beginning are cut off: what is in the window stays in it.
    return microseconds(since), min(until_at, latest)


def limit_of(asked: int, usual: int, most: int) -> int:
    """How many to return. Raises Refused for what the directory does not take."""
    if not 0 <= asked <= most:
        raise Refused("BadRequest", f"{most} at most.", field="limit", value=str(asked))
    return asked or usual
