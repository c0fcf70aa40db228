"""Composes an e-mail and hands it to the mail server in steps whose failures are told apart."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.encoders import encode_base64
from email.mime.base import MIMEBase
from hashlib import sha256
from smtplib import SMTP, SMTPException, SMTPResponseException
from time import monotonic
from typing import Any
from unicodedata import normalize
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend
from django.core.validators import validate_email
from django.template.loader import render_to_string
from django.utils.translation import gettext, override

from apps.notifications import kinds
from apps.notifications.models import Mail

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_DOT = re.compile(rb"(?m)^\.")
_END = b"\r\n.\r\n"
#: Bytes of a message that are sent at once, and seconds that all but the last of them may take.
PIECE, SEND_SECONDS = 64 * 1024, 60.0


class Refused(Exception):
    """The mail server refused. `permanent`: it will never take this message."""

    def __init__(self, code: int, text: str, *, permanent: bool) -> None:
        super().__init__(f"{code} {text}")
        self.permanent = permanent


class Away(Exception):
    """The mail server could not be reached, or the connection ended before the message was sent."""


class Doubtful(Exception):
    """The connection ended while the message was sent: it may have been accepted or not."""


def subject_of(title: str) -> str:
    """The subject on one line, because line breaks would inject headers."""
    return _CONTROL.sub(" ", title).strip()[:200] or "A message"


def address_of(email: str) -> str:
    """The address as the envelope takes it; ValidationError or UnicodeError for what is none."""
    validate_email(email)
    name, _, domain = email.rpartition("@")
    if not name.isascii() or not name.isprintable():
        raise ValidationError(gettext("Only printable ASCII before the @."))
    if domain.isascii():
        return email
    encoded = domain.encode("idna")
    if encoded.decode("idna") != normalize("NFC", domain).lower():
        # This encoding takes "straße.de" for "strasse.de", which is somebody else's.
        raise ValidationError(gettext("Write the domain as xn--…: its letters are ambiguous."))
    return f"{name}@{encoded.decode()}"


def absolute(path: str, **query: str) -> str:
    """The path on this site, with further query parameters; anything else becomes the home page."""
    parts = urlsplit(path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/")
    words = [parts.query] if parts.query else []
    words += [f"{name}={value}" for name, value in query.items()]
    asked = f"?{'&'.join(words)}" if words else ""
    return f"{settings.SITE_URL}{_CONTROL.sub('', parts.path)}{asked}"


def message_id(mail: Mail) -> str:
    """A stable Message-ID: the same row always gets the same one."""
    domain = address_of(settings.DEFAULT_FROM_EMAIL.rpartition("<")[2].rstrip(">").strip())
    return f"<{sha256(mail.key.encode()).hexdigest()[:40]}@{domain.rpartition('@')[2]}>"


@dataclass(frozen=True)
class File:
    """A file to attach. Its name and type are clean (`services.queueing`)."""

    name: str
    content_type: str
    body: bytes


def compose(
    mail: Mail, *, name: str, address: str, files: Sequence[File] = ()
) -> EmailMultiAlternatives:
    """Text, plain HTML and files, in the mail's language. To somebody with a login with links to
    the site and to their settings; the links open pages, and pages decide by POST."""
    with override(mail.language or settings.LANGUAGE_CODE):
        message = _composed(mail, name=name, address=address)
    for file in files:
        message.attach(_part(file))
    return message


def _composed(mail: Mail, *, name: str, address: str) -> EmailMultiAlternatives:
    kind = kinds.get(mail.kind)
    has_login = mail.recipient_id is not None
    # Single line breaks only: nothing in a text may look like the end of the message.
    text = "\n".join(_CONTROL.sub(" ", line).rstrip() for line in mail.text.splitlines())
    context: dict[str, Any] = {
        "title": subject_of(mail.title),
        "text": text,
        "name": _CONTROL.sub(" ", name),
        "link": absolute(mail.url, **{"from": "email"}) if mail.url else "",
        "approve": "",
        "reject": "",
        "settings": absolute("/settings/notifications/") if has_login else "",
        "site": settings.SITE_URL,
        "kind": kind.title,
    }
    if kind.decide and mail.url:
        context["approve"] = absolute(mail.url, **{"from": "email", "verdict": "approve"})
        context["reject"] = absolute(mail.url, **{"from": "email", "verdict": "reject"})
    message = EmailMultiAlternatives(
        subject=context["title"],
        body=render_to_string("notifications/email.txt", context),
        to=[address],
        headers={
            "Message-ID": message_id(mail),
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )
    message.attach_alternative(render_to_string("notifications/email.html", context), "text/html")
    return message


def _part(file: File) -> MIMEBase:
    """The file in base64. Django would turn a text into a body, with other ends of its lines."""
    part = MIMEBase(*file.content_type.split("/", 1))
    part.set_payload(file.body)
    encode_base64(part)
    name = file.name if file.name.isascii() else ("utf-8", "", file.name)
    part.add_header("Content-Disposition", "attachment", filename=name)
    return part


class Server:
    """A connection to the mail server that EMAIL_URL names."""

    def __init__(self) -> None:
        self._backend: Any = get_connection()

    def open(self) -> None:
        """Connect and sign in; Away when that does not work, whatever the reason."""
        try:
            self._backend.open()
        except (OSError, SMTPException, ValueError) as error:
            raise Away(_words(error)) from error

    def close(self) -> None:
        """Send QUIT, ignoring errors."""
        try:
            self._backend.close()
        except (OSError, SMTPException):
            self._backend.connection = None

    def hand_over(
        self, message: EmailMultiAlternatives, *, address: str, about_to: Callable[[], bool]
    ) -> bool:
        """Send the message; True when the server accepted it. `about_to` is called right before
        the message itself is sent; False from it stops. Raises Away and Refused (not accepted) and
        Doubtful."""
        if not isinstance(self._backend, EmailBackend):
            if not about_to():
                return False
            self._backend.send_messages([message])
            return True
        smtp: SMTP | None = self._backend.connection
        if smtp is None:
            raise Away("not connected")
        try:
            ready = self._envelope(smtp, message, address)
        except (OSError, SMTPException, ValueError) as error:
            raise Away(_words(error)) from error
        content = _wire(message)
        if not ready or not about_to():
            # The server waits for the content: only the end of the connection calls it off.
            smtp.close()
            raise Away("called off")
        last = _begun(smtp, content)
        try:
            smtp.send(last)
            code, answer = smtp.getreply()
        except (OSError, SMTPException) as error:
            raise Doubtful(_words(error)) from error
        if code == 421:
            smtp.close()
        if code != 250:
            raise Refused(code, _text(answer), permanent=code >= 500)
        return True

    def _envelope(self, smtp: SMTP, message: EmailMultiAlternatives, address: str) -> bool:
        sender = address_of(message.from_email.rpartition("<")[2].rstrip(">").strip())
        smtp.ehlo_or_helo_if_needed()
        code, answer = smtp.mail(sender)
        if code != 250:
            # Our own address is refused: not this message's fault, and an operator can mend it.
            self._refuse(smtp, code, answer, permanent=False)
        code, answer = smtp.rcpt(address)
        if code not in (250, 251):
            self._refuse(smtp, code, answer, permanent=code >= 500)
        code, answer = smtp.docmd("DATA")
        if code != 354:
            self._refuse(smtp, code, answer, permanent=code >= 500)
        return True

    @staticmethod
    def _refuse(smtp: SMTP, code: int, answer: bytes, *, permanent: bool) -> None:
        if code == 421:
            smtp.close()
            raise Away(f"{code} {_text(answer)}")
        try:
            smtp.rset()
        except (OSError, SMTPException):
            smtp.close()
        raise Refused(code, _text(answer), permanent=permanent)


def _begun(smtp: SMTP, content: bytes) -> bytes:
    """Send all but the last piece of the content, and return that one. Each piece has
    EMAIL_TIMEOUT for itself, all together SEND_SECONDS: a sender does not outlast its lease.

    Raises Away and closes the connection when that fails. Nothing is in doubt then: no server
    accepts a message whose end it has not seen.
    """
    pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
    if len(pieces) > 1 and len(pieces[-1]) < len(_END):
        # The end must not be cut: the piece before it could hold a whole message.
        pieces[-2:] = [pieces[-2] + pieces[-1]]
    until = monotonic() + SEND_SECONDS
    try:
        for piece in pieces[:-1]:
            smtp.send(piece)
            if monotonic() > until:
                raise TimeoutError("the message takes too long")
    except (OSError, SMTPException) as error:
        smtp.close()
        raise Away(_words(error)) from error
    return pieces[-1]


def _wire(message: EmailMultiAlternatives) -> bytes:
    """The message as SMTP wants it, with the line that ends it and no other such line."""
    lines = _LINE_END.sub(b"\n", message.message().as_bytes()).rstrip(b"\n")
    return _DOT.sub(b"..", lines).replace(b"\n", b"\r\n") + _END


def _text(answer: bytes) -> str:
    return _CONTROL.sub(" ", answer.decode("utf-8", "replace"))[:500]


def _words(error: Exception) -> str:
    if isinstance(error, SMTPResponseException):
        said = error.smtp_error
        return f"{error.smtp_code} {_text(said) if isinstance(said, bytes) else said}"
    return f"{type(error).__name__}: {error}"[:500]
