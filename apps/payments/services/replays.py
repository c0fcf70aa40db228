"""Replays of many quarantined events: made from ids, a group or a filter; paused, resumed,
cancelled. `replay_pacing` lets their events begin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.audit.contracts import Actor
from apps.common.canonical_json import digest
from apps.common.errors import Invalid, NotAllowed
from apps.common.failpoints import failpoint
from apps.common.language import filled, for_record
from apps.common.language import lazy as _
from apps.common.validation import LONGEST_REASON, clean_text
from apps.engine import process, runs
from apps.engine.process import Carrier, Process
from apps.engine.runs import RunSpec
from apps.engine.services import timings
from apps.notifications.services import notify
from apps.payments.contracts import (
    REPLAY,
    REPLAY_WORKFLOW,
    SIGNAL_REPLAY_CHANGED,
    TASK_QUEUE,
    ReplayRef,
    ReplayStatus,
)
from apps.payments.models import QuarantinedEvent, ReplayItem, ReplayRun
from apps.payments.services.desk import REPLAY as REPLAY_PERMISSION

if TYPE_CHECKING:
    from django.db.models import QuerySet

#: Events of one replay.
MOST_ITEMS = 50_000
#: Events a second after the ramp, and what a person may choose.
RATE, FASTEST = 20, 200
STOP_SHARE = 0.2
#: Relations that are fetched with the row.
RELATED = ("requested_by",)


@dataclass(frozen=True)
class Pace:
    """How fast a replay goes: `rate` events a second after a ramp of 1, 5 and 20; it pauses by
    itself when more than `stop_share` of at least five have failed again."""

    rate: int = RATE
    stop_share: float = STOP_SHARE


def replay_make(
    *,
    events: "QuerySet[QuarantinedEvent]",
    said: Mapping[str, Any],
    by: User,
    via: str,
    pace: Pace = Pace(),
    reason: str = "",
    idempotency_key: str = "",
    as_of: datetime,
) -> tuple[ReplayRun, bool]:
    """Make a replay of these events, at most MOST_ITEMS; return it, and whether it is new. `said`
    says how they were chosen.

    Its items are written now: events that join the group or match the filter later stay as they
    are. An event that another replay has is an item that has failed, `already_replaying`. Repeating
    the key by the same person returns the same replay, also for concurrent calls. Raises, each
    audited: NotAllowed `permission_denied`; Invalid `rate_invalid`, `stop_share_invalid`,
    `no_items`, `too_many_items`, `reason_invalid`, `idempotency_key_invalid`; Conflict
    `idempotency_key_reused`.
    """
    with process.audited(REPLAY_RUN, "make", by=by, via=via):
        if not by.has_perm(REPLAY_PERMISSION):
            raise NotAllowed(_("You may not replay events."), code="permission_denied")
        _check_pace(pace)
        why = (
            clean_text(reason, field="reason", limit=LONGEST_REASON, multiline=True)
            if reason
            else ""
        )
        chosen: list[UUID] = []

        def columns() -> dict[str, Any]:
            chosen.extend(_ids_of(events))
            return {
                "reason": why,
                "chosen": dict(said),
                "rate": pace.rate,
                "stop_share": pace.stop_share,
                "total": len(chosen),
            }

        def made(run: ReplayRun) -> None:
            _write_items(run, chosen)
            _record(run, "made", by=by, via=via, reason=why)
            failpoint("replay_make.uncommitted")

        return process.ask_once(
            REPLAY_RUN,
            columns,
            made=made,
            by=by,
            key=idempotency_key,
            digest=digest([dict(said), pace.rate, str(pace.stop_share), why]),
            related=RELATED,
            as_of=as_of,
        )


def replay_pause(
    run_id: UUID | str, *, by: User, via: str, reason: str = "", as_of: datetime
) -> ReplayRun:
    """Pause: no further event begins; those on their way end. Raises what `runs.pause` raises."""
    return runs.pause(RUN, run_id, by=by, via=via, reason=reason, as_of=as_of)


def replay_resume(
    run_id: UUID | str, *, by: User, via: str, reason: str = "", as_of: datetime
) -> ReplayRun:
    """Resume, with the ramp from its beginning. Raises what `runs.resume` raises."""
    return runs.resume(RUN, run_id, by=by, via=via, reason=reason, as_of=as_of)


def replay_cancel(
    run_id: UUID | str, *, by: User, via: str, reason: str = "", as_of: datetime
) -> ReplayRun:
    """Cancel for good: events that wait stay in the quarantine as they are, those on their way end.
    Raises what `runs.cancel` raises."""
    return runs.cancel(RUN, run_id, by=by, via=via, reason=reason, as_of=as_of)


# --- helpers --------------------------------------------------------------------------------------
def _check_pace(pace: Pace) -> None:
    if not 1 <= pace.rate <= FASTEST:
        raise Invalid(
            filled(_("The rate is 1 to {most} events a second."), most=FASTEST),
            code="rate_invalid",
        )
    if not 0 <= pace.stop_share <= 1:
        raise Invalid(_("The share is a number from 0 to 1."), code="stop_share_invalid")


def _ids_of(events: "QuerySet[QuarantinedEvent]") -> list[UUID]:
    """Return the events, the oldest first. Raises Invalid `no_items`, `too_many_items`."""
    rows = events.order_by("created_at", "pk").values_list("pk", flat=True)
    ids = list(rows[: MOST_ITEMS + 1])
    if not ids:
        raise Invalid(_("No event is chosen."), code="no_items")
    if len(ids) > MOST_ITEMS:
        raise Invalid(
            filled(_("A replay has at most {most} events. Narrow the filter."), most=MOST_ITEMS),
            code="too_many_items",
        )
    return ids


#: Each with its newest signed version. The index decides who has an event that two replays want.
_ITEMS = """
INSERT INTO payments_replay_item
    (run_id, event_id, number, edit, status, error_code, error_detail)
