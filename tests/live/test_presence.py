"""Who looks at a request now: kept by the sockets, gone with them, and never in anybody's way."""

import asyncio
import time
import uuid

import pytest
from channels.layers import channel_layers
from django.conf import settings
from django.contrib.auth.models import Group
from django.test import override_settings
from redis import Redis

from apps.live import presence
from apps.live.consumers import LiveConsumer
from apps.live.presence import arrive, leave, present
from deploy.local.processes import free_port
from tests.approvals.world import opened, person, rule
from tests.live.sockets import made, page
from tests.live.test_broadcast import layer_settings
from tests.support import eventually_async, pause, within

HELLO = {"topic": "hello"}
database = pytest.mark.django_db(transaction=True)


@pytest.fixture
def topic() -> str:
    return f"request:{uuid.uuid4()}"


@pytest.fixture(autouse=True)
def _nothing_is_quiet():
    presence._redis.breaker.reset()


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(presence, "GATHER_SECONDS", 0.05)


def redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL)


# --- the books ------------------------------------------------------------------------------------
def test_somebody_counts_from_their_first_socket_to_their_last(topic):
    assert present(topic) == []
    assert arrive(topic, 7, "a") is True
    assert arrive(topic, 7, "b") is False
    assert arrive(topic, 7, "a") is False
    assert arrive(topic, 3, "c") is True
    assert present(topic) == [3, 7]
    assert leave(topic, 7, "a") is False
    assert leave(topic, 7, "b") is True
    assert leave(topic, 7, "b") is False
    assert present(topic) == [3]


def test_topics_are_kept_apart(topic):
    arrive(topic, 7, "a")
    assert present(f"request:{uuid.uuid4()}") == []


def test_who_was_killed_is_gone_after_their_time_and_the_next_sign_of_life_tells_it(
    topic, monkeypatch
):
    with monkeypatch.context() as short:
        short.setattr(presence, "PRESENT_SECONDS", 0.05)
        arrive(topic, 7, "killed")
    arrive(topic, 3, "alive")
    pause(0.06)
    assert present(topic) == [3]
    assert arrive(topic, 3, "alive") is True
    assert arrive(topic, 3, "alive") is False


def test_nothing_is_left_behind_for_ever(topic):
    arrive(topic, 7, "a")
    assert 0 < redis().ttl(f"{settings.LIVE_PREFIX}:present:{topic}") <= 46


def test_members_that_are_none_of_ours_are_passed_over(topic):
    redis().zadd(f"{settings.LIVE_PREFIX}:present:{topic}", {"x:y": time.time() + 9})
    arrive(topic, 7, "a")
    assert present(topic) == [7]


@pytest.mark.parametrize("address", ["redis://127.0.0.1:{port}/0", "redis://192.0.2.1:6379/0"])
def test_with_redis_down_nobody_is_shown_and_nobody_waits(topic, address):
    # One question finds out; for the next seconds nobody asks.
    with override_settings(REDIS_URL=address.format(port=free_port())), within(2):
        for _ in range(50):
            assert present(topic) == []
            assert arrive(topic, 7, "a") is False
            assert leave(topic, 7, "a") is False


def test_it_is_asked_again_once_the_quiet_time_is_over(topic, monkeypatch):
    arrive(topic, 7, "a")
    breaker = presence._redis.breaker
    monkeypatch.setattr(breaker, "seconds", 60)
    breaker.trip(settings.REDIS_URL)
    assert present(topic) == []
    monkeypatch.setattr(breaker, "seconds", 0)
    breaker.trip(settings.REDIS_URL)
    assert present(topic) == [7]


