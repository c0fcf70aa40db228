"""`python -m tests.streams.event_process TOPIC BROKER`: a relay that does nothing but send this
topic's events, until SIGTERM. Tests kill it."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from functools import partial

import django


async def serve() -> None:
    from apps.engine.relay import Relay
    from apps.streams.leader_tasks import duties

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Relay(leader_duties=duties()).run(stop)


def main(topic: str, broker: str) -> None:
    django.setup()
    from apps.common.failpoints import failpoint
    from apps.streams import brokers, outgoing
    from apps.streams.brokers import Sent, ToSend

    class Held(outgoing.InOrder):
        """Can be held with the events numbered and not sent, and with them sent and not marked."""

        def publish(self, messages: Sequence[ToSend]) -> list[Sent]:
            failpoint("events.numbered")
            answers = super().publish(messages)
            failpoint("events.sent")
            return answers

    # So that nobody waits for a broker that was killed.
    brokers.DELIVERY_SECONDS = 2.0
    import apps.streams.leader_tasks

    apps.streams.leader_tasks.InOrder = Held  # type: ignore[misc]
    outgoing.register(outgoing.OutStream(topic, partial(outgoing.Place, broker, topic)))
    asyncio.run(serve())


if __name__ == "__main__":
    main(*sys.argv[1:])
