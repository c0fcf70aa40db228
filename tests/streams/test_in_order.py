"""The brokers that events go to in order: real Valkey and Kafka, and a mock of Pulsar."""

import json
import os
from pathlib import Path

import pytest
from django.conf import settings
from redis import Redis

from apps.streams import brokers
from apps.streams.brokers import RedisPublisher, ToSend
from apps.streams.kafka import KafkaSource
from apps.streams.outgoing import NotTaken, Place, dict_events, publisher_of
from deploy.local.processes import free_port
from deploy.local.servers import Valkey
from tests.streams.emitting import in_order
from tests.streams.mock_pulsar import MockPulsar
from tests.streams.test_kafka import QUICK, read

HOSTILE = ["a:b{c}", "\n\r\t\x01", "é🎉\u202e", " ", "0", "%00", "x" * 200]


def event(position: int, key: str = "k", value: bytes = b"{}") -> ToSend:
    return ToSend("ours", value, key.encode(), (("id", b"id-%d" % position),), position)


# --- redis --------------------------------------------------------------------------------------
def test_a_stream_of_redis_has_value_key_and_id(topic: str) -> None:
    publisher = in_order(Place("redis", topic))
    sent = [event(number, key) for number, key in enumerate(HOSTILE, 1)]
    assert [answer.error for answer in publisher.publish(sent)] == [""] * len(HOSTILE)
    assert publisher.last_position() == 0
    publisher.close()
    with Redis.from_url(settings.REDIS_URL) as redis:
        entries = [fields for _, fields in redis.xrange(topic)]
    assert entries == [
        {b"value": b"{}", b"key": key.encode(), b"id": b"id-%d" % number}
        for number, key in enumerate(HOSTILE, 1)
    ]


