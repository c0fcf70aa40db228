"""Review items of the kind "topup.attention": the money is credited, and the invoice or the receipt
cannot be made.

Approve means "try again". Reject means "leave it": the top-up is done without them.
"""

from datetime import datetime

from django.utils.translation import gettext

from apps.approvals.attention import Attention
from apps.approvals.subject import Decided
from apps.common.language import lazy as _
from apps.engine import process
from apps.wallets.contracts import ATTENTION_KIND, TOPUP, TopUpStatus
from apps.wallets.models import TopUp
from apps.wallets.services.topup_ending import end
from apps.wallets.services.topup_rows import CARRIER, PROCESS, record


def _again(top_up: TopUp, decided: Decided) -> None:
    if not top_up.has_ended:
        process.start_again(PROCESS, top_up, CARRIER, key=f"attention:{decided.request_id}")


def _leave(top_up: TopUp, decided: Decided) -> None:
    fields = process.ended(
        top_up,
        TopUpStatus.DONE,
        as_of=decided.as_of,
        code="given_up",
        detail=decided.detail,
    )
    process.save(PROCESS, top_up, *fields)
    record(top_up, f"{TOPUP}.done", by=decided.by, via=decided.via)


ATTENTION = Attention(
    row=PROCESS,
    kind=ATTENTION_KIND,
    approve=_("Try again to make the invoice and to send the receipt."),
    reject=lambda top_up: gettext("Leave it without a receipt. The money stays credited."),
    on_carry_on=_again,
    on_give_up=_leave,
)

attention_open = ATTENTION.open


def top_up_closed(identifier: str, *, workflow_id: str, why: str, as_of: datetime) -> None:
    """End the top-up of a workflow that is no more; if its money is credited, ask a person about
    the receipt. Who pays later is reviewed. Joins the caller's transaction."""
    top_up = process.carried(PROCESS, identifier, workflow_id)
    if top_up is None or ATTENTION.is_open(top_up):
        return
    if TopUpStatus(top_up.status).paid:
        ATTENTION.ask(top_up, code="workflow_closed", detail=why, as_of=as_of)
        return
    end(top_up, code="workflow_closed", detail=why, as_of=as_of)
