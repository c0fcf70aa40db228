"""Webhooks of Paystack: signed, stored as they came, then read, and looked at until something has
come of them.

The door believes nothing in them. One about a top-up that waits wakes its workflow, which asks
Paystack. Everything else is looked at by a task of the relay's leader, which asks Paystack as well.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar

from django.db import connection, transaction
from django.utils import timezone

from apps.accounts import throttle
from apps.accounts.rate_limits import signature_limit
from apps.audit.contracts import Outcome
from apps.audit.services import entry_record
from apps.common import correlation
from apps.common.errors import DomainError, TooMany, Unavailable
from apps.common.failpoints import failpoint
from apps.common.language import lazy as _
from apps.engine import process
from apps.outbound.calls import Refused
from apps.wallets import paystack
from apps.wallets.contracts import (
    SIGNAL_PAID,
    EventOutcome,
    MoneyStatus,
    ReviewCode,
    TopUpStatus,
)
from apps.wallets.models import PaystackReference, TopUp, WebhookEvent
from apps.wallets.models.payments import PAYSTACK
from apps.wallets.paystack import PaymentStatus
from apps.wallets.paystack_webhooks import Event, NotAnEvent, event_of, signature_valid
from apps.wallets.services.payments import payment_known, payment_take_in
from apps.wallets.services.reviews import refund_failed, review_open
from apps.wallets.services.topup_rows import PROCESS, RELATED, top_up_lock

logger = correlation.get_logger(__name__)

SUBJECT = "webhook_event"
PAID = "charge.success"
#: Events that one turn of the leader looks at.
BATCH = 20
FIRST_LOOK, LONGEST_LOOK = 15.0, 3600.0
#: A payment that Paystack does not confirm for so long is a person's business.
PATIENCE = timedelta(hours=24)

_STORE = """
    INSERT INTO wallets_webhookevent AS known
        (provider, body_sha256, body, event, reference, deliveries, outcome, detail,
         next_look_at, looks, created_at, last_at)
    VALUES (%(provider)s, %(sha256)s, %(body)s, '', '', 1, '', '', %(at)s, 0, %(at)s, %(at)s)
    ON CONFLICT (provider, body_sha256) DO UPDATE
        SET deliveries = known.deliveries + 1, last_at = EXCLUDED.last_at
    RETURNING id, deliveries
