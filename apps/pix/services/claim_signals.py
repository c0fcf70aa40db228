"""Signals from outside: `confirm` and `cancel`, from the command line, the Temporal UI or another
service. CLAIMS_BARE_SIGNALS says whether they decide, or a person looks at each first.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.contracts import RequestStatus
from apps.approvals.selectors import current_payload
from apps.audit.contracts import ENGINE, Actor
from apps.common.errors import DomainError, NotAllowed
from apps.pix.contracts import Role
from apps.pix.contracts.claims import CLAIM_SIGNAL_KIND, OutsideSignal
from apps.pix.models import Claim
from apps.pix.rulebooks import terms
from apps.pix.services.claim_deciding import DEFAULT_REASON, claim_decide, close_questions
from apps.pix.services.claim_rows import PROCESS, claim_lock, claim_wake, record, save
from apps.pix.services.shared import BY_SIGNAL, SIGNALLER
from apps.pix.services.signal_items import signal_ask


def claim_outside(claim: Claim, signal: OutsideSignal, *, as_of: datetime) -> None:
    """Take a decision that a signal brought about the locked claim, or ask a person about it
    (CLAIMS_BARE_SIGNALS). Joins the caller's transaction; the same signal again does nothing.

    A signal that decides nothing, because the claim is decided or the rulebook refuses it, is in
    the audit trail and changes nothing.
    """
    key = f"{signal.run_id}:{signal.number}"
    if key in claim.heard:
        return
    claim.heard = [*claim.heard[-99:], key]
    save(claim, "heard", quietly=True)
    if settings.CLAIMS_BARE_SIGNALS == "review":
        _ask(claim, signal, as_of=as_of)
        return
    try:
        with transaction.atomic():
            signal_take(claim, signal, by=SIGNALLER, via=BY_SIGNAL, as_of=as_of)
    except DomainError as refusal:
        claim.refresh_from_db()
        record(
            claim,
            "claim.signal_refused",
            by=SIGNALLER,
            via=BY_SIGNAL,
            claim_id=claim.claim_id,
            signal=signal.name,
            code=refusal.code,
            detail=refusal.recorded,
        )


def signal_take(
    claim: Claim, signal: OutsideSignal, *, by: Actor, via: str, as_of: datetime
) -> None:
    """Decide what the signal says. Joins the caller's transaction. Raises as `claim_decide`."""
    event = terms.Event(signal.name)
    reason, side = _said(signal.argument)
    try:
        claim_decide(
            claim,
            event=event,
            actor=terms.Actor.SIGNAL,
            reason=reason,
            by=by,
            via=via,
            as_of=as_of,
        )
    except NotAllowed:
        # A rulebook whose sides decide themselves: the signal speaks for the one that it names.
        actor = terms.Actor(side or Role.DONOR)
        claim_decide(
            claim,
            event=event,
            actor=actor,
            reason=reason or DEFAULT_REASON,
            by=by,
            via=via,
            as_of=as_of,
        )
    if event is terms.Event.CANCEL and side:
        claim.decided_by = side
        save(claim, "decided_by")
    close_questions(claim, by=by, reason=gettext("Decided by a signal."), as_of=as_of)


def _printable(text: str, most: int) -> str:
    """Return the beginning of a text from outside without what no page shows and no row takes."""
    return "".join(character for character in text if character.isprintable())[:most]


def _said(argument: Any) -> tuple[str, str]:
    """Return the reason and the side that a signal's argument names, as far as it says any:
    `{reason, cancelled_by}`, or the reason as a text."""
    if isinstance(argument, str):
        return _printable(argument, 30), ""
    if not isinstance(argument, dict):
        return "", ""
    reason, side = argument.get("reason"), argument.get("cancelled_by")
    known = side.upper() if isinstance(side, str) and side.upper() in set(Role) else ""
    return (_printable(reason, 30) if isinstance(reason, str) else ""), known


# --- an item of its own ---------------------------------------------------------------------------
def _ask(claim: Claim, signal: OutsideSignal, *, as_of: datetime) -> None:
    signal_ask(
        PROCESS,
        claim,
        kind=CLAIM_SIGNAL_KIND,
        key=f"{signal.run_id}:{signal.number}",
        title=_title(claim, signal),
        payload={
            "claim": claim.claim_id,
            "signal": signal.name,
            "argument": _shown(signal.argument),
            "run": signal.run_id,
        },
        as_of=as_of,
        claim_id=claim.claim_id,
        signal=signal.name,
    )


def signal_settled(*, request: Any, by: User | None, via: str, as_of: datetime) -> None:
    """Take the decision of the signal once a person has approved it: `ApprovalKind.on_settled`.

    Raises as `claim_decide`, which rolls the signature back.
    """
    if request.status != RequestStatus.APPROVED:
        return
    claim = claim_lock(request.subject_id)
    payload = current_payload(request).payload
    signal = OutsideSignal(payload["signal"], payload["run"], 0, payload["argument"] or None)
    signal_take(claim, signal, by=by or ENGINE, via=via, as_of=as_of)
    claim_wake(claim, event=f"decided:{claim.version}")


def _title(claim: Claim, signal: OutsideSignal) -> str:
    said = {
        "confirm": gettext("Confirm claim {claim}, as a signal asks"),
        "cancel": gettext("Cancel claim {claim}, as a signal asks"),
    }[signal.name]
    return said.format(claim=claim.claim_id)


def _shown(argument: Any) -> Any:
    """Return what a person reads of a signal's argument, and what is taken of it."""
    if isinstance(argument, str):
        return _printable(argument, 200)
    if not isinstance(argument, dict):
        return ""
    known = {name: argument.get(name) for name in ("reason", "cancelled_by")}
    return {name: _printable(value, 200) for name, value in known.items() if isinstance(value, str)}
