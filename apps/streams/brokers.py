"""Sends messages to the topics of a broker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

#: The header by which a receiver knows a message that came twice.
MESSAGE_ID = "countersign-message-id"
CALL_SECONDS = 5.0
#: What Kafka has not taken by then is tried again later.
DELIVERY_SECONDS = 10.0
#: A server that writes its file once a second needs no longer to have a message on its disk.
DISK_SECONDS = 4.0


@dataclass(frozen=True)
class ToSend:
    """A message for a topic. A message without a value is not an empty one. `position`: its place
    in the topic, 0 for a message without one."""

    topic: str
    value: bytes | None = field(repr=False)
    key: bytes | None = field(repr=False)
    headers: Sequence[tuple[str, bytes | None]]
    position: int = 0


@dataclass(frozen=True)
class Sent:
    """What the broker said: where the message is, or why it did not take it."""

    place: str = ""
    error: str = ""


class Publisher(Protocol):
    """A broker that is written to, by one thread."""

    def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
        """Send the messages; return what became of each, in their order. Never raises."""

    def last_position(self) -> int:
        """Return the highest position that the broker has seen; 0 where it takes no notice of
        them."""
        return 0

    def kept(self) -> str:
        """Return why what was sent could still be lost with the broker's process; empty: it could
        not, as far as the broker's settings go."""
        return ""

    def close(self) -> None:
        """Let go of the broker. What it has not taken by now is not sent."""


class KafkaPublisher(Publisher):
    """Writes to Kafka; a message is sent when all replicas that are in sync have it."""

    def __init__(self, *, servers: str, **options: Any) -> None:
        # Imported when used: it brings its client's library.
        from confluent_kafka import Producer

        #: The client's last complaint: why a message had no answer in time.
        self._trouble = ""
        self._producer = Producer(
            {
                # Its own lines, some twenty a second while a broker is away, are no JSON.
                "log_level": 2,
                **options,
                "error_cb": self._complains,
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
        self._trouble = ""

        def note(number: int) -> "Callable[[KafkaError | None, Message], None]":
            def noted(error: "KafkaError | None", message: "Message") -> None:
                place = f"{message.partition()}:{message.offset()}"
                answers[number] = Sent(place) if error is None else self._failed(error.str())

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
        silent = self._failed("The broker did not answer.")
        return [answers.get(number, silent) for number in range(len(messages))]

    def close(self) -> None:
        """See `Publisher`."""
        self._producer.purge()
        self._producer.close()

    def _complains(self, error: "KafkaError") -> None:
        self._trouble = error.str()

    def _failed(self, why: str) -> Sent:
        return Sent(error=f"{why} ({self._trouble})" if self._trouble else why)


class RedisPublisher(Publisher):
    """Adds entries to Redis Streams: the fields `value` and `key`, and one for each header."""

    def __init__(self, *, url: str) -> None:
        # On one connection, because `kept` asks about what was written on the same.
        self._redis: Any = Redis.from_url(
            url,
            socket_timeout=CALL_SECONDS,
            socket_connect_timeout=CALL_SECONDS,
            retry=Retry(NoBackoff(), 0),
            max_connections=1,
        )
        self._has_file = True

    def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
        """See `Publisher`."""
        return [self._add(message) for message in messages]

    def kept(self) -> str:
        """See `Publisher`. By default a server writes to its disk once a second, and what it has
        said yes to before that is lost when it is killed."""
        if not self._has_file:
            return ""
        try:
            on_disk, _ = self._redis.execute_command("WAITAOF", 1, 0, int(DISK_SECONDS * 1000))
        except ResponseError:
            # It keeps no such file, or is too old to be asked.
            self._has_file = False
            return ""
        except (RedisError, OSError) as error:
            return _said(error)
        return "" if on_disk else "The server has not written it to its disk."

    def close(self) -> None:
        """See `Publisher`."""
        self._redis.close()

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
            return Sent(error=_said(error))
        return Sent(place=place.decode())


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def publisher_of_settings(broker: str) -> Publisher:
    """Return a publisher for the broker that the settings name."""
    if broker == "kafka":
        return KafkaPublisher(servers=settings.KAFKA_BOOTSTRAP_SERVERS, **settings.KAFKA_OPTIONS)
    return RedisPublisher(url=settings.REDIS_URL)
