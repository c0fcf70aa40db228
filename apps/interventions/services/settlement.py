"""The end of an intervention, always through this module: row, outcome and open requests in one
transaction."""

from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext

from apps.approvals.subject import questions_close
from apps.audit.contracts import ENGINE, Actor
from apps.common.language import lazy as _
from apps.engine import process
from apps.interventions.contracts import SUBJECT, InterventionStatus
from apps.interventions.models import Intervention, Outcome
from apps.interventions.services.budgets import release_open
from apps.interventions.services.commands import INTERVENTION
from apps.interventions.services.rows import record, row_save
from apps.notifications.services import notify

#: What the requester is told of the end; of others the request for a signature notifies.
_TITLES = {
    InterventionStatus.FAILED: _("Failed: {intervention}"),
    InterventionStatus.EXPIRED: _("Expired: {intervention}"),
    InterventionStatus.CANCELLED: _("Cancelled: {intervention}"),
}


def settle_row(
    intervention: Intervention,
    status: InterventionStatus,
    *,
    as_of: datetime,
    code: str = "",
    detail: str = "",
    by: Actor = ENGINE,
    via: str = "engine",
) -> None:
    """End the intervention for good. Joins the transaction that holds the row's lock.

    For any status but `executed` first releases the reservation, in the same transaction, so that
    nobody can see a settled row with reserved money. Raises Conflict `execution_stands` when the
    executor has, or may have, acted.
    """
    if status is not InterventionStatus.EXECUTED:
        release_open(intervention)
    fields = process.ended(intervention, status, as_of=as_of, code=code, detail=detail)
    row_save(intervention, *fields)
    at = intervention.settled_at or as_of
    Outcome.objects.create(
        intervention=intervention,
        status=status,
        amount=intervention.amount if status is InterventionStatus.EXECUTED else Decimal(0),
        seconds=(at - intervention.created_at).total_seconds(),
        at=at,
    )
    process.tell_followers(INTERVENTION, intervention, process.SETTLED)
    over = gettext("The intervention has ended.")
    questions_close(INTERVENTION, intervention, by=by, reason=over, as_of=as_of)
    # The request for a signature notifies of a rejection, with the reason; a batch, of its own end.
    told = status in (InterventionStatus.EXECUTED, InterventionStatus.REJECTED)
    if not told and intervention.batch_id is None:
        notify(
            key=f"{SUBJECT}:{intervention.pk}:settled",
            recipients=[intervention.requested_by],
            kind=f"{SUBJECT}.{status}",
            title=_TITLES[status].format(intervention=intervention)[:200],
            text=detail,
            url=f"/interventions/{intervention.pk}/",
        )
    record(intervention, f"{SUBJECT}.{status}", by=by, via=via, code=code, detail=detail)
