"""Attention items of the kind "infraction.attention": its workflow has ended before it, or the
directory refuses what it is told.

Approve means "carry on": from the row, in a new workflow if there is none. Reject means "leave it":
the directory is told nothing more; it can still be decided in the inbox.
"""

from datetime import datetime

from django.utils.translation import gettext

from apps.approvals.attention import Attention
from apps.approvals.subject import Decided
from apps.common.language import lazy as _
from apps.engine import process
from apps.pix.contracts import INFRACTION
from apps.pix.contracts.infractions import ATTENTION_KIND, InfractionStatus
from apps.pix.models import Infraction
from apps.pix.services import infraction_rows as rows
from apps.pix.services.infraction_rows import PROCESS


def _never_reported(infraction: Infraction) -> bool:
    """Return whether the directory has refused the report itself."""
    return bool(infraction.refused) and infraction.reporter_ours and not infraction.directory_id


def _carry_on(infraction: Infraction, decided: Decided) -> None:
    if infraction.refused:
        infraction.refused = ""
        rows.save(infraction, "refused", as_of=decided.as_of)
    key = f"attention:{decided.request_id}"
    if PROCESS.needs(infraction) is None:
        return
    if process.is_carried(PROCESS, infraction):
        rows.wake(infraction, event=key)
    else:
        # Also one whose workflow could never be started, of which nobody has seen an end.
        rows.start_again(infraction, key=key)


def _leave(infraction: Infraction, decided: Decided) -> None:
    if not _never_reported(infraction):
        return
    fields = process.ended(
        infraction,
        InfractionStatus.CANCELLED,
        as_of=decided.as_of,
        code="given_up",
        detail=decided.detail,
    )
    rows.save(infraction, *fields, as_of=decided.as_of)
    rows.record(infraction, f"{INFRACTION}.cancelled", by=decided.by, via=decided.via)
    rows.wake(infraction, event=f"attention:{decided.request_id}")


def _left(infraction: Infraction) -> str:
    if _never_reported(infraction):
        return gettext("End it: the directory was told nothing.")
    if infraction.has_ended:
        return gettext("Leave it: it stays decided here, and the directory is not told.")
    return gettext("Leave it as it is. It can be decided in the inbox; no clock escalates it.")


ATTENTION = Attention(
    row=PROCESS,
    kind=ATTENTION_KIND,
    approve=_("Carry on from where it stands."),
    reject=_left,
    about=lambda infraction: {"owed": infraction.owed or infraction.refused},
    on_carry_on=_carry_on,
    on_give_up=_leave,
)


def infraction_closed(identifier: str, *, workflow_id: str, why: str, as_of: datetime) -> None:
    """Handle the end of an infraction's workflow before its own: it waits on, and can be decided.
    One that is decided goes on by itself, since only the directory is to be told. Joins the
    caller's transaction."""
    infraction = process.carried(PROCESS, identifier, workflow_id)
    if infraction is None:
        return
    rows.request_let_go(infraction)
    if infraction.has_ended and not process.worn_out(PROCESS, infraction):
        rows.start_again(infraction)
        return
    ATTENTION.ask(infraction, code="workflow_closed", detail=why, as_of=as_of)