def test_a_redis_server_that_is_away_is_said_and_found_again(
    folder: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Valkey(
        data=folder / "valkey", port=free_port(), run_dir=folder / "run", log=folder / "log"
    )
    monkeypatch.setattr(settings, "REDIS_URL", server.url)
    publisher = in_order(Place("redis", topic))
    [answer] = publisher.publish([event(1), event(2)])
    assert answer.error
    server.start()
    try:
        assert [one.error for one in publisher.publish([event(1), event(2)])] == ["", ""]
        # What it has said yes to is on its disk.
        server.kill()
        [answer] = publisher.publish([event(3)])
        assert answer.error
        server.start()
        assert [one.error for one in publisher.publish([event(3)])] == [""]
        with Redis.from_url(server.url) as redis:
            ids = [fields[b"id"] for _, fields in redis.xrange(topic)]
        assert ids == [b"id-1", b"id-2", b"id-3"]
    finally:
        publisher.close()
        server.kill()


def test_what_redis_may_yet_lose_is_not_sent(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedisPublisher, "kept", lambda self: "not on its disk")
    [answer] = in_order(Place("redis", topic)).publish([event(1), event(2)])
    assert answer.error == "not on its disk"


def test_nothing_overtakes_what_redis_does_not_take(topic: str) -> None:
    with Redis.from_url(settings.REDIS_URL) as redis:
        redis.set(topic, "no stream")
        publisher = in_order(Place("redis", topic))
        [answer] = publisher.publish([event(1), event(2)])
        assert "WRONGTYPE" in answer.error
        redis.delete(topic)
        assert [one.error for one in publisher.publish([event(1), event(2)])] == ["", ""]


# --- kafka --------------------------------------------------------------------------------------
@pytest.mark.xdist_group("kafka")
def test_kafka_gets_events_of_a_key_in_order(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "KAFKA_BOOTSTRAP_SERVERS", kafka)
    publisher = in_order(Place("kafka", topic))
    sent = [event(n, HOSTILE[n % len(HOSTILE)], b"%d" % n) for n in range(1, 50)]
    assert [answer.error for answer in publisher.publish(sent)] == [""] * len(sent)
    publisher.close()
    one = KafkaSource(servers=kafka, group=topic, topics=[topic], **QUICK)
    found = sorted(read(one, len(sent)), key=lambda record: (record.partition, int(record.offset)))
    one.close()
    for key in HOSTILE:
        of_key = [record for record in found if record.key == key.encode()]
        numbers = [int(record.value or b"0") for record in of_key]
        assert numbers == sorted(numbers) and len(numbers) == len(sent) // len(HOSTILE)
        assert len({record.partition for record in of_key}) == 1
        assert [dict(record.headers)["id"] for record in of_key] == [b"id-%d" % n for n in numbers]


@pytest.mark.xdist_group("kafka")
def test_nothing_overtakes_what_kafka_does_not_take(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    monkeypatch.setattr(settings, "KAFKA_BOOTSTRAP_SERVERS", kafka)
    admin = AdminClient({"bootstrap.servers": kafka})
    limit = {"max.message.bytes": "2000"}
    admin.create_topics([NewTopic(topic, 1, 1, config=limit)])[topic].result(60)
    publisher = in_order(Place("kafka", topic))
    # What cannot be compressed.
    large = event(2, value=os.urandom(4000))
    answers = publisher.publish([event(1), large, event(3)])
    assert [bool(answer.error) for answer in answers] == [False, True]
    answers = publisher.publish([large, event(3)])
    assert [bool(answer.error) for answer in answers] == [True]
    assert [answer.error for answer in publisher.publish([event(3)])] == [""]
    publisher.close()
    one = KafkaSource(servers=kafka, group=topic, topics=[topic], **QUICK)
    assert [dict(record.headers)["id"] for record in read(one, 2)] == [b"id-1", b"id-3"]
    one.close()


def test_a_kafka_that_is_away_is_said(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "DELIVERY_SECONDS", 0.5)
    monkeypatch.setattr(settings, "KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    publisher = in_order(Place("kafka", topic))
    for _ in range(2):
        [answer] = publisher.publish([event(1), event(2)])
        assert "refused" in answer.error and not answer.place
    publisher.close()
    # A setting that the client does not take is an error like any other.
    monkeypatch.setattr(settings, "KAFKA_OPTIONS", {"acks": "1"})
    [answer] = in_order(Place("kafka", topic)).publish([event(1)])
    assert "acks" in answer.error


# --- pulsar -------------------------------------------------------------------------------------
@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> MockPulsar:
    one = MockPulsar()
    one.install(monkeypatch)
    return one


PULSAR = Place("pulsar", "persistent://a/b/c", {"url": "pulsar://x:1", "producer_name": "p"})


def ids(sent: list[dict[str, object]]) -> list[object]:
    return [one["sequence_id"] for one in sent]


def test_pulsar_knows_events_by_their_positions(broker: MockPulsar) -> None:
    publisher = in_order(PULSAR)
    assert publisher.last_position() == 0
    sent = [event(number, key) for number, key in enumerate(HOSTILE, 1)]
    assert [answer.error for answer in publisher.publish(sent)] == [""] * len(HOSTILE)
    assert [one["partition_key"] for one in broker.kept] == HOSTILE
    assert broker.kept[0]["properties"] == {"id": "id-1"}
    assert ids(broker.kept) == list(range(1, len(HOSTILE) + 1))
    assert publisher.last_position() == len(HOSTILE)
    # Again after a kill: another process, the same positions.
    again = in_order(PULSAR)
    assert [answer.error for answer in again.publish([*sent[-2:], event(8)])] == ["", "", ""]
    assert ids(broker.dropped) == [6, 7]
    assert ids(broker.kept) == list(range(1, 9))


def test_nothing_overtakes_what_pulsar_does_not_take(broker: MockPulsar) -> None:
    broker.refuses = lambda sent: sent["sequence_id"] == 2
    publisher = in_order(PULSAR)
    answers = publisher.publish([event(1), event(2), event(3)])
    assert [answer.error for answer in answers] == ["", "refused"]
    broker.refuses = lambda sent: False
    assert [answer.error for answer in publisher.publish([event(2), event(3)])] == ["", ""]
    assert ids(broker.kept) == [1, 2, 3] and broker.dropped == []


def test_a_leader_that_was_put_out_comes_back_with_a_producer_of_its_own(
    broker: MockPulsar,
) -> None:
    one, other = in_order(PULSAR), in_order(PULSAR)
    one.publish([event(1)])
    other.publish([event(2)])
    [answer] = one.publish([event(3)])
    assert answer.error == "fenced"
    assert [answer.error for answer in one.publish([event(3)])] == [""]
    one.close()
    other.close()
    assert broker.open_clients == 0


def test_a_pulsar_that_is_away_is_said_and_leaves_no_client_behind(broker: MockPulsar) -> None:
    broker.away = True
    publisher = in_order(PULSAR)
    [answer] = publisher.publish([event(1), event(2)])
    assert "away" in answer.error
    with pytest.raises(NotTaken):
        publisher.last_position()
    assert broker.open_clients == 0
    broker.away = False
    assert [answer.error for answer in publisher.publish([event(1)])] == [""]


# --- where events of Pix keys go ----------------------------------------------------------------
def test_the_settings_say_where_events_of_pix_keys_go(
    broker: MockPulsar, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = dict_events()
    for sink in ("redis", "kafka"):
        monkeypatch.setattr(settings, "DICT_EVENTS_SINK", sink)
        assert stream.place() == Place(sink, "dict-events")
    monkeypatch.setattr(settings, "DICT_EVENTS_SINK", "pulsar")
    place = stream.place()
    assert (stream.topic, place.address) == (
        "dict-events",
        "persistent://public/default/dict-events",
    )
    assert json.dumps(place.options) == json.dumps(
        {"url": "pulsar://localhost:6650", "producer_name": "conn-dict-worker"}
    )
    publisher_of(place).close()
    assert broker.open_clients == 0
