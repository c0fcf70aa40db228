"""Signals that others send to an infraction's workflow: evidence, and decisions. Each is handled
once, and audited as "engine signal".

`CLAIMS_BARE_SIGNALS`: `accept` decides as the signal says; `review` asks a person in an item of its
own. What a signal leaves open, such as how the investigation was completed, a person is asked too.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.contracts import RequestStatus
from apps.approvals.kinds import SettledRequest
from apps.approvals.selectors import signed_payload
from apps.audit.contracts import ENGINE, Actor, Outcome
from apps.audit.services import entry_record
from apps.common.errors import DomainError, Invalid
from apps.common.language import lazy as _
from apps.common.validation import clean_text, text_of
from apps.pix.contracts import INFRACTION
from apps.pix.contracts.infractions import (
    LONGEST_DETAILS,
    LONGEST_URL,
    SIGNAL_COMPLETE,
    SIGNAL_EVIDENCE,
    SIGNAL_KIND,
    Analysis,
    Decision,
    FraudType,
    InfractionFacts,
)
from apps.pix.infraction_rules import InfractionEvent, InfractionParty
from apps.pix.models import Infraction, InfractionSignal
from apps.pix.services import infraction_rows as rows
from apps.pix.services.infraction_rows import PROCESS
from apps.pix.services.infraction_signing import infraction_decide
from apps.pix.services.infraction_working import escalate, evidence_noted
from apps.pix.services.shared import BY_SIGNAL, SIGNALLER
from apps.pix.services.signal_items import signal_ask


def evidence_take(
    *, row_id: UUID | str, key: str, body: Mapping[str, Any], as_of: datetime
) -> InfractionFacts:
    """Keep evidence that a signal brought, once per `key`. Nothing is decided by it, so it is taken
    however decisions are; of one that comes too late or says nothing, only the refusal is kept."""
    text, url = _text(body.get("description")), _text(body.get("evidence_url"), LONGEST_URL)
    with transaction.atomic(durable=True):
        infraction = rows.lock(row_id)
        signal = InfractionSignal(
            infraction=infraction, key=key, name=SIGNAL_EVIDENCE, text=text, url=url, at=as_of
        )
        if not _handled(key):
            try:
                if not text and not url:
                    raise Invalid(_("There is no evidence in it."), code="evidence_empty")
                party = InfractionParty.SIGNAL
                rows.move(infraction, event=InfractionEvent.ADD_EVIDENCE, party=party, as_of=as_of)
            except DomainError as refused:
                _refused(signal, refused)
            else:
                _keep(signal, "taken")
                said = "\n".join(part for part in (text, url) if part)
                evidence_noted(infraction, by=SIGNALLER, via=BY_SIGNAL, text=said, as_of=as_of)
        return rows.facts_now(infraction)


def decision_take(
    *, row_id: UUID | str, key: str, body: Mapping[str, Any], as_of: datetime
) -> InfractionFacts:
    """Handle the signal that the investigation is complete, once per `key`: `{decision: RESOLVE |
    DISMISS | ESCALATE, notes, fraud_type?}`. RESOLVE without a type of fraud means OTHER.

    The first decision counts: one that comes too late is refused, and audited.
    """
    decision = str(body.get("decision") or "").strip().upper()[:20]
    known = decision in set(Decision)
    fraud = str(body.get("fraud_type") or "").strip().upper()
    signal = InfractionSignal(
        key=key,
        name=SIGNAL_COMPLETE,
        decision=decision if known else "",
        fraud_type=_fraud(fraud) if decision == Decision.RESOLVE else "",
        text=_text(body.get("notes")),
        at=as_of,
    )
    with transaction.atomic(durable=True):
        infraction = rows.lock(row_id)
        signal.infraction = infraction
        if not _handled(key):
            try:
                _check(infraction, decision if known else "", as_of=as_of)
                if known and settings.CLAIMS_BARE_SIGNALS == "accept":
                    with transaction.atomic():
                        _carry_out(signal, infraction, by=SIGNALLER, via=BY_SIGNAL, as_of=as_of)
                    _keep(signal, "acted_on")
                else:
                    _keep(signal, "handed_over")
                    _ask(signal, infraction, as_of=as_of)
            except DomainError as refused:
                _refused(signal, refused)
        return rows.facts_now(infraction)


def signal_settled(*, request: SettledRequest, by: User | None, via: str, as_of: datetime) -> None:
    """Carry out what the signal said, if its item was approved. `ApprovalKind.on_settled`."""
    infraction = rows.lock(request.subject_id)
    signal = InfractionSignal.objects.get(pk=signed_payload(request.pk)["signal"])
    approved = request.status == RequestStatus.APPROVED
    signal.outcome = "acted_on" if approved and signal.decision else "ignored"
    signal.save(update_fields=["outcome"])
    rows.record(infraction, f"{INFRACTION}.signal_{signal.outcome}", by=by or ENGINE, via=via)
    if signal.outcome == "acted_on":
        _carry_out(signal, infraction, by=by or ENGINE, via=via, as_of=as_of)
        rows.wake(infraction, event=f"signal:{signal.pk}")


# --- helpers --------------------------------------------------------------------------------------
def _check(infraction: Infraction, decision: str, *, as_of: datetime) -> None:
    """Raise what the rules say of a decision by signal now."""
    escalates = decision == Decision.ESCALATE
    event = InfractionEvent.ESCALATE if escalates else InfractionEvent.CLOSE
    rows.move(infraction, event=event, party=InfractionParty.SIGNAL, as_of=as_of)
    if not infraction.decides:
        raise rows.not_ours()


def _carry_out(
    signal: InfractionSignal, infraction: Infraction, *, by: Actor, via: str, as_of: datetime
) -> None:
    if signal.decision == Decision.ESCALATE:
        escalate(
            infraction,
            party=InfractionParty.SIGNAL,
            reason=signal.text or "A signal asked for it.",
            by=by,
            via=via,
            as_of=as_of,
        )
        return
    resolved = signal.decision == Decision.RESOLVE
    infraction_decide(
        infraction,
        result=Analysis.AGREED if resolved else Analysis.DISAGREED,
        fraud_type=signal.fraud_type,
        # OTHER has to say what.
        analysis=signal.text or ("Decided by a signal to the engine." if resolved else ""),
        party=InfractionParty.SIGNAL,
        by=by,
        via=via,
        as_of=as_of,
    )


def _ask(signal: InfractionSignal, infraction: Infraction, *, as_of: datetime) -> None:
    title = gettext("Look at a signal about {infraction}").format(infraction=infraction)
    asked = signal_ask(
        PROCESS,
        infraction,
        kind=SIGNAL_KIND,
        key=signal.key,
        title=title,
        payload={
            "infraction": str(infraction.pk),
            "signal": signal.pk,
            "decision": signal.decision,
            "fraud_type": signal.fraud_type,
            "notes": signal.text,
        },
        as_of=as_of,
        decision=signal.decision,
        notes=signal.text,
    )
    if not asked:
        _keep(signal, "ignored")


def _handled(key: str) -> bool:
    return InfractionSignal.objects.filter(key=key).exists()


def _keep(signal: InfractionSignal, outcome: str) -> None:
    signal.outcome = outcome
    signal.save()


def _refused(signal: InfractionSignal, refused: DomainError) -> None:
    _keep(signal, "refused")
    entry_record(
        action=f"{INFRACTION}.signal",
        subject_type=INFRACTION,
        subject_id=str(signal.infraction.pk),
        by=SIGNALLER,
        via=BY_SIGNAL,
        outcome=Outcome.REFUSED,
        code=refused.code,
        body={"signal": signal.name, "decision": signal.decision, "detail": refused.recorded},
    )


def _fraud(text: str) -> str:
    return text if text in set(FraudType) else FraudType.OTHER


def _text(raw: object, limit: int = LONGEST_DETAILS) -> str:
    """Return what can be kept of a text from outside; empty for anything else. A signal is not
    refused for a text: nobody would hear of it."""
    if not isinstance(raw, str):
        return ""
    try:
        kept = clean_text(
            text_of(raw.strip(), code="invalid_text")[:limit],
            field="text",
            limit=limit,
            multiline=True,
        )
    except Invalid:
        return "".join(c for c in raw if c.isascii() and c.isprintable()).strip()[:limit]
    return kept
