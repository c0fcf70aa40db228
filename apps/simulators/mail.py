"""A mail server that delivers nothing: it keeps the last messages and shows them at /mail."""

import logging
import threading
from collections import deque
from dataclasses import asdict, dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from hashlib import sha256
from html import escape
from typing import Any

from apps.simulators.http import Answer, Refusal, Request
from apps.simulators.pages import HTML, frame

KEPT = 500
#: Bytes of attached files that are kept; of older mails only their digests stay.
KEPT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Attached:
    """What is known of an attached file."""

    name: str
    content_type: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Taken:
    """A received message."""

    number: int
    sender: str
    recipients: list[str]
    subject: str
    message_id: str
    text: str
    html: str
    attachments: list[Attached]


class MailSink:
    """The state, its SMTP server and its URLs: GET /mail (a page or JSON, by the Accept header),
    GET /mail/<number>, GET /mail/<number>/html, GET /mail/<number>/attachments/<from 1>,
    DELETE /mail."""

    def __init__(self) -> None:
        self.taken: deque[Taken] = deque(maxlen=KEPT)
        self.trouble = ""
        self._number = 0
        self._files: dict[int, list[bytes]] = {}
        self._lock = threading.Lock()

    def listen(self, host: str, port: int) -> bool:
        """Receive mail at this address, in a thread; return False and set `trouble` if that
        fails."""
        try:
            # Imported here: a development package that only a demo needs.
            from aiosmtpd.controller import Controller

            # Otherwise it logs a line for every SMTP command.
            logging.getLogger("mail.log").setLevel(logging.WARNING)
            Controller(self, hostname=host, port=port, ready_timeout=2.0).start()
        except (ImportError, OSError) as error:
            self.trouble = str(error)
            return False
        return True

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Receive a message; aiosmtpd calls it by this name."""
        self.take(envelope.content or b"", envelope.mail_from or "", list(envelope.rcpt_tos))
        return "250 Taken"

    def take(self, content: bytes, sender: str, recipients: list[str]) -> None:
        """Store a message; of an unreadable one the beginning."""
        message = message_from_bytes(content, policy=policy.default)
        files = _files(message)
        with self._lock:
            self._number += 1
            self.taken.append(
                Taken(
                    number=self._number,
                    sender=sender,
                    recipients=recipients,
                    subject=str(message.get("Subject", "")),
                    message_id=str(message.get("Message-ID", "")),
                    text=_body(message, "plain") or content[:2000].decode("utf-8", "replace"),
                    html=_body(message, "html"),
                    attachments=[one for one, _ in files],
                )
            )
            if files:
                self._files[self._number] = [body for _, body in files]
            while sum(len(body) for kept in self._files.values() for body in kept) > KEPT_BYTES:
                del self._files[min(self._files)]

    async def answer(self, request: Request) -> Answer:
        """Route a request below /mail."""
        wants_page = "text/html" in request.headers.get("accept", "")
        match request.method, [part for part in request.parts if part]:
            case "GET", []:
                if wants_page:
                    return Answer(200, self._page(), HTML)
                newest = [asdict(mail) for mail in reversed(self.taken)]
                return Answer(200, {"mails": newest, "total": self._number})
            case "GET", [number]:
                mail = self._find(number)
                return Answer(200, _shown(mail), HTML) if wants_page else Answer(200, asdict(mail))
            case "GET", [number, "html"]:
                return Answer(200, self._find(number).html, HTML)
            case "GET", [number, "attachments", place]:
                return self._attachment(number, place)
            case "DELETE", []:
                self.taken.clear()
                self._files.clear()
                return Answer(200, {"mails": [], "total": self._number})
        raise Refusal(404, "not_found", "There is no such address.")

    def _find(self, number: str) -> Taken:
        found = next((mail for mail in list(self.taken) if str(mail.number) == number), None)
        if found is None:
            raise Refusal(404, "not_found", "There is no such mail, or it is too old.")
        return found

    def _attachment(self, number: str, place: str) -> Answer:
        mail = self._find(number)
        kept = dict(self._files).get(mail.number, [])
        for at, (one, body) in enumerate(zip(mail.attachments, kept, strict=False), start=1):
            if str(at) == place:
                return Answer(200, body, one.content_type)
        raise Refusal(404, "not_found", "There is no such file, or it is too old.")

    def _page(self) -> str:
        rows = "".join(
            f"<tr><td>{mail.number}</td><td>{escape(', '.join(mail.recipients))}</td>"
            f'<td><a href="/mail/{mail.number}">{escape(mail.subject or "(no subject)")}</a></td>'
            "</tr>"
            for mail in reversed(list(self.taken))
        )
        body = (
            f"<table><thead><tr><th>No.</th><th>To</th><th>Subject</th></tr></thead>{rows}</table>"
            if rows
            else "<p>No mail yet. What the site sends by e-mail appears here; reload to see it.</p>"
        )
        return frame("Mails of the demo", f"<p>Nothing here was delivered to anybody.</p>{body}")


def _shown(mail: Taken) -> str:
    html = f'<p><a href="/mail/{mail.number}/html">As HTML</a></p>' if mail.html else ""
    files = "".join(
        f'<li><a href="/mail/{mail.number}/attachments/{at}" download="{escape(one.name)}">'
        f"{escape(one.name)}</a>, {escape(one.content_type)}, {one.size} bytes</li>"
        for at, one in enumerate(mail.attachments, start=1)
    )
    html += f"<p>Files:</p><ul>{files}</ul>" if files else ""
    return frame(
        escape(mail.subject),
        f'<p><a href="/mail">All mails</a></p><p>From {escape(mail.sender)} to '
        f"{escape(', '.join(mail.recipients))}<br>{escape(mail.message_id)}</p>{html}"
        f"<pre>{_linked(mail.text)}</pre>",
    )


def _linked(text: str) -> str:
    """Return the escaped text, with web addresses as links."""
    words = []
    for line in text.splitlines():
        parts = [
            f'<a href="{escape(word)}">{escape(word)}</a>'
            if word.startswith(("http://", "https://"))
            else escape(word)
            for word in line.split(" ")
        ]
        words.append(" ".join(parts))
    return "\n".join(words)


def _body(message: EmailMessage, kind: str) -> str:
    try:
        part = message.get_body(preferencelist=(kind,))
        return str(part.get_content()) if part is not None else ""
    except (KeyError, LookupError, ValueError):
        return ""


def _files(message: EmailMessage) -> list[tuple[Attached, bytes]]:
    found = []
    for part in message.iter_attachments():
        body = part.get_payload(decode=True)
        if isinstance(body, bytes):
            name, digest = part.get_filename() or "file", sha256(body).hexdigest()
            found.append((Attached(name, part.get_content_type(), len(body), digest), body))
    return found
