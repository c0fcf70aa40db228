"""The request that is open from an infraction's receipt to its decision, and what that does.

Approve: it was fraud, of the type that is the signer's coded reason. Reject: it was none. Evidence,
comments, claims, reminders and escalation are those of the request.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.contracts import Verdict
from apps.approvals.selectors import current_payload
from apps.approvals.services import request_decide
from apps.approvals.subject import Decided, SignedSubject, questions_close
from apps.audit.contracts import Actor
from apps.common.canonical_json import plain
from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.common.money import exact
from apps.engine import process
from apps.pix import infraction_rules as rules
from apps.pix.contracts import INFRACTION
from apps.pix.contracts.infractions import INFRACTION_KIND, Analysis, InfractionFacts
from apps.pix.infraction_rules import InfractionEvent, InfractionParty
from apps.pix.keys import masked_key
from apps.pix.models import Infraction
from apps.pix.services import infraction_rows as rows
from apps.pix.services.infraction_rows import PROCESS


def infraction_title(infraction: Infraction) -> str:
    """Return what it is about, in a sentence."""
    payment = infraction.transaction_id or infraction.infraction_id
    return gettext("Fraud reported about the payment {payment}").format(payment=payment)[:200]


def _payload(infraction: Infraction) -> dict[str, Any]:
    amount = infraction.amount
    payload: dict[str, Any] = plain(
        {
            "infraction": infraction.pk,
            "infraction_id": infraction.infraction_id,
            "transaction_id": infraction.transaction_id,
            "reason": infraction.reason,
            "situation": infraction.situation,
            "details": infraction.details,
            "reporter": infraction.reporter_ispb,
            "counterparty": infraction.counterparty_ispb,
            "amount": "" if amount is None else exact(amount, infraction.currency),
            "currency": infraction.currency,
            "key": masked_key(infraction.key_type, infraction.key),
            "due_at": infraction.due_at.isoformat(),
        }
    )
    return payload


def _agreed(infraction: Infraction, decided: Decided) -> None:
    _decided(
        infraction,
        Analysis.AGREED,
        fraud_type=decided.reason_code,
        analysis=decided.reason,
        decided=decided,
    )


def _disagreed(infraction: Infraction, decided: Decided) -> None:
    # Neither a clock nor a withdrawn question decides.
    if decided.code == "rejected":
        _decided(infraction, Analysis.DISAGREED, analysis=decided.detail, decided=decided)


def _decided(
    infraction: Infraction,
    result: Analysis,
    *,
    decided: Decided,
    analysis: str = "",
    fraud_type: str = "",
) -> None:
    infraction_decide(
        infraction,
        result=result,
        fraud_type=fraud_type,
        analysis=analysis,
        party=InfractionParty.COUNTERPARTY,
        by=decided.by,
        via=decided.via,
        as_of=decided.as_of,
    )
    # The approval wakes the workflow that waited for it; there may be none any more.
    rows.revive(infraction, key=f"decided:{decided.request_id}")


def infraction_decide(
    infraction: Infraction,
    *,
    result: Analysis,
    fraud_type: str,
    analysis: str,
    party: InfractionParty,
    by: Actor,
    via: str,
    as_of: datetime,
) -> None:
    """Close the locked infraction with this result, and every question about it. Joins the caller's
    transaction.

    Raises Conflict `infraction_operation_invalid`; NotAllowed `infraction_party_invalid`; Invalid
    `fraud_type_required`, `fraud_type_invalid`, `details_required`, `details_invalid`.
    """
    rows.move(infraction, event=InfractionEvent.CLOSE, party=party, as_of=as_of)
    if not infraction.decides:
        raise rows.not_ours()
    closing = rules.clean_closing(result=result, fraud_type=fraud_type, details=analysis)
    questions_close(PROCESS, infraction, by=by, reason=f"Decided: {result}.", as_of=as_of)
    rows.close(
        infraction,
        result=result,
        fraud_type=closing.fraud_type or "",
        analysis=closing.details,
        via=via,
        as_of=as_of,
    )
    rows.record(
        infraction,
        f"{INFRACTION}.closed",
        by=by,
        via=via,
        result=str(result),
        fraud_type=infraction.fraud_type,
        analysis=infraction.analysis,
    )


SIGNED: SignedSubject[Infraction, InfractionFacts] = SignedSubject(
    row=PROCESS,
    kind=INFRACTION_KIND,
    waits=rows.WAITS,
    payload=_payload,
    title=infraction_title,
    facts=rows.facts_of,
    on_approved=_agreed,
    on_rejected=_disagreed,
    due_at=lambda infraction: infraction.due_at,
    related=("requested_by",),
)


# --- decided by somebody here, without the inbox --------------------------------------------------
def infraction_sign(
    *,
    infraction_id: UUID | str,
    result: Analysis,
    by: User,
    via: str,
    as_of: datetime,
    fraud_type: str = "",
    reason: str = "",
    payload_hash: str = "",
    on_behalf_of: str | None = None,
) -> Infraction:
    """Sign the infraction's open request: AGREED with a type of fraud, or DISAGREED with a reason.
    The rules are those of the inbox; without `payload_hash` what stands now is signed.

    Returns the infraction, which is closed unless others have to sign too. Raises as
    `request_decide`; NotFound; Conflict `not_waiting` while there is no open request.
    """
    with process.audited(PROCESS, "decide", infraction_id, by=by, via=via):
        found = Infraction.objects.visible_to(by).filter(pk=process.id_of(PROCESS, infraction_id))
        infraction = found.first()
        if infraction is None:
            raise process.unknown(PROCESS)
        request = SIGNED.request_of(infraction)
        if request is None:
            process.check_unsettled(PROCESS, infraction)
            raise Conflict(_("It does not wait for a signature."), code="not_waiting")
    agreed = result is Analysis.AGREED
    request_decide(
        request_id=request.pk,
        by=by,
        verdict=Verdict.APPROVE if agreed else Verdict.REJECT,
        reason=reason,
        reason_code=fraud_type if agreed else "",
        payload_hash=payload_hash or current_payload(request).hash,
        via=via,
        on_behalf_of=on_behalf_of,
        as_of=as_of,
    )
    infraction.refresh_from_db()
    return infraction
