"""Nobody may go without a synchronisation that is OK for longer than the directory allows: a person
is told, once."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from apps.approvals.attention import Attention
from apps.approvals.subject import Decided, questions_close
from apps.audit.contracts import ENGINE
from apps.common.identifiers import new_id
from apps.common.language import filled, for_record
from apps.common.language import lazy as _
from apps.engine import process
from apps.engine.process import workflow_id_of
from apps.pix.contracts.sync import ATTENTION_KIND, DEADLINE_SECONDS, SyncStatus, SyncTrigger
from apps.pix.models import Participant, SyncRun
from apps.pix.services.sync_rows import SYNC, record, run_made

#: The directory wants one at least so often.
LONGEST = timedelta(hours=36)


def sync_begin(participant: str, *, as_of: datetime) -> SyncRun | None:
    """Make a run and start its workflow; None when one is at work. Joins the caller's
    transaction, which holds the participant's lock."""
    if SyncRun.objects.unsettled().filter(participant=participant).exists():
        return None
    pk = new_id()
    run = SyncRun.objects.create(
        id=pk,
        participant=participant,
        trigger=SyncTrigger.DAILY,
        ends_at=as_of + timedelta(seconds=DEADLINE_SECONDS),
        workflow_id=workflow_id_of(SYNC, pk),
        created_at=as_of,
    )
    run_made(run)
    process.start(SYNC, run)
    process.tell(SYNC, run, "status")
    return run


def overdue_look() -> int:
    """Ask a person about each participant of ours without an OK run for LONGEST; return how many
    were asked about. Once, until a run is OK again."""
    asked = 0
    for ispb in Participant.objects.filter(ours=True).values_list("ispb", flat=True):
        with transaction.atomic(durable=True):
            asked += _look(ispb, timezone.now())
    return asked


def overdue_clear(participant: str, *, as_of: datetime) -> None:
    """Close what a person was asked: a run has ended OK. Joins the transaction that ends it."""
    for run in SyncRun.objects.filter(participant=participant, overdue_at__isnull=False):
        if ATTENTION.is_open(run):
            reason = for_record(_("Both sides are equal again."))
            questions_close(SYNC, run, by=ENGINE, reason=reason, as_of=as_of)


def _look(ispb: str, now: datetime) -> int:
    participant = Participant.objects.select_for_update(no_key=True).get(ispb=ispb)
    runs = SyncRun.objects.filter(participant=ispb)
    ok = runs.filter(status=SyncStatus.OK).order_by("-settled_at").first()
    since = ok.settled_at if ok and ok.settled_at else participant.created_at
    if now - since < LONGEST or runs.filter(overdue_at__gte=since).exists():
        return 0
    # Of the newest one; who never had one gets the first now.
    run = runs.order_by("-created_at", "-id").first() or sync_begin(ispb, as_of=now)
    if run is None:
        return 0
    row = process.locked(SYNC, run.pk)
    row.overdue_at = now
    row.save(update_fields=["overdue_at"])
    detail = for_record(
        filled(
            _("No synchronisation of {participant} has ended OK since {since}."),
            participant=ispb,
            since=since,
        )
    )
    ATTENTION.ask(row, code="sync_overdue", detail=detail, as_of=now)
    return 1


def _again(run: SyncRun, decided: Decided) -> None:
    Participant.objects.select_for_update(no_key=True).get(ispb=run.participant)
    sync_begin(run.participant, as_of=decided.as_of)


def _leave(run: SyncRun, decided: Decided) -> None:
    record(run, "sync_run.overdue_left", by=decided.by, via=decided.via)


ATTENTION = Attention(
    row=SYNC,
    kind=ATTENTION_KIND,
    approve=_("Start a synchronisation now, unless one is at work."),
    reject=lambda run: gettext("Leave it to the next daily one."),
    on_carry_on=_again,
    on_give_up=_leave,
)
