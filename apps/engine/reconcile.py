"""Restarts workflows that should run and do not, from their rows."""

from apps.common import correlation
from apps.engine import subjects
from apps.engine.selectors import unsettled_starts

logger = correlation.get_logger(__name__)


def reconcile() -> list[str]:
    """Restart stranded rows; return the "type:id" of each.

    Idempotent: a row whose start is under way is left alone. A row that fails is logged and does
    not hold up the others. After a restored backup this brings the workflows back.
    """
    restarted = []
    for subject in subjects.registered():
        try:
            stranded = [str(identifier) for identifier in subject.stranded()]
        except Exception:
            logger.exception("stranded rows could not be listed", subject=subject.type)
            continue
        on_their_way = unsettled_starts(subject.type, stranded)
        for identifier in stranded:
            if identifier in on_their_way:
                continue
            name = f"{subject.type}:{identifier}"
            try:
                subject.restart(identifier)
            except Exception:
                logger.exception("a stranded workflow could not be restarted", subject=name)
            else:
                restarted.append(name)
    if restarted:
        logger.warning("stranded workflows restarted", count=len(restarted), first=restarted[:10])
    return restarted
