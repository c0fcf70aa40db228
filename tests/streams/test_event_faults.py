"""Events in order while the publisher and the broker are killed in turn: none is missing, and those
of each key come in the order of its changes."""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import pytest
from django.db import connection, connections, transaction
from redis import Redis

from apps.streams.models import OutEvent
from deploy.local.kafka import Kafka
from deploy.local.processes import Process, free_port
from deploy.local.servers import Valkey
from tests.faults.points import Points
from tests.streams.emitting import emit, only, registry_of
from tests.support import FULL_SIZE, LONG_ENOUGH, eventually, pause

pytestmark = [
    pytest.mark.faults,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1800 if FULL_SIZE else 400),
]

ROOT = Path(__file__).resolve().parents[2]
SIZE, ROUNDS = (5000, 4) if FULL_SIZE else (400, 1)
WRITERS, KEYS = 4, 25
#: Where the publisher is killed: with the numbers given, and with the broker's yes not noted.
POINTS = ("events.numbered", "events.sent")
PATIENCE = 600.0 if FULL_SIZE else 180.0

Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Got:
    """An event as a reader has it."""

    key: str
    event_id: str
    body: bytes


class Target(Protocol):
    """A broker of the test's own that can be killed."""

    server: Process
    env: dict[str, str]

    def read(self, topic: str) -> list[list[Got]]:
        """All that the topic has, by partition, in its order."""


class RedisTarget:
    def __init__(self, folder: Path) -> None:
        self.server: Process = Valkey(
            data=folder / "valkey", port=free_port(), run_dir=folder / "run", log=folder / "v.log"
        )
        self._url = self.server.url  # type: ignore[attr-defined]
        self.env = {"REDIS_URL": self._url}

    def read(self, topic: str) -> list[list[Got]]:
        with Redis.from_url(self._url) as redis:
            entries = [fields for _, fields in redis.xrange(topic)]
        return [[Got(one[b"key"].decode(), one[b"id"].decode(), one[b"value"]) for one in entries]]


class KafkaTarget:
    def __init__(self, folder: Path) -> None:
        self.server: Process = Kafka(
            data=folder / "kafka",
            port=free_port(),
            controller_port=free_port(),
            run_dir=folder / "run",
            log=folder / "kafka.log",
        )
        self._address = self.server.address  # type: ignore[attr-defined]
        self.env = {"KAFKA_BOOTSTRAP_SERVERS": self._address}

    def read(self, topic: str) -> list[list[Got]]:
        from confluent_kafka import Consumer, TopicPartition

        reader = Consumer({"bootstrap.servers": self._address, "group.id": topic})
        found = []
        try:
            for number in reader.list_topics(topic, timeout=30).topics[topic].partitions:
                low, high = reader.get_watermark_offsets(TopicPartition(topic, number), timeout=30)
                reader.assign([TopicPartition(topic, number, low)])
                messages: list[Any] = []
                deadline = time.monotonic() + LONG_ENOUGH
                while len(messages) < high - low:
                    assert time.monotonic() < deadline, "the partition does not end"
                    messages += [m for m in reader.consume(500, 1) if m.error() is None]
                found.append(
                    [
                        Got(m.key().decode(), dict(m.headers())["id"].decode(), m.value())
                        for m in messages
                    ]
                )
        finally:
            reader.close()
        return found


class Publishers:
    """Two relays, of which one leads."""

    def __init__(self, topic: str, broker: str, env: dict[str, str], folder: Path) -> None:
        options = connection.settings_dict
        database = (
            f"postgres://{options['USER']}:{options['PASSWORD']}@{options['HOST']}:"
            f"{options['PORT']}/{options['NAME']}"
        )
        self._all = [
            Process(
                name=f"publisher-{number}",
                argv=[sys.executable, "-m", "tests.streams.event_process", topic, broker],
                run_dir=folder / "run",
                log=folder / f"publisher-{number}.log",
                cwd=ROOT,
                env={
                    **os.environ,
                    **env,
                    "DATABASE_URL": database,
                    "DJANGO_SETTINGS_MODULE": "config.settings.local",
                    "FAILPOINTS_DIR": str(folder / "points"),
                    "POSTGRES_MIN_CONNS": "1",
                },
            )
            for number in range(2)
        ]
        for one in self._all:
            one.death_signal = signal.SIGKILL

    def start(self) -> None:
        for one in self._all:
            one.start()

    def kill9(self, pid: int) -> None:
        """Kill this one, and start it again, to stand by."""
        [one] = [one for one in self._all if one.pid == pid]
        one.signal(signal.SIGKILL)
        assert one.popen is not None
        one.popen.wait()
        one.start()

    def end(self) -> None:
        """In order: they close their producers, and their sessions."""
        for one in self._all:
            one.stop()

    def kill(self) -> None:
        for one in self._all:
            one.kill()

    def logs(self) -> str:
        return "\n".join(one.tail(30) for one in self._all)


