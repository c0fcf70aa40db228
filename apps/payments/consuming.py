"""Consumes the topics of payment events, from the broker that the settings name."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.audit.contracts import ENGINE
from apps.audit.services import entry_record
from apps.engine.liveness import process_name
from apps.payments.services.intake import events_take
from apps.payments.services.messages import Message
from apps.payments.services.upstream import refused_take
from apps.streams.consumer import Consumer
from apps.streams.records import Gap, Record, Source


def source_of_settings() -> Source:
    """Return the source that PAYMENTS_SOURCE names. Raises ImproperlyConfigured for an unknown
    one."""
    topics = [settings.PAYMENTS_TOPIC, settings.PAYMENTS_DLQ_TOPIC]
    # Imported when used: each brings its client's library.
    if settings.PAYMENTS_SOURCE == "kafka":
        from apps.streams.kafka import KafkaSource

        return KafkaSource(
            servers=settings.KAFKA_BOOTSTRAP_SERVERS,
            group=settings.KAFKA_CONSUMER_GROUP,
            topics=topics,
            **settings.KAFKA_OPTIONS,
        )
    if settings.PAYMENTS_SOURCE == "redis":
        from apps.streams.redis_streams import RedisSource

        return RedisSource(
            url=settings.REDIS_URL,
            group=settings.KAFKA_CONSUMER_GROUP,
            topics=topics,
            name=process_name(),
            idle_seconds=settings.REDIS_CLAIM_SECONDS,
        )
    raise ImproperlyConfigured(
        f"PAYMENTS_SOURCE must be kafka or redis, not {settings.PAYMENTS_SOURCE!r}"
    )


def payments_consumer(source: Source) -> Consumer:
    """Return the consumer of the source's two topics."""
    return Consumer(
        source,
        {
            settings.PAYMENTS_TOPIC: partial(_taken, events_take),
            settings.PAYMENTS_DLQ_TOPIC: partial(_taken, refused_take),
        },
        on_gap=gap_record,
    )


def gap_record(gap: Gap) -> None:
    """Audit that messages are gone which this group has not read."""
    entry_record(
        action="payments.gap",
        subject_type="stream",
        subject_id=f"{gap.topic}:{gap.partition}"[:80],
        by=ENGINE,
        via="engine",
        body={"topic": gap.topic, "partition": gap.partition, "from": gap.first, "to": gap.next},
    )


def _taken(take: Callable[[Sequence[Message]], Any], records: Sequence[Record]) -> None:
    take([_message(record) for record in records])


def _message(record: Record) -> Message:
    return Message(
        raw=record.value,
        source=record.source,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        headers=record.headers,
        sent_at=record.sent_at,
    )
