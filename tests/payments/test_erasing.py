"""A customer is erased: what stays names nobody, and what was counted stays counted."""

import json
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from apps.accounts.demo_users import demo_people_ensure
from apps.accounts.models import User
from apps.audit.contracts import SystemActor
from apps.audit.models import AuditEntry
from apps.payments.contracts import QuarantineState, Stage
from apps.payments.customer_payloads import Customer
from apps.payments.models import Intake, PaymentEvent, PaymentRule, QuarantinedEvent
from apps.payments.services import erasing
from apps.payments.services.carrying import event_quarantine
from apps.payments.services.checking import counters_check
from apps.payments.services.desk import event_replay
from apps.payments.services.erasing import Erased, customer_erase
from apps.payments.services.intake import events_take
from apps.payments.services.quarantine import states_move
from apps.payments.services.upstream import refused_take
from tests.payments.kept import keep
from tests.payments.samples import a_message, an_event, raw

BY = SystemActor("command line")
transactional = pytest.mark.django_db(transaction=True)


def erase(customer_id: str = "c-1") -> Erased:
    return customer_erase(customer_id=customer_id, by=BY, via="command", reason="asked for it")


# --- whose payload it is --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (raw({"customer_id": "c-1"}), True),
        (raw({"customer_id": "c-12"}), False),
        (raw({"merchant_id": "c-1"}), False),
        (b'{"customer_id": "\\u0063-1"}', True),
        (b'{"customer\\u005fid": "c-1"}', True),
        (raw({"original_payload": {"customer_id": "c-1"}}), True),
        (raw({"original_payload": json.dumps({"customer_id": "c-1"})}), True),
        (raw([{"x": [{"customer_id": "c-1"}]}]), True),
        (b'{"customer_id" : "c-1", "amount_cents": ', True),
        (b'{"customer_id": "c-1", "customer_id": "c-2"}', True),
        (b'{"customer_id": "c-12", "amount_cents": ', False),
        (b"c-1", False),
        (b"", False),
        (b'{"a": ' * 5000, False),
    ],
)
def test_a_payload_is_of_the_customer_that_it_names(payload: bytes, expected: bool) -> None:
    customer = Customer("c-1")
    assert customer.is_of(payload) is expected
    if expected:
        assert any(trace in payload for trace in customer.traces)


@pytest.mark.parametrize("customer_id", ['a"b', "a\\b", "né", "a b", "{}"])
def test_ids_of_all_letters_are_found(customer_id: str) -> None:
    customer = Customer(customer_id)
    for document in (
        json.dumps({"customer_id": customer_id}),
        json.dumps({"customer_id": customer_id}, ensure_ascii=False),
        json.dumps({"original_payload": json.dumps({"customer_id": customer_id})}),
    ):
        payload = document.encode()
        assert customer.is_of(payload)
        assert any(trace in payload for trace in customer.traces), document


# --- the whole way --------------------------------------------------------------------------------
@transactional
def test_everything_of_a_customer_goes_and_everything_of_others_stays() -> None:
    events_take(
        [
            a_message(an_event("kept", failure_message="no funds of Ada"), key=b"c-1"),
            a_message(an_event("others", customer_id="c-12"), offset=1, key=b"c-12"),
            a_message(an_event("failed"), offset=2),
            a_message(raw(an_event("unread")) + b"!", offset=3),
            a_message(b'{"customer_id": "c-2"', offset=4),
        ]
    )
    for event_id in ("kept", "others"):
        keep(Intake.objects.get(event_id=event_id))
    event_quarantine(event_id="failed", stage=Stage.VALIDATE, code="amount_bounds", detail="Ada")
    refused_take([a_message({"original_payload": an_event("elsewhere")}, topic="dlq", offset=5)])
    done = erase()
    assert (done.events, done.discarded, done.under_way) == (1, 3, 0)
    kept = PaymentEvent.objects.get(event_id="kept")
    assert kept.customer_id == done.token
    assert (kept.metadata, kept.card_last_four, kept.failure_message) == ({}, "", "")
    assert (kept.amount_cents, kept.currency, kept.merchant_id) == (5000, "USD", "m-1")
    other = PaymentEvent.objects.get(event_id="others")
    assert (other.customer_id, other.card_last_four, other.erased_at) == ("c-12", "4242", None)
    assert bytes(other.intake.raw) and other.intake.key is not None
    left = QuarantinedEvent.objects.exclude(raw=None)
    assert [bytes(row.raw or b"") for row in left] == [b'{"customer_id": "c-2"']
    for row in QuarantinedEvent.objects.filter(raw=None):
        assert row.state == QuarantineState.DISCARDED and "Ada" not in str(row.errors)
    assert b"c-1" not in b"".join(
        bytes(row.raw) + bytes(row.key or b"") for row in Intake.objects.exclude(event_id="others")
    )
    assert counters_check()[1] == []


@transactional
def test_again_it_does_nothing_and_a_later_event_is_erased_by_the_next(monkeypatch: Any) -> None:
    monkeypatch.setattr(erasing, "STEP", 2)
    events_take([a_message(an_event(f"e-{n}"), offset=n) for n in range(5)])
    events_take([a_message(raw(an_event()) + b"!", offset=10 + n) for n in range(5)])
    for intake in Intake.objects.all():
        keep(intake)
    first = erase()
    assert (first.events, first.discarded, first.payloads) == (5, 5, 10)
    again = erase()
    assert (again.events, again.discarded, again.payloads) == (0, 0, 0)
    assert again.token != first.token
    assert set(PaymentEvent.objects.values_list("customer_id", flat=True)) == {first.token}