@pytest.fixture(params=["redis", "kafka"])
def target(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[str, Target]]:
    made: Target = RedisTarget(folder) if request.param == "redis" else KafkaTarget(folder)
    made.server.start()
    yield request.param, made
    made.server.kill()


def write(topic: str, writer: int) -> None:
    """The writer's share: each change under the lock of its key's row, some of them slow to commit,
    some never committed."""
    chance = random.Random(writer)
    try:
        for _ in range(SIZE // WRITERS):
            key = f"key {chance.randrange(KEYS)}"
            if chance.random() < 0.05:
                with transaction.atomic():
                    changed(topic, key)
                    transaction.set_rollback(True)
            with transaction.atomic():
                changed(topic, key)
                if chance.random() < 0.02:
                    pause(0.2)
            pause(chance.random() * 0.01)
    finally:
        connections.close_all()


def changed(topic: str, key: str) -> None:
    with connection.cursor() as cursor:
        # In place of the row that the key stands for.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [topic + key])
    number = OutEvent.objects.filter(topic=topic, key=key).count()
    emit(topic, key, data={"number": number})


def test_none_is_missing_and_each_key_is_in_order_whoever_is_killed(
    target: tuple[str, Target], topic: str, folder: Path, record_property: Record
) -> None:
    broker, place = target
    points = Points(folder / "points")
    publishers = Publishers(topic, broker, place.env, folder)
    waiting = OutEvent.objects.filter(topic=topic, sent_at=None)
    began = time.monotonic()
    kills: Counter[str] = Counter()
    with only(registry_of(topic)), ThreadPoolExecutor(WRITERS) as pool:
        try:
            publishers.start()
            writing = [pool.submit(write, topic, number) for number in range(WRITERS)]
            for _ in range(ROUNDS):
                for point in POINTS:
                    points.arm(point)
                    emit(topic, "one more")
                    victim = points.wait(point, timeout=PATIENCE)
                    publishers.kill9(victim)
                    points.release(point)
                    kills["publisher"] += 1
                    place.server.signal(signal.SIGKILL)
                    emit(topic, "one more")
                    # It has noticed.
                    eventually(waiting.exclude(error="").exists, timeout=PATIENCE)
                    place.server.kill()
                    place.server.start()
                    kills["broker"] += 1
            for one in writing:
                one.result()
            eventually(lambda: not waiting.exists(), timeout=PATIENCE, every=0.5)
            publishers.end()
        except BaseException:
            print(publishers.logs())
            raise
        finally:
            publishers.kill()
            connections.close_all()
    seconds = time.monotonic() - began
    partitions = place.read(topic)
    repeated = proved(topic, partitions)
    came_to = f"{repeated} repeated, {dict(kills)} killed, {seconds:.0f} s"
    record_property("table", ["Events", f"{broker}: {SIZE}", "in order", came_to])


def proved(topic: str, partitions: Sequence[Sequence[Got]]) -> int:
    """Compare what readers have with what was written; return how many came again."""
    rows = OutEvent.objects.filter(topic=topic).order_by("position")
    written = {str(row.event_id): row for row in rows}
    assert len(written) == SIZE + 2 * 2 * ROUNDS
    assert [row.position for row in rows] == list(range(1, len(written) + 1))
    first_seen: dict[str, list[int]] = {}
    seen: set[str] = set()
    for partition in partitions:
        places: list[int] = []
        for got in partition:
            row = written[got.event_id]
            assert (got.key, got.body) == (row.key, row.body.encode())
            assert row.position is not None
            places.append(row.position)
            if got.event_id not in seen:
                seen.add(got.event_id)
                number = json.loads(got.body)["data"].get("number", -1)
                first_seen.setdefault(got.key, []).append(number)
        # Forward by one, or back to an earlier one and on from there.
        order = {place: number for number, place in enumerate(sorted(set(places)))}
        steps = pairwise(places)
        assert all(order[after] <= order[before] + 1 for before, after in steps)
    assert seen == set(written), "some are missing"
    more = first_seen.pop("one more")
    assert len(more) == 2 * 2 * ROUNDS
    assert len(first_seen) == KEYS
    for key, numbers in first_seen.items():
        assert numbers == list(range(len(numbers))), key
    return sum(len(partition) for partition in partitions) - len(written)
