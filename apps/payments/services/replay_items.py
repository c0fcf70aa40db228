"""Outcomes of a replay's items, written in the transaction that keeps an event or reopens it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from apps.live.broadcast import broadcast
from apps.payments.contracts import REPLAY, ReplayItemStatus
from apps.payments.models import ReplayItem


def done(events: Sequence[UUID], now: datetime) -> None:
    """Note that these events are kept. Joins the caller's transaction."""
    _settle(events, ReplayItemStatus.DONE, now)


def failed(event: UUID, *, code: str, detail: str, now: datetime) -> None:
    """Note that the event has failed again. Joins the caller's transaction."""
    _settle([event], ReplayItemStatus.FAILED, now, code=code, detail=detail)


def _settle(
    events: Sequence[UUID],
    status: ReplayItemStatus,
    now: datetime,
    *,
    code: str = "",
    detail: str = "",
) -> None:
    rows = ReplayItem.objects.filter(event__in=events, status=ReplayItemStatus.RUNNING)
    runs = set(rows.values_list("run_id", flat=True))
    if not runs:
        return
    rows.update(status=status, error_code=code[:60], error_detail=detail[:500], settled_at=now)
    for run in runs:
        broadcast(f"{REPLAY}:{run}", id=str(run), version=0)
