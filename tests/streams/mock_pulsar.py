"""A Pulsar that remembers sequence ids as the broker's deduplication does. No server of it runs
here; calls are checked against the signatures of the real client."""

import inspect
from collections.abc import Callable
from typing import Any

import pulsar
import pytest

_CLIENT = inspect.signature(pulsar.Client.__init__)
_CREATE = inspect.signature(pulsar.Client.create_producer)
_SEND = inspect.signature(pulsar.Producer.send)


class MockPulsar:
    """The broker: what its topics have, and the highest sequence id of each producer name."""

    def __init__(self) -> None:
        self.away = False
        #: What the broker, or the client, does not take.
        self.refuses: Callable[[dict[str, Any]], bool] = lambda sent: False
        self.kept: list[dict[str, Any]] = []
        self.dropped: list[dict[str, Any]] = []
        self.last: dict[tuple[str, str], int] = {}
        self.producers: list[MockPulsarProducer] = []
        self.open_clients = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pulsar, "Client", lambda *a, **k: MockPulsarClient(self, *a, **k))


class MockPulsarClient:
    """The client's surface, as far as it is used."""

    def __init__(self, broker: MockPulsar, *args: Any, **options: Any) -> None:
        _CLIENT.bind(self, *args, **options)
        self._broker = broker
        broker.open_clients += 1

    def create_producer(self, *args: Any, **options: Any) -> "MockPulsarProducer":
        asked = _CREATE.bind(self, *args, **options)
        asked.apply_defaults()
        if self._broker.away:
            raise pulsar.ConnectError("away")
        assert asked.arguments["access_mode"] == pulsar.ProducerAccessMode.ExclusiveWithFencing
        # One with batches drops a batch that begins with a repetition; a key's order is lost with
        # batches by key; with an initial id the client does not tell the broker's.
        assert asked.arguments["batching_enabled"] is False
        assert asked.arguments["batching_type"] == pulsar.BatchingType.Default
        assert asked.arguments["initial_sequence_id"] is None
        for other in self._broker.producers:
            other.fenced = True
        name = (asked.arguments["topic"], asked.arguments["producer_name"])
        self._broker.producers.append(MockPulsarProducer(self._broker, name))
        return self._broker.producers[-1]

    def close(self) -> None:
        self._broker.open_clients -= 1


class MockPulsarProducer:
    """One connection of a producer's name."""

    def __init__(self, broker: MockPulsar, name: tuple[str, str]) -> None:
        self._broker, self._name = broker, name
        self.fenced = False

    def last_sequence_id(self) -> int:
        return self._broker.last.get(self._name, -1)

    def send(self, *args: Any, **options: Any) -> str:
        asked = _SEND.bind(self, *args, **options)
        sent = dict(asked.arguments)
        if self._broker.away:
            raise pulsar.Timeout("away")
        if self.fenced:
            raise pulsar.ProducerFenced("fenced")
        if self._broker.refuses(sent):
            raise pulsar.MessageTooBig("refused")
        if sent["sequence_id"] <= self.last_sequence_id():
            # The real one says yes as well.
            self._broker.dropped.append(sent)
            return "(-1,-1,-1,-1)"
        self._broker.last[self._name] = sent["sequence_id"]
        self._broker.kept.append(sent)
        return f"(1,{len(self._broker.kept)},-1,-1)"
