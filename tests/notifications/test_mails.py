"""E-mails against a real mail server: sent once, whatever is killed, refused or away."""

import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, NotFound
from apps.notifications.mailer import absolute, compose, subject_of
from apps.notifications.models import Mail, Notification
from apps.notifications.services import mail_send_again, mails_deliver, notify, settings_put
from tests.notifications.conftest import LOUD, QUIET, MailServer, somebody
from tests.support import eventually

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db(transaction=True)


def tell(*people: Any, key: str = "event:1", kind: str = LOUD, **changes: Any) -> None:
    words = {"title": "It waits", "text": "For you.", "url": "/requests/1/", **changes}
    notify(key=key, recipients=people, kind=kind, **words)


def states() -> list[str]:
    return list(Mail.objects.order_by("pk").values_list("state", flat=True))


def due_now() -> None:
    Mail.objects.update(next_try_at=timezone.now())


# --- the ordinary --------------------------------------------------------------------------------
def test_a_message_is_sent_once_with_text_html_and_links(mail_server: MailServer) -> None:
    tell(somebody())
    assert mails_deliver() == 1
    assert mails_deliver() == 0
    (envelope,) = mail_server.taken
    assert envelope.mail_from == "noreply@countersign.example"
    assert envelope.rcpt_tos == ["ngozi@example.org"]
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert message["Subject"] == "It waits"
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    for link in (
        "https://countersign.example/requests/1/?from=email",
        "https://countersign.example/requests/1/?from=email&verdict=approve",
        "https://countersign.example/settings/notifications/",
    ):
        assert link in text
        assert link.replace("&", "&amp;") in html
    row = Mail.objects.get()
    assert (row.state, row.attempts, row.address) == ("sent", 1, "ngozi@example.org")
    assert row.sent_at is not None


def test_of_what_was_rolled_back_nobody_gets_a_mail(mail_server: MailServer) -> None:
    person = somebody()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        tell(person)
        _ = 1 / 0
    assert mails_deliver() == 0
    tell(person)
    tell(person)
    assert Mail.objects.count() == 1


def test_two_duties_at_once_send_each_message_once(mail_server: MailServer) -> None:
    tell(*(somebody(f"p{number}") for number in range(20)))

    def deliver(_: int) -> int:
        try:
            return mails_deliver(limit=6)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        while sum(threads.map(deliver, range(4))):
            pass
    assert set(states()) == {"sent"}
    assert sorted(e.rcpt_tos[0] for e in mail_server.taken) == sorted(
        f"p{number}@example.org" for number in range(20)
    )


def test_where_e_mail_is_off_there_is_no_row_and_the_site_still_tells(settings: Any) -> None:
    settings.EMAIL_ENABLED = False
    tell(somebody())
    assert (Mail.objects.count(), Notification.objects.count()) == (0, 1)


def test_what_waits_when_e_mail_is_switched_off_goes_on_waiting(
    mail_server: MailServer, settings: Any
) -> None:
    tell(somebody())
    settings.EMAIL_ENABLED = False
    assert (mails_deliver(), states()) == (0, ["pending"])


# --- who gets one --------------------------------------------------------------------------------
def test_without_an_address_inactive_or_unwanted_there_is_no_mail(mail_server: MailServer) -> None:
    nowhere, gone, quiet = somebody("a", email=""), somebody("b", is_active=False), somebody("c")
    settings_put(user=quiet, in_app=[LOUD], email=[])
    tell(nowhere, gone, quiet)
    assert Mail.objects.count() == 0
    tell(quiet, kind=QUIET, key="event:2")
    settings_put(user=quiet, in_app=[], email=[QUIET])
    tell(quiet, kind=QUIET, key="event:3")
    assert [mail.kind for mail in Mail.objects.all()] == [QUIET]
    assert not Notification.objects.filter(recipient=quiet, key__startswith="event:3").exists()


def test_what_is_not_wanted_any_more_when_its_turn_comes_is_dropped(
    mail_server: MailServer,
) -> None:
    left, changed, stays = somebody("a"), somebody("b"), somebody("c")
    tell(left, changed, stays)
    left.is_active = False
    left.save(update_fields=["is_active"])
    settings_put(user=changed, in_app=[], email=[])
    mails_deliver()
    assert states() == ["dropped", "dropped", "sent"]
    assert len(mail_server.taken) == 1


def test_somebody_who_was_never_saved_is_left_out(mail_server: MailServer) -> None:
    from apps.accounts.models import User

    tell(User(username="nobody", email="nobody@example.org"), somebody())
    assert Mail.objects.count() == Notification.objects.count() == 1


# --- what people write ---------------------------------------------------------------------------
HOSTILE = "Pay\r\nBcc: all@example.org\r\n\r\nhello\u2028\x00\x1b"


