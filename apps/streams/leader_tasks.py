"""The tasks of the relay's leader that send messages and events to topics."""

from django.utils import timezone

from apps.engine.leader_tasks import Duty, Leader, OwnThread, register
from apps.streams.brokers import Publisher, publisher_of_settings
from apps.streams.outgoing import InOrder, OutStream, registered
from apps.streams.services.events import STEP, events_forget, events_publish
from apps.streams.services.sending import MOST, brokers_due, messages_publish

SEND_SECONDS = 1.0
FORGET_SECONDS = 600.0


def duties() -> list[Duty]:
    """Return the tasks with their periods: for each topic of events one of its own, so that a
    broker that hangs holds up none but its own."""
    return [
        _sending("streams_send", Sender()),
        *(_sending(f"events_{stream.topic}", EventSender(stream)) for stream in registered()),
        Duty("events_forget", FORGET_SECONDS, forget),
    ]


def register_all() -> None:
    """Give the tasks to the engine."""
    register("streams", duties)


class Sender:
    """Sends what is due, by one publisher a broker."""

    def __init__(self) -> None:
        self._publishers: dict[str, Publisher] = {}

    def turn(self) -> bool:
        """Send what is due; return whether there may be more."""
        now = timezone.now()
        more = False
        for broker in brokers_due(now=now):
            if broker not in self._publishers:
                self._publishers[broker] = publisher_of_settings(broker)
            tried = messages_publish(self._publishers[broker], broker=broker, now=now)
            more = more or tried >= MOST
        return more

    def close(self) -> None:
        """Let go of the brokers."""
        while self._publishers:
            self._publishers.popitem()[1].close()


class EventSender:
    """Sends the events of one topic."""

    def __init__(self, stream: OutStream) -> None:
        self._topic = stream.topic
        self._publisher = InOrder(stream.place)

    def turn(self) -> bool:
        """Send the next events; return whether there may be more. False after a failure: it is
        tried again at the next turn."""
        return events_publish(self._publisher, topic=self._topic) > 0

    def close(self) -> None:
        """Let go of the broker."""
        self._publisher.close()


async def forget(leader: Leader) -> bool:
    """Delete a step of old events; return whether there may be more."""
    return await leader.threads.run(events_forget, now=timezone.now()) >= STEP


def _sending(name: str, sender: Sender | EventSender) -> Duty:
    own = OwnThread(name, sender.turn)
    return Duty(name, SEND_SECONDS, own, close=lambda: own.close(sender.close))
