"""Hostile messages among good ones, in one partition of a real broker: each ends in the quarantine,
the good ones are taken in, and so is what comes after them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.db import connection, connections

from apps.payments import consuming
from apps.payments.models import Intake, QuarantinedEvent
from apps.payments.services.checking import counters_check
from tests.faults.stream import REFUSE, REFUSE_NO_MORE
from tests.faults.stream_brokers import Broker, KafkaBroker, RedisBroker, Topics
from tests.faults.stream_sent import GOOD, READ, Sent, hostile
from tests.support import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def refusing(transactional_db: None) -> Iterator[None]:
    """A table that refuses some rows."""
    with connection.cursor() as cursor:
        cursor.execute(REFUSE.replace("%%", "%"))
    yield
    with connection.cursor() as cursor:
        cursor.execute(REFUSE_NO_MORE)


@contextmanager
def consuming_of_settings() -> Iterator[Any]:
    consumer = consuming.payments_consumer(consuming.source_of_settings())

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


def check_hostile(make: Callable[[Topics], Broker], settings: Any) -> None:
    """Everything that is read and taken in is as it was sent."""
    run = uuid4().hex[:10]
    topics = Topics.of(run)
    settings.PAYMENTS_TOPIC, settings.PAYMENTS_DLQ_TOPIC = topics.both
    settings.KAFKA_CONSUMER_GROUP = topics.group
    broker = make(topics)
    mixed, later = hostile(run, 500, 50)
    broker.send(mixed)
    with consuming_of_settings() as consumer:
        eventually(lambda: consumer.taken == len(mixed))
        broker.send(later)
        eventually(lambda: consumer.taken == len(mixed) + len(later))
        eventually(lambda: broker.lag() == 0)
    sent = [*mixed, *later]
    refused = [one for one in sent if one.stage in ("read", "intake", "upstream")]
    found = QuarantinedEvent.objects.values_list("digest", "code", "stage", "size")
    assert Counter(found) == Counter(map(told, refused))
    assert set(READ) <= {one.becomes for one in refused}
    # Whether those that fail a rule do so is their workflows' business.
    accepted = {one.event_id for one in sent if one.becomes == GOOD or one.stage == "validate"}
    assert set(Intake.objects.values_list("event_id", flat=True)) == accepted
    assert len([one for one in sent if one.becomes == GOOD]) == 550
    assert counters_check()[1] == []


def told(one: Sent) -> tuple[str, str, str, int]:
    return one.digest, one.becomes, one.stage, len(one.value or b"")


def test_hostile_messages_of_a_redis_stream(refusing: None, settings: Any) -> None:
    settings.PAYMENTS_SOURCE = "redis"
    check_hostile(lambda topics: RedisBroker(django_settings.REDIS_URL, topics), settings)


@pytest.mark.xdist_group("kafka")
def test_hostile_messages_of_a_partition_of_kafka(
    refusing: None, kafka: str, settings: Any
) -> None:
    settings.PAYMENTS_SOURCE, settings.KAFKA_BOOTSTRAP_SERVERS = "kafka", kafka
    check_hostile(lambda topics: KafkaBroker(kafka, topics, partitions=1), settings)
