"""E-mails to people without a login, with files: queued once, sent as they were queued."""

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pgtrigger
import pytest
from django.db import transaction

from apps.audit.models import AuditEntry
from apps.common.errors import Conflict
from apps.notifications import kinds, mailer
from apps.notifications.kinds import NotificationKind
from apps.notifications.models import Mail, MailContent
from apps.notifications.selectors import mails_about
from apps.notifications.services import (
    Attachment,
    mails_deliver,
    notify,
    settings_of,
)
from tests.notifications.conftest import LOUD, MailServer, somebody
from tests.notifications.mail_world import INVOICE, PDF, PEOPLE, arrived, files_in, queued, rows
from tests.notifications.test_mails import states
from tests.pseudo import LANGUAGE, spoken

pytestmark = pytest.mark.django_db(transaction=True)

#: Told while it is True.
TRUE = {"now": True}
RIDERS = "test.riders"
kinds.register(
    NotificationKind(RIDERS, "Riders", relevant=lambda key: TRUE["now"], in_settings=False)
)


@pytest.fixture(autouse=True)
def _true() -> Iterator[None]:
    TRUE["now"] = True
    yield


# --- what arrives --------------------------------------------------------------------------------
def test_a_mail_with_a_file_arrives_with_its_bytes_its_name_and_no_link_to_settings(
    mail_server: MailServer,
) -> None:
    mail = queued()
    assert mails_deliver() == 1
    assert mails_deliver() == 0
    (envelope,) = mail_server.taken
    assert envelope.rcpt_tos == ["adaeze@example.org"]
    message = arrived(mail_server)
    assert files_in(message) == [(f"{PEOPLE}.pdf", "application/pdf", PDF)]
    assert message["Subject"] == "Your seat to Ẹ̀kọ́"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    for kind in ("plain", "html"):
        said = message.get_body((kind,)).get_content()
        assert PEOPLE in said and "Adaeze Ọláyínká" in said
        assert "settings" not in said and "://" not in said
    mail.refresh_from_db()
    assert (mail.state, mail.attempts, mail.address) == ("sent", 1, "adaeze@example.org")
    (seen,) = mails_about("booking", "b-1")
    assert (seen.state, seen.files, seen.name) == ("sent", (f"{PEOPLE}.pdf",), "Adaeze Ọláyínká")
    assert seen.sent_at == mail.sent_at
    assert mails_about("booking", "b-2") == []


def test_files_of_every_kind_and_of_many_pieces_arrive_byte_for_byte(
    mail_server: MailServer,
) -> None:
    table = "Name;₦\r\nA;1\nB;2\r" + "x" * 3000
    files = [
        Attachment("manifest.csv", "text/csv", table.encode()),
        Attachment("note.txt", "text/plain", b"\xff\xfe.\r\n.\r\n"),
        Attachment("plan.json", "application/json", b"{}"),
        Attachment("large.pdf", "application/pdf", os.urandom(200_000)),
    ]
    queued(attachments=files)
    mails_deliver()
    expected = [(file.name, file.content_type, file.body) for file in files]
    assert files_in(arrived(mail_server)) == expected


@pytest.mark.parametrize("more", range(-6, 7))
def test_a_message_is_cut_into_pieces_but_never_in_its_end(
    more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer, "PIECE", 100)
    sent: list[bytes] = []

    class Line:
        def send(self, piece: bytes) -> None:
            sent.append(piece)

    content = b"x" * (300 + more) + b"\r\n.\r\n"
    last = mailer._begun(Line(), content)  # type: ignore[arg-type]
    assert b"".join([*sent, last]) == content
    assert last.endswith(b"\r\n.\r\n") and len(sent) in (2, 3)


def test_a_mail_is_in_its_language_and_else_in_the_sites(
    mail_server: MailServer, settings: Any
) -> None:
    with spoken(settings, by_all=False):
        queued("1", language=LANGUAGE)
        queued("2", language="tlh")
        queued("3", language="x" * 600)
        mails_deliver()
    feet = [
        arrived(mail_server, number).get_body(("plain",)).get_content().split("-- ")[1]
        for number in range(3)
    ]
    assert "⟦" in feet[0] and "from Countersign" in feet[1] and "from Countersign" in feet[2]
    assert list(Mail.objects.order_by("pk").values_list("language", flat=True)) == [
        LANGUAGE,
        "",
        "",
    ]


# --- once ----------------------------------------------------------------------------------------
def test_of_what_was_rolled_back_nothing_stays(mail_server: MailServer) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        queued()
        _ = 1 / 0
    assert rows() == (0, 0, 0, 0)
    assert mails_deliver() == 0


