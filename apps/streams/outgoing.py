"""Topics that get events in order: which there are, where each goes, and how it is written to."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.common.registry import Registry
from apps.streams.brokers import Publisher, Sent, ToSend, publisher_of_settings

#: Our name of the topic of Pix keys, and the broker's where that is Redis or Kafka.
DICT_EVENTS = "dict-events"
#: No further message of a batch is begun after so long: its rows are locked meanwhile.
BATCH_SECONDS = 10.0


@dataclass(frozen=True)
class Place:
    """Where a topic is: `broker` is redis, kafka or pulsar, `address` its name there. `options`:
    what the publisher of Pulsar takes besides."""

    broker: str
    address: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OutStream:
    """A topic by the name that its events' rows have. `place` is asked when it is first written to:
    it reads the settings then."""

    topic: str
    place: Callable[[], Place]


_streams = Registry[OutStream]("topic of events")


def register(stream: OutStream) -> None:
    """Have the relay's leader send the topic's events. Called by the domain in `AppConfig.ready()`.
    Raises ImproperlyConfigured when the topic has another place already."""
    _streams.add(stream.topic, stream)


def registered() -> list[OutStream]:
    """Return all topics that get events."""
    return _streams.values()


def must_be_registered(topic: str) -> None:
    """Raise ImproperlyConfigured for a topic that nobody would send to."""
    if _streams.get(topic) is None:
        raise ImproperlyConfigured(f"there is no topic {topic!r} for events")


def dict_events() -> OutStream:
    """Return the topic of Pix keys, with the place that the settings give it."""
    return OutStream(DICT_EVENTS, _dict_events_place)


def _dict_events_place() -> Place:
    if settings.DICT_EVENTS_SINK == "pulsar":
        options = {"url": settings.PULSAR_URL, "producer_name": settings.PULSAR_PRODUCER_NAME}
        return Place("pulsar", settings.PULSAR_TOPIC, options)
    return Place(settings.DICT_EVENTS_SINK, DICT_EVENTS)


def publisher_of(place: Place) -> Publisher:
    """Return a publisher for the place. Pulsar's raises when it is away."""
    if place.broker == "pulsar":
        # Imported when used: it brings its client's library.
        from apps.streams.pulsar import PulsarPublisher

        return PulsarPublisher(topic=place.address, **place.options)
    return publisher_of_settings(place.broker)


class NotTaken(Exception):
    """The broker does not answer. Says why."""


class InOrder:
    """Sends a topic's messages one after the other, by one thread, and stops at the first that is
    not taken.

    With several on their way, a message behind one that the broker refuses would overtake it, and
    Pulsar would then drop the refused one as a repetition. After a failure it connects anew: what
    was on its way at that moment comes before whatever is sent afterwards, or not at all.
    """

    def __init__(
        self, place: Callable[[], Place], make: Callable[[Place], Publisher] = publisher_of
    ) -> None:
        self._place, self._make = place, make
        self._publisher: Publisher | None = None
        self._address = ""

    def last_position(self) -> int:
        """Return the highest position that the broker has seen, 0 for none. Raises NotTaken."""
        try:
            return self._connected().last_position()
        except Exception as error:
            self.close()
            raise NotTaken(_said(error)) from error

    def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
        """Send the messages, for BATCH_SECONDS at most; return what became of those that were
        tried, in their order. All but the last were taken. Never raises."""
        taken: list[Sent] = []
        error = ""
        ends = monotonic() + BATCH_SECONDS
        try:
            publisher = self._connected()
            for message in messages:
                [answer] = publisher.publish([replace(message, topic=self._address)])
                error = answer.error
                if error:
                    break
                taken.append(answer)
                if monotonic() > ends:
                    break
            if taken and (lost := publisher.kept()):
                taken, error = [], lost
        except Exception as raised:
            taken, error = [], _said(raised)
        if not error:
            return taken
        self.close()
        return [*taken, Sent(error=error)]

    def close(self) -> None:
        """Let go of the broker; the next message connects anew."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            with suppress(Exception):
                publisher.close()

    def _connected(self) -> Publisher:
        if self._publisher is None:
            place = self._place()
            self._address = place.address
            self._publisher = self._make(place)
        return self._publisher


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
