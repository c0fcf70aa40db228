"""What e-mails to people without a login take, and what is refused with a code."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.common.errors import DomainError
from apps.notifications.models import Mail, MailAttachment, MailContent
from apps.notifications.services import (
    Attachment,
    mails_deliver,
)
from apps.notifications.services.queueing import MOST_BYTES, MOST_FILES
from tests.notifications.conftest import MailServer, somebody
from tests.notifications.mail_world import INVOICE, PDF, arrived, files_in, queued, rows
from tests.notifications.test_mails import states
from tests.support import FULL_SIZE

pytestmark = pytest.mark.django_db(transaction=True)


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
