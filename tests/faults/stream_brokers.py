"""The two brokers, as a producer and as somebody who asks how far a group is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from redis import Redis

from tests.faults.stream_sent import Sent


@dataclass(frozen=True)
class Topics:
    """Of one test: the events, the dead letters, and the group that reads them."""

    events: str
    dead: str
    group: str

    @classmethod
    def of(cls, run: str) -> "Topics":
        return cls(f"events-{run}", f"dead-{run}", f"group-{run}")

    def place(self, one: Sent) -> str:
        """The topic of a message."""
        return self.dead if one.dead else self.events

    @property
    def both(self) -> tuple[str, str]:
        return self.events, self.dead

    @property
    def env(self) -> dict[str, str]:
        """For a consumer of them."""
        return {
            "PAYMENTS_TOPIC": self.events,
            "PAYMENTS_DLQ_TOPIC": self.dead,
            "KAFKA_CONSUMER_GROUP": self.group,
        }


class Broker(Protocol):
    """A broker that runs, with the topics of one test."""

    topics: Topics

    @property
    def env(self) -> dict[str, str]:
        """What its consumer is told."""

    def send(self, messages: Sequence[Sent]) -> None:
        """Return when it has them, in their order."""

    def lag(self) -> int:
        """How many messages the group has not read, or not finished."""


class RedisBroker:
    """Redis Streams: one entry after the other."""

    def __init__(self, url: str, topics: Topics) -> None:
        self.topics = topics
        self._redis: Any = Redis.from_url(url)

    @property
    def env(self) -> dict[str, str]:
        """See `Broker`."""
        return {**self.topics.env, "PAYMENTS_SOURCE": "redis"}

    def send(self, messages: Sequence[Sent]) -> None:
        """See `Broker`."""
        for begin in range(0, len(messages), 200):
            pipe = self._redis.pipeline(transaction=False)
            for one in messages[begin : begin + 200]:
                # An entry without a value is what a message without one is in Kafka.
                value = {} if one.value is None else {"value": one.value}
                pipe.xadd(self.topics.place(one), {"key": one.key, **value})
            pipe.execute()

    def lag(self) -> int:
        """See `Broker`."""
        behind = 0
        for topic in self.topics.both:
            if not self._redis.exists(topic):
                continue
            groups = {one["name"].decode(): one for one in self._redis.xinfo_groups(topic)}
            group = groups.get(self.topics.group)
            behind += group["pending"] + group["lag"] if group else self._redis.xlen(topic)
        return behind


class KafkaBroker:
    """Kafka: partitions by key. A killed consumer is missed after six seconds instead of 45."""

    SESSION = '{"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}'

    def __init__(self, address: str, topics: Topics, *, partitions: int = 3) -> None:
        from confluent_kafka.admin import AdminClient, NewTopic

        self.topics, self._address = topics, address
        # The messages that are too large have to get there.
        settings = {"max.message.bytes": str(4 * 1024 * 1024)}
        # Named, so that it lives until they are made.
        admin = AdminClient({"bootstrap.servers": address})
        made = admin.create_topics(
            [NewTopic(name, partitions, 1, config=settings) for name in topics.both]
        )
        for one in made.values():
            one.result(60)

    @property
    def env(self) -> dict[str, str]:
        """See `Broker`."""
        return {
            **self.topics.env,
            "PAYMENTS_SOURCE": "kafka",
            "KAFKA_BOOTSTRAP_SERVERS": self._address,
            "KAFKA_OPTIONS": self.SESSION,
        }

    def send(self, messages: Sequence[Sent]) -> None:
        """See `Broker`."""
        from confluent_kafka import Producer

        failed: list[object] = []
        producer = Producer(
            {
                "bootstrap.servers": self._address,
                "enable.idempotence": True,
                "message.max.bytes": 4 * 1024 * 1024,
                "linger.ms": 5,
                "on_delivery": lambda error, _: failed.append(error) if error else None,
            }
        )
        for one in messages:
            producer.produce(self.topics.place(one), one.value, key=one.key)
            producer.poll(0)
        assert producer.flush(60) == 0 and not failed, failed

    def lag(self) -> int:
        """See `Broker`."""
        from confluent_kafka import Consumer, TopicPartition

        reader = Consumer({"bootstrap.servers": self._address, "group.id": self.topics.group})
        try:
            known = reader.list_topics(timeout=10).topics
            places = [
                TopicPartition(name, number)
                for name in self.topics.both
                for number in known[name].partitions
            ]
            behind = 0
            for place in reader.committed(places, timeout=10):
                low, high = reader.get_watermark_offsets(place, timeout=10)
                behind += high - max(low, place.offset)
            return behind
        finally:
            reader.close()
