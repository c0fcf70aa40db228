"""The demo's mail server and its receiver of webhooks."""

import base64
import json
import smtplib
import time
from email.message import EmailMessage
from typing import Any

import pytest

from apps.notifications.signing import secret_new, signature
from apps.simulators.http import Refusal, Request
from apps.simulators.mail import MailSink
from apps.simulators.webhooks import WebhookSink
from deploy.local.processes import free_port


def asked(method: str, path: str, *, body: Any = b"", **headers: str) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(method, path.strip("/").split("/"), {}, headers, content)


async def test_what_is_sent_by_smtp_is_shown_as_a_list_a_page_and_json() -> None:
    sink, port = MailSink(), free_port()
    assert sink.listen("127.0.0.1", port)
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "<b>Pay</b>", "a@example.org", "b@example.org"
    mail.set_content("Open http://127.0.0.1/requests/ now <script>")
    mail.add_alternative("<p>Open it</p>", subtype="html")
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        smtp.send_message(mail)
    document = (await sink.answer(asked("GET", ""))).body
    assert (document["total"], document["mails"][0]["recipients"]) == (1, ["b@example.org"])
    page = (await sink.answer(asked("GET", "", accept="text/html"))).body
    assert "&lt;b&gt;Pay" in page and "<b>Pay" not in page
    one = (await sink.answer(asked("GET", "1", accept="text/html"))).body
    assert '<a href="http://127.0.0.1/requests/">' in one and "<script>" not in one
    assert "<p>Open it</p>" in (await sink.answer(asked("GET", "1/html"))).body
    with pytest.raises(Refusal):
        await sink.answer(asked("GET", "2"))
    assert not MailSink().listen("127.0.0.1", port)  # taken, and said so


async def test_attached_files_are_kept_byte_for_byte_as_long_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apps.simulators.mail.KEPT_BYTES", 1000)
    sink = MailSink()
    for number, size in ((1, 600), (2, 500)):
        mail = EmailMessage()
        mail["Subject"] = "Receipt"
        mail.set_content("Attached.")
        mail.add_attachment(
            bytes([number]) * size,
            maintype="application",
            subtype="pdf",
            filename=f'Ẹ̀kọ́ "{number}".pdf',
        )
        sink.take(mail.as_bytes(), "a@example.org", ["b@example.org"])
    newest = (await sink.answer(asked("GET", ""))).body["mails"][0]
    (file,) = newest["attachments"]
    assert (file["name"], file["content_type"], file["size"]) == (
        *('Ẹ̀kọ́ "2".pdf', "application/pdf"),
        500,
    )
    answer = await sink.answer(asked("GET", "2/attachments/1"))
    assert (answer.body, answer.content_type) == (bytes([2]) * 500, "application/pdf")
    page = (await sink.answer(asked("GET", "2", accept="text/html"))).body
    assert "/mail/2/attachments/1" in page and '"2"' not in page
    for gone in ("1/attachments/1", "2/attachments/2", "2/attachments/0", "3/attachments/1"):
        with pytest.raises(Refusal):
            await sink.answer(asked("GET", gone))


async def test_what_cannot_be_read_is_kept_all_the_same() -> None:
    sink = MailSink()
    sink.take(b"\xff\xfe\x00 no headers", "", [])
    sink.take(b"Content-Type: text/plain; charset=nonsense\n\nhello", "a", ["b"])
    assert len((await sink.answer(asked("GET", ""))).body["mails"]) == 2


async def test_the_receiver_knows_a_signature_a_forgery_and_what_it_has_heard() -> None:
    sink, secret = WebhookSink(), secret_new()
    await sink.answer(asked("POST", "behaviour", body={"secret": secret}))
    body, now = b'{"type": "approval.opened"}', int(time.time())

    def message(key: str, at: int = now) -> Request:
        signed = signature(key, message_id="msg_1", timestamp=at, body=body)
        return asked(
            "POST",
            "sink",
            body=body,
            **{"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signed},
        )

    assert (await sink.answer(message(secret))).status == 200
    assert (await sink.answer(message(secret))).status == 200
    for bad in (message(secret_new()), message(secret, now - 3600)):
        with pytest.raises(Refusal):
            await sink.answer(bad)
    heard = (await sink.answer(asked("GET", ""))).body["messages"]
    assert [(one["verified"], one["duplicate"]) for one in reversed(heard)] == [
        (True, False),
        (True, True),
        (False, True),
        (False, True),
    ]


def test_the_signature_is_that_of_the_specifications_example() -> None:
    """The vector that the Standard Webhooks libraries test themselves with."""
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert (
        signature(
            secret,
            message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
            timestamp=1614265330,
            body=b'{"test": 2432232314}',
        )
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )
