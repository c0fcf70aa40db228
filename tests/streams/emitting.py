"""Topics, events and a broker for tests of the way out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import transaction

from apps.common.registry import Registry
from apps.streams import outgoing
from apps.streams.brokers import Sent, ToSend
from apps.streams.models import OutEvent
from apps.streams.outgoing import InOrder, NotTaken, OutStream, Place
from apps.streams.services.events import event_emit

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def registry_of(*topics: str) -> Registry[OutStream]:
    """Topics that a test has for itself; in Redis, under their own names."""
    known = Registry[OutStream]("topic")
    for topic in topics:
        known.add(topic, OutStream(topic, partial(Place, "redis", topic)))
    return known


@contextmanager
def only(known: Registry[OutStream]) -> Iterator[None]:
    """With these topics registered and no others."""
    before, outgoing._streams = outgoing._streams, known
    try:
        yield
    finally:
        outgoing._streams = before


def emit(topic: str, key: str = "k", **given: Any) -> OutEvent:
    """An event in a transaction of its own."""
    about: dict[str, Any] = {"type": "changed", "data": {}, "occurred_at": WHEN, **given}
    with transaction.atomic():
        return event_emit(topic=topic, key=key, **about)


class Killed(BaseException):
    """The end of the process, as far as its code can tell."""


class Broker:
    """Takes events one after the other."""

    def __init__(self) -> None:
        self.got: list[ToSend] = []
        self.away = False
        self.refuses: Callable[[ToSend], bool] = lambda event: False
        self.killed_before = self.killed_after = False

    def last_position(self) -> int:
        if self.away:
            raise NotTaken("away\x00")
        return 0

    def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
        if self.killed_before:
            raise Killed
        answers = []
        for message in messages:
            if self.away or self.refuses(message):
                answers.append(Sent(error="refused\x00"))
                break
            self.got.append(message)
            answers.append(Sent(place="1"))
        if self.killed_after:
            raise Killed
        return answers

    @property
    def positions(self) -> list[int]:
        return [event.position for event in self.got]


def in_order(place: Place) -> InOrder:
    return InOrder(lambda: place)
