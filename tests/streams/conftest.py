"""A real Kafka of this test session, and topics of a test's own."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local.processes import free_port


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of a broker. Fetched at its first use."""
    from deploy.local.kafka import Kafka

    folder = Path(tempfile.mkdtemp(prefix="countersign-kafka-"))
    broker = Kafka(
        data=folder / "data",
        port=free_port(),
        controller_port=free_port(),
        run_dir=folder / "run",
        log=folder / "kafka.log",
    )
    broker.start()
    try:
        yield broker.address
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)


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
