import asyncio
import os
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from channels.layers import channel_layers, get_channel_layer
from django.db import connection, transaction
from django.test import override_settings

from apps.live import broadcast as module
from apps.live.broadcast import broadcast
from apps.live.topics import group_name
from deploy.local.processes import free_port
from deploy.local.servers import Valkey
from tests.live.sockets import say
from tests.support import eventually, eventually_async, patient


def layer_settings(url: str):
    return {
        "default": {
            "BACKEND": "apps.live.layer.ResilientPubSubLayer",
            "CONFIG": {"url": url, "prefix": "countersign"},
        }
    }


async def listening(topic: str):
    """A channel in the topic's group, on this test's event loop."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(group_name(topic), channel)
    return layer, channel


@pytest.mark.django_db(transaction=True)
async def test_a_message_is_sent_after_the_commit_and_never_after_a_rollback():
    layer, channel = await listening("home")

    def verb():
        with closing(connection), transaction.atomic():
            broadcast("home", id="committed", version=2)
            assert not module._publisher._pending
        with closing(connection), pytest.raises(RuntimeError), transaction.atomic():
            broadcast("home", id="rolled back", version=3)
            raise RuntimeError
        with closing(connection), transaction.atomic():
            broadcast("home", id="last", version=4)

    thread = threading.Thread(target=verb)
    thread.start()
    first = await layer.receive(channel)
    second = await layer.receive(channel)
    thread.join()
    assert first == {
        "type": "live.changed",
        "message": {"topic": "home", "id": "committed", "version": 2},
    }
    assert second["message"]["id"] == "last"


@pytest.mark.django_db(transaction=True)
async def test_a_hundred_messages_from_ten_threads_all_arrive():
    layer, channel = await listening("home")

    def verb(number: int):
        with closing(connection):
            for version in range(10):
                broadcast("home", id=str(number), version=version)

    threads = [threading.Thread(target=verb, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    seen = set()
    while len(seen) < 100:
        message = (await layer.receive(channel))["message"]
        seen.add((message["id"], message["version"]))
    for thread in threads:
        thread.join()
    assert [t.name for t in threading.enumerate()].count("live-broadcast") == 1


@pytest.mark.django_db(transaction=True)
async def test_what_waits_leaves_together_in_its_order(monkeypatch):
    """One after the other each message would wait for the thread's turn again."""
    layer, channel = await listening("home")
    taken = []
    send = module._Publisher._send

    async def counted(self, messages):
        taken.append(len(messages))
        await send(self, messages)

    monkeypatch.setattr(module._Publisher, "_send", counted)
    publisher = module._publisher
    loop = publisher.thread.loop()
    held = threading.Event()
    loop.call_soon_threadsafe(held.wait)  # the thread is busy, as it is while others run Python
    for version in range(7):
        publisher.publish({"topic": "home", "id": "x", "version": version})
    held.set()
    versions = [(await layer.receive(channel))["message"]["version"] for _ in range(7)]
    assert versions == list(range(7))
    assert taken == [7]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", ["down", "frozen", "unreachable"])
def test_a_redis_that_does_not_answer_costs_the_verb_nothing(state, folder: Path, caplog):
    address = f"redis://127.0.0.1:{free_port()}/0"
    valkey = None
    if state == "unreachable":
        address = "redis://192.0.2.1:6379/0"  # TEST-NET-1: packets go nowhere
    if state == "frozen":
        valkey = Valkey(
            data=folder / "valkey",
            port=free_port(),
            run_dir=folder / "run",
            log=folder / "valkey.log",
            durable=False,
        )
        valkey.start()
        address = valkey.url
        os.kill(valkey.popen.pid, 19)
    try:
        with override_settings(CHANNEL_LAYERS=layer_settings(address)):
            channel_layers.backends.clear()
            module._publisher._logged_at = 0.0
            broadcast("home", id="warm", version=0)  # the thread itself takes a moment to start
            taken = []
            for version in range(200):
                began = time.perf_counter()
                with transaction.atomic():
                    broadcast("home", id="x", version=version)
                taken.append(time.perf_counter() - began)
            # Waiting for Redis would cost every one of them; a busy machine, one now and then.
            assert sorted(taken)[190] < patient(0.05)
            assert max(taken) < patient(module.PUBLISH_SECONDS / 2)
            eventually(lambda: not module._publisher._pending, timeout=10)
            assert "live messages dropped" in caplog.text
    finally:
        if valkey:
            os.kill(valkey.popen.pid, 18)
            valkey.kill()


@pytest.mark.django_db(transaction=True)
def test_messages_do_not_pile_up_without_end(monkeypatch, folder):
    monkeypatch.setattr(module, "MOST_PENDING", 5)
    with override_settings(CHANNEL_LAYERS=layer_settings("redis://192.0.2.1:6379/0")):
        channel_layers.backends.clear()
        for version in range(50):
            broadcast("home", id="x", version=version)
        assert len(module._publisher._pending) <= 5
        eventually(lambda: not module._publisher._pending, timeout=10)


@pytest.mark.django_db(transaction=True)
async def test_it_works_again_once_redis_is_back(folder: Path):
    valkey = Valkey(
        data=folder / "valkey",
        port=free_port(),
        run_dir=folder / "run",
        log=folder / "valkey.log",
        durable=False,
    )
    with override_settings(CHANNEL_LAYERS=layer_settings(valkey.url)):
        channel_layers.backends.clear()
        say("home", "lost")
        valkey.start()
        try:
            layer, channel = await listening("home")

            async def arrives():
                say("home", "back")
                return (await layer.receive(channel))["message"]["id"] == "back"

            assert await eventually_async(arrives)
            await layer.flush()
        finally:
            valkey.kill()


@pytest.mark.django_db(transaction=True)
async def test_a_forked_child_sends_too():
    layer, channel = await listening("home")
    say("home", "parent")
    assert (await layer.receive(channel))["message"]["id"] == "parent"
    pid = os.fork()
    if pid == 0:
        try:
            module._publisher.publish({"topic": "home", "id": "child", "version": 1})
            module._publisher.drain(5)
        finally:
            os._exit(0)
    assert (await layer.receive(channel))["message"]["id"] == "child"
    os.waitpid(pid, 0)


@pytest.mark.django_db(transaction=True)
async def test_the_last_message_of_a_command_leaves_before_the_process_does():
    layer, channel = await listening("home")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import django; django.setup()\n"
        "from apps.live.broadcast import broadcast\n"
        "broadcast('home', id='last words', version=1)",
        # A name, not a number: resolving it takes more machinery than is there at the very end.
        env={**os.environ, "REDIS_URL": os.environ["REDIS_URL"].replace("127.0.0.1", "localhost")},
    )
    message = await asyncio.wait_for(layer.receive(channel), timeout=30)
    assert message["message"]["id"] == "last words"
    assert await child.wait() == 0


@pytest.mark.django_db
def test_a_topic_that_nobody_can_watch_is_logged_and_harms_nobody(caplog):
    for topic in ("nonsense", "request:1", "home:x", "request:a b\x00", ""):
        broadcast(topic, id="1", version=1)
    assert caplog.text.count("unknown topic") == 5
