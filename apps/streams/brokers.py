"""Sends messages to the topics of a broker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

#: The header by which a receiver knows a message that came twice.
MESSAGE_ID = "countersign-message-id"
CALL_SECONDS = 5.0
#: What Kafka has not taken by then is tried again later.
DELIVERY_SECONDS = 10.0


@dataclass(frozen=True)
class ToSend:
    """A message for a topic. A message without a value is not an empty one."""

    topic: str
    value: bytes | None = field(repr=False)
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Sent:
    """What the broker said: where the message is, or why it did not take it."""

    place: str = ""
    error: str = ""


class Publisher(Protocol):
    """A broker that is written to, by one thread."""

    def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
        """Send the messages; return what became of each, in their order. Never raises."""


class KafkaPublisher:
    """Writes to Kafka; a message is sent when all replicas that are in sync have it."""

    def __init__(self, *, servers: str, **options: Any) -> None:
        # Imported when used: it brings its client's library.
        from confluent_kafka import Producer

        self._producer = Producer(
            {
                **options,
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
                # Messages that come are up to PAYMENT_RAW_MAX_BYTES; the broker has its own limit.
                "message.max.bytes": 32 * 1024 * 1024,
            }
        )

    def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
        """See `Publisher`."""
        answers: dict[int, Sent] = {}

        def note(number: int) -> "Callable[[KafkaError | None, Message], None]":
            def noted(error: "KafkaError | None", message: "Message") -> None:
                place = f"{message.partition()}:{message.offset()}"
                answers[number] = Sent(place) if error is None else Sent(error=error.str())

            return noted

        for number, message in enumerate(messages):
            try:
                self._producer.produce(
                    message.topic,
                    message.value,
                    message.key,
                    headers=list(message.headers),
                    on_delivery=note(number),
                )
            except Exception as error:
                # A full queue, a name that is no topic, a message above the client's limit.
                answers[number] = Sent(error=str(error))
        self._producer.flush(DELIVERY_SECONDS + CALL_SECONDS)
        silent = Sent(error="The broker did not answer.")
        return [answers.get(number, silent) for number in range(len(messages))]


class RedisPublisher:
    """Adds entries to Redis Streams: the fields `value` and `key`, and one for each header."""

    def __init__(self, *, url: str) -> None:
        self._redis: Any = Redis.from_url(
            url, socket_timeout=CALL_SECONDS, socket_connect_timeout=CALL_SECONDS
        )

    def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
        """See `Publisher`."""
        return [self._add(message) for message in messages]

    def _add(self, message: ToSend) -> Sent:
        fields: list[bytes | str] = []
        if message.value is not None:
            fields += [b"value", message.value]
        if message.key is not None:
            fields += [b"key", message.key]
        for name, value in message.headers:
            # A field has a value. As a list, because a name may occur twice.
            fields += [name, value or b""]
        try:
            place = self._redis.execute_command("XADD", message.topic, "*", *fields)
        except (RedisError, OSError) as error:
            return Sent(error=repr(error))
        return Sent(place=place.decode())


def publisher_of_settings(broker: str) -> Publisher:
    """Return a publisher for the broker that the settings name."""
    if broker == "kafka":
        return KafkaPublisher(servers=settings.KAFKA_BOOTSTRAP_SERVERS, **settings.KAFKA_OPTIONS)
    return RedisPublisher(url=settings.REDIS_URL)