@transactional
def test_a_killed_erasure_is_finished_by_the_next(monkeypatch: Any) -> None:
    monkeypatch.setattr(erasing, "STEP", 2)
    events_take([a_message(an_event(f"e-{n}"), offset=n) for n in range(5)])
    events_take([a_message(raw(an_event()) + b"!", offset=10)])
    for intake in Intake.objects.all():
        keep(intake)

    def killed(*args: Any, **about: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(erasing, "_erase_row", killed)
        with pytest.raises(KeyboardInterrupt):
            erase()
    assert QuarantinedEvent.objects.get().raw is not None
    assert erase().discarded == 1
    assert not PaymentEvent.objects.filter(customer_id="c-1")
    assert counters_check() == (1, [])


@transactional
def test_two_at_once_erase_each_event_once() -> None:
    events_take([a_message(an_event(f"e-{n}"), offset=n) for n in range(8)])
    events_take([a_message(raw(an_event()) + b"!", offset=10 + n) for n in range(8)])
    for intake in Intake.objects.all():
        keep(intake)

    def run(_: int) -> Erased:
        try:
            return erase()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(run, range(3)))
    assert sum(one.events for one in found) == 8
    assert sum(one.discarded for one in found) == 8
    assert sum(one.payloads for one in found) == 16
    assert counters_check() == (1, [])


@transactional
def test_what_is_under_way_is_told_and_left_alone() -> None:
    events_take([a_message(an_event("waits"))])
    events_take([a_message(raw(an_event()) + b"!", offset=1)])
    with transaction.atomic():
        rows = QuarantinedEvent.objects.all()
        states_move(rows, QuarantineState.REPLAYING, timezone.now())
    assert erase().under_way == 2
    assert bytes(Intake.objects.get().raw) and QuarantinedEvent.objects.get().raw
    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit) as raised:
        call_command("erasecustomer", "c-1", stdout=out, stderr=err)
    assert raised.value.code == 1
    assert err.getvalue() == "2 events are under way: run it again after them.\n"


@transactional
def test_an_event_that_is_replayed_counts_once() -> None:
    events_take([a_message(an_event("waits"))])
    event_quarantine(event_id="waits", stage=Stage.VALIDATE, code="amount_bounds", detail="x")
    demo_people_ensure()
    row = QuarantinedEvent.objects.get()
    event_replay(row_id=row.pk, by=User.objects.get(username="admin"), via="api")
    assert erase().under_way == 1
    assert QuarantinedEvent.objects.get().raw is not None


@transactional
def test_an_event_that_is_kept_meanwhile_asks_for_another_run(monkeypatch: Any) -> None:
    events_take([a_message(an_event("waits"))])

    def meanwhile(*args: Any) -> None:
        keep(Intake.objects.get())

    monkeypatch.setattr(erasing, "_erase_events", meanwhile)
    assert erase().under_way == 1
    monkeypatch.undo()
    assert (erase().events, erase().under_way) == (1, 0)


@transactional
def test_the_trail_has_the_token_and_not_the_id() -> None:
    events_take([a_message(an_event("e-1"))])
    events_take([a_message(raw(an_event()) + b"!", offset=1)])
    keep(Intake.objects.get())
    PaymentRule.objects.filter(code="customer_blocklist").update(parameters={"blocked": ["c-1"]})
    out = StringIO()
    call_command("erasecustomer", "c-1", reason="letter 7", stdout=out)
    token = PaymentEvent.objects.get().customer_id
    assert f"kept events       1, of {token} now" in out.getvalue()
    assert "on the blocklist" in out.getvalue()
    entry = AuditEntry.objects.get(action="payment_customer.erased")
    assert (entry.subject_id, entry.actor_label, entry.via) == (token, "command line", "command")
    assert entry.body == {
        **{"events": 1, "payloads": 2, "discarded": 1, "under_way": 0},
        "reason": "letter 7",
    }
    for one in AuditEntry.objects.all():
        assert "c-1" not in (str(one.body) + one.subject_id)


@transactional
@pytest.mark.parametrize("odd", ["", "x" * 101, "a\0b", "erased-" + "0" * 32])
def test_an_impossible_id_is_refused_and_audited(odd: str) -> None:
    with pytest.raises(CommandError):
        call_command("erasecustomer", odd)
    entry = AuditEntry.objects.get(action="payment_customer.erase")
    assert (entry.outcome, entry.code) == ("refused", "customer_id_invalid")


# --- the database holds it ------------------------------------------------------------------------
TOKEN = "erased-" + "0" * 32
EMPTY = {"card_last_four": "", "failure_message": "", "metadata": {}}


@transactional
@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed"},
        {"customer_id": TOKEN},
        {"erased_at": True},
        {**EMPTY, "customer_id": TOKEN},
        {**EMPTY, "customer_id": "c-2", "erased_at": True},
        {**EMPTY, "customer_id": TOKEN, "metadata": {"a": 1}, "erased_at": True},
        {**EMPTY, "customer_id": TOKEN, "amount_cents": 1, "erased_at": True},
        {},
    ],
)
def test_the_database_lets_a_person_be_erased_and_nothing_else(changes: dict[str, Any]) -> None:
    events_take([a_message(an_event("e-1"))])
    keep(Intake.objects.get())
    if "erased_at" in changes:
        changes = {**changes, "erased_at": timezone.now()}
    with pytest.raises(DatabaseError), transaction.atomic():
        # Also an update that changes nothing.
        PaymentEvent.objects.update(**changes or {"status": "succeeded"})
    erase()
    with pytest.raises(DatabaseError), transaction.atomic():
        PaymentEvent.objects.update(**EMPTY, customer_id=TOKEN, erased_at=timezone.now())
