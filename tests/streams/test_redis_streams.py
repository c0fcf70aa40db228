"""The Redis source against a real server."""

import time
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from apps.streams.records import BrokerAway
from apps.streams.redis_streams import RedisSource


@pytest.fixture
def redis() -> Any:
    with Redis.from_url(settings.REDIS_URL) as client:
        yield client


def source(topic: str, name: str = "one", idle: float = 30.0) -> RedisSource:
    return RedisSource(
        url=settings.REDIS_URL, group="g", topics=[topic], name=name, idle_seconds=idle
    )


def test_a_new_group_reads_from_the_beginning(redis: Any, topic: str) -> None:
    for number in range(30):
        redis.xadd(topic, {"value": b"%d" % number, "key": b"k", "h": b"\xff"})
    one = source(topic)
    assert one.lag() == 30
    records = one.poll(0.1) or one.poll(0.1)
    assert [int(record.value or b"-1") for record in records] == list(range(30))
    assert (records[0].key, records[0].headers) == (b"k", (("h", b"\xff"),))
    assert records[0].sent_at is not None and records[0].source == "redis"
    one.done(records)
    assert one.lag() == 0
    assert one.poll(0.05) == []
    one.close()
    assert redis.xinfo_consumers(topic, "g") == []


def test_what_a_killed_reader_had_in_hand_is_taken_over(redis: Any, topic: str) -> None:
    for number in range(50):
        redis.xadd(topic, {"value": b"%d" % number})
    killed = source(topic, "killed")
    assert len(killed.poll(0.1) or killed.poll(0.1)) == 50
    other = source(topic, "other", idle=0.0)
    records = other.poll(0.1)
    assert len(records) == 50
    other.done(records)
    assert other.lag() == 0


def test_what_came_first_is_read_first_although_its_reader_was_killed(
    redis: Any, topic: str
) -> None:
    for number in range(5):
        redis.xadd(topic, {"value": b"%d" % number})
    killed = source(topic, "killed")
    assert len(killed.poll(0.1) or killed.poll(0.1)) == 5
    for number in range(5, 8):
        redis.xadd(topic, {"value": b"%d" % number})
    other = source(topic, "other", idle=2.5)
    found: list[bytes] = []
    began = time.monotonic()
    while len(found) < 8 and time.monotonic() - began < 30:
        records = other.poll(0.1)
        found += [record.value or b"" for record in records]
        other.done(records)
    assert found == [b"%d" % number for number in range(8)]


def test_a_trimmed_entry_that_nobody_finished_is_let_go(redis: Any, topic: str) -> None:
    for number in range(3):
        redis.xadd(topic, {"value": b"%d" % number})
    killed = source(topic, "killed")
    records = killed.poll(0.1) or killed.poll(0.1)
    redis.xdel(topic, records[1].offset)
    other = source(topic, "other", idle=0.0)
    taken = other.poll(0.1)
    assert [record.value for record in taken] == [b"0", b"2"]
    other.done(taken)
    assert other.lag() == 0


def test_a_reader_with_entries_in_hand_leaves_them_to_be_found(redis: Any, topic: str) -> None:
    redis.xadd(topic, {"value": b"1"})
    one = source(topic)
    assert one.poll(0.1) or one.poll(0.1)
    one.close()
    assert [row["pending"] for row in redis.xinfo_consumers(topic, "g")] == [1]
    again = source(topic)
    assert [record.value for record in again.poll(0.1)] == [b"1"]


def test_an_entry_without_a_value_has_none(redis: Any, topic: str) -> None:
    redis.xadd(topic, {"other": b"1"})
    one = source(topic)
    [record] = one.poll(0.1) or one.poll(0.1)
    assert record.value is None


def test_a_server_that_is_away_says_so(topic: str) -> None:
    one = RedisSource(url="redis://127.0.0.1:1/0", group="g", topics=[topic], name="one")
    with pytest.raises(BrokerAway):
        one.poll(0.1)
