"""Restarts workflows that should run and do not, from their rows."""

import time

from apps.common import correlation
from apps.engine import subjects
from apps.engine.selectors import unsettled_starts

logger = correlation.get_logger(__name__)

#: One call goes on restarting for so many seconds: ten thousand rows take minutes, not an hour.
FOR_SECONDS = 20.0


def reconcile(*, seconds: float = FOR_SECONDS) -> list[str]:
    """Restart stranded rows; return the "type:id" of each.

    Idempotent: a row whose start is under way is left alone. A row that fails is logged and does
    not hold up the others. After a restored backup this brings the workflows back. Subjects take
    turns, a page each, until none has more or the seconds are over; each gets one turn at least.
    """
    ends = time.monotonic() + seconds
    restarted: list[str] = []
    tried: set[str] = set()
    left = list(subjects.registered())
    while left:
        left = [subject for subject in left if _restart_page(subject, tried, restarted)]
        if time.monotonic() >= ends:
            break
    if restarted:
        logger.warning("stranded workflows restarted", count=len(restarted), first=restarted[:10])
    return restarted


def _restart_page(subject: subjects.EngineSubject, tried: set[str], restarted: list[str]) -> bool:
    """Restart those of the subject that were not tried yet; return whether there may be more."""
    try:
        stranded = [str(identifier) for identifier in subject.stranded()]
    except Exception:
        logger.exception("stranded rows could not be listed", subject=subject.type)
        return False
    on_their_way = unsettled_starts(subject.type, stranded)
    before = len(restarted)
    for identifier in stranded:
        name = f"{subject.type}:{identifier}"
        if identifier in on_their_way or name in tried:
            continue
        tried.add(name)
        try:
            subject.restart(identifier)
        except Exception:
            logger.exception("a stranded workflow could not be restarted", subject=name)
        else:
            restarted.append(name)
    return len(restarted) > before
