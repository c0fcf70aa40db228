"""Queues e-mails to people without a login, with files."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_supported_language_variant, override

from apps.audit.contracts import Actor
from apps.audit.services import entry_record
from apps.common.errors import Conflict, DomainError, Invalid
from apps.common.language import filled, later
from apps.common.language import lazy as _
from apps.common.uploads import TYPES, safe_name, size_in_words
from apps.common.validation import unseen
from apps.notifications.mailer import File, address_of
from apps.notifications.models import Mail, MailAttachment, MailContent
from apps.notifications.services.notifying import storable

MOST_FILES = 10
#: Of all files of an e-mail. In base64 it is a third more, and many servers take no message above
#: 10 MB; one that is refused for its size never arrives.
MOST_BYTES = 7 * 1024 * 1024
TEXT_LIMIT = 20_000
_ADDRESS_LIMIT, _KEY_LIMIT, _LINE_LIMIT, _TYPE_LIMIT, _ID_LIMIT = 254, 200, 200, 60, 80

#: Neither this machine nor a bare number is somebody's mailbox.
_validate = EmailValidator(allowlist=[])
_NUMBERED = re.compile(r"@(\[.*\]|(.*\.)?[0-9]+)\Z", re.DOTALL)


class AttachmentsTooLarge(DomainError):
    """More bytes than an e-mail takes."""

    status: ClassVar[int] = 413
    code = "attachments_too_large"


@dataclass(frozen=True)
class Attachment:
    """A file to attach. The name is cleaned, never refused; the type is one of `uploads.TYPES`."""

    name: str
    content_type: str
    body: bytes


def mail_queue(
    *,
    key: str,
    address: str,
    name: str,
    title: str,
    text: str,
    by: Actor,
    subject_type: str,
    subject_id: object,
    via: str = "engine",
    language: str = "",
    attachments: Sequence[Attachment] = (),
    kind: str = "",
) -> Mail:
    """Queue one e-mail to an address, once per `key`; it is sent after the commit.

    Joins the caller's transaction: the e-mail, its files and their audit entry are kept if the
    caller's verb is. Again with the same key, or two at once, there is one e-mail; what was queued
    first stands, also if text or files are others now. Where e-mail is off it waits, because
    somebody without a login is told in no other way. `title` and `text` are in `language`, or are
    marked and put into words in it; one that the site does not speak becomes the site's own.
    `kind` names a registered kind whose `relevant(key)` says, when its turn comes, whether it is
    still true. Names and the title are cleaned and cut.

    Raises Invalid `mail_key_invalid`, `mail_subject_invalid`, `address_invalid`,
    `title_required`, `text_too_long`, `too_many_attachments`, `attachment_empty`,
    `attachment_type_not_allowed`; AttachmentsTooLarge `attachments_too_large` (all together more
    than MOST_BYTES); Conflict `mail_key_reused` (of another subject, or of a person with a login).
    After that Conflict the caller's transaction must be rolled back: there is no savepoint.
    A refusal stores nothing and is audited by the caller's verb.
    """
    _check_ids(key, subject_type, str(subject_id))
    address = address_checked(address)
    files = [_clean(one) for one in _few(attachments)]
    language = _spoken(language)
    with override(language or settings.LANGUAGE_CODE):
        title, text = _line(str(title)), storable(str(text))
    if not title:
        raise Invalid(_("An e-mail needs a title."), code="title_required")
    if len(text) > TEXT_LIMIT:
        raise Invalid(
            filled(_("An e-mail has at most {limit} characters."), limit=TEXT_LIMIT),
            code="text_too_long",
        )
    with transaction.atomic(savepoint=False):
        mail, is_new = Mail.objects.get_or_create(
            key=key,
            defaults={
                "address": address,
                "name": _line(name) or address,
                "language": language,
                "kind": kind[:60],
                "title": title,
                "text": text,
                "subject_type": subject_type,
                "subject_id": str(subject_id),
                "next_try_at": timezone.now(),
            },
        )
        if not is_new:
            _check_same(mail, subject_type, str(subject_id))
            return mail
        digests = _keep(mail, files)
        entry_record(
            action="mail.queue",
            subject_type="mail",
            subject_id=mail.pk,
            by=by,
            via=via,
            body={
                "key": key,
                "about": f"{subject_type} {subject_id}",
                "address": address,
                "title": mail.title,
                "attachments": [
                    {"name": file.name, "size": len(file.body), "sha256": digest}
                    for file, digest in zip(files, digests, strict=True)
                ],
            },
        )
    return mail


def address_checked(address: str) -> str:
    """Return the address as it is. Raises Invalid `address_invalid` for what is none: also for one
    on this machine or at a bare number, and for whatever could become a second header."""
    try:
        if not isinstance(address, str) or len(address) > _ADDRESS_LIMIT:
            raise ValidationError("length")
        _validate(address)
        if _NUMBERED.search(address) or len(address_of(address)) > _ADDRESS_LIMIT:
            raise ValidationError("domain")
    except (ValidationError, UnicodeError) as error:
        raise Invalid(_("This is not an e-mail address."), code="address_invalid") from error
    return address


def files_of(mail: Mail) -> list[File]:
    """Return the files of an e-mail with their bytes. Raises Conflict `digest_mismatch`."""
    if mail.recipient_id is not None:
        return []
    rows = mail.attachments.select_related("content")
    return [File(row.name, row.content_type, _body(row)) for row in rows]


def attachment_body(attachment: MailAttachment) -> bytes:
    """Return the bytes as queued. Raises Conflict `digest_mismatch` when the stored ones no longer
    match the digest: somebody changed the database."""
    return _body(attachment)


def _body(attachment: MailAttachment) -> bytes:
    body = bytes(attachment.content.body)
    if sha256(body).hexdigest() != attachment.content_id:
        raise Conflict(
            filled(_("{name} is not the file that was attached."), name=attachment.name),
            code="digest_mismatch",
        )
    return body


def _check_ids(key: str, subject_type: str, subject_id: str) -> None:
    if not key or len(key) > _KEY_LIMIT or not key.isprintable():
        raise Invalid(
            filled(_("A key has 1 to {limit} printable characters."), limit=_KEY_LIMIT),
            code="mail_key_invalid",
        )
    bounds = ((subject_type, _TYPE_LIMIT), (subject_id, _ID_LIMIT))
    if any(not word or len(word) > most or not word.isprintable() for word, most in bounds):
        raise Invalid(_("An e-mail is about something."), code="mail_subject_invalid")


def _check_same(mail: Mail, subject_type: str, subject_id: str) -> None:
    same = (mail.subject_type, mail.subject_id) == (subject_type, subject_id)
    if mail.recipient_id is not None or not same:
        raise Conflict(
            _("This key is that of an e-mail about something else."), code="mail_key_reused"
        )


def _few(attachments: Sequence[Attachment]) -> Sequence[Attachment]:
    if len(attachments) > MOST_FILES:
        raise Invalid(
            filled(_("An e-mail has at most {most} files."), most=MOST_FILES),
            code="too_many_attachments",
        )
    if sum(len(one.body) for one in attachments) > MOST_BYTES:
        raise AttachmentsTooLarge(
            filled(
                _("The files of an e-mail have together at most {size}."),
                size=later(size_in_words, MOST_BYTES),
            ),
            most=MOST_BYTES,
        )
    return attachments


def _clean(attachment: Attachment) -> Attachment:
    """The content is not inspected as an upload's is: our own code has made it, and a receipt must
    not fail because a rider's name looks like a tag."""
    if not attachment.body:
        raise Invalid(_("An attached file is empty."), code="attachment_empty")
    if attachment.content_type not in TYPES:
        raise Invalid(_("Files of this type are not attached."), code="attachment_type_not_allowed")
    # Long before it is cut: cleaning looks at each character.
    name = safe_name(attachment.name[-1000:], attachment.content_type)
    return Attachment(name, attachment.content_type, bytes(attachment.body))


