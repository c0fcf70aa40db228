"""Reads what has changed in the directory's lists, for each of our participants.

The directory sends nothing by itself. Its lists lag by seconds, so that a change may be stamped
inside a window that was already read: each window begins OVERLAP before the newest change that was
seen, and what is in the overlap is known by its id and time. The times are the directory's own: its
clock and ours may differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from apps.common import correlation
from apps.common.errors import Unavailable
from apps.pix.models import DirectoryCursor, Participant

logger = correlation.get_logger(__name__)

OVERLAP = timedelta(seconds=10)
#: The first window of a participant begins so long ago: nothing older is open.
FIRST = timedelta(days=90)
#: Of one call; the directory's most.
PAGE = 200
#: Pages of one turn: the rest comes with the next, which follows at once.
MOST_PAGES = 50


class Listed(Protocol):
    """What the directory's lists have."""

    @property
    def id(self) -> str: ...

    @property
    def modified_at(self) -> datetime: ...


T = TypeVar("T", bound=Listed)

#: `list_call(participant=…, modified_from=…, limit=…)` → rows in ascending order of their
#: modification, from that time on, and whether there are more.
ListCall = Callable[..., tuple[Sequence[T], bool]]


@dataclass(frozen=True)
class Resource:
    """A kind of row that is polled: `take(row, as_of=…)` writes one, idempotently."""

    name: str
    list_call: ListCall[Any]
    take: Callable[..., object]


_resources: dict[str, Resource] = {}


def register(resource: Resource) -> None:
    """Have the leader poll this list of each of our participants. In `AppConfig.ready()`."""
    _resources[resource.name] = resource


def poll_all() -> int:
    """Poll every list of each of our participants; return how many rows were new, if there are more
    to read now, else 0. A list that cannot be read holds up no other; then its error is raised."""
    ispbs = list(Participant.objects.filter(ours=True).values_list("ispb", flat=True))
    more, failed = 0, None
    for ispb in ispbs:
        for resource in list(_resources.values()):
            try:
                taken, complete = poll(ispb, resource.name, resource.list_call, resource.take)
            except Unavailable as error:
                failed = error
                continue
            more += 0 if complete else taken
    if failed is not None:
        raise failed
    return more


def poll(
    participant: str, resource: str, list_call: ListCall[T], take: Callable[..., object]
) -> tuple[int, bool]:
    """Read what has changed since the cursor; return how many rows were taken, and whether that was
    all.

    `take(row, as_of=…)` has a transaction of its own and is called once for each change, or again
    after a kill: it must be idempotent. A row that it cannot write is logged and passed over, so
    that it holds up no other. Raises Unavailable while the directory is away.
    """
    cursor, _new = DirectoryCursor.objects.get_or_create(
        participant=participant,
        resource=resource,
        defaults={"read_until": timezone.now() - FIRST},
    )
    taken = 0
    for _page in range(MOST_PAGES):
        since = cursor.read_until - OVERLAP
        new, more = _read(participant, list_call, since, set(cursor.seen))
        for row in new:
            _take(row, take, resource)
        taken += len(new)
        if not _advance(cursor, new) or not more:
            return taken, not more
    return taken, False


def _read(
    participant: str, list_call: ListCall[T], since: datetime, seen: set[str]
) -> tuple[list[T], bool]:
    """Return the next rows that were not seen, and whether more follow. A whole page that was seen
    is passed over."""
    while True:
        rows, more = list_call(participant=participant, modified_from=since, limit=PAGE)
        new = [row for row in rows if mark_of(row) not in seen]
        if new or not more or not rows:
            return new, more and bool(rows)
        last = rows[-1].modified_at
        # More rows of one moment than a page has: the directory cannot list them.
        since = last if last > since else since + timedelta(microseconds=1)


def _take(row: T, take: Callable[..., object], resource: str) -> None:
    try:
        take(row, as_of=timezone.now())
    except (OperationalError, InterfaceError, Unavailable):
        raise
    except Exception:
        logger.exception("a row of the directory was passed over", resource=resource, alert=True)


def _advance(cursor: DirectoryCursor, new: Sequence[T]) -> bool:
    """Write how far the list was read; return whether that is further, or more was seen. Of two
    leaders at once the slower one changes nothing."""
    if not new:
        return False
    until = max(cursor.read_until, *(row.modified_at for row in new))
    kept = {one for one in cursor.seen if _moment(one) >= until - OVERLAP}
    kept |= {mark_of(row) for row in new if row.modified_at >= until - OVERLAP}
    same = DirectoryCursor.objects.filter(pk=cursor.pk, read_until=cursor.read_until)
    written = same.update(read_until=until, seen=sorted(kept))
    cursor.read_until, cursor.seen = until, sorted(kept)
    return bool(written)


def mark_of(row: Listed) -> str:
    """Return what a change is known by: the row's id and the time of the change."""
    return f"{row.id[:100]}@{row.modified_at.isoformat()}"


def _moment(mark: str) -> datetime:
    return datetime.fromisoformat(mark.rpartition("@")[2])
