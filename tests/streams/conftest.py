"""Topics of a test's own."""

from collections.abc import Callable
from uuid import uuid4

import pytest


@pytest.fixture
def topic() -> str:
    """A name that no other test uses."""
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def kafka_send(kafka: str) -> Callable[..., None]:
    """Sends messages to a topic, and waits until the broker has them."""
    from confluent_kafka import Producer

    def send(topic: str, *values: bytes | None, **more: object) -> None:
        producer = Producer({"bootstrap.servers": kafka})
        for value in values:
            producer.produce(topic, value, **more)
        assert producer.flush(30) == 0

    return send