def test_a_title_cannot_become_headers_nor_a_text_the_end_of_the_message(
    mail_server: MailServer,
) -> None:
    tell(somebody(), title=HOSTILE, text="first\r\n.\r\nMAIL FROM:<x@y.z>\n.second\rthird")
    mails_deliver()
    (envelope,) = mail_server.taken
    message = message_from_bytes(envelope.content, policy=policy.default)
    assert message["Bcc"] is None
    assert message["Subject"].startswith("Pay Bcc: all@example.org hello")
    text = message.get_body(("plain",)).get_content()
    assert "\n.\nMAIL FROM:<x@y.z>\n.second\nthird" in text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "address",
    [
        "ngozi@example.org\nBcc: all@example.org",
        "ngozi@example.org, all@example.org",
        "<ngozi@example.org>\r\nDATA",
        "ngozi",
        "ng\u00f6zi@example.org",
        "a@b@c",
        # The encoding makes strasse.de of it, which is somebody else's.
        "ngozi@straße.de",
        '"ngozi\x01"@example.org',
    ],
)
def test_an_address_that_is_none_fails_and_reaches_nobody(
    mail_server: MailServer, address: str
) -> None:
    tell(somebody(email=address))
    mails_deliver()
    assert states() == ["failed"]
    assert mail_server.taken == []


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("/a/?b=1", "https://site.example/a/?b=1&from=email"),
        ("//evil.example/", "https://site.example/?from=email"),
        ("/\\evil.example/", "https://site.example/?from=email"),
        ("https://evil.example/", "https://site.example/?from=email"),
        ("javascript:alert(1)", "https://site.example/?from=email"),
    ],
)
def test_a_link_leads_to_this_site_only(settings: Any, path: str, link: str) -> None:
    settings.SITE_URL = "https://site.example"
    assert absolute(path, **{"from": "email"}) == link


def test_what_people_write_is_escaped_in_the_html(mail_server: MailServer) -> None:
    tell(somebody(), title="<script>alert(1)</script>", text="<b>bold</b>")
    message = compose(Mail.objects.get(), name="<i>", address="a@example.org")
    html = str(message.alternatives[0][0])
    assert "<script" not in html and "<b>" not in html and "<i>" not in html
    assert "<b>bold</b>" in message.body


def test_a_subject_is_never_empty_and_never_long() -> None:
    assert subject_of("\r\n ") == "A message"
    assert len(subject_of("x" * 999)) == 200


# --- servers that fail ---------------------------------------------------------------------------
def test_a_server_that_is_down_costs_time_and_nothing_else(mail_server: MailServer) -> None:
    mail_server.stop()
    tell(somebody("a"), somebody("b"))
    mails_deliver()
    assert states() == ["pending", "pending"]
    assert all(mail.next_try_at > timezone.now() and mail.error for mail in Mail.objects.all())
    assert mails_deliver() == 0  # not before its time
    mail_server.start()
    due_now()
    mails_deliver()
    assert states() == ["sent", "sent"]
    assert len(mail_server.taken) == 2


def test_after_days_without_a_server_a_message_is_given_up(mail_server: MailServer) -> None:
    mail_server.stop()
    tell(somebody())
    Mail.objects.update(created_at=timezone.now() - timedelta(days=4))
    mails_deliver()
    row = Mail.objects.get()
    assert (row.state, row.error.startswith("Given up")) == ("failed", True)


def test_a_refusal_for_good_fails_with_its_words_and_the_others_go_on(
    mail_server: MailServer,
) -> None:
    mail_server.on_rcpt = lambda a: "550 No such person" if a.startswith("a@") else "250 OK"
    mail_server.on_data = lambda e: (
        "554 Spam, we think" if e.rcpt_tos[0].startswith("b@") else "250 OK"
    )
    tell(somebody("a"), somebody("b"), somebody("c"))
    mails_deliver()
    assert states() == ["failed", "failed", "sent"]
    errors = list(Mail.objects.order_by("pk").values_list("error", flat=True))
    assert errors == ["550 No such person", "554 Spam, we think", ""]


def test_a_refusal_for_now_is_tried_again_later(mail_server: MailServer) -> None:
    mail_server.on_rcpt = lambda address: "451 Greylisted"
    tell(somebody())
    mails_deliver()
    assert states() == ["pending"]
    mail_server.on_rcpt = lambda address: "250 OK"
    due_now()
    mails_deliver()
    assert (states(), Mail.objects.get().attempts) == (["sent"], 2)