def test_the_same_key_again_and_at_once_is_one_mail_and_the_first_stands(
    mail_server: MailServer, side_by_side: Callable[..., list[Any]]
) -> None:
    def queue(number: int) -> int:
        with transaction.atomic():
            return queued(title=f"No. {number}", attachments=[INVOICE, INVOICE]).pk

    numbers = side_by_side(queue, 6)
    assert len(set(numbers)) == 1, numbers
    assert rows() == (1, 2, 1, 1)
    first = Mail.objects.get()
    other = Attachment("other.pdf", "application/pdf", b"%PDF-other")
    again = queued(title="Later", address="other@example.org", attachments=[other])
    assert (again.pk, again.title, again.address) == (first.pk, first.title, first.address)
    assert rows() == (1, 2, 1, 1)
    mails_deliver()
    assert len(mail_server.taken) == 1


def test_a_file_of_many_mails_is_kept_once_also_when_they_are_queued_at_once(
    side_by_side: Callable[..., list[Any]],
) -> None:
    plan = Attachment("plan.txt", "text/plain", b"A B C D")

    def queue(number: int) -> int:
        files = [INVOICE, plan] if number % 2 else [plan, INVOICE]
        return queued(f"trip:1:{number}", attachments=files).attachments.count()

    assert side_by_side(queue, 6) == [2] * 6
    assert rows() == (6, 12, 2, 6)
    assert set(MailContent.objects.values_list("pk", flat=True)) == {
        sha256(body).hexdigest() for body in (PDF, plan.body)
    }


def test_a_key_of_something_else_is_refused(mail_server: MailServer) -> None:
    person = somebody()
    notify(key="event:1", recipients=[person], kind=LOUD, title="It waits")
    queued()
    for key, subject in (("booking:1:confirmed", "b-2"), (f"event:1:{person.pk}", "b-1")):
        with pytest.raises(Conflict) as refused:
            queued(key, subject_id=subject)
        assert refused.value.code == "mail_key_reused"
    assert Mail.objects.count() == 2


def test_the_trail_says_who_queued_what_for_whom() -> None:
    mail = queued()
    entry = AuditEntry.objects.get(action="mail.queue")
    assert (entry.subject_type, entry.subject_id) == ("mail", str(mail.pk))
    assert (entry.actor_id, entry.via, entry.outcome) == ("system:engine", "engine", "done")
    digest = sha256(PDF).hexdigest()
    assert entry.body["attachments"] == [
        {"name": f"{PEOPLE}.pdf", "size": len(PDF), "sha256": digest}
    ]
    assert (entry.body["address"], entry.body["about"]) == ("adaeze@example.org", "booking b-1")


# --- when its turn comes -------------------------------------------------------------------------
def test_what_is_no_longer_true_is_dropped_and_nobody_finds_its_kind_in_their_settings(
    mail_server: MailServer,
) -> None:
    queued("1", kind=RIDERS)
    queued("2")
    TRUE["now"] = False
    mails_deliver()
    assert states() == ["dropped", "sent"]
    assert RIDERS not in {choice.kind for choice in settings_of(somebody())}


def test_where_e_mail_is_off_it_waits(mail_server: MailServer, settings: Any) -> None:
    settings.EMAIL_ENABLED = False
    queued()
    assert (mails_deliver(), states()) == (0, ["pending"])
    settings.EMAIL_ENABLED = True
    mails_deliver()
    assert states() == ["sent"]


def test_beside_mails_to_logins_each_goes_its_way(mail_server: MailServer) -> None:
    gone = somebody("gone")
    notify(key="event:1", recipients=[gone, somebody()], kind=LOUD, title="It waits")
    gone.is_active = False
    gone.save(update_fields=["is_active"])
    queued()
    mails_deliver()
    assert states() == ["dropped", "sent", "sent"]
    assert "/settings/notifications/" in arrived(mail_server, 0).get_body(("plain",)).get_content()
    assert files_in(arrived(mail_server, 0)) == []


def test_bytes_that_somebody_changed_are_not_sent(mail_server: MailServer) -> None:
    queued("1")
    queued("2", attachments=[])
    with pgtrigger.ignore("notifications.MailContent:immutable"):
        MailContent.objects.update(body=b"another")
    mails_deliver()
    assert states() == ["failed", "sent"]
    assert "is not the file" in Mail.objects.earliest("pk").error
    assert len(mail_server.taken) == 1