def _line(text: str) -> str:
    """The text on one line that fits its column, without what nobody sees: it could turn the
    direction of what stands beside it."""
    # Cut before it is looked at, too: each character costs time.
    kept = (c for c in text[: 10 * _LINE_LIMIT] if c.isspace() or not _hidden(c))
    return " ".join("".join(kept).split())[:_LINE_LIMIT].strip()


def _hidden(character: str) -> bool:
    return bool(unseen(character)) or unicodedata.category(character) in ("Cc", "Cs")


def _spoken(language: str) -> str:
    """The language as the site calls it; empty if the site does not speak it."""
    try:
        return get_supported_language_variant(language) if language else ""
    except (LookupError, ValueError):
        return ""


def _keep(mail: Mail, files: Sequence[Attachment]) -> list[str]:
    """Write the files; return their digests. Sorted, so that two e-mails with the same files wait
    for each other in the same order."""
    digests = [sha256(file.body).hexdigest() for file in files]
    bodies = {digest: file.body for digest, file in zip(digests, files, strict=True)}
    known = MailContent.objects.filter(pk__in=bodies).values_list("pk", flat=True)
    for digest in sorted(bodies.keys() - set(known)):
        content = MailContent(sha256=digest, size=len(bodies[digest]), body=bodies[digest])
        MailContent.objects.bulk_create([content], ignore_conflicts=True)
    MailAttachment.objects.bulk_create(
        MailAttachment(
            mail=mail,
            number=number,
            name=file.name,
            content_type=file.content_type,
            size=len(file.body),
            content_id=digest,
        )
        for number, (file, digest) in enumerate(zip(files, digests, strict=True), start=1)
    )
    return digests
