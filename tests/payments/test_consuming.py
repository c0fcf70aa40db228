"""The consumer, from a real stream to the table: nothing lost, nothing twice, whatever is away."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError, connections
from redis import Redis

from apps.audit.models import AuditEntry
from apps.payments import consuming
from apps.payments.models import Intake, QuarantinedEvent
from apps.payments.services.checking import counters_check
from apps.streams.records import Gap
from apps.streams.redis_streams import RedisSource
from tests.payments.samples import an_event, raw
from tests.support import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis() -> Iterator[Any]:
    with Redis.from_url(django_settings.REDIS_URL) as client:
        yield client


@pytest.fixture(autouse=True)
def topics(settings: Any) -> None:
    name = uuid4().hex[:10]
    settings.PAYMENTS_TOPIC, settings.PAYMENTS_DLQ_TOPIC = f"events-{name}", f"dead-{name}"
    settings.KAFKA_CONSUMER_GROUP = name


@contextmanager
def consuming_from(source: RedisSource) -> Iterator[Any]:
    consumer = consuming.payments_consumer(source)

    def run() -> None:
        try:
            consumer.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield consumer
    finally:
        consumer.stop()
        thread.join(30)
        assert not thread.is_alive()


def source(name: str = "one", idle: float = 30.0) -> RedisSource:
    return RedisSource(
        url=django_settings.REDIS_URL,
        group=django_settings.KAFKA_CONSUMER_GROUP,
        topics=[django_settings.PAYMENTS_TOPIC, django_settings.PAYMENTS_DLQ_TOPIC],
        name=name,
        idle_seconds=idle,
    )


def test_both_topics_are_taken_in_and_nothing_is_left(redis: Any) -> None:
    for number in range(40):
        value = raw(an_event(f"e-{number}")) if number % 4 else b"{%d" % number
        redis.xadd(django_settings.PAYMENTS_TOPIC, {"value": value, "key": b"k"})
    dead = {
        "event_id": "e-x",
        "original_payload": {"event_id": "e-x"},
        "validation_errors": [
            {"code": "amount_bounds", "field": "items[3].amount", "message": "too small"}
        ],
    }
    redis.xadd(django_settings.PAYMENTS_DLQ_TOPIC, {"value": json.dumps(dead)})
    with consuming_from(source()) as consumer:
        eventually(lambda: consumer.taken == 41)
        assert consumer.trouble == ""
    assert source().lag() == 0
    assert Intake.objects.count() == 30
    assert QuarantinedEvent.objects.filter(stage="read").count() == 10
    row = QuarantinedEvent.objects.get(stage="upstream")
    assert (row.event_id, row.code, row.field) == ("e-x", "amount_bounds", "items[].amount")
    assert counters_check() == (2, [])


def test_while_postgresql_is_away_it_waits_and_then_goes_on(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = consuming.events_take, [3]

    def take(messages: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OperationalError("the server closed the connection")
        return real(messages)

    monkeypatch.setattr(consuming, "events_take", take)
    monkeypatch.setattr("apps.streams.consumer.FIRST_PAUSE", 0.05)
    redis.xadd(django_settings.PAYMENTS_TOPIC, {"value": raw(an_event("e-1"))})
    with consuming_from(source()) as consumer:
        eventually(lambda: consumer.trouble.startswith("postgres: "), every=0.005)
        eventually(lambda: consumer.taken == 1)
    assert Intake.objects.count() == 1


def test_what_a_killed_consumer_had_taken_in_comes_again_and_is_written_once(redis: Any) -> None:
    for number in range(10):
        redis.xadd(django_settings.PAYMENTS_TOPIC, {"value": raw(an_event(f"e-{number}"))})
    redis.xadd(django_settings.PAYMENTS_TOPIC, {"value": b"{"})
    killed = source("killed")
    records = killed.poll(0.1) or killed.poll(0.1)
    # Committed, and killed before it could tell the broker.
    consuming._taken(consuming.events_take, records)
    with consuming_from(source("other", idle=0.0)) as consumer:
        eventually(lambda: consumer.taken >= 11)
    assert (Intake.objects.count(), QuarantinedEvent.objects.get().seen) == (10, 2)
    assert source().lag() == 0


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"not json", "upstream"),
        (b"[]", "upstream"),
        (b'{"event_id": "e-1", "amount_cents": 1}', "upstream"),
        (b'{"failure_reason": "amount_bounds"}', "amount_bounds"),
        (b'{"validation_errors": ["currency_allowed"]}', "currency_allowed"),
        (b'{"validation_errors": [{"message": "x"}, 5, null]}', "x"),
        (b'{"validation_errors": {"code": "a"}, "failure_reason": 5}', "upstream"),
    ],
)
def test_whatever_comes_from_the_topic_of_dead_letters_is_kept(
    redis: Any, value: bytes, code: str
) -> None:
    redis.xadd(django_settings.PAYMENTS_DLQ_TOPIC, {"value": value})
    with consuming_from(source()) as consumer:
        eventually(lambda: consumer.taken == 1)
    row = QuarantinedEvent.objects.get()
    assert (bytes(row.raw or b""), row.code, row.stage) == (value, code, "upstream")


def test_reasons_that_differ_by_an_id_are_one_group(redis: Any) -> None:
    for number in range(20):
        reason = f"Timeout for {uuid4()} after {number} s at '10.0.0.{number}'"
        value = json.dumps({"failure_reason": reason, "n": number})
        redis.xadd(django_settings.PAYMENTS_DLQ_TOPIC, {"value": value})
    with consuming_from(source()) as consumer:
        eventually(lambda: consumer.taken == 20)
    assert counters_check() == (1, [])
    assert QuarantinedEvent.objects.count() == 20


def test_a_gap_is_in_the_audit_trail() -> None:
    consuming.gap_record(Gap("t", 0, "3", "7"))
    entry = AuditEntry.objects.get(action="payments.gap")
    assert entry.body == {"topic": "t", "partition": 0, "from": "3", "to": "7"}