"""


class Unsigned(DomainError):
    """The signature of a webhook is wrong."""

    status: ClassVar[int] = 401
    code = "signature_invalid"


def webhook_take(*, body: bytes, signature: str, address: str, as_of: datetime) -> bool:
    """Store a signed webhook before it is read; return whether it is new. The same bytes again are
    counted, also by concurrent calls. `address`: the sender's, by which forged ones are limited;
    signed ones never are.

    What reading it raises is logged: it is stored, and will be looked at again. Raises Unsigned
    `signature_invalid`, audited, of which nothing else is kept; TooMany when the address has sent
    too many such, of which only the first is audited.
    """
    digest = sha256(body).hexdigest()
    if not signature_valid(body, signature):
        raise _forged(digest, address)
    about: dict[str, Any] = {"provider": PAYSTACK, "sha256": digest, "body": body, "at": as_of}
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_STORE, about)
        event_id, deliveries = cursor.fetchone()
        failpoint("webhook_take.uncommitted")
    failpoint("webhook_take.stored")
    if deliveries == 1:
        try:
            event_look(event_id, as_of=as_of, ask=False)
        except Exception:
            logger.exception("webhook.not_read", event_id=event_id)
    return bool(deliveries == 1)


def events_look(*, limit: int = BATCH) -> int:
    """Look at the events without an outcome that are due; return how many. A task of the relay's
    leader."""
    now = timezone.now()
    due = WebhookEvent.objects.filter(outcome="", next_look_at__lte=now)
    ids = list(due.order_by("next_look_at", "pk").values_list("pk", flat=True)[:limit])
    for event_id in ids:
        try:
            event_look(event_id, as_of=timezone.now(), ask=True)
        except Exception as error:
            if not isinstance(error, Unavailable):
                logger.exception("webhook.not_looked_at", event_id=event_id, alert=True)
            _later(event_id, timezone.now())
    return len(ids)


def event_look(event_id: int, *, as_of: datetime, ask: bool) -> None:
    """Read the event, and do what is to be done about it now. No-op once it has an outcome.

    `ask`: Paystack may be asked; without it such an event stays for the leader. Outermost verb.
    Raises Unavailable when Paystack does not answer.
    """
    row = WebhookEvent.objects.get(pk=event_id)
    if row.outcome:
        return
    said = event_of(bytes(row.body))
    if isinstance(said, NotAnEvent):
        _review(row, ReviewCode.UNREADABLE, said, as_of=as_of)
        return
    if row.event != said.name:
        row.event, row.reference = said.name, said.reference
        row.save(update_fields=["event", "reference"])
    if said.name == PAID:
        _paid(row, said, as_of=as_of, ask=ask)
    elif said.name.startswith("charge.dispute."):
        _review(row, ReviewCode.DISPUTE, said.name, as_of=as_of)
    elif said.name in ("refund.failed", "refund.needs-attention"):
        _refund_failed(row, said, as_of=as_of, ask=ask)
    else:
        _settle(row.pk, EventOutcome.IGNORED)


# --- a payment ------------------------------------------------------------------------------------
def _paid(row: WebhookEvent, said: Event, *, as_of: datetime, ask: bool) -> None:
    if payment := payment_known(said.reference):
        credited = payment.status == MoneyStatus.CREDITED
        _settle(row.pk, EventOutcome.CREDITED if credited else EventOutcome.REVIEW)
        return
    references = PaystackReference.objects.select_related("top_up")
    ours = references.filter(reference=said.reference).first()
    if ours is not None and _wake(ours.top_up, row, as_of=as_of):
        return
    if not ask:
        return
    verified = paystack.verify(said.reference)
    if verified.status is PaymentStatus.UNKNOWN:
        _review(row, ReviewCode.REFERENCE_UNKNOWN, said.reference, as_of=as_of)
        return
    if verified.status is not PaymentStatus.SUCCESS:
        if as_of - row.created_at > PATIENCE:
            _review(row, ReviewCode.UNCONFIRMED, verified.status, as_of=as_of)
        else:
            _later(row.pk, as_of)
        return
    with transaction.atomic(durable=True):
        top_up = top_up_lock(ours.top_up_id, *RELATED) if ours else None
        taken = payment_take_in(said.reference, verified, top_up, as_of=as_of)
        failpoint("webhook_look.uncommitted")
        if taken is None:
            outcome = EventOutcome.IGNORED
        elif taken.status == MoneyStatus.CREDITED:
            outcome = EventOutcome.CREDITED
        else:
            outcome = EventOutcome.REVIEW
        _settle(row.pk, outcome)


def _wake(top_up: TopUp, row: WebhookEvent, *, as_of: datetime) -> bool:
    """Wake the workflow of a top-up that waits for its payment; return whether it waits."""
    with transaction.atomic(durable=True):
        locked = top_up_lock(top_up.pk)
        if locked.has_ended or TopUpStatus(locked.status).paid:
            return False
        process.wake(PROCESS, locked, signal=SIGNAL_PAID, event=f"webhook:{row.pk}")
        # Until the top-up has ended: it may end without having seen the payment.
        _later(row.pk, as_of)
    return True


# --- a refund -------------------------------------------------------------------------------------
def _refund_failed(row: WebhookEvent, said: Event, *, as_of: datetime, ask: bool) -> None:
    payment = payment_known(said.reference)
    if payment is None or payment.status != MoneyStatus.SENT_BACK:
        _review(row, ReviewCode.REFUND_FAILED, said.reference, as_of=as_of)
        return
    if not ask:
        return
    try:
        failed = refund_failed(payment, row, as_of=as_of)
    except Refused as no:
        _review(row, ReviewCode.REFUND_FAILED, str(no), as_of=as_of)
        return
    _settle(row.pk, EventOutcome.REVIEW if failed else EventOutcome.IGNORED)


# --- helpers --------------------------------------------------------------------------------------
def _forged(digest: str, address: str) -> DomainError:
    """Count the webhook against the limit of its sender and audit it; return the refusal. Of those
    beyond the limit only the first is audited: nobody who floods the door floods the trail."""
    limit = signature_limit(address=address)
    refused = throttle.consume(limit)
    error: DomainError = Unsigned(_("The signature does not fit the body."))
    about: dict[str, Any] = {"address": address}
    if refused is not None:
        error = TooMany(_("Too many wrong signatures from here."), retry_after=refused.retry_after)
        about |= {"most": limit.amount, "seconds": limit.seconds}
    if refused is None or refused.first:
        entry_record(
            action="webhook.take",
            subject_type=SUBJECT,
            subject_id=digest,
            by=None,
            via="api",
            outcome=Outcome.REFUSED,
            code=error.code,
            body={**about, "detail": error.recorded},
        )
    return error


def _review(row: WebhookEvent, code: ReviewCode, detail: str, *, as_of: datetime) -> None:
    with transaction.atomic(durable=True):
        locked = WebhookEvent.objects.select_for_update().get(pk=row.pk)
        if locked.outcome:
            return
        review_open(code, detail=str(detail), event=locked, reference=locked.reference, as_of=as_of)
        _settle(row.pk, EventOutcome.REVIEW)


def _settle(event_id: int, outcome: EventOutcome) -> None:
    WebhookEvent.objects.filter(pk=event_id, outcome="").update(outcome=outcome)


def _later(event_id: int, as_of: datetime) -> None:
    row = WebhookEvent.objects.only("looks").get(pk=event_id)
    wait = min(LONGEST_LOOK, FIRST_LOOK * 2 ** min(row.looks, 10))
    WebhookEvent.objects.filter(pk=event_id).update(
        looks=row.looks + 1, next_look_at=as_of + timedelta(seconds=wait)
    )