SELECT %s, chosen.id, chosen.number,
       COALESCE((SELECT max(edit.number) FROM payment_events_quarantine_edit AS edit
                  WHERE edit.event_id = chosen.id AND edit.status = 'signed'), 0),
       'waiting', '', ''
  FROM unnest(%s::uuid[]) WITH ORDINALITY AS chosen (id, number)
 ORDER BY chosen.number
    ON CONFLICT DO NOTHING
"""
_TAKEN = """
INSERT INTO payments_replay_item
    (run_id, event_id, number, edit, status, error_code, error_detail, settled_at)
SELECT %s, chosen.id, chosen.number, 0, 'failed', 'already_replaying', %s, now()
  FROM unnest(%s::uuid[]) WITH ORDINALITY AS chosen (id, number)
 WHERE NOT EXISTS (SELECT FROM payments_replay_item AS item
                    WHERE item.run_id = %s AND item.number = chosen.number)
"""


def _write_items(run: ReplayRun, events: Sequence[UUID]) -> None:
    ids = list(events)
    taken = for_record(_("Another replay has it."))
    with connection.cursor() as cursor:
        cursor.execute(_ITEMS, [run.pk, ids])
        if cursor.rowcount < len(ids):
            cursor.execute(_TAKEN, [run.pk, taken, ids, run.pk])


def _ref(run: ReplayRun, again: bool) -> ReplayRef:
    return ReplayRef(str(run.pk), timings())


_TITLES = {
    ReplayStatus.COMPLETED: _("Replay completed: {run}"),
    ReplayStatus.CANCELLED: _("Replay cancelled: {run}"),
    ReplayStatus.PAUSED: _("Replay paused by itself: {run}"),
}


def _record(run: ReplayRun, event: str, *, by: Actor, via: str, **body: Any) -> None:
    """Write an audit entry with the figures. If somebody else ended or paused it, tell who made
    it."""
    if event == "resumed":
        # The ramp begins anew: whoever resumes it has changed something, or hopes so.
        run.ramp_from = None
        run.save(update_fields=["ramp_from"])
    progress = runs.progress_of(RUN, run)
    figures = {"total": run.total, "done": progress.done, "failed": progress.failed}
    process.record(
        REPLAY_RUN, run, f"{REPLAY}.{event}", by=by, via=via, chosen=run.chosen, **figures, **body
    )
    if event in _TITLES and by != run.requested_by:
        title = _TITLES[ReplayStatus(event)]
        notify(
            key=f"{REPLAY}:{run.pk}:{event}:{run.version}",
            recipients=[run.requested_by],
            kind=f"payments.replay_{event}",
            title=title.format(run=run)[:200],
            text=run.error_detail
            or gettext("{done} kept, {failed} failed again.").format(
                done=progress.done, failed=progress.failed
            ),
            url=reverse("replay", args=[run.pk]),
        )


CARRIER: Carrier[ReplayRun] = Carrier(REPLAY_WORKFLOW, _ref, process.WAITING_BACKSTOP)

REPLAY_RUN = Process(
    subject=REPLAY,
    title=_("Replay of quarantined events"),
    noun="replay",
    missing=_("There is no such replay."),
    opens=_("Open the replay"),
    model=ReplayRun,
    queue=TASK_QUEUE,
    url_name="replay",
    carriers=(CARRIER,),
    needs=lambda run: None if ReplayStatus(run.status).terminal else CARRIER,
    open_rows=lambda: ReplayRun.objects.unsettled(),
    list_topics=("replays",),
)
RUN: RunSpec[ReplayRun] = RunSpec(
    process=REPLAY_RUN,
    items=ReplayItem,
    run="run",
    record=_record,
    signal=SIGNAL_REPLAY_CHANGED,
    act=REPLAY_PERMISSION,
)
#: The number of items in each status.
progress_of = partial(runs.progress_of, RUN)