# --- the sockets ----------------------------------------------------------------------------------
@database
async def test_a_page_that_is_open_counts_until_it_is_closed(quick):
    await made(rule)
    requester = await made(person, "requester")
    request = await made(opened, requester)
    reviewer = await made(person, "reviewer", "first")
    topic = f"request:{request.pk}"
    async with page(reviewer, f"inbox,{topic}") as first:
        assert await first.frame() == HELLO
        await eventually_async(lambda: present(topic) == [reviewer.pk])
        async with page(requester, topic) as second:
            assert await second.frame() == HELLO
            await eventually_async(lambda: present(topic) == sorted([requester.pk, reviewer.pk]))
            # Both hear of it, as of any change: the page fetches its fragment again.
            assert await first.frame() == {"topic": topic, "id": str(request.pk), "version": 0}
        await eventually_async(lambda: present(topic) == [reviewer.pk])
    assert present(topic) == []
    assert present("inbox") == []


@database
async def test_who_may_not_see_the_request_is_neither_counted_nor_told(quick):
    await made(rule)
    request = await made(opened, await made(person, "requester"))
    topic = f"request:{request.pk}"
    async with page(await made(person, "outsider"), f"home,{topic}") as it:
        assert await it.frame() == {"topic": topic, "error": "forbidden"}
        assert await it.frame() == HELLO
        reviewer = await made(person, "reviewer", "first")
        async with page(reviewer, topic):
            await eventually_async(lambda: present(topic) == [reviewer.pk])
            assert await it.receive_nothing(timeout=0.3)


@database
async def test_who_loses_the_permission_stops_being_shown(quick, monkeypatch):
    monkeypatch.setattr(LiveConsumer, "check_seconds", 0.1)
    await made(rule)
    request = await made(opened, await made(person, "requester"))
    reviewer, topic = await made(person, "reviewer", "first"), f"request:{request.pk}"
    async with page(reviewer, topic) as it:
        assert await it.frame() == HELLO
        await eventually_async(lambda: present(topic) == [reviewer.pk])
        await Group.objects.all().adelete()
        await eventually_async(lambda: present(topic) == [])


@database
async def test_a_page_that_stays_open_keeps_counting(quick, monkeypatch):
    monkeypatch.setattr(presence, "PRESENT_SECONDS", 1.0)
    monkeypatch.setattr(presence, "REFRESH_SECONDS", 0.1)
    await made(rule)
    request = await made(opened, await made(person, "requester"))
    reviewer, topic = await made(person, "reviewer", "first"), f"request:{request.pk}"
    async with page(reviewer, topic) as it:
        assert await it.frame() == HELLO
        await eventually_async(lambda: present(topic) == [reviewer.pk])
        until = time.time() + 1.2
        key = f"{settings.LIVE_PREFIX}:present:{topic}"
        await eventually_async(lambda: redis().zcount(key, until, "+inf") == 1)


@database
async def test_thirty_who_come_at_once_are_told_about_in_few_messages(monkeypatch):
    monkeypatch.setattr(presence, "GATHER_SECONDS", 0.5)
    await made(rule)
    requester = await made(person, "requester")
    request = await made(opened, requester)
    topic = f"request:{request.pk}"
    async with page(requester, topic) as it:
        assert await it.frame() == HELLO
        await it.frame()  # the requester's own coming
        await asyncio.gather(*(presence.socket_arrive(topic, 1000 + n, f"s{n}") for n in range(30)))
        assert (await it.frame())["topic"] == topic
        assert await it.receive_nothing(timeout=0.3)
        assert len(present(topic)) == 31


@database
async def test_while_redis_is_down_the_socket_still_ends_as_before():
    user = await made(person, "reviewer", "first")
    await made(rule)
    request = await made(opened, await made(person, "requester"))
    dead = f"redis://127.0.0.1:{free_port()}/0"
    with override_settings(CHANNEL_LAYERS=layer_settings(dead), REDIS_URL=dead):
        channel_layers.backends.clear()
        async with page(user, f"request:{request.pk}") as it:
            assert await it.close_code() == 1013


@database
async def test_a_page_is_live_while_only_presence_cannot_be_kept():
    await made(rule)
    request = await made(opened, await made(person, "requester"))
    topic = f"request:{request.pk}"
    with override_settings(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0"):
        async with page(await made(person, "reviewer", "first"), topic) as it:
            assert await it.frame() == HELLO
            assert present(topic) == []
