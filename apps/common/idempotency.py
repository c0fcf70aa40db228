"""Idempotency keys: repeating a request with the same key returns the row made the first time.

A unique constraint on (requested_by, idempotency_key) decides between two at once.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from apps.common.errors import Conflict
from apps.common.language import lazy as _
from apps.common.validation import clean_text

#: A row with the columns `requested_by`, `idempotency_key` and `request_digest`.
Row = TypeVar("Row", bound=Any)


def clean_key(key: str) -> str:
    """Return the idempotency key, empty for none. Raises Invalid `idempotency_key_invalid`."""
    return clean_text(key, field="idempotency_key", limit=120) if key else ""


def asked_before(rows: QuerySet[Row], *, by: AbstractUser, key: str, digest: str) -> Row | None:
    """Return the user's row with that key, or None. Raises Conflict `idempotency_key_reused` when
    its content differs."""
    known = rows.filter(requested_by=by, idempotency_key=key).first() if key else None
    if known is not None and known.request_digest != digest:
        raise Conflict(
            _("This idempotency key was used for something else."), code="idempotency_key_reused"
        )
    return known


def save_or_known(row: Row, known: Callable[[], Row | None]) -> Row | None:
    """Insert the row and return None, or return the row that a concurrent call inserted.

    Joins the caller's transaction. The other call has committed by then, because the constraint
    waits for it.
    """
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        if (other := known()) is not None:
            return other
        raise
    return None
