"""Erases one customer from payment events, on request."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import Any, TypedDict
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from apps.audit.contracts import Actor
from apps.audit.services import entry_record, refusals
from apps.common.errors import Invalid
from apps.common.language import lazy as _
from apps.common.validation import clean_reason
from apps.payments.contracts import CUSTOMER, QUARANTINED, QuarantineState
from apps.payments.customer_payloads import Customer
from apps.payments.models import Intake, PaymentEvent, PaymentRule, QuarantinedEvent
from apps.payments.models.events import ERASED
from apps.payments.reading import TEXTS
from apps.payments.services.quarantine import states_move
from apps.payments.services.retention import payloads_delete_of

#: Rows of one transaction.
STEP = 500
#: Payloads up to here are read together.
FEW_BYTES = 64 * 1024


class Said(TypedDict):
    """Who asks for it, and by which way, as the audit trail keeps it."""

    by: Actor
    via: str


@dataclass
class Erased:
    """What was done. `under_way`: events of the customer that are carried now, or replayed; nothing
    of them is erased before they have ended. `blocked`: the id stands in the customers'
    blocklist."""

    token: str
    events: int = 0
    discarded: int = 0
    payloads: int = 0
    under_way: int = 0
    blocked: bool = False
    #: Rows that were looked into for it.
    read: int = field(default=0, compare=False)


def customer_erase(*, customer_id: str, by: Actor, via: str, reason: str = "") -> Erased:
    """Erase the customer: kept events get a random token for the customer's id and lose card,
    metadata and the provider's message; payloads of the customer's events are deleted, and what
    waits in the quarantine is discarded before.

    Opens the outermost transactions, of at most STEP rows each, and reads every payload that is
    kept: it takes a while. Again, or after it was killed, it does what is left; the audit trail has
    the token and the counts, not the id. Raises Invalid `customer_id_invalid`, `reason_invalid`,
    both audited.
    """
    token = f"{ERASED}{token_hex(16)}"
    about = {"subject_type": CUSTOMER, "subject_id": token}
    with refusals(action=f"{CUSTOMER}.erase", by=by, via=via, **about):
        reason = clean_reason(reason)
        if not 0 < len(customer_id) <= TEXTS["customer_id"] or "\0" in customer_id:
            raise Invalid(_("A customer's id has 1 to 100 characters."), code="customer_id_invalid")
        if customer_id.startswith(ERASED):
            raise Invalid(_("This is the token of an erasure."), code="customer_id_invalid")
    done = Erased(token)
    now = timezone.now()
    customer = Customer(customer_id)
    # First: what ends while the rest is erased is not known to have been erased.
    waiting = set(_of_customer(Intake.objects.filter(done_at=None), customer, None))
    _erase_events(customer_id, done, now)
    waiting |= _erase_quarantine(customer, done, now, {"by": by, "via": via})
    done.under_way = len(waiting)
    rule = PaymentRule.objects.filter(code="customer_blocklist").first()
    done.blocked = rule is not None and customer_id in rule.parameters["blocked"]
    with transaction.atomic(durable=True):
        entry_record(
            action=f"{CUSTOMER}.erased",
            by=by,
            via=via,
            body={
                "events": done.events,
                "payloads": done.payloads,
                "discarded": done.discarded,
                "under_way": done.under_way,
                "reason": reason,
            },
            **about,
        )
    return done


# --- kept events ----------------------------------------------------------------------------------
def _erase_events(customer_id: str, done: Erased, now: datetime) -> None:
    while True:
        with transaction.atomic(durable=True):
            rows = PaymentEvent.objects.filter(customer_id=customer_id, erased_at=None)
            batch = dict(
                rows.select_for_update(no_key=True)
                .order_by("pk")
                .values_list("pk", "intake_id")[:STEP]
            )
            if not batch:
                return
            done.events += PaymentEvent.objects.filter(pk__in=batch).update(
                customer_id=done.token,
                card_last_four="",
                failure_message="",
                metadata={},
                erased_at=now,
            )
            _, deleted = payloads_delete_of(intakes=list(batch.values()), now=now)
            done.payloads += deleted


# --- the quarantine -------------------------------------------------------------------------------
def _erase_quarantine(
    customer: Customer, done: Erased, now: datetime, said: Said
) -> set[int | UUID]:
    """Erase the customer's rows; return the intakes of those that are replayed now."""
    replayed: set[int | UUID] = set()
    for row_id in _of_customer(
        QuarantinedEvent.objects.filter(raw_deleted_at=None), customer, done
    ):
        # The intake before the row, each in its own transaction: others lock them in either order,
        # and the row leads a second run here as long as it has its payload.
        with transaction.atomic(durable=True):
            of = Intake.objects.filter(quarantined=row_id).values_list("pk", flat=True)
            done.payloads += payloads_delete_of(intakes=list(of), now=now)[1]
        with transaction.atomic(durable=True):
            row = QuarantinedEvent.objects.filter(pk=row_id)
            _erase_row(row, done, now, said)
            left = row.filter(raw_deleted_at=None).values_list("intake", flat=True)
            replayed |= {row_id if intake is None else intake for intake in left}
    return replayed


def _erase_row(row: "QuerySet[QuarantinedEvent]", done: Erased, now: datetime, said: Said) -> None:
    """Delete the row's payload; discard it before, if it is open."""
    if states_move(row.filter(state=QuarantineState.OPEN), QuarantineState.DISCARDED, now):
        done.discarded += 1
        [(pk, event_id, code)] = row.values_list("pk", "event_id", "code")
        entry_record(
            action=f"{QUARANTINED}.discarded",
            subject_type=QUARANTINED,
            subject_id=str(pk),
            body={"event_id": event_id, "code": code, "reason": f"{CUSTOMER} {done.token}"},
            **said,
        )
    ids = list(row.values_list("pk", flat=True))
    deleted, _ = payloads_delete_of(rows=ids, now=now)
    done.payloads += deleted


# --- helpers --------------------------------------------------------------------------------------
def _of_customer(rows: "QuerySet[Any]", customer: Customer, done: Erased | None) -> Iterator[Any]:
    """Yield the ids of the rows whose payload is the customer's, STEP rows a query. PostgreSQL
    looks for the id's letters; only what has them is read here, large ones one by one: a payload
    may have 16 MB."""
    after: Any = None
    while True:
        step = rows if after is None else rows.filter(pk__gt=after)
        ids = list(step.order_by("pk").values_list("pk", flat=True)[:STEP])
        if not ids:
            return
        after = ids[-1]
        if done is not None:
            done.read += len(ids)
        for pk, small in _candidates(rows.model._meta.db_table, ids, customer):
            raw = small
            if raw is None:
                raw = rows.model.objects.filter(pk=pk).values_list("raw", flat=True).first()
            if raw is not None and customer.is_of(bytes(raw)):
                yield pk


def _candidates(table: str, ids: list[Any], customer: Customer) -> list[tuple[Any, Any]]:
    """Return the rows that have a trace of the customer, with their bytes if these are few."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, CASE WHEN octet_length(raw) <= %s THEN raw END FROM {table} "  # noqa: S608 - our own names
            "WHERE id = ANY(%s) AND EXISTS (SELECT FROM unnest(%s::bytea[]) AS part (part) "
            "WHERE position(part IN raw) > 0) ORDER BY id",
            [FEW_BYTES, ids, list(customer.traces)],
        )
        return list(cursor.fetchall())
