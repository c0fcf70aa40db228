"""Events for programs: signed, once per endpoint, tried again, none holding up another."""

import asyncio
import base64
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from apps.notifications import kinds, services
from apps.notifications.leader_tasks import Webhooks
from apps.notifications.models import Notification, WebhookDelivery, WebhookEndpoint
from apps.notifications.services import webhook_delivery
from tests.notifications.conftest import Receiver, somebody
from tests.notifications.test_safe_http import answering_raw
from tests.support import patient, pause, within

pytestmark = pytest.mark.django_db(transaction=True)

EVENT = "test.happened"
kinds.register_event(EVENT, _("Something happened in a test"))


@pytest.fixture
def admin() -> User:
    return somebody("admin", is_superuser=True)


def made(admin: User, url: str, **changes: Any) -> tuple[WebhookEndpoint, str]:
    words = {"events": [EVENT], **changes}
    return services.webhook_create(url=url, by=admin, via="api", **words)


def publish(key: str = "k:1", **body: Any) -> None:
    services.event_publish(key=key, event=EVENT, body={"id": "1", **body})


def post_all(limit: int = 10) -> int:
    """What the duty does, in this thread; how many were tried."""
    claimed = services.deliveries_claim(limit=limit)
    for number in claimed:
        services.delivery_post(delivery_id=number)
    return len(claimed)


def due_now() -> None:
    now = timezone.now()
    WebhookDelivery.objects.filter(state="pending").update(next_try_at=now)
    WebhookEndpoint.objects.update(not_before=None)


def states() -> list[str]:
    return list(WebhookDelivery.objects.order_by("pk").values_list("state", flat=True))


def signed_by(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver checks it, from the specification and not from our code."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mine = "v1," + base64.b64encode(hmac.new(key, content, sha256).digest()).decode()
    return mine in headers["webhook-signature"].split(" ")


# --- sending -------------------------------------------------------------------------------------
def test_an_event_arrives_once_signed_and_complete(admin: User, receiver: Receiver) -> None:
    endpoint, secret = made(admin, receiver.url())
    publish(title="Zoë")
    publish(title="Zoë")
    assert post_all() == 1
    assert post_all() == 0
    ((path, headers, body),) = receiver.heard
    assert (path, headers["content-type"]) == ("/hook", "application/json")
    assert signed_by(secret, headers, body)
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 30
    document = json.loads(body)
    assert document["id"] == headers["webhook-id"]
    assert (document["type"], document["data"]) == (EVENT, {"id": "1", "title": "Zoë"})
    row = WebhookDelivery.objects.get()
    assert (row.state, row.status, row.answer, row.attempts) == ("delivered", 200, "ok", 1)
    endpoint.refresh_from_db()
    assert endpoint.last_success_at is not None


def test_only_active_endpoints_that_ask_for_the_event_get_it(
    admin: User, receiver: Receiver
) -> None:
    kinds.register_event("test.other", "Something else")
    made(admin, receiver.url("/other"), events=["test.other"])
    off, _ = made(admin, receiver.url("/off"))
    services.webhook_switch(endpoint_id=off.pk, active=False, reason="?", by=admin, via="api")
    made(admin, receiver.url("/all"), events=["*"])
    made(admin, receiver.url("/this"))
    publish()
    post_all()
    assert sorted(path for path, _, _ in receiver.heard) == ["/all", "/this"]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.heard}) == 1


def test_of_what_was_rolled_back_no_program_hears(admin: User, receiver: Receiver) -> None:
    made(admin, receiver.url())
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        publish()
        _ = 1 / 0
    assert states() == []


