"""The way out: a message is written once, sent as it is, and tried until the broker has it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.utils import timezone
from redis import Redis

from apps.common.errors import DomainError
from apps.streams.brokers import MESSAGE_ID, KafkaPublisher, RedisPublisher, Sent, ToSend
from apps.streams.kafka import KafkaSource
from apps.streams.leader_tasks import Sender
from apps.streams.models import OutgoingMessage
from apps.streams.redis_streams import RedisSource
from apps.streams.services.sending import brokers_due, message_send, messages_publish
from tests.streams.test_kafka import QUICK, read

HEADERS = (("a", b"\xff"), ("a", None), ("b", b""))


def write(topic: str, key_once: str = "k", **given: Any) -> OutgoingMessage:
    about: dict[str, Any] = {
        "broker": "redis",
        "value": b"\x00{",
        "key": b"k",
        "headers": [["a", "/w=="], ["a", None], ["b", ""]],
        "subject_type": "quarantined_event",
        "subject_id": "1",
    } | given
    with transaction.atomic():
        return message_send(topic=topic, key_once=key_once, **about)


def to_send(topic: str, value: bytes | None = b"\x00{") -> ToSend:
    return ToSend(topic, value, b"k", HEADERS)


class Unsteady:
    """A broker that does not take the first messages."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses
        self.got: list[str] = []

    def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
        answers = []
        for message in messages:
            self.refuses -= 1
            if self.refuses >= 0:
                answers.append(Sent(error="away\x00"))
            else:
                self.got.append(dict(message.headers)[MESSAGE_ID].decode())  # type: ignore[union-attr]
                answers.append(Sent(place=f"0:{len(self.got)}"))
        return answers


@pytest.mark.django_db(transaction=True)
def test_the_same_decision_writes_one_message() -> None:
    assert write("t").pk == write("t").pk
    with pytest.raises(DomainError) as raised:
        write("other")
    assert raised.value.code == "message_key_reused"

    def attempt(number: int) -> int:
        try:
            return write("t", "at once").pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(attempt, range(8)))) == 1
    assert OutgoingMessage.objects.count() == 2
    with pytest.raises(transaction.TransactionManagementError):
        message_send(
            key_once="x", broker="redis", topic="t", value=None, key=None, headers=[],
            subject_type="", subject_id="",
        )  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_what_the_broker_does_not_take_is_tried_again_later() -> None:
    now = timezone.now()
    for number in range(3):
        write("t", f"k{number}")
    broker = Unsteady(refuses=2)
    assert brokers_due(now=timezone.now()) == ["redis"]
    later = timezone.now()
    assert messages_publish(broker, broker="redis", now=later) == 3
    assert broker.got == ["k2"]
    waiting = OutgoingMessage.objects.filter(sent_at=None).order_by("pk")
    assert [(one.attempts, one.error) for one in waiting] == [(1, "away")] * 2
    assert messages_publish(broker, broker="redis", now=later) == 0
    assert messages_publish(broker, broker="redis", now=later + timedelta(seconds=2)) == 2
    assert broker.got == ["k2", "k0", "k1"]
    for one in OutgoingMessage.objects.all():
        assert one.sent_at and one.sent_at >= now and one.place and not one.error
        # What is there is kept there.
        assert (one.value, one.key, one.headers) == (None, None, [])
    assert brokers_due(now=later + timedelta(days=1)) == []


@pytest.mark.django_db(transaction=True)
def test_two_leaders_at_once_send_each_message_once() -> None:
    for number in range(40):
        write("t", f"k{number}")
    broker = Unsteady()

    def attempt(number: int) -> int:
        try:
            return messages_publish(broker, broker="redis", now=timezone.now())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 40
    assert sorted(broker.got) == sorted(f"k{number}" for number in range(40))


@pytest.mark.django_db(transaction=True)
def test_the_leader_sends_to_a_real_stream_what_our_own_reader_reads(topic: str) -> None:
    write(topic, f"{topic}:1")
    write(topic, f"{topic}:2", value=None, key=None)
    assert Sender().turn() is False
    assert OutgoingMessage.objects.filter(sent_at=None).count() == 0
    one = RedisSource(url=settings.REDIS_URL, group="g", topics=[topic], name="one")
    first, second = one.poll(0.1) or one.poll(0.1)
    one.close()
    assert (first.value, first.key, second.value, second.key) == (b"\x00{", b"k", None, None)
    assert dict(second.headers)[MESSAGE_ID] == f"{topic}:2".encode()
    # A repeated name stays in the stream; a reader's fields have each once.
    with Redis.from_url(settings.REDIS_URL) as redis:
        raw = redis.execute_command("XRANGE", topic, "-", "+")
    assert raw and OutgoingMessage.objects.filter(place__contains="-").count() == 2


def test_a_redis_server_that_is_away_is_said() -> None:
    [answer] = RedisPublisher(url="redis://127.0.0.1:1/0").publish([to_send("t")])
    assert answer.error and not answer.place


@pytest.mark.xdist_group("kafka")
def test_kafka_gets_it_byte_by_byte(
    kafka: str, kafka_send: Callable[..., None], topic: str
) -> None:
    publisher = KafkaPublisher(servers=kafka)
    messages = [to_send(topic), to_send(topic, None), to_send(topic, b"")]
    answers = publisher.publish(messages)
    assert [answer.error for answer in answers] == ["", "", ""]
    one = KafkaSource(servers=kafka, group=topic, topics=[topic], **QUICK)
    found = sorted(read(one, 3), key=lambda record: int(record.offset))
    one.close()
    assert {record.value for record in found} == {b"\x00{", None, b""}
    assert {record.key for record in found} == {b"k"}
    assert {record.headers for record in found} == {HEADERS}


@pytest.mark.xdist_group("kafka")
def test_kafka_says_why_it_does_not_take_a_message(kafka: str, topic: str) -> None:
    publisher = KafkaPublisher(servers=kafka, **{"message.timeout.ms": 1000})
    good, bad = publisher.publish([to_send(topic), to_send("no topic/at all")])
    assert good.place and not good.error
    assert bad.error and not bad.place
