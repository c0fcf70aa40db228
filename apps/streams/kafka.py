"""Kafka, by the plain consumer of confluent-kafka, in the thread that calls it."""

from collections.abc import Sequence
from operator import methodcaller
from typing import Any

from confluent_kafka import (
    OFFSET_INVALID,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from apps.common.correlation import get_logger
from apps.streams.records import BrokerAway, Gap, Record, moment_of

logger = get_logger(__name__)

MOST = 500
CALL_SECONDS = 5.0
#: For a name that is not UTF-8 the client returns a result and leaves an exception behind. Called
#: like this Python looks for it and says SystemError; called plainly, whatever comes next may fail.
_HEADERS = methodcaller("headers")


class KafkaSource:
    """Reads topics as a member of a group; offsets are committed by `done` alone."""

    def __init__(self, *, servers: str, group: str, topics: Sequence[str], **options: Any) -> None:
        self._topics = list(topics)
        self._gaps: list[Gap] = []
        self._consumer = Consumer(
            {
                "fetch.message.max.bytes": 1024 * 1024,
                "queued.max.messages.kbytes": 64 * 1024,
                **options,
                # Below what a caller chooses: these keep messages from being lost.
                "bootstrap.servers": servers,
                "group.id": group,
                # With `latest` everything before the first commit would be lost.
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
            }
        )
        self._consumer.subscribe(self._topics, on_assign=self._assigned)

    def poll(self, seconds: float) -> list[Record]:
        """See `Source`."""
        records = []
        for message in self._consumer.consume(MOST, seconds):
            error = message.error()
            if error is None:
                records.append(_record(message))
            else:
                self._trouble(error)
        return records

    def done(self, records: Sequence[Record]) -> None:
        """See `Source`. Each partition's offset is that of the next message."""
        after: dict[tuple[str, int], int] = {}
        for record in records:
            place = (record.topic, record.partition or 0)
            after[place] = max(after.get(place, 0), int(record.offset) + 1)
        offsets = [TopicPartition(topic, number, at) for (topic, number), at in after.items()]
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # Another member has the partition now: it reads them again, and writes nothing twice.
            logger.warning("kafka.not_committed", error=str(error))

    def hold(self, seconds: float) -> None:
        """See `Source`. A consumer that does not poll is put out of its group."""
        held = self._consumer.assignment()
        self._consumer.pause(held)
        try:
            for message in self._consumer.consume(1, seconds):
                if (error := message.error()) is None:
                    # Of a partition that was assigned meanwhile: it is read again.
                    record = _record(message)
                    place = TopicPartition(record.topic, record.partition or 0, int(record.offset))
                    self._consumer.seek(place)
                else:
                    self._trouble(error)
        finally:
            self._consumer.resume(self._consumer.assignment())

    def lag(self) -> int:
        """See `Source`: over the partitions that this member has."""
        behind = 0
        try:
            held = self._consumer.committed(self._consumer.assignment(), timeout=CALL_SECONDS)
            for place in held:
                low, high = self._consumer.get_watermark_offsets(place, timeout=CALL_SECONDS)
                behind += high - (low if place.offset == OFFSET_INVALID else place.offset)
        except KafkaException as error:
            raise BrokerAway(str(error)) from error
        return max(0, behind)

    def gaps(self) -> list[Gap]:
        """See `Source`."""
        found, self._gaps = self._gaps, []
        return found

    def close(self) -> None:
        """See `Source`."""
        self._consumer.close()

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Look for offsets that the broker has forgotten before they were read."""
        try:
            for place in consumer.committed(places, timeout=CALL_SECONDS):
                if place.offset == OFFSET_INVALID:
                    continue
                low, high = consumer.get_watermark_offsets(place, timeout=CALL_SECONDS)
                if not low <= place.offset <= high:
                    self._gaps.append(
                        Gap(place.topic, place.partition, str(place.offset), str(low))
                    )
        except KafkaException as error:
            logger.warning("kafka.gaps_unknown", error=str(error))

    def _trouble(self, error: KafkaError) -> None:
        # All of these pass: the client reconnects, and rejoins its group, by itself.
        if error.code() != KafkaError._PARTITION_EOF:
            logger.warning("kafka.trouble", error=error.str(), code=error.name())
        if error.fatal():
            raise BrokerAway(error.str())


def _headers(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    """Return the headers; none of a message with a name that is not UTF-8, for the client cannot
    give a part of them."""
    try:
        return tuple(_HEADERS(message) or ())
    except (UnicodeDecodeError, SystemError) as error:
        logger.warning(
            "kafka.headers_unreadable",
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
            error=str(error),
        )
        return ()


def _record(message: Message) -> Record:
    kind, milliseconds = message.timestamp()
    return Record(
        source="kafka",
        topic=message.topic() or "",
        partition=message.partition(),
        offset=str(message.offset()),
        value=message.value(),
        key=message.key(),
        headers=_headers(message),
        sent_at=None if kind == TIMESTAMP_NOT_AVAILABLE else moment_of(milliseconds),
    )
