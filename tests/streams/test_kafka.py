"""The Kafka source against a real broker."""

import time
from collections.abc import Callable

import pytest

from apps.streams.kafka import KafkaSource
from apps.streams.records import Record
from tests.streams.strange_headers import send_with_header
from tests.support import eventually

Send = Callable[..., None]
QUICK = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}

pytestmark = pytest.mark.xdist_group("kafka")


def source(kafka: str, *topics: str, group: str = "g") -> KafkaSource:
    return KafkaSource(servers=kafka, group=group, topics=topics, **QUICK)


def read(source: KafkaSource, number: int) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + 60
    while len(found) < number and time.monotonic() < deadline:
        found += source.poll(0.2)
    return found


def test_a_new_group_reads_from_the_beginning(kafka: str, kafka_send: Send, topic: str) -> None:
    kafka_send(topic, *(b"%d" % n for n in range(100)))
    one = source(kafka, topic, group=topic)
    records = read(one, 100)
    assert sorted(int(record.value or b"-1") for record in records) == list(range(100))
    eventually(lambda: one.lag() == 100)
    one.done(records)
    # A new topic's leader may be told anew at any time, and whoever asks then is sent away.
    eventually(lambda: one.lag() == 0)
    one.close()


def test_what_was_not_done_comes_again(kafka: str, kafka_send: Send, topic: str) -> None:
    kafka_send(topic, *(b"%d" % n for n in range(20)), partition=0)
    one = source(kafka, topic, group=topic)
    records = read(one, 20)
    one.done(records[:15])
    one.close()
    other = source(kafka, topic, group=topic)
    assert [record.value for record in read(other, 5)] == [b"%d" % n for n in range(15, 20)]
    other.close()


def test_a_message_comes_as_it_was_sent(kafka: str, kafka_send: Send, topic: str) -> None:
    headers = [("a", b"\xff"), ("a", None), ("b", b"")]
    kafka_send(topic, None, b"", b"\x00\xff", key=b"\x00k", headers=headers, partition=0)
    one = source(kafka, topic, group=topic)
    records = read(one, 3)
    assert [record.value for record in records] == [None, b"", b"\x00\xff"]
    assert {record.key for record in records} == {b"\x00k"}
    assert records[0].headers == tuple(headers)
    assert [record.offset for record in records] == ["0", "1", "2"]
    assert records[0].sent_at is not None and records[0].partition == 0
    one.close()


def test_while_it_is_held_nothing_is_taken_and_it_stays_a_member(
    kafka: str, kafka_send: Send, topic: str
) -> None:
    kafka_send(topic, b"1", partition=0)
    one = source(kafka, topic, group=topic)
    [first] = read(one, 1)
    kafka_send(topic, b"2", partition=0)
    for _ in range(4):
        one.hold(0.3)
    one.done([first])
    [second] = read(one, 1)
    assert second.value == b"2"
    one.close()


def test_offsets_that_the_broker_has_forgotten_are_a_gap(
    kafka: str, kafka_send: Send, topic: str
) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    kafka_send(topic, *(b"%d" % n for n in range(10)), partition=0)
    one = source(kafka, topic, group=topic)
    records = read(one, 10)
    one.done(records[:3])
    one.close()
    place = TopicPartition(topic, 0, 7)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_records([place])[place].result(30)
    other = source(kafka, topic, group=topic)
    assert [record.value for record in read(other, 3)] == [b"7", b"8", b"9"]
    [gap] = other.gaps()
    assert (gap.topic, gap.partition, gap.first, gap.next) == (topic, 0, "3", "7")
    other.close()


def test_a_time_that_no_calendar_has_stops_nothing(
    kafka: str, kafka_send: Send, topic: str
) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": kafka})
    # Brokers before version 4 take any time by default.
    anything = {"message.timestamp.after.max.ms": str(2**63 - 1)}
    [made] = admin.create_topics([NewTopic(topic, 1, 1, config=anything)]).values()
    made.result(30)
    kafka_send(topic, b"1", timestamp=2**62)
    kafka_send(topic, b"2")
    one = source(kafka, topic, group=topic)
    strange, usual = read(one, 2)
    assert (strange.value, strange.sent_at) == (b"1", None)
    assert usual.value == b"2" and usual.sent_at is not None
    one.close()


def test_a_name_of_a_header_that_is_no_text_stops_nothing(
    kafka: str, kafka_send: Send, topic: str
) -> None:
    send_with_header(kafka, topic, b"1", b"\xff\xfe")
    kafka_send(topic, b"2", headers=[("a", b"b")])
    one = source(kafka, topic, group=topic)
    found = {record.value: record.headers for record in read(one, 2)}
    assert found == {b"1": (), b"2": (("a", b"b"),)}
    one.close()
