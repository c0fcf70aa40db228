"""Messages are taken in once: good ones to carry on with, twins counted, the rest quarantined."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.utils import ProgrammingError
from django.utils import timezone

from apps.payments.contracts import Outcome, QuarantineState
from apps.payments.models import Intake, QuarantinedEvent, QuarantineGroup, QuarantineHour
from apps.payments.services.intake import events_take, is_reserved
from apps.payments.services.messages import Message
from apps.payments.services.quarantine import states_move
from tests.payments.samples import a_message, an_event, raw

pytestmark = pytest.mark.django_db(transaction=True)


def outcomes(*messages: Message) -> list[tuple[str, str]]:
    return [(one.outcome.value, one.code) for one in events_take(messages)]


def check_counters() -> None:
    """Groups and hours say what the rows say."""
    for group in QuarantineGroup.objects.all():
        for state in QuarantineState:
            counted = QuarantinedEvent.objects.filter(group=group, state=state).count()
            assert getattr(group, state) == counted, (group, state)
        hours = sum(QuarantineHour.objects.filter(group=group).values_list("count", flat=True))
        assert hours == QuarantinedEvent.objects.filter(group=group).count()


def test_a_good_event_is_taken_in_as_it_came() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    headers = [("a", b"\xff"), ("a", None), ("b", b"")]
    event = an_event("e-1")
    message = a_message(event, offset=7, key=b"\x00k", headers=headers, sent_at=at)
    assert outcomes(message) == [("accepted", "")]
    row = Intake.objects.get()
    assert (row.event_id, bytes(row.raw), bytes(row.key)) == ("e-1", raw(event), b"\x00k")
    assert row.headers == [["a", "/w=="], ["a", None], ["b", ""]]
    assert (row.topic, row.partition, row.offset) == ("payments.normalized", 0, "7")
    assert (row.sent_at, row.twins, row.attempt, row.done_at) == (at, 0, 1, None)


def test_the_same_message_again_writes_nothing() -> None:
    good, bad = a_message(an_event("e-1"), offset=1), a_message(b"{", offset=2)
    assert outcomes(good, bad) == [("accepted", ""), ("quarantined", "not_json")]
    assert outcomes(good, bad) == [("twin", ""), ("quarantined", "not_json")]
    # It is no twin either: nobody sent it twice.
    assert (Intake.objects.get().twins, QuarantinedEvent.objects.get().seen) == (0, 2)
    check_counters()


def test_sent_twice_over_the_api_is_a_twin() -> None:
    message = a_message(an_event("e-1"), source="api", topic="", partition=None, offset="")
    assert outcomes(message, message) == [("accepted", ""), ("twin", "")]
    assert outcomes(message) == [("twin", "")]
    assert Intake.objects.get().twins == 2


def test_a_twin_is_the_same_but_for_its_time_of_processing() -> None:
    first = an_event("e-1")
    later = {**first, "processed_at": "2026-05-05T00:00:00Z"}
    assert outcomes(a_message(first), a_message(later, offset=1)) == [
        ("accepted", ""),
        ("twin", ""),
    ]
    assert outcomes(a_message(later, offset=2)) == [("twin", "")]
    assert Intake.objects.get().twins == 2


def test_another_content_under_a_known_id_is_quarantined() -> None:
    first = an_event("e-1", amount_cents=5000)
    other = {**first, "amount_cents": 9000}
    assert outcomes(a_message(first), a_message(other, offset=1)) == [
        ("accepted", ""),
        ("quarantined", "event_id_reused"),
    ]
    assert outcomes(a_message(other, offset=2)) == [("quarantined", "event_id_reused")]
    assert bytes(Intake.objects.get().raw) == raw(first)
    assert {one.event_id for one in QuarantinedEvent.objects.all()} == {"e-1"}
    check_counters()


def test_an_event_that_never_took_effect_makes_room_for_a_newer_one() -> None:
    from apps.payments.services.carrying import RuleFailed, event_validate

    bad = an_event("e-1", amount_cents=0)
    assert outcomes(a_message(bad)) == [("accepted", "")]
    with pytest.raises(RuleFailed):
        event_validate(event_id="e-1")
    newer = {**bad, "amount_cents": 100}
    assert outcomes(a_message(newer, offset=1)) == [("accepted", "")]
    assert event_validate(event_id="e-1").scoring == "fraud"
    row, kept = Intake.objects.get(), QuarantinedEvent.objects.get()
    assert (row.attempt, bytes(row.raw), row.done_at) == (2, raw(newer), None)
    assert (kept.state, bytes(kept.raw)) == ("superseded", raw(bad))
    check_counters()


def test_the_message_that_made_room_is_not_taken_in_again() -> None:
    from apps.payments.services.carrying import RuleFailed, event_validate

    first = a_message(an_event("e-1", amount_cents=0), offset=1)
    second = a_message(an_event("e-1", amount_cents=-1), offset=2)
    for message in (first, second):
        assert outcomes(message) == [("accepted", "")]
        with pytest.raises(RuleFailed):
            event_validate(event_id="e-1")
    # Both come again: their reader was killed before it could say that they are done.
    assert outcomes(first, second) == [("twin", ""), ("twin", "")]
    row = Intake.objects.get()
    assert (row.attempt, bytes(row.raw), row.twins) == (2, second.raw, 0)
    kept = QuarantinedEvent.objects.order_by("offset").values_list("state", "seen")
    assert list(kept) == [("superseded", 1), ("open", 1)]
    check_counters()


def test_what_was_refused_beside_an_event_is_not_taken_in_when_that_fails_later() -> None:
    from apps.payments.services.carrying import RuleFailed, event_validate

    first = a_message(an_event("e-1", amount_cents=0), offset=1)
    second = a_message(an_event("e-1"), offset=2)
    refused = ("quarantined", "event_id_reused")
    assert outcomes(first, second) == [("accepted", ""), refused]
    with pytest.raises(RuleFailed):
        event_validate(event_id="e-1")
    assert outcomes(second) == [refused]
    assert QuarantinedEvent.objects.get(code="event_id_reused").seen == 2
    assert Intake.objects.get().attempt == 1
    check_counters()


def test_a_lost_answer_is_given_again() -> None:
    from apps.payments.services.carrying import RuleFailed, event_validate

    events_take([a_message(an_event("e-1", currency="XXX"))])
    for _ in range(2):
        with pytest.raises(RuleFailed) as failed:
            event_validate(event_id="e-1")
        assert failed.value.code == "currency_allowed"
    assert QuarantinedEvent.objects.count() == 1
    check_counters()


def test_two_hostile_messages_of_each_kind_stop_none_of_the_good_ones() -> None:
    hostile = {
        "not_json": b"{",
        "duplicate_key": b'{"event_id":"x","a":1,"a":2}',
        "too_deep": b"[" * 1000,
        "too_large": b" " * (1024 * 1024 + 1),
        "invalid_text": b'{"event_id":"a\\u0000"}',
        "event_id_missing": b"{}",
        "event_id_invalid": b'{"event_id": "a b"}',
        "event_id_reserved": b'{"event_id": "intervention-1"}',
        "wrong_type": b'{"event_id":"x","amount_cents":"1"}',
        "schema_unknown": b'{"event_id":"x","schema_version":9}',
    }
    good = [a_message(an_event(f"g-{n}"), offset=n) for n in range(480)]
    bad = [
        a_message(value, offset=1000 + n)
        for n, value in enumerate(value for value in hostile.values() for _ in range(2))
    ]
    mixed = [*good[:200], *bad[:10], *good[200:], *bad[10:]]
    found = outcomes(*mixed)
    assert found.count(("accepted", "")) == 480
    codes = sorted(code for outcome, code in found if outcome == "quarantined")
    assert codes == sorted([*hostile, *hostile])
    assert Intake.objects.count() == 480
    check_counters()


def test_a_row_that_postgresql_refuses_is_found_and_the_others_go_in() -> None:
    good = [a_message(an_event(f"g-{n}"), offset=n) for n in range(30)]
    refused = a_message(an_event("bad"), offset=99, headers=[("x" * 10, b"1")], topic="a\0b")
    found = outcomes(*good[:11], refused, *good[11:])
    assert found[11] == ("quarantined", "unstorable")
    assert found.count(("accepted", "")) == 30
    check_counters()


def test_values_that_are_none_and_empty_stay_apart() -> None:
    assert outcomes(a_message(None, offset=1), a_message(b"", offset=2)) == [
        ("quarantined", "not_json"),
        ("quarantined", "not_json"),
    ]
    kept = QuarantinedEvent.objects.order_by("offset")
    assert [row.raw and bytes(row.raw) for row in kept] == [None, b""]


def test_a_topic_that_was_made_again_brings_new_messages() -> None:
    before = a_message(b"{", offset=0, sent_at=datetime(2026, 1, 1, tzinfo=UTC))
    after = a_message(b"{", offset=0, sent_at=datetime(2026, 2, 1, tzinfo=UTC))
    outcomes(before, after)
    assert QuarantinedEvent.objects.count() == 2


def test_two_readers_of_the_same_messages_write_each_once() -> None:
    def sent(times: int) -> list[Message]:
        """What is no event comes again; of the events, each reader has a twin."""
        return [
            a_message(an_event(f"e-{n}"), offset=1000 * times + n)
            if n % 5
            else a_message(b"{%d" % n, offset=n)
            for n in range(200)
        ]

    def take(order: list[Message]) -> list[Any]:
        try:
            return events_take(order)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        # In several orders: rows are written in their own.
        orders = [sent(1), sent(2)[::-1], sent(3)[100:] + sent(3)[:100], sent(4)]
        found = list(pool.map(take, orders))
    accepted = [one.outcome for some in found for one in some].count(Outcome.ACCEPTED)
    assert accepted == Intake.objects.count() == 160
    assert QuarantinedEvent.objects.count() == 40
    assert sum(Intake.objects.values_list("twins", flat=True)) == 3 * 160
    check_counters()


def test_what_came_never_changes() -> None:
    outcomes(a_message(b"{"))
    row = QuarantinedEvent.objects.get()
    with pytest.raises(ProgrammingError, match="Cannot update"), transaction.atomic():
        QuarantinedEvent.objects.filter(pk=row.pk).update(raw=b"}")
    with transaction.atomic():
        assert (
            states_move(QuarantinedEvent.objects.all(), QuarantineState.DISCARDED, timezone.now())
            == 1
        )
        assert (
            states_move(QuarantinedEvent.objects.all(), QuarantineState.DISCARDED, timezone.now())
            == 0
        )
    check_counters()


def test_ids_that_other_workflows_have_are_reserved() -> None:
    for taken in ("intervention-1-execution", "booking-ada-1", "topup-1", "dlq-1"):
        assert is_reserved(taken), taken
    assert not is_reserved("stripe:evt_1")


def test_a_batch_costs_few_statements(django_assert_max_num_queries: Any) -> None:
    messages = [a_message(an_event(f"e-{n}"), offset=n) for n in range(500)]
    with django_assert_max_num_queries(6):
        events_take(messages)
    assert connection.vendor == "postgresql"
