"""Review items of the kind "entry_change.attention": nobody knows whether the directory did it.

Approve means "ask the directory again, and go on". Reject means "leave it": the change ends here,
and the sync finds what the directory has.
"""

from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext

from apps.approvals.attention import Attention
from apps.approvals.subject import Decided
from apps.common.language import lazy as _
from apps.engine import process
from apps.pix.contracts import ChangeStatus
from apps.pix.contracts.entries import ATTENTION_KIND, CallState
from apps.pix.models import EntryChange
from apps.pix.services.entry_ending import end
from apps.pix.services.entry_rows import PROCESS, call_state, shown


def _again(change: EntryChange, decided: Decided) -> None:
    if not change.has_ended:
        process.start_again(PROCESS, change, key=f"attention:{decided.request_id}")


def _leave(change: EntryChange, decided: Decided) -> None:
    end(
        change,
        ChangeStatus.FAILED,
        code="given_up",
        detail=decided.detail,
        as_of=decided.as_of,
        by=decided.by,
        via=decided.via,
    )


ATTENTION = Attention(
    row=PROCESS,
    kind=ATTENTION_KIND,
    approve=_("Ask the directory what became of it, and go on from there."),
    reject=lambda change: gettext("End it here. The sync finds what the directory has."),
    on_carry_on=_again,
    on_give_up=_leave,
    about=lambda change: {"key": shown(change.entry)},
)


def attention_open(change_id: UUID | str, *, code: str, detail: str) -> None:
    """Ask a person about a change whose call was not answered."""
    ATTENTION.open(change_id, code=code, detail=detail)


def change_closed(identifier: str, *, workflow_id: str, why: str, as_of: datetime) -> None:
    """Deal with a change whose workflow is no more. If nothing was sent the change ends; if
    something was, a person looks at it. Joins the caller's transaction."""
    change = process.carried(PROCESS, identifier, workflow_id)
    if change is None or ATTENTION.is_open(change):
        return
    if call_state(change) is CallState.NEVER:
        end(change, ChangeStatus.FAILED, code="workflow_closed", detail=why, as_of=as_of)
        return
    ATTENTION.ask(change, code="workflow_closed", detail=why, as_of=as_of)
