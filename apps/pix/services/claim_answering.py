"""A side's answer, wherever it is given: the donor's first decision is a signature on the request
in the inbox, everything else an act of its own."""

from datetime import datetime
from uuid import UUID

from apps.accounts.models import User
from apps.approvals.contracts import Verdict
from apps.approvals.kinds import get
from apps.approvals.selectors import current_payload
from apps.approvals.services import request_decide
from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.engine import process
from apps.pix.contracts import Role
from apps.pix.contracts.claims import CLAIM_KIND
from apps.pix.models import Claim
from apps.pix.services.claim_deciding import SIGNED, claim_act
from apps.pix.services.claim_rows import PROCESS, UNDECIDED

_VERDICTS = {"confirm": Verdict.APPROVE, "cancel": Verdict.REJECT}


def claim_answer(
    *,
    claim_id: UUID | str,
    event: str,
    reason: str,
    note: str = "",
    role: str = "",
    by: User,
    via: str,
    as_of: datetime,
) -> None:
    """Confirm, cancel or complete a claim for one of its sides. Without a role: the donor confirms,
    the claimer completes, and the side whose turn it is cancels. `reason`: a coded one, or a text;
    `note`: words beside a coded one, which the trail keeps, and the signature or the claim.

    Raises, audited: as `claim_act` for an act, as `request_decide` for a signature; Conflict
    `claim_operation_invalid` for a confirmation that nobody waits for.
    """
    claim = Claim.objects.filter(pk=process.id_of(PROCESS, claim_id)).first()
    if claim is None:
        raise process.unknown(PROCESS)
    side = role or _side(claim, event)
    verdict = _VERDICTS.get(event)
    request = SIGNED.request_of(claim)
    if (
        side == Role.DONOR
        and verdict is not None
        and request is not None
        and claim.status in UNDECIDED
    ):
        kind = get(CLAIM_KIND)
        code = reason if kind.reason(verdict, reason) else ""
        request_decide(
            request_id=request.pk,
            by=by,
            verdict=verdict,
            reason=note or ("" if code else reason),
            reason_code=code,
            payload_hash=current_payload(request).hash,
            via=via,
            as_of=as_of,
        )
        return
    ours = claim.donor_ours or not claim.key
    if event == "confirm" and ours and claim.status in UNDECIDED and request is None:
        with process.audited(PROCESS, event, claim_id, by=by, via=via):
            raise Conflict(_("The donor has not been asked yet."), code="claim_operation_invalid")
    claim_act(
        claim_id=claim_id,
        event=event,
        role=side,
        reason=reason,
        note=note,
        by=by,
        via=via,
        as_of=as_of,
    )


def _side(claim: Claim, event: str) -> str:
    if event == "confirm":
        return Role.DONOR
    if event == "complete":
        return Role.CLAIMER
    waits = claim.status in UNDECIDED and (claim.donor_ours or not claim.key)
    return Role.DONOR if waits else Role.CLAIMER
