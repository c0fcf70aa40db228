"""Events in order: written with their change, numbered when they are sent, never given up."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.common.errors import DomainError
from apps.streams.leader_tasks import duties
from apps.streams.models import OutEvent, OutTopic
from apps.streams.selectors import events_lag
from apps.streams.services import events
from apps.streams.services.events import event_emit, events_forget, events_publish
from tests.streams.emitting import WHEN, Broker, Killed, emit, only, registry_of
from workers import liveness, metrics

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def topic(topic: str) -> Iterator[str]:
    with only(registry_of(topic)):
        yield topic


def waiting(topic: str) -> list[tuple[int | None, int, str]]:
    rows = OutEvent.objects.filter(topic=topic, sent_at=None).order_by("seq")
    return [(row.position, row.attempts, row.error) for row in rows]


# --- writing ------------------------------------------------------------------------------------
def test_an_event_is_written_with_its_change_or_not_at_all(topic: str) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        event_emit(topic=topic, key="k", type="t", data=None, occurred_at=WHEN)
    with pytest.raises(RuntimeError), transaction.atomic():
        emit(topic)
        raise RuntimeError
    assert OutEvent.objects.count() == 0
    with pytest.raises(ImproperlyConfigured):
        emit("nobody's")


def test_the_document_is_canonical_and_has_the_events_own_id(topic: str) -> None:
    claim, when = uuid4(), WHEN.astimezone(timezone.get_fixed_timezone(-180))
    row = emit(topic, "é", data={"b": 1, "a": [None, "ü"]}, claim_id=claim, entry_id=None, occurred_at=when)  # fmt: skip # noqa: E501
    assert row.body == (
        f'{{"claim_id":"{claim}","data":{{"a":[null,"ü"],"b":1}},"id":"{row.event_id}",'
        '"key":"é","occurred_at":"2026-01-02T03:04:05+00:00","type":"changed"}'
    )
    broker = Broker()
    assert events_publish(broker, topic=topic) == 1
    [sent] = broker.got
    assert (sent.value, sent.key, sent.position) == (row.body.encode(), "é".encode(), 1)
    assert dict(sent.headers) == {"id": str(row.event_id).encode()}


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"key": ""}, "event_invalid"),
        ({"key": "a\x00b"}, "event_invalid"),
        ({"key": "\ud800"}, "event_invalid"),
        ({"key": "x" * 201}, "event_invalid"),
        ({"type": ""}, "event_invalid"),
        ({"type": "\x00"}, "event_invalid"),
        ({"data": float("nan")}, "event_invalid"),
        ({"data": object()}, "event_invalid"),
        ({"data": {"a": "\udfff"}}, "event_invalid"),
        ({"data": LOOP}, "event_invalid"),
        ({"data": "x" * 512 * 1024}, "event_too_large"),
        ({"occurred_at": datetime(2026, 1, 1)}, "event_invalid"),
        ({"id": "mine"}, "event_invalid"),
        ({"claim_id": "\ud800"}, "event_invalid"),
    ],
)
def test_what_no_broker_would_take_is_refused(topic: str, given: Any, code: str) -> None:
    with pytest.raises(DomainError) as raised:
        emit(topic, **given)
    assert raised.value.code == code
    assert OutEvent.objects.count() == 0


# --- order --------------------------------------------------------------------------------------
def test_what_commits_late_is_neither_skipped_nor_taken_for_a_repetition(topic: str) -> None:
    written, commit = Event(), Event()

    def late() -> None:
        try:
            with transaction.atomic():
                emit(topic, "late")
                written.set()
                assert commit.wait(60)
        finally:
            connections.close_all()

    broker = Broker()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(late)
        assert written.wait(60)
        early = emit(topic, "early")
        assert events_publish(broker, topic=topic) == 1
        commit.set()
        running.result()
    behind = OutEvent.objects.get(key="late")
    assert behind.seq < early.seq and behind.position is None
    emit(topic, "later")
    assert events_publish(broker, topic=topic) == 2
    assert [event.key for event in broker.got] == [b"early", b"late", b"later"]
    assert broker.positions == [1, 2, 3]
    assert events_publish(broker, topic=topic) == 0


def test_two_leaders_at_once_keep_the_order_and_the_numbers(topic: str) -> None:
    for number in range(30):
        emit(topic, f"k{number}")
    broker = Broker()

    def attempt(number: int) -> int:
        try:
            return sum(events_publish(broker, topic=topic) for _ in range(5))
        finally:
            connections.close_all()

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as pool:
        patch.setattr(events, "MOST", 4)
        tried = [pool.submit(attempt, number) for number in range(4)]
        for number in range(30, 50):
            emit(topic, f"k{number}")
        sent = sum(one.result() for one in tried)
    while more := events_publish(broker, topic=topic):
        sent += more
    assert sent == 50
    assert broker.positions == list(range(1, 51))
    assert [event.key for event in broker.got] == [b"k%d" % number for number in range(50)]


def test_topics_are_numbered_apart(topic: str) -> None:
    with only(registry_of(topic, "other")):
        first, second = Broker(), Broker()
        for _ in range(2):
            emit(topic)
            emit("other")
        assert events_publish(first, topic=topic) == events_publish(second, topic="other") == 2
        assert first.positions == second.positions == [1, 2]


# --- killed -------------------------------------------------------------------------------------
def test_killed_between_the_numbers_and_the_broker_the_numbers_stay(topic: str) -> None:
    for number in range(3):
        emit(topic, f"k{number}")
    broker = Broker()
    broker.killed_before = True
    with pytest.raises(Killed):
        events_publish(broker, topic=topic)
    assert [position for position, *_ in waiting(topic)] == [1, 2, 3]
    broker.killed_before = False
    emit(topic, "k3")
    assert events_publish(broker, topic=topic) == 4
    assert broker.positions == [1, 2, 3, 4]


def test_killed_after_the_broker_took_them_the_same_ones_come_again(topic: str) -> None:
    emitted = [emit(topic, f"k{number}") for number in range(3)]
    broker = Broker()
    broker.refuses = lambda event: event.position == 3
    broker.killed_after = True
    with pytest.raises(Killed):
        events_publish(broker, topic=topic)
    broker.killed_after, broker.refuses = False, lambda event: False
    assert events_publish(broker, topic=topic) == 3
    assert broker.positions == [1, 2, 1, 2, 3]
    ids = [dict(event.headers)["id"] for event in broker.got]
    assert ids[:2] == ids[2:4] and ids[4] == str(emitted[2].event_id).encode()
    assert broker.got[0] == broker.got[2]


# --- waiting ------------------------------------------------------------------------------------
def test_while_the_broker_is_away_all_wait_and_the_lag_grows(topic: str) -> None:
    assert events_lag() == {topic: 0.0}
    for number in range(3):
        emit(topic, f"k{number}")
    OutEvent.objects.update(created_at=timezone.now() - timedelta(hours=1))
    broker = Broker()
    broker.away = True
    for _ in range(2):
        assert events_publish(broker, topic=topic) == 0
    # Nothing is numbered by a leader that cannot ask the broker how far it is.
    assert waiting(topic) == [(None, 2, "away"), (None, 0, ""), (None, 0, "")]
    liveness._measure()
    assert 3590 < metrics.EVENTS_LAG.labels(topic)._value.get() < 3700
    broker.away = False
    assert events_publish(broker, topic=topic) == 3
    liveness._measure()
    assert metrics.EVENTS_LAG.labels(topic)._value.get() == 0
    assert not OutEvent.objects.exclude(error="").exists()


def test_what_is_refused_holds_up_all_behind_it_until_it_is_taken(topic: str) -> None:
    for number in range(4):
        emit(topic, f"k{number}")
    broker = Broker()
    broker.refuses = lambda event: event.key == b"k1"
    assert events_publish(broker, topic=topic) == 1
    emit(topic, "k4")
    for _ in range(2):
        assert events_publish(broker, topic=topic) == 0
    assert waiting(topic) == [(2, 3, "refused"), (3, 0, ""), (4, 0, ""), (5, 0, "")]
    broker.refuses = lambda event: False
    assert events_publish(broker, topic=topic) == 4
    assert broker.positions == [1, 2, 3, 4, 5]


def test_numbers_go_on_above_what_the_broker_has_seen(topic: str) -> None:
    """As after a restored backup: new events would be dropped as repetitions of others."""
    emit(topic)
    broker = Broker()
    broker.last_position = lambda: 41  # type: ignore[method-assign]
    assert events_publish(broker, topic=topic) == 1
    assert broker.positions == [42]
    assert OutTopic.objects.get(topic=topic).position == 42


# --- keeping ------------------------------------------------------------------------------------
def test_old_events_go_when_they_were_sent_and_their_numbers_do_not_come_again(
    topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STEP", 2)
    for number in range(3):
        emit(topic, f"k{number}")
    broker = Broker()
    broker.refuses = lambda event: event.key == b"k3"
    events_publish(broker, topic=topic)
    emit(topic, "k3")
    events_publish(broker, topic=topic)
    OutEvent.objects.update(created_at=timezone.now() - timedelta(days=400))
    now = timezone.now()
    assert events_forget(now=now + timedelta(days=6)) == 0
    later = now + timedelta(days=8)
    assert [events_forget(now=later) for _ in range(3)] == [2, 1, 0]
    assert [row.key for row in OutEvent.objects.all()] == ["k3"]
    broker.refuses = lambda event: False
    events_publish(broker, topic=topic)
    assert broker.positions == [1, 2, 3, 4]


def test_each_topic_has_a_duty_of_its_own(topic: str) -> None:

    assert [duty.name for duty in duties()] == ["streams_send", f"events_{topic}", "events_forget"]


# --- the admin ----------------------------------------------------------------------------------
def test_the_content_of_an_event_needs_a_permission_of_its_own(topic: str) -> None:
    row = emit(topic, "secret-key", data={"name": "secret-name"})
    person = User.objects.create_user("o", is_staff=True)
    person.user_permissions.add(
        *Permission.objects.filter(codename__in=["view_outevent", "view_outtopic"])
    )
    client = Client()
    client.force_login(person)

    def page(name: str, *args: object) -> str:
        answer = client.get(reverse(f"admin:streams_{name}", args=args))
        assert answer.status_code == 200
        return answer.content.decode()

    listed = page("outevent_changelist")
    assert "waits" in listed and "secret" not in listed
    assert str(row.event_id) in page("outevent_change", row.pk)
    assert "secret" not in page("outevent_change", row.pk)
    events_publish(Broker(), topic=topic)
    assert topic in page("outtopic_changelist")
    person.user_permissions.add(Permission.objects.get(codename="read_outevent"))
    assert json.loads(row.body)["data"]["name"] in page("outevent_change", row.pk)
    assert "secret" not in page("outevent_changelist")
