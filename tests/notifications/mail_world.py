"""E-mails to people without a login, and what of them arrives."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.notifications.models import Mail, MailAttachment, MailContent
from apps.notifications.services import Attachment, mail_queue
from tests.notifications.conftest import MailServer

#: Every byte, and what would end a message that is not encoded.
PDF = b"%PDF-1.7\n" + bytes(range(256)) + b"\r\n.\r\nQUIT\r\n" + b"\n.\r\r\n" * 9
PEOPLE = "Ẹ̀kọ́ ₦1,500.00, R$ 20, Conceição"
INVOICE = Attachment(f"{PEOPLE}.pdf", "application/pdf", PDF)


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
