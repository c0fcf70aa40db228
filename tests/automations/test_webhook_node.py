"""`webhook`: what is sent, how it is signed, and what counts as delivered."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from apps.automations.checking import issues_of
from apps.notifications.signing import secret_new
from apps.simulators.echo import EchoSink
from apps.simulators.http import Answer
from apps.simulators.webhooks import WebhookSink, verify
from tests.automations.drawing import graph, node
from tests.automations.effects import refused, told, tried
from tests.simulators.running import Recorder, running


@pytest.fixture(autouse=True)
def _here(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1"}
    settings.AUTOMATIONS_WEBHOOK_SECRETS = [secret_new()]


@pytest.fixture
def sink(settings: Any) -> Iterator[tuple[str, WebhookSink]]:
    """A receiver that checks signatures."""
    receiver = WebhookSink()
    (receiver.secret,) = settings.AUTOMATIONS_WEBHOOK_SECRETS
    with running({"webhooks": receiver.answer}) as url:
        yield f"{url}/webhooks/sink", receiver


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with running({"echo": EchoSink().answer}) as url:
        yield f"{url}/echo"


def test_the_payload_is_signed_as_our_own_webhooks_are(sink: tuple[str, WebhookSink]) -> None:
    url, receiver = sink
    payload = {"type": "order", "order": "{{ params.order }}", "text": "für {{ inputs.who }}"}
    output = tried("webhook", url=url, payload=payload, params={"order": 7}, inputs={"who": "Zoë"})
    (message,) = receiver.heard
    assert message["verified"] is True
    assert message["body"] == {"type": "order", "order": 7, "text": "für Zoë"}
    assert output == {
        "delivered": True,
        "status": 200,
        "answer": {"taken": message["id"]},
        "attempts": 1,
    }


def test_a_message_has_the_same_id_and_key_at_every_try_and_another_for_another_effect() -> None:
    recorder = Recorder()
    with running({"it": recorder.answer}) as url:
        for number in (1, 2):
            output = tried("webhook", url=f"{url}/it", payload={}, number=number)
            assert output["attempts"] == number
        tried("webhook", url=f"{url}/it", payload={}, key="exec-2:node")
    ids = [request.headers["webhook-id"] for request in recorder.heard]
    keys = [request.headers["idempotency-key"] for request in recorder.heard]
    assert ids[0] == ids[1] != ids[2]
    assert keys == ["exec-1:node", "exec-1:node", "exec-2:node"]


def test_while_there_are_two_secrets_both_sign(settings: Any) -> None:
    old, new = secret_new(), secret_new()
    settings.AUTOMATIONS_WEBHOOK_SECRETS = [new, old]
    recorder = Recorder()
    with running({"it": recorder.answer}) as url:
        tried("webhook", url=f"{url}/it", payload=[1])
    (request,) = recorder.heard
    assert verify(request, secret=old, now=time.time())
    assert verify(request, secret=new, now=time.time())
    assert not verify(request, secret=secret_new(), now=time.time())


@pytest.mark.parametrize(
    ("payload", "body"),
    [(None, b"{}"), ([1, "ü"], '[1,"ü"]'.encode()), ("text", b'"text"'), (False, b"false")],
)
def test_the_payload_is_json_whatever_it_is(payload: Any, body: bytes) -> None:
    recorder = Recorder()
    with running({"it": recorder.answer}) as url:
        tried("webhook", url=f"{url}/it", payload=payload, method="put")
    (request,) = recorder.heard
    assert (request.method, request.body) == ("PUT", body)
    assert request.headers["content-type"] == "application/json"


def test_the_answer_is_told() -> None:
    recorder = Recorder()
    recorder.says = Answer(202, "taken", content_type="text/plain")
    with running({"it": recorder.answer}) as url:
        output = tried("webhook", url=f"{url}/it", payload={})
    assert output == {"delivered": True, "status": 202, "answer": "taken", "attempts": 1}


def test_a_redirect_delivers_nothing(echo: str) -> None:
    output = tried("webhook", url=f"{echo}?status=302&location=http://127.0.0.1:9/", payload={})
    assert (output["delivered"], output["status"]) == (False, 302)


def test_a_refusal_is_final_and_an_outage_is_tried_again(echo: str) -> None:
    assert told("webhook", url=f"{echo}?status=410") == ("Invalid", "call_refused")
    assert told("webhook", url=f"{echo}?status=429") == ("Unavailable", "call_unavailable")
    data = {"url": f"{echo}?status=503&times=2", "key": "exec-3:n"}
    for _ in range(2):
        assert told("webhook", **data) == ("Unavailable", "call_unavailable")
    assert tried("webhook", **data, number=3)["attempts"] == 3


def test_five_megabytes_are_too_much(echo: str) -> None:
    assert told("webhook", url=f"{echo}?size=5000000") == ("Invalid", "output_too_large")


def test_without_a_key_nothing_is_sent_and_the_checker_says_so(settings: Any) -> None:
    settings.AUTOMATIONS_WEBHOOK_SECRETS = []
    recorder = Recorder()
    with running({"it": recorder.answer}) as url:
        error = refused("webhook", url=f"{url}/it", payload={})
    assert (error.code, recorder.heard) == ("webhook_not_configured", [])
    definition = graph("a", a=node("webhook", url="https://example.org/"))
    (issue,) = issues_of(definition)
    assert (issue.code, issue.node, issue.path) == ("webhook_not_configured", "a", "/nodes/0")
    assert "AUTOMATIONS_WEBHOOK_SECRET" in issue.hint
    settings.AUTOMATIONS_WEBHOOK_SECRETS = [secret_new()]
    assert issues_of(definition) == []
