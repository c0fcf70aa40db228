import uuid

import pytest
from channels.layers import channel_layers
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import override_settings

from apps.live import consumers, topics
from apps.live.consumers import LiveConsumer
from deploy.local.processes import free_port
from tests.approvals.world import opened, person, rule
from tests.live.sockets import Page, cookie_of, made, page, say
from tests.live.test_broadcast import layer_settings

#: Written out: the names of tests must be the same in every process of the session.
SOMEBODY = "0192f3a4-7c1e-7b6a-9d55-3f2b8a10c9de"

pytestmark = pytest.mark.django_db(transaction=True)

HELLO = {"topic": "hello"}


async def test_a_change_arrives_as_topic_id_and_version():
    async with page(await made(person, "reviewer", "first"), "inbox,home") as it:
        assert await it.frame() == HELLO
        say("inbox", "abc", 7)
        assert await it.frame() == {"topic": "inbox", "id": "abc", "version": 7}
        say("home")
        assert (await it.frame())["topic"] == "home"


async def test_a_decision_arrives_on_the_request_its_inbox_and_home():
    await made(rule)
    requester = await made(person, "requester")
    async with page(await made(person, "reviewer", "first"), "inbox,home") as it:
        assert await it.frame() == HELLO
        request = await made(opened, requester)
        frames = [await it.frame() for _ in range(2)]
    assert {frame["topic"] for frame in frames} == {"inbox", "home"}
    assert {(frame["id"], frame["version"]) for frame in frames} == {(str(request.pk), 1)}


async def test_only_what_was_asked_for_arrives():
    async with page(await made(person, "reviewer", "first"), "inbox") as it:
        assert await it.frame() == HELLO
        say("home")
        say(f"request:{uuid.uuid4()}")
        say("inbox", "the one")
        assert (await it.frame())["id"] == "the one"
        assert await it.receive_nothing()


async def test_without_a_login_the_socket_closes_with_4401():
    async with page(None, "inbox") as it:
        assert await it.close_code() == 4401


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "nonsense",
        "inbox:1",
        "request",
        "request:1",
        f"request:{SOMEBODY}%00",
        f"request:{SOMEBODY.upper()}",
        "inbox,nonsense",
        "%ff%fe",
        ",".join(f"request:{SOMEBODY[:-2]}{n:02d}" for n in range(21)),
    ],
)
async def test_an_unknown_topic_or_too_many_close_with_4400(wanted):
    async with page(await made(person, "reviewer", "first"), wanted) as it:
        assert await it.close_code() == 4400


async def test_a_forbidden_topic_is_refused_and_the_rest_is_watched():
    async with page(await made(person, "somebody"), "inbox,home") as it:
        assert await it.frame() == {"topic": "inbox", "error": "forbidden"}
        assert await it.frame() == HELLO
        say("inbox")
        say("home")
        assert (await it.frame())["topic"] == "home"


async def test_the_requester_watches_their_own_request_and_no_other():
    await made(rule)
    requester, other = await made(person, "requester"), await made(person, "other")
    request = await made(opened, requester)
    for who, allowed in ((requester, True), (other, False)):
        async with page(who, f"request:{request.pk}") as it:
            first = await it.frame()
            assert (first == HELLO) == allowed
            assert ("error" in first) != allowed


async def test_a_page_of_another_site_is_not_let_in():
    cookie = await cookie_of(await made(person, "reviewer", "first"))
    assert not await Page("inbox", cookie=cookie, origin="http://evil.example").open()


async def test_what_a_client_says_is_ignored():
    async with page(await made(person, "reviewer", "first"), "inbox") as it:
        assert await it.frame() == HELLO
        await it.send_input({"type": "websocket.receive", "text": "{not json"})
        await it.send_input({"type": "websocket.receive", "bytes": b"\x00\xff"})
        await it.send_input({"type": "websocket.receive", "text": '{"type": "live.changed"}'})
        say("inbox", "still here")
        assert (await it.frame())["id"] == "still here"


async def test_a_session_that_ends_closes_the_socket_within_the_interval(monkeypatch):
    monkeypatch.setattr(LiveConsumer, "check_seconds", 0.2)
    for end in ("logout", "password", "inactive"):
        user = await made(person, f"reviewer-{end}", "first")
        async with page(user, "inbox") as it:
            assert await it.frame() == HELLO
            if end == "logout":
                await Session.objects.all().adelete()
            elif end == "password":
                user.set_password("another")
                await user.asave()
            else:
                user.is_active = False
                await user.asave()
            assert await it.close_code() == 4401


async def test_no_frame_goes_to_a_session_that_has_ended(monkeypatch):
    monkeypatch.setattr(LiveConsumer, "check_before_frame_seconds", 0.0)
    async with page(await made(person, "reviewer", "first"), "inbox") as it:
        assert await it.frame() == HELLO
        await Session.objects.all().adelete()
        say("inbox")
        assert (await it.receive_output(timeout=60))["type"] == "websocket.close"


async def test_a_permission_that_is_taken_away_ends_the_topic(monkeypatch):
    monkeypatch.setattr(LiveConsumer, "check_seconds", 0.2)
    async with page(await made(person, "reviewer", "first"), "inbox,home") as it:
        assert await it.frame() == HELLO
        await Group.objects.all().adelete()
        assert await it.frame() == {"topic": "inbox", "error": "forbidden"}
        say("inbox")
        say("home")
        assert (await it.frame())["topic"] == "home"


async def test_while_redis_is_down_the_socket_closes_with_1013_and_no_traceback():
    user = await made(person, "reviewer", "first")
    with override_settings(CHANNEL_LAYERS=layer_settings(f"redis://127.0.0.1:{free_port()}/0")):
        channel_layers.backends.clear()
        async with page(user, "inbox") as it:
            assert await it.close_code() == 1013


async def test_a_database_that_does_not_answer_does_not_end_the_page(monkeypatch):
    async def down(_):
        raise OperationalError("the server closed the connection")

    user = await made(person, "reviewer", "first")
    monkeypatch.setattr(LiveConsumer, "check_before_frame_seconds", 0.0)
    async with page(user, "inbox") as it:
        assert await it.frame() == HELLO
        with monkeypatch.context() as outage:
            outage.setattr(consumers, "_logged_in", down)
            say("inbox", "in the outage")
            assert (await it.frame())["id"] == "in the outage"
        say("inbox", "after it")
        assert (await it.frame())["id"] == "after it"


async def test_topics_that_differ_never_share_a_group():
    names = ["inbox", "home", f"request:{uuid.uuid4()}", "budgets", "budget:a-b", "budget:a_b"]
    assert len({topics.group_name(name) for name in names}) == len(names)
