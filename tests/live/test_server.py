"""The same socket through a real server and a real client, as a browser meets it."""

import json
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from django.db import connection
from django.test import Client
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from apps.live import broadcast
from config.asgi import application
from deploy.local.processes import free_port
from tests.approvals.world import decide, opened, person, rule
from tests.support import eventually, patient, within

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def port() -> Iterator[int]:
    """uvicorn as production starts it, in a thread of the test: it shares the test's database."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(application, port=port, lifespan="off", log_level="warning")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    yield port
    server.should_exit = True
    thread.join(timeout=20)
    connection.close()


def browser(port: int, user, topics: str):
    cookie = ""
    if user:
        client = Client()
        client.force_login(user)
        cookie = f"sessionid={client.cookies['sessionid'].value}"
    return connect(
        f"ws://127.0.0.1:{port}/ws/live?topics={topics}",
        origin=f"http://127.0.0.1:{port}",
        additional_headers={"Cookie": cookie},
    )


def frame(page) -> dict:
    return json.loads(page.recv(timeout=patient(10)))


def test_a_decision_is_in_the_open_page_within_a_second_of_its_commit(port):
    rule()
    reviewer = person("reviewer", "first")
    request = opened(person("requester"))
    broadcast._publisher.drain(5)
    with browser(port, reviewer, f"inbox,request:{request.pk}") as page:
        assert frame(page) == {"topic": "hello"}
        decide(request, reviewer)
        with within(1):
            assert frame(page) == {"topic": "inbox", "id": str(request.pk), "version": 2}
            assert frame(page)["topic"] == f"request:{request.pk}"


@pytest.mark.parametrize(
    ("logged_in", "topics", "code"), [(False, "inbox", 4401), (True, "nonsense", 4400)]
)
def test_a_browser_sees_the_code_that_it_is_closed_with(port, logged_in, topics, code):
    user = person("reviewer", "first") if logged_in else None
    with browser(port, user, topics) as page, pytest.raises(ConnectionClosed) as closed:
        page.recv(timeout=patient(10))
    assert closed.value.rcvd.code == code
