"""Edits: a version that one person writes and another signs; only the newest signed one is
replayed."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from apps.approvals.models import ApprovalRequest
from apps.audit.models import AuditEntry
from apps.common.errors import DomainError
from apps.payments.models import PaymentEvent, QuarantinedEvent, QuarantineEdit
from apps.payments.services import desk, edits
from apps.payments.services.checking import counters_check
from apps.payments.services.intake import events_take
from apps.payments.services.payloads import as_it_came, newest_version
from apps.payments.services.trials import event_try
from apps.payments.services.upstream import refused_take
from tests.payments.people import People
from tests.payments.samples import a_message, an_event, raw
from tests.payments.stage import Stage
from tests.stage import failure, orm

SAID: dict[str, Any] = {"via": "api"}


def refused(call: Any, *args: Any, **about: Any) -> str:
    with pytest.raises(DomainError) as raised:
        call(*args, **about)
    return raised.value.code


def quarantined(event: Any) -> QuarantinedEvent:
    events_take([a_message(event)])
    return QuarantinedEvent.objects.get()


def unreadable() -> QuarantinedEvent:
    """An event without an amount that is whole: it is refused when it is read."""
    return quarantined(an_event("stripe:evt_x", amount_cents="50"))


def test_asking_opens_a_request_bound_to_both_digests(people: People) -> None:
    row = unreadable()
    edit = people.edit(row, an_event("stripe:evt_x", amount_cents=50))
    request = edits.edit_approval(edit)
    assert request is not None
    assert (request.kind, request.scope, request.tier_group) == (
        "quarantine.edit",
        "sensitive",
        "quarantine releaser",
    )
    payload = request.payloads.get().payload
    assert payload["original_digest"] == row.digest
    assert payload["edited_digest"] == edit.digest
    assert payload["changes"] == [["amount_cents", '"50"', "50"]]
    assert edit.status == "awaiting_approval"
    # Nothing is replayed by asking.
    assert newest_version(row).number == 0


def test_the_editor_never_signs_and_another_person_does(people: People) -> None:
    edit = people.edit(unreadable(), an_event("stripe:evt_x"), by=people.admin)
    # A superuser may do everything else.
    assert refused(people.sign, edit, by=people.admin) == "requester_cannot_sign"
    assert people.sign(edit).status == "signed"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{", "edit_unreadable"),
        ("", "edit_unreadable"),
        ('{"event_id": "a", "event_id": "b"}', "edit_unreadable"),
        ("a\0b", "edit_unreadable"),
        ({"event_id": "stripe:other", "amount_cents": 50}, "field_locked"),
        ({"amount_cents": 50}, "edit_unreadable"),
        (an_event("stripe:evt_x", provider_event_id="evt_2"), "field_locked"),
        (an_event("stripe:evt_x", amount_cents="50"), "edit_unreadable"),
        (an_event("stripe:evt_x", metadata={f"k{n}": n for n in range(300)}), "too_many_changes"),
        (an_event("intervention-1"), "edit_unreadable"),
    ],
)
def test_a_version_that_makes_no_sense_is_refused(people: People, document: Any, code: str) -> None:
    row = unreadable()
    assert refused(people.edit, row, document) == code
    assert not QuarantineEdit.objects.exists()
    assert AuditEntry.objects.filter(action="quarantine_edit.ask", code=code).count() == 1


def test_who_may_not_and_what_is_not_there(people: People) -> None:
    row = unreadable()
    good = an_event("stripe:evt_x")
    assert refused(people.edit, row, good, by=people.releaser) == "permission_denied"
    missing = QuarantinedEvent(pk="0" * 31 + "1")
    assert refused(people.edit, missing, good) == "quarantined_event_not_found"
    assert refused(people.edit, row, good, reason="") == "reason_invalid"
    desk.event_discard(row_id=row.pk, by=people.corrector, reason="spam", **SAID)
    assert refused(people.edit, row, good) == "already_settled"


def test_an_event_without_a_usable_id_is_given_one(people: People) -> None:
    row = quarantined(an_event("has space"))
    edit = people.edit(row, an_event("stripe:evt_y"))
    assert edit.field_class == "locked"
    people.sign(edit)
    desk.event_replay(row_id=row.pk, by=people.releaser, **SAID)
    row.refresh_from_db()
    assert (row.state, row.intake and row.intake.event_id) == ("replaying", "stripe:evt_y")


def test_the_same_key_is_one_version_and_one_waits_at_a_time(people: People) -> None:
    row = unreadable()
    first = people.edit(row, an_event("stripe:evt_x"), idempotency_key="k")
    again = people.edit(row, an_event("stripe:evt_x"), idempotency_key="k")
    assert first.pk == again.pk
    other = an_event("stripe:evt_x", amount_cents=7)
    assert refused(people.edit, row, other, idempotency_key="k") == "idempotency_key_reused"
    assert refused(people.edit, row, other) == "edit_waits"
    edits.edit_cancel(edit_id=first.pk, by=people.corrector, via="api", as_of=timezone.now())
    assert people.edit(row, other).number == 2
    assert ApprovalRequest.objects.filter(status="open").count() == 1


def test_of_many_at_once_one_version_waits(people: People) -> None:
    row = unreadable()

    def ask(number: int) -> str:
        try:
            people.edit(row, an_event("stripe:evt_x", amount_cents=number + 1))
            return "asked"
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, range(6)))
    assert sorted(found) == ["asked", *["edit_waits"] * 5]


def test_what_was_signed_never_changes(people: People) -> None:
    edit = people.sign(people.edit(unreadable(), an_event("stripe:evt_x")))
    for change in ({"raw": b"x"}, {"reason": "x"}, {"status": "rejected"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            QuarantineEdit.objects.filter(pk=edit.pk).update(**change)


def test_a_version_of_a_discarded_event_ends_unused(people: People) -> None:
    row = unreadable()
    edit = people.edit(row, an_event("stripe:evt_x"))
    desk.event_discard(row_id=row.pk, by=people.corrector, reason="spam", **SAID)
    assert people.sign(edit).status == "cancelled"
    assert edit.error_code == "already_settled"


def test_every_digit_survives(people: People) -> None:
    row = unreadable()
    text = raw(an_event("stripe:evt_x")).decode()
    text = text.replace('{"order": "A-1"}', '{"n": 12345678901234567890, "d": 10.10}')
    people.sign(people.edit(row, text))
    assert b"12345678901234567890" in (newest_version(row).raw or b"")
    trial = event_try(row)
    assert trial.code == ""
    assert {name: str(value) for name, value in trial.row["metadata"].items()} == {
        "n": "12345678901234567890",
        "d": "10.10",
    }
    # A dry run leaves nothing behind.
    assert not PaymentEvent.objects.exists()
    assert QuarantinedEvent.objects.get().state == "open"
    assert counters_check() == (1, [])


def test_a_dry_run_says_what_fails_and_what_is_known(people: People) -> None:
    row = unreadable()
    trial = event_try(row)
    assert (trial.code, trial.version) == ("wrong_type", 0)
    trial = event_try(
        row, text=json.dumps(an_event("stripe:evt_x", currency="XXX", amount_cents=0))
    )
    assert trial.code == "amount_bounds"
    assert [one["code"] for one in trial.failures] == ["amount_bounds", "currency_allowed"]
    events_take([a_message(an_event("stripe:evt_z"), offset=9)])
    trial = event_try(row, text=json.dumps(an_event("stripe:evt_z")))
    assert (trial.code, trial.known) == ("event_known", "intake")


def test_the_event_inside_a_message_of_dead_letters_is_edited_and_replayed(people: People) -> None:
    event = an_event("stripe:evt_d", currency="SEK")
    envelope = {
        "original_payload": event,
        "validation_errors": [{"code": "currency", "field": "currency", "message": "SEK"}],
        "failure_reason": "not allowed",
        "source_topic": "payments.raw",
    }
    refused_take([a_message(envelope, topic="payments.validation.dlq")])
    row = QuarantinedEvent.objects.get()
    assert json.loads(as_it_came(row).raw or b"") == event
    assert event_try(row).code == "currency_allowed"
    people.sign(people.edit(row, event | {"currency": "EUR"}))
    assert event_try(row).code == ""
    desk.event_replay(row_id=row.pk, by=people.releaser, **SAID)
    row.refresh_from_db()
    assert row.intake is not None
    assert json.loads(bytes(row.intake.raw))["currency"] == "EUR"


async def test_a_replay_carries_the_newest_signed_version_and_its_history_stays(
    stage: Stage, people: People
) -> None:
    event_id = stage.named("e-1")
    await stage.take(an_event(event_id, currency="SEK"))
    assert await failure(stage.run_of(event_id)) == "currency_allowed"
    row = await orm(QuarantinedEvent.objects.get)
    wrong = an_event(event_id, currency="NOK")
    await orm(lambda: people.sign(people.edit(row, wrong)))
    await orm(lambda: desk.event_replay(row_id=row.pk, by=people.releaser, **SAID))
    await stage.deliver()
    assert await failure(stage.run_of(event_id)) == "currency_allowed"
    # A second edit after a replay that failed, and a third that nobody has signed yet.
    await orm(lambda: people.sign(people.edit(row, an_event(event_id, currency="EUR"))))
    await orm(lambda: people.edit(row, an_event(event_id, currency="GBP")))
    await orm(lambda: desk.event_replay(row_id=row.pk, by=people.releaser, **SAID))
    await stage.deliver()
    await stage.run_of(event_id).result()
    kept = await orm(PaymentEvent.objects.get)
    assert kept.currency == "EUR"
    row = await orm(QuarantinedEvent.objects.get)
    assert (row.state, row.edit, row.carried) == ("replayed", 1, 2)
    attempts = await orm(lambda: list(row.attempts.values_list("number", "edit", "code")))
    assert attempts == [(1, 0, "currency_allowed")]
    assert await orm(lambda: row.edits.count()) == 3
    assert await orm(counters_check) == (1, [])
