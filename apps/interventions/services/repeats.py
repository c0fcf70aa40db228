"""What is asked twice under one key is made once: a person's keys are unique in the database."""

from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.accounts.models import User
from apps.errors import Conflict
from apps.interventions.models import BudgetTransfer, Intervention, InterventionBatch
from apps.interventions.services.inputs import clean_text

Asked = TypeVar("Asked", Intervention, BudgetTransfer, InterventionBatch)


def clean_key(key: str) -> str:
    """The idempotency key, empty for none; Invalid `idempotency_key_invalid`."""
    return clean_text(key, field="idempotency_key", limit=120) if key else ""


def asked_before(rows: QuerySet[Asked], *, by: User, key: str, digest: str) -> Asked | None:
    """What the person made of that key before, if they gave one; Conflict `idempotency_key_reused`
    when it was something else."""
    known = rows.filter(requested_by=by, idempotency_key=key).first() if key else None
    if known is not None and known.request_digest != digest:
        raise Conflict(
            "This idempotency key was used for something else.", code="idempotency_key_reused"
        )
    return known


def save_or_known(row: Asked, known: Callable[[], Asked | None]) -> Asked | None:
    """Insert the row; None, or what the other one of two at once has made meanwhile.

    Joins the caller's transaction. That one has committed: the constraint waited for it.
    """
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        if (other := known()) is not None:
            return other
        raise
    return None
