"""Helpers of the audit tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from apps.audit import anchors
from apps.audit.contracts import SystemActor
from apps.audit.models import AuditEntry
from apps.audit.services import entry_record, pending_seal

TESTER = SystemActor("tester")


@pytest.fixture(autouse=True)
def _fresh_anchor_clock() -> Iterator[None]:
    anchors.reset()
    yield
    anchors.reset()


def record(number: int = 1, **changes: Any) -> AuditEntry:
    """An entry with a recognisable body."""
    values: dict[str, Any] = {
        "action": "thing.change",
        "subject_type": "thing",
        "subject_id": str(number),
        "by": TESTER,
        "via": "api",
        "body": {"number": number, "amount": "12.00"},
    }
    return entry_record(**{**values, **changes})


def sealed(count: int) -> list[AuditEntry]:
    """That many entries, sealed."""
    entries = [record(number) for number in range(1, count + 1)]
    while pending_seal():
        pass
    return entries


@contextmanager
def tampering() -> Iterator[Any]:
    """A cursor as somebody with the database's password has it: triggers and keys are off."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")
