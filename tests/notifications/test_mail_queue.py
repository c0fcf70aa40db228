"""E-mails to people without a login, with files: queued once, refused with a code, sent as they
were queued."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from hashlib import sha256
from smtplib import SMTP
from typing import Any

import pgtrigger
import pytest
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError
from apps.notifications import kinds, mailer
from apps.notifications.kinds import NotificationKind
from apps.notifications.models import Mail, MailAttachment, MailContent
from apps.notifications.selectors import mails_about
from apps.notifications.services import (
    Attachment,
    mail_queue,
    mail_send_again,
    mails_deliver,
    notify,
    settings_of,
)
from apps.notifications.services.queueing import MOST_BYTES, MOST_FILES
from apps.notifications.signals import mail_changed
from tests.notifications.conftest import LOUD, MailServer, somebody
from tests.notifications.test_mails import due_now, sender, states
from tests.pseudo import LANGUAGE, spoken
from tests.support import FULL_SIZE

pytestmark = pytest.mark.django_db(transaction=True)

#: Every byte, and what would end a message that is not encoded.
PDF = b"%PDF-1.7\n" + bytes(range(256)) + b"\r\n.\r\nQUIT\r\n" + b"\n.\r\r\n" * 9
PEOPLE = "Ẹ̀kọ́ ₦1,500.00, R$ 20, Conceição"
INVOICE = Attachment(f"{PEOPLE}.pdf", "application/pdf", PDF)
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


def queued(key: str = "booking:1:confirmed", **changes: Any) -> Mail:
    given: dict[str, Any] = {
        "address": "adaeze@example.org",
        "name": "Adaeze Ọláyínká",
        "title": "Your seat to Ẹ̀kọ́",
        "text": f"You paid {PEOPLE}.",
        "attachments": [INVOICE],
        "subject_type": "booking",
        "subject_id": "b-1",
        "by": ENGINE,
    }
    return mail_queue(key=key, **(given | changes))


def rows() -> tuple[int, int, int, int]:
    """E-mails, their files, contents, and audit entries."""
    entries = AuditEntry.objects.filter(action="mail.queue").count()
    return (
        *(Mail.objects.count(), MailAttachment.objects.count(), MailContent.objects.count()),
        entries,
    )


def arrived(server: MailServer, number: int = 0) -> EmailMessage:
    return message_from_bytes(server.taken[number].content, policy=policy.default)


def files_in(message: EmailMessage) -> list[tuple[str, str, bytes]]:
    return [
        (str(part.get_filename()), part.get_content_type(), part.get_payload(decode=True))
        for part in message.iter_attachments()
    ]


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


# --- what is refused -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "address",
    [
        *("", " ", "adaeze", "a@b@c.org", "@example.org", "adaeze@", "a@b..org", "a@-b.org"),
        *("a@example.org\r\nBcc: all@example.org", "a@example.org\n", "a\x00@example.org"),
        *("a@exam\x00ple.org", "a@example.org, all@example.org", "A <a@example.org>"),
        *("x" * 1_000_000 + "@example.org", "a@" + "x." * 500_000 + "org", "a" * 250 + "@b.org"),
        *("ọ@example.org", "\ud800@example.org", "a@\ud800.org", '"a\x01b"@example.org'),
        *("a@localhost", "a@[127.0.0.1]", "a@10.0.0.10", "a@[IPv6:::1]"),
        # Other domains than the reader sees: what the encoding makes of them is somebody else's.
        *("a@straße.de", "a@ｅxample.org", "a@example。org", "a@exa\u00admple.org"),
        *("a@" + "ü" * 60 + ".org", None, 7),
    ],
)
def test_an_address_that_is_none_is_refused_and_stores_nothing(address: Any) -> None:
    with pytest.raises(DomainError) as refused:
        queued(address=address)
    assert (refused.value.code, refused.value.status) == ("address_invalid", 422)
    assert rows() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("address", "envelope"),
    [
        ("ngozi.o+seat@example.org", "ngozi.o+seat@example.org"),
        ("ngozi@bücher.example", "ngozi@xn--bcher-kva.example"),
        ("ngozi@BÜCHER.example", "ngozi@xn--bcher-kva.example"),
        ("ngozi@例え.jp", "ngozi@xn--r8jz45g.jp"),
    ],
)
def test_an_address_in_any_script_of_domains_is_reached(
    mail_server: MailServer, address: str, envelope: str
) -> None:
    queued(address=address)
    mails_deliver()
    assert [one.rcpt_tos for one in mail_server.taken] == [[envelope]]
    assert Mail.objects.get().address == address


def _many(count: int) -> list[Attachment]:
    return [INVOICE] * count


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("too_many_attachments", {"attachments": _many(MOST_FILES + 1)}),
        (
            "attachments_too_large",
            {"attachments": [Attachment("a.pdf", "application/pdf", bytes(MOST_BYTES)), INVOICE]},
        ),
        ("attachment_empty", {"attachments": [Attachment("a.pdf", "application/pdf", b"")]}),
        (
            "attachment_type_not_allowed",
            {"attachments": [Attachment("a.html", "text/html", b"<p>")]},
        ),
        (
            "attachment_type_not_allowed",
            {"attachments": [Attachment("a", "application/pdf\r\nX: y", b"1")]},
        ),
        ("title_required", {"title": "\x00 \n\u202e"}),
        ("text_too_long", {"text": "x" * 20_001}),
        ("mail_subject_invalid", {"subject_id": ""}),
        ("mail_subject_invalid", {"subject_type": "x" * 61}),
        ("mail_key_invalid", {"key": ""}),
        ("mail_key_invalid", {"key": "x" * 201}),
        ("mail_key_invalid", {"key": "a\x00b"}),
    ],
)
def test_what_no_mail_takes_is_refused_with_its_code(code: str, changes: dict[str, Any]) -> None:
    with pytest.raises(DomainError) as refused:
        queued(**changes)
    assert refused.value.code == code
    assert rows() == (0, 0, 0, 0)


def test_as_many_and_as_large_files_as_allowed_arrive(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = MOST_BYTES if FULL_SIZE else 300_000
    monkeypatch.setattr("apps.notifications.services.queueing.MOST_BYTES", most)
    each = most // MOST_FILES
    sizes = [each] * (MOST_FILES - 1) + [most - each * (MOST_FILES - 1)]
    files = [
        Attachment(f"{number}.pdf", "application/pdf", bytes([number]) * size)
        for number, size in enumerate(sizes)
    ]
    queued(attachments=files)
    mails_deliver()
    assert [body for _, _, body in files_in(arrived(mail_server))] == [one.body for one in files]


HOSTILE = "Ngozi\r\nBcc: all@example.org\r\n\r\n\u202e\x00\x1b<b>\ud800"


def test_hostile_names_and_titles_become_neither_headers_nor_paths(mail_server: MailServer) -> None:
    names = [
        "../../etc/passwd\r\nX-Evil: 1\r\n\r\n.pdf",
        'a"; filename="b.exe',
        "\u202efdp.exe",
        "x" * 1_000_000,
        "",
        "CON.pdf",
        "\x00",
    ]
    files = [Attachment(name, "application/pdf", PDF) for name in names]
    queued(name=HOSTILE * 100, title=HOSTILE, text=HOSTILE, attachments=files)
    mails_deliver()
    message = arrived(mail_server)
    assert states() == ["sent"]
    row = Mail.objects.get()
    assert row.title.isprintable() and row.name.isprintable() and len(row.name) <= 200
    assert message["Bcc"] is None and message["X-Evil"] is None
    assert message["Subject"].startswith("Ngozi Bcc: all@example.org")
    assert "<b>" not in message.get_body(("html",)).get_content()
    said = [name for name, _, _ in files_in(message)]
    assert len(said) == len(names)
    for name in said:
        assert name.endswith(".pdf") and len(name) <= 120 and name.isprintable(), name
        assert not set(name) & set('/\\":;'), name
    assert all(
        set(part)
        <= {"Content-Type", "MIME-Version", "Content-Transfer-Encoding", "Content-Disposition"}
        for part in message.iter_attachments()
    )


def test_the_database_refuses_a_mail_to_nobody_and_to_two(mail_server: MailServer) -> None:
    person = somebody()
    wrong: list[dict[str, Any]] = [
        {"recipient": None},
        {"recipient": None, "address": "a@example.org", "name": "A"},
        {"recipient": None, "name": "A", "subject_type": "booking"},
        {"recipient": person, "name": "A", "address": "a@example.org"},
        {"recipient": person, "subject_type": "booking"},
    ]
    for number, fields in enumerate(wrong):
        with pytest.raises(IntegrityError), transaction.atomic():
            Mail.objects.create(key=str(number), title="?", **fields)
    queued()
    for rows_of, change in ((MailContent, {"size": 1}), (MailAttachment, {"name": "other.pdf"})):
        with pytest.raises(Exception, match="Cannot update"), transaction.atomic():
            rows_of.objects.update(**change)


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


# --- servers and senders that fail ---------------------------------------------------------------
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
