"""The task of the relay's leader that sends messages to topics."""

from django.utils import timezone

from apps.engine.leader_tasks import Duty, OwnThread, register
from apps.streams.brokers import Publisher, publisher_of_settings
from apps.streams.services.sending import MOST, brokers_due, messages_publish

SEND_SECONDS = 1.0


def duties() -> list[Duty]:
    """Return the tasks with their periods."""
    return [Duty("streams_send", SEND_SECONDS, OwnThread("streams_send", Sender().turn))]


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
