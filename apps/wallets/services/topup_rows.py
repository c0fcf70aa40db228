"""What the services of top-ups share: the process, the locked row, and its steps."""

from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Exists

from apps.approvals.selectors import requests_about, requests_by_row
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.engine import process, steps
from apps.engine.process import Carrier, Process
from apps.engine.services import timings
from apps.wallets.contracts import (
    ATTENTION_KIND,
    TASK_QUEUE,
    TOPUP,
    TOPUP_WORKFLOW,
    TopUpFacts,
    TopUpRequest,
    Waits,
)
from apps.wallets.models import TopUp

if TYPE_CHECKING:
    from django.db.models import QuerySet

#: Relations that most services need.
RELATED = ("wallet__rider",)


def _ref(top_up: TopUp, again: bool) -> TopUpRequest:
    return TopUpRequest(
        userId=top_up.user_id,
        amount=exact(top_up.amount, top_up.currency),
        timings=timings(),
        waits=Waits(settings.TOPUP_WAIT_SECONDS, settings.TOPUP_POLL_SECONDS),
        restarted=again,
    )


def _open_rows() -> "QuerySet[TopUp]":
    """Return top-ups under way that no person is asked about."""
    questions = requests_by_row(TOPUP, kind=ATTENTION_KIND).filter(settled_at=None)
    return TopUp.objects.unsettled().filter(~Exists(questions))


CARRIER: Carrier[TopUp] = Carrier(TOPUP_WORKFLOW, _ref, process.SAGA_BACKSTOP)

PROCESS = Process(
    subject=TOPUP,
    title=_("Top-up"),
    noun="topup",
    missing=_("There is no such top-up."),
    opens=_("Open the top-up"),
    model=TopUp,
    queue=TASK_QUEUE,
    url_name="topup",
    carriers=(CARRIER,),
    needs=lambda top_up: None if top_up.has_ended else CARRIER,
    open_rows=_open_rows,
    list_topics=("topups",),
    shared_topics=("home",),
)

top_up_lock = partial(process.locked, PROCESS)
record = partial(process.record, PROCESS)
row_save = partial(process.save, PROCESS)
StepStatus = steps.Status
step_put = steps.step_put
step_save = partial(steps.step_save, PROCESS)
step_statuses = steps.statuses_of
refused = partial(steps.refused, PROCESS)


def transaction_of(top_up: TopUp) -> str:
    """Return the id of the payment that credited the top-up; empty before it."""
    if not top_up.credited_at:
        return ""
    credited = top_up.payments.filter(invoice__isnull=False).order_by("pk")
    return str(credited.values_list("provider_id", flat=True).first() or "")


def facts_of(top_up: TopUp) -> TopUpFacts:
    """Return what the workflow needs to know of the row."""
    newest = requests_about(TOPUP, top_up.pk, kind=ATTENTION_KIND).first()
    return TopUpFacts(
        top_up_id=str(top_up.pk),
        status=top_up.status,
        pay_until=top_up.pay_until,
        transaction_id=transaction_of(top_up),
        attention=newest.status if newest else "",
        code=top_up.error_code,
        detail=top_up.error_detail,
    )