def test_publishing_costs_one_query_whoever_listens(
    admin: User, receiver: Receiver, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        publish()
    for number in range(3):
        made(admin, receiver.url(f"/{number}"))
    with django_assert_num_queries(1):
        publish(key="k:2")
    assert WebhookDelivery.objects.count() == 3


def test_eight_senders_at_once_send_each_delivery_once(admin: User, receiver: Receiver) -> None:
    for number in range(4):
        made(admin, receiver.url(f"/{number}"))
    for number in range(6):
        publish(key=f"k:{number}")

    def send(_: int) -> int:
        try:
            return post_all(limit=3)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        while sum(threads.map(send, range(8))):
            pass
    assert set(states()) == {"delivered"}
    heard = [(path, headers["webhook-id"]) for path, headers, _ in receiver.heard]
    assert len(heard) == len(set(heard)) == 24


# --- receivers that fail -------------------------------------------------------------------------
def test_a_failure_is_tried_again_later_with_the_same_id(admin: User, receiver: Receiver) -> None:
    endpoint, secret = made(admin, receiver.url())
    receiver.answer = lambda path: (503, {}, b"down for lunch")
    publish()
    post_all()
    row = WebhookDelivery.objects.get()
    assert (row.state, row.status, row.answer) == ("pending", 503, "down for lunch")
    assert row.next_try_at > timezone.now()
    assert post_all() == 0
    receiver.answer = lambda path: (204, {}, b"")
    due_now()
    post_all()
    assert states() == ["delivered"]
    (_, first, body), (_, second, again) = receiver.heard
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert signed_by(secret, second, again)
    endpoint.refresh_from_db()
    assert (endpoint.failures, endpoint.not_before) == (0, None)


def test_after_its_time_it_is_failed_and_its_maker_is_told_once_a_day(
    admin: User, receiver: Receiver
) -> None:
    made(admin, receiver.url())
    receiver.answer = lambda path: (500, {}, b"")
    for number in range(3):
        publish(key=f"k:{number}")
    WebhookDelivery.objects.update(give_up_at=timezone.now())
    while post_all():
        due_now()
    assert set(states()) == {"failed"}
    assert Notification.objects.get().kind == "webhook.failed"


def test_a_receiver_that_answers_no_http_is_given_up_in_the_end(admin: User, settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1", "localhost"}
    settings.WEBHOOK_TIMEOUT_SECONDS = 1.0
    with answering_raw(b"HTTP/1.1 \x00\x00\r\n\r\n") as port:
        made(admin, f"http://127.0.0.1:{port}/hook")
        publish()
        WebhookDelivery.objects.update(give_up_at=timezone.now())
        post_all()
    row = WebhookDelivery.objects.get()
    assert row.state == "failed"
    assert "RemoteProtocolError" in row.error
    assert Notification.objects.get().kind == "webhook.failed"


def test_what_nobody_thought_of_is_a_failure_like_any_other(
    admin: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(admin, receiver.url())
    publish()

    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("a\x00b\ud800")

    monkeypatch.setattr(webhook_delivery, "post", breaks)
    post_all()
    row = WebhookDelivery.objects.get()
    assert (row.state, row.error) == ("pending", "RuntimeError: a b")
    assert row.next_try_at > timezone.now()


def test_gone_switches_the_endpoint_off(admin: User, receiver: Receiver) -> None:
    endpoint, _ = made(admin, receiver.url())
    receiver.answer = lambda path: (410, {}, b"")
    publish()
    post_all()
    endpoint.refresh_from_db()
    assert (endpoint.active, endpoint.why_inactive) == (False, "It answered 410 Gone.")
    assert states() == ["failed"]


def test_a_redirect_is_not_followed(admin: User, receiver: Receiver) -> None:
    made(admin, receiver.url())
    receiver.answer = lambda path: (307, {"Location": receiver.url("/elsewhere")}, b"")
    publish()
    post_all()
    assert [path for path, _, _ in receiver.heard] == ["/hook"]
    assert "redirects are not followed" in WebhookDelivery.objects.get().error


def test_a_receiver_that_hangs_or_drips_is_cut_off(admin: User, settings: Any) -> None:
    """Headers byte by byte: each read is quick, the whole never ends."""
    import socket
    import threading

    settings.OUTBOUND_ALLOWED_HOSTS = {"127.0.0.1", "localhost"}
    settings.WEBHOOK_TIMEOUT_SECONDS = 0.6
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        link, _ = listener.accept()
        with link:
            try:
                link.sendall(b"HTTP/1.1 200 OK\r\n")
                for _ in range(100):
                    link.sendall(b"X: y\r\n")
                    pause(0.1)
            except OSError:
                pass

    threading.Thread(target=drip, daemon=True).start()
    made(admin, f"http://127.0.0.1:{listener.getsockname()[1]}/")
    publish()
    with within(5):
        post_all()
    assert WebhookDelivery.objects.get().error == "No whole answer within 0.6 s."
    listener.close()


def test_a_huge_answer_is_read_only_at_its_beginning(admin: User, receiver: Receiver) -> None:
    made(admin, receiver.url())
    receiver.answer = lambda path: (200, {}, b"a\0" * 5_000_000)
    publish()
    post_all()
    row = WebhookDelivery.objects.get()
    assert (row.state, len(row.answer)) == ("delivered", 2048)


def test_a_dead_endpoint_holds_up_no_other(admin: User, receiver: Receiver) -> None:
    made(admin, receiver.url("/dead"))
    made(admin, receiver.url("/well"))

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if path == "/dead":
            receiver.let_go.wait(patient(30))
        return 200, {}, b""

    receiver.answer = answer
    for number in range(12):
        publish(key=f"k:{number}")

    async def work() -> None:
        duty = Webhooks()
        deadline = time.monotonic() + patient(20)
        while time.monotonic() < deadline:
            await duty(None)  # type: ignore[arg-type]
            delivered = await asyncio.to_thread(delivered_well)
            if delivered == 12:
                return
        raise AssertionError("the well endpoint waited for the dead one")

    def delivered_well() -> int:
        try:
            return WebhookDelivery.objects.filter(
                state="delivered", endpoint__url__endswith="/well"
            ).count()
        finally:
            connections.close_all()

    asyncio.run(work())
    receiver.let_go.set()
    assert len([path for path, _, _ in receiver.heard if path == "/dead"]) <= 4


def test_what_a_dead_sender_had_in_hand_is_sent_again(admin: User, receiver: Receiver) -> None:
    made(admin, receiver.url())
    publish()
    assert len(services.deliveries_claim(limit=5)) == 1  # and the sender dies here
    assert post_all() == 0
    WebhookDelivery.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert post_all() == 1
    assert states() == ["delivered"]


# --- secrets and endpoints -----------------------------------------------------------------------
def test_after_a_rotation_both_secrets_sign_for_a_day(admin: User, receiver: Receiver) -> None:
    endpoint, old = made(admin, receiver.url())
    _, new = services.webhook_rotate(endpoint_id=endpoint.pk, by=admin, via="api")
    publish()
    post_all()
    (_, headers, body) = receiver.heard[0]
    assert signed_by(old, headers, body) and signed_by(new, headers, body)
    WebhookEndpoint.objects.update(previous_until=timezone.now())
    publish(key="k:2")
    post_all()
    (_, headers, body) = receiver.heard[1]
    assert signed_by(new, headers, body) and not signed_by(old, headers, body)


def test_the_database_alone_does_not_hold_the_secret(admin: User, receiver: Receiver) -> None:
    endpoint, secret = made(admin, receiver.url())
    bare = secret.removeprefix("whsec_")
    assert bare not in endpoint.secret_sealed
    assert bare not in json.dumps(list(AuditEntry.objects.values_list("body", flat=True)))


def test_under_another_secret_key_it_waits_and_says_why(
    admin: User, receiver: Receiver, settings: Any
) -> None:
    made(admin, receiver.url())
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-key-" + "x" * 50
    publish()
    post_all()
    assert receiver.heard == []
    assert "SECRET_KEY" in WebhookDelivery.objects.get().error
    settings.SECRET_KEY_FALLBACKS = [old]
    due_now()
    post_all()
    assert states() == ["delivered"]


def test_a_test_message_goes_to_its_endpoint_alone(admin: User, receiver: Receiver) -> None:
    endpoint, _ = made(admin, receiver.url("/one"))
    made(admin, receiver.url("/two"), events=["*"])
    message = services.webhook_ping(endpoint_id=endpoint.pk, by=admin, via="api")
    post_all()
    ((path, headers, body),) = receiver.heard
    assert (path, headers["webhook-id"], json.loads(body)["type"]) == (
        "/one",
        message,
        "webhook.ping",
    )


def test_a_deleted_endpoint_hears_nothing_and_is_not_found(admin: User, receiver: Receiver) -> None:
    endpoint, _ = made(admin, receiver.url())
    publish()
    services.webhook_delete(endpoint_id=endpoint.pk, by=admin, via="api")
    publish(key="k:2")
    assert post_all() == 0
    assert states() == ["failed"]
    endpoint.refresh_from_db()
    assert endpoint.secret_sealed == ""
    with pytest.raises(NotFound):
        services.webhook_ping(endpoint_id=endpoint.pk, by=admin, via="api")


def test_a_delivery_is_sent_again_by_a_person(admin: User, receiver: Receiver) -> None:
    made(admin, receiver.url())
    publish()
    post_all()
    row = WebhookDelivery.objects.get()
    services.delivery_redeliver(delivery_id=row.pk, by=admin, reason="they lost it")
    post_all()
    assert len({headers["webhook-id"] for _, headers, _ in receiver.heard}) == 1
    assert len(receiver.heard) == 2
    with pytest.raises(NotAllowed):
        services.delivery_redeliver(delivery_id=row.pk, by=somebody(), reason="?")
    WebhookEndpoint.objects.update(active=False)
    with pytest.raises(Conflict) as refused:
        services.delivery_redeliver(delivery_id=row.pk, by=admin, reason="?")
    assert refused.value.code == "webhook_inactive"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"url": ""}, "bad_url"),
        ({"url": "ftp://example.org/"}, "bad_url"),
        ({"url": "https://user:pass@example.org/"}, "bad_url"),
        ({"url": "https://example.org/#x"}, "bad_url"),
        ({"url": "https://example.org:99999/"}, "bad_url"),
        ({"url": "https://example.org/\r\nHost: x"}, "bad_url"),
        ({"url": "https://example.org/ü"}, "bad_url"),
        ({"url": "https://" + "a" * 600}, "bad_url"),
        ({"url": "https://[::1"}, "bad_url"),
        ({"events": []}, "event_required"),
        ({"events": ["no.such"]}, "unknown_event"),
        ({"events": ["\0"]}, "unknown_event"),
        ({"description": "\0"}, "invalid_text"),
    ],
)
def test_nonsense_is_refused_with_a_code_and_audited(
    admin: User, changes: dict[str, Any], code: str
) -> None:
    words = {"url": "https://example.org/hook", "events": [EVENT], **changes}
    with pytest.raises(Invalid) as refused:
        services.webhook_create(by=admin, via="api", **words)
    assert refused.value.code == code
    assert AuditEntry.objects.get().code == code
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize("verb", ["create", "rotate", "ping", "delete", "switch"])
def test_without_the_permission_nothing_is_done_and_it_is_audited(
    admin: User, receiver: Receiver, verb: str
) -> None:
    endpoint, _ = made(admin, receiver.url())
    before = WebhookEndpoint.objects.values().get()
    who: dict[str, Any] = {"by": somebody(), "via": "api"}
    verbs: dict[str, Any] = {
        "create": lambda: services.webhook_create(url="https://a.example/", events=["*"], **who),
        "rotate": lambda: services.webhook_rotate(endpoint_id=endpoint.pk, **who),
        "ping": lambda: services.webhook_ping(endpoint_id=endpoint.pk, **who),
        "delete": lambda: services.webhook_delete(endpoint_id=endpoint.pk, **who),
        "switch": lambda: services.webhook_switch(
            endpoint_id=endpoint.pk, active=False, reason="", **who
        ),
    }
    with pytest.raises(DomainError) as refused:
        verbs[verb]()
    assert refused.value.code == "permission_denied"
    assert WebhookEndpoint.objects.values().get() == before
    assert AuditEntry.objects.filter(outcome="refused", code="permission_denied").count() == 1