def test_a_connection_that_ends_after_the_message_leaves_it_unknown(
    mail_server: MailServer, settings: Any
) -> None:
    """A server that takes the message and dies before it answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    settings.EMAIL_PORT = listener.getsockname()[1]
    got = []

    def serve() -> None:
        for _ in range(2):
            link, _address = listener.accept()
            with link, link.makefile("rwb", buffering=0) as file:
                file.write(b"220 hello\r\n")
                for line in file:
                    got.append(line)
                    if line.strip() == b".":
                        break  # taken, and gone
                    if got[-1][:4].upper() not in (b"EHLO", b"MAIL", b"RCPT", b"DATA", b"QUIT"):
                        continue
                    file.write(b"354 go\r\n" if line.startswith(b"DATA") else b"250 ok\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    tell(somebody())
    mails_deliver()
    assert states() == ["unknown"]
    due_now()
    mails_deliver()
    assert states() == ["unknown"]
    assert got.count(b".\r\n") == 1
    listener.close()


def test_a_kill_in_the_middle_of_the_hand_over_sends_nothing_twice(
    mail_server: MailServer,
) -> None:
    """A process of its own is killed while the server holds its answer back."""
    held, let_go = threading.Event(), threading.Event()

    async def hold(server: Any, session: Any, envelope: Any) -> str:
        import asyncio

        mail_server.taken.append(envelope)
        held.set()
        await asyncio.to_thread(let_go.wait, 20)
        return "250 OK"

    mail_server.handle_DATA = hold  # type: ignore[method-assign]
    tell(somebody())
    process = sender(mail_server)
    try:
        assert held.wait(30), "the sender did not get to the message"
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.wait()
        let_go.set()
    assert states() == ["handing_over"]
    Mail.objects.update(leased_until=timezone.now())
    mails_deliver()
    assert states() == ["unknown"]
    assert len(mail_server.taken) == 1


def test_a_kill_before_the_message_was_handed_over_sends_it_later(
    mail_server: MailServer,
) -> None:
    held, let_go = threading.Event(), threading.Event()

    async def hold(server: Any, session: Any, envelope: Any, address: str, _: Any) -> str:
        import asyncio

        held.set()
        await asyncio.to_thread(let_go.wait, 20)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    ordinary = mail_server.handle_RCPT
    mail_server.handle_RCPT = hold  # type: ignore[method-assign]
    tell(somebody())
    process = sender(mail_server)
    try:
        assert held.wait(30), "the sender did not get to the recipient"
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.wait()
        let_go.set()
    assert states() == ["leased"]
    mail_server.handle_RCPT = ordinary  # type: ignore[method-assign]
    mails_deliver()
    assert states() == ["leased"]  # its lease runs
    Mail.objects.update(leased_until=timezone.now())
    mails_deliver()
    assert states() == ["sent"]
    assert len(mail_server.taken) == 1


def sender(server: MailServer) -> "subprocess.Popen[bytes]":
    """A process that sends what waits, on this test's database."""
    host = connection.settings_dict
    code = (
        "import django; django.setup();"
        "from apps.notifications.services import mails_deliver; mails_deliver()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": f"postgres://app@127.0.0.1:{host['PORT']}/{host['NAME']}",
            "EMAIL_URL": f"smtp://127.0.0.1:{server.port}",
            "EMAIL_TIMEOUT_SECONDS": "20",
        },
    )


def test_a_sender_whose_lease_was_lost_does_not_hand_over(mail_server: MailServer) -> None:
    tell(somebody())

    def steal(address: str) -> str:
        Mail.objects.update(lease="somebody-else")
        connections.close_all()
        return "250 OK"

    async def handle(server: Any, session: Any, envelope: Any, address: str, _: Any) -> str:
        import asyncio

        await asyncio.to_thread(steal, address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    mail_server.handle_RCPT = handle  # type: ignore[method-assign]
    mails_deliver()
    assert mail_server.taken == []
    assert Mail.objects.get().state == "leased"


# --- again, by a person ----------------------------------------------------------------------
def test_an_unknown_one_is_sent_again_by_a_person_with_the_same_message_id(
    mail_server: MailServer,
) -> None:
    admin = somebody("admin", is_superuser=True)
    tell(somebody())
    mails_deliver()
    Mail.objects.update(state="unknown")
    row = Mail.objects.get()
    mail_send_again(mail_id=row.pk, by=admin, reason="they did not get it")
    with pytest.raises(Conflict) as refused:
        mail_send_again(mail_id=row.pk, by=admin, reason="again")
    assert refused.value.code == "not_resendable"
    mails_deliver()
    first, second = (message_from_bytes(e.content)["Message-ID"] for e in mail_server.taken)
    assert first == second
    assert states() == ["sent"]
    outcomes = AuditEntry.objects.filter(action="mail.send_again").values_list("outcome", flat=True)
    assert sorted(outcomes) == ["done", "refused"]
    with pytest.raises(NotFound):
        mail_send_again(mail_id=10**12, by=admin, reason="?")


def test_the_relays_leader_sends_what_waits(mail_server: MailServer) -> None:
    """The whole way: a relay with the registered duties, in a loop of its own."""
    import asyncio

    from apps.engine.relay.relay import Relay
    from apps.notifications.leader_tasks import notification_duties

    tell(somebody())

    async def lead() -> None:
        stop = asyncio.Event()
        relay = Relay(name="test", leader_duties=notification_duties())
        running = asyncio.create_task(relay.run(stop))
        await asyncio.to_thread(eventually, lambda: mail_server.taken, 15)
        stop.set()
        await running

    try:
        asyncio.run(lead())
    finally:
        connections.close_all()
    eventually(lambda: states() == ["sent"])
