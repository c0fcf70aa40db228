"""E-mails to people without a login, while servers and senders fail: as queued, never twice."""

import os
import signal
import threading
from datetime import timedelta
from smtplib import SMTP
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from apps.notifications.models import Mail
from apps.notifications.selectors import mails_about
from apps.notifications.services import (
    Attachment,
    mail_send_again,
    mails_deliver,
    notify,
)
from apps.notifications.signals import mail_changed
from tests.notifications.conftest import LOUD, MailServer, somebody
from tests.notifications.mail_world import PDF, PEOPLE, arrived, files_in, queued
from tests.notifications.test_mails import due_now, sender, states

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_server_that_is_away_costs_time_and_one_that_refuses_says_why(
    mail_server: MailServer,
) -> None:
    mail_server.stop()
    queued("1")
    queued("2", address="gone@example.org")
    mails_deliver()
    assert states() == ["pending", "pending"]
    mail_server.start()
    mail_server.on_rcpt = lambda a: "550 No such person" if a.startswith("gone") else "250 OK"
    due_now()
    mails_deliver()
    assert states() == ["sent", "failed"]
    assert [one.error for one in mails_about("booking", "b-1")] == ["550 No such person", ""]
    assert len(mail_server.taken) == 1


@pytest.mark.parametrize(("breaks_at", "state"), [(3, "pending"), (-1, "unknown")])
def test_a_connection_that_ends_in_the_middle_leaves_nothing_in_doubt_but_at_the_end_it_does(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, breaks_at: int, state: str
) -> None:
    """No server takes a message whose end it has not seen: it is sent again by itself."""
    queued(attachments=[Attachment("large.pdf", "application/pdf", os.urandom(400_000))])
    pieces: list[bytes] = []
    ordinary = SMTP.send

    def send(smtp: SMTP, content: Any) -> None:
        ordinary(smtp, content)
        if (isinstance(content, bytes) and len(content) > 1000) or content[-5:] == b"\r\n.\r\n":
            pieces.append(content)
            at_end = content.endswith(b"\r\n.\r\n")
            if at_end if breaks_at < 0 else len(pieces) == breaks_at:
                raise ConnectionResetError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(SMTP, "send", send)
        mails_deliver()
    assert states() == [state]
    if breaks_at < 0:
        return
    assert mail_server.taken == []
    due_now()
    mails_deliver()
    assert states() == ["sent"]
    assert len(files_in(arrived(mail_server))[0][2]) == 400_000


@pytest.mark.parametrize("held_at", ["RCPT", "DATA"])
def test_a_kill_sends_nothing_twice_and_what_was_not_handed_over_later(
    mail_server: MailServer, held_at: str
) -> None:
    """A process of its own is killed while the server holds its answer back."""
    held, let_go = threading.Event(), threading.Event()

    async def hold(server: Any, session: Any, envelope: Any, *more: Any) -> str:
        import asyncio

        if held_at == "DATA":
            mail_server.taken.append(envelope)
        held.set()
        await asyncio.to_thread(let_go.wait, 20)
        return "250 OK"

    ordinary = getattr(mail_server, f"handle_{held_at}")
    setattr(mail_server, f"handle_{held_at}", hold)
    queued()
    process = sender(mail_server)
    try:
        assert held.wait(30), "the sender did not get there"
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.wait()
        let_go.set()
    setattr(mail_server, f"handle_{held_at}", ordinary)
    Mail.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    mails_deliver()
    assert states() == ["unknown" if held_at == "DATA" else "sent"]
    assert len(mail_server.taken) == 1
    assert files_in(arrived(mail_server))[0][2] == PDF


def test_what_is_sent_again_by_a_person_is_what_was_queued(mail_server: MailServer) -> None:
    admin = somebody("admin", is_superuser=True)
    mail = queued()
    mails_deliver()
    Mail.objects.update(state="unknown")
    mail_send_again(mail_id=mail.pk, by=admin, reason="they did not get it")
    mails_deliver()
    first, second = arrived(mail_server, 0), arrived(mail_server, 1)
    assert first["Message-ID"] == second["Message-ID"]
    assert files_in(first) == files_in(second) == [(f"{PEOPLE}.pdf", "application/pdf", PDF)]


def test_the_app_of_the_subject_hears_what_becomes_of_a_mail_and_cannot_undo_it(
    mail_server: MailServer,
) -> None:
    heard: list[tuple[str, str, str, str]] = []

    def hear(sender: Any, **told: str) -> None:
        heard.append((told["subject_type"], told["subject_id"], told["key"], told["state"]))
        # What a receiver breaks is its own.
        Mail.objects.create(key="nonsense", title="?")

    mail_changed.connect(hear)
    try:
        notify(key="event:1", recipients=[somebody()], kind=LOUD, title="It waits")
        mail = queued()
        mails_deliver()
        Mail.objects.filter(pk=mail.pk).update(
            state="handing_over", lease="dead", leased_until=timezone.now() - timedelta(seconds=1)
        )
        mails_deliver()
        mail_send_again(mail_id=mail.pk, by=somebody("admin"), reason="?")
    finally:
        mail_changed.disconnect(hear)
        connections.close_all()
    about = ("booking", "b-1", "booking:1:confirmed")
    assert heard == [(*about, "sent"), (*about, "unknown"), (*about, "pending")]
    assert states() == ["sent", "pending"]
