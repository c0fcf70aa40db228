"""Writing entries and refusals."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction

from apps.accounts.models import User
from apps.audit.chain import body_digest
from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry, AuditPending
from apps.audit.services import entry_record, refusals
from apps.common.correlation import correlated
from apps.common.errors import Conflict, NotAllowed
from tests.audit.conftest import TESTER, record

pytestmark = pytest.mark.django_db

REFUSAL: dict[str, Any] = {
    "action": "thing.change",
    "subject_type": "thing",
    "subject_id": "7",
    "by": TESTER,
    "via": "api",
}


def test_an_entry_names_the_person_the_object_and_the_correlation() -> None:
    person = User.objects.create(username="amaka", first_name="Amaka", last_name="Eze")
    with correlated("request-1"):
        entry = record(5, by=person)
    entry.refresh_from_db()
    assert (entry.actor_id, entry.actor_label) == (f"user:{person.pk}", "Amaka Eze")
    assert (entry.subject_type, entry.subject_id, entry.via) == ("thing", "5", "api")
    assert (entry.outcome, entry.code, entry.correlation_id) == ("done", "", "request-1")
    assert AuditPending.objects.filter(pk=entry.pk).exists()


def test_nobody_is_called_unknown_and_the_engine_by_its_name() -> None:
    assert record(by=None).actor_label == "unknown"
    assert record(by=ENGINE).actor_id == "system:engine"


def test_an_entry_goes_away_with_the_transaction_of_its_verb() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record()
        raise ZeroDivisionError
    assert not AuditEntry.objects.exists()
    assert not AuditPending.objects.exists()


def test_a_body_comes_back_from_postgresql_as_the_digest_covers_it() -> None:
    entry = record(
        body={
            "decimal": Decimal("12.00"),
            "float": 1e22,
            "negative_zero": -0.0,
            "nan": float("nan"),
            "big": 2**80,
            "id": UUID(int=1),
            "at": datetime(2026, 1, 31, tzinfo=UTC),
            "hostile": "a\0b\ud800c",
            "nested": [{"é": ("x", True, None)}],
            5: {1},
            "person": TESTER,
        }
    )
    entry.refresh_from_db()
    assert entry.salt is not None
    assert body_digest(entry.body, entry.salt) == entry.digest
    assert entry.body["decimal"] == "12.00"
    assert entry.body["hostile"] == "a\ufffdb?c"
    assert entry.body["5"] == [1]


def test_texts_that_do_not_fit_are_cut_and_cleaned_never_refused() -> None:
    entry = record(subject_id="x\0" * 200, action="a" * 500, by=None, via="v" * 99)
    entry.refresh_from_db()
    assert entry.subject_id == "x\ufffd" * 40
    assert len(entry.action) == 80


def test_a_refusal_is_kept_though_the_verb_is_rolled_back() -> None:
    with (
        pytest.raises(Conflict) as caught,
        refusals(**REFUSAL),
        transaction.atomic(durable=True),
    ):
        User.objects.create(username="gone")
        record(99)
        raise Conflict("Somebody was first.", code="already_decided", decided_by=TESTER)
    assert caught.value.code == "already_decided"
    assert not User.objects.filter(username="gone").exists()
    entry = AuditEntry.objects.get()
    assert (entry.outcome, entry.code, entry.subject_id) == ("refused", "already_decided", "7")
    assert entry.body == {"detail": "Somebody was first.", "decided_by": "tester"}


def test_a_failure_that_is_no_refusal_is_not_recorded_as_one() -> None:
    with pytest.raises(ZeroDivisionError), refusals(**REFUSAL), transaction.atomic(durable=True):
        raise ZeroDivisionError
    assert not AuditEntry.objects.exists()


def test_what_passes_is_not_recorded_as_a_refusal() -> None:
    with refusals(**REFUSAL):
        pass
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_refusals_inside_a_transaction_are_a_loud_mistake_of_the_caller() -> None:
    with (
        pytest.raises(RuntimeError, match="durable"),
        transaction.atomic(),
        refusals(**REFUSAL),
    ):
        raise NotAllowed("no")


def test_a_refusal_stands_when_its_record_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM no_such_table")

    monkeypatch.setattr("apps.audit.services.entry_record", broken)
    with pytest.raises(NotAllowed), refusals(**REFUSAL):
        raise NotAllowed("no")
    assert "refusal_not_recorded" in caplog.text


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditentry SET actor_label = 'somebody else'",
        "UPDATE audit_auditentry SET body = '{}'",
        "UPDATE audit_auditentry SET digest = repeat('0', 64)",
        "UPDATE audit_auditentry SET body = NULL, salt = NULL",
        "DELETE FROM audit_auditentry",
    ],
)
def test_the_database_refuses_to_change_or_remove_an_entry(statement: str) -> None:
    record()
    with (
        pytest.raises(DatabaseError),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_the_trail_of_an_object_is_newest_first() -> None:
    first, _, third = record(1), record(2), record(1)
    assert list(AuditEntry.objects.about("thing", 1)) == [third, first]


def test_an_entry_without_a_body_has_an_empty_one() -> None:
    entry = entry_record(action="a", subject_type="t", subject_id=1, by=None)
    assert entry.body == {}
