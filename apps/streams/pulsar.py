"""Writes to a topic of Pulsar, so that the broker's deduplication drops what comes twice."""

import logging
from collections.abc import Sequence

import pulsar

from apps.streams.brokers import CALL_SECONDS, DELIVERY_SECONDS, Publisher, Sent, ToSend


class PulsarPublisher(Publisher):
    """The only producer of its name. A message's sequence id is its position: the broker takes a
    lower one than it has had for a repetition, and says yes to it without keeping it.

    Raises pulsar.PulsarException when the broker does not answer.
    """

    def __init__(self, *, url: str, topic: str, producer_name: str) -> None:
        self._client = pulsar.Client(
            url,
            operation_timeout_seconds=int(CALL_SECONDS),
            connection_timeout_ms=int(CALL_SECONDS * 1000),
            # By default it writes lines of its own to the standard output.
            logger=logging.getLogger("pulsar"),
        )
        try:
            # Without `initial_sequence_id`: with one, the client would not tell how far the broker
            # is (`last_position`).
            self._producer = self._client.create_producer(
                topic,
                producer_name=producer_name,
                send_timeout_millis=int(DELIVERY_SECONDS * 1000),
                # A leader that is still connected, or seems to be, is put out.
                access_mode=pulsar.ProducerAccessMode.ExclusiveWithFencing,
                # A batch is known by its first sequence id. One that begins with a repetition would
                # be dropped with all that is new in it.
                batching_enabled=False,
                batching_type=pulsar.BatchingType.Default,
            )
        except BaseException:
            self._client.close()
            raise

    def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
        """See `Publisher`."""
        return [self._send(message) for message in messages]

    def last_position(self) -> int:
        """See `Publisher`."""
        return max(0, self._producer.last_sequence_id())

    def close(self) -> None:
        """See `Publisher`."""
        self._client.close()

    def _send(self, message: ToSend) -> Sent:
        try:
            place = self._producer.send(
                message.value,
                properties={name: (value or b"").decode() for name, value in message.headers},
                partition_key=None if message.key is None else message.key.decode(),
                sequence_id=message.position,
            )
        except Exception as error:
            return Sent(error=str(error) or type(error).__name__)
        return Sent(place=str(place))
