"""E-mails and their files in the admin: whom they go to, and downloads by permission."""

from typing import Any
from urllib.parse import quote

import pgtrigger
import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.contracts import ENGINE
from apps.audit.models import AuditEntry
from apps.notifications.models import Mail, MailAttachment, MailContent
from apps.notifications.services import Attachment, mail_queue, notify
from tests.notifications.conftest import LOUD, somebody

pytestmark = pytest.mark.django_db

LIST = "/admin/notifications/mail/"
PAGE = b"<html><script>alert(1)</script>"


def queued(number: int = 1) -> Mail:
    files = [
        Attachment(f"Ẹ̀kọ́ {number}.pdf", "application/pdf", PAGE),
        Attachment("list.csv", "text/csv", b"a;b"),
    ]
    return mail_queue(
        key=f"top-up:{number}",
        address="adaeze@example.org",
        name="Adaeze <b>",
        title="Your receipt",
        text="Thank you.",
        attachments=files,
        subject_type="mail",
        subject_id=f"t-{number}",
        by=ENGINE,
    )


def client_of(*groups: str, **fields: Any) -> Client:
    user = somebody("_".join(groups) or "none", is_staff=True, **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    client = Client()
    client.force_login(User.objects.get(pk=user.pk))
    return client


def test_the_list_and_the_row_show_address_and_files(settings: Any) -> None:
    settings.EMAIL_ENABLED = True
    mail = queued()
    notify(key="event:1", recipients=[somebody()], kind=LOUD, title="It waits")
    client = client_of("operator")
    page = client.get(LIST).content.decode()
    assert "Adaeze &lt;b&gt; &lt;adaeze@example.org&gt;" in page
    assert "Ẹ̀kọ́ 1.pdf, list.csv" in page
    assert "ngozi" in page
    row = client.get(f"{LIST}{mail.pk}/change/").content.decode()
    for file in mail.attachments.all():
        assert reverse("admin:notifications_mailattachment_download", args=[file.pk]) in row
        assert file.content_id in row
    for asked, found in (("adaeze@example.org", 1), ("top-up:1", 1), ("t-1", 1), ("t-2", 0)):
        answer = client.get(LIST, {"q": asked})
        assert answer.context["cl"].result_count == found, asked


def test_the_list_asks_as_often_for_many_mails_as_for_one(
    django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    client = client_of("operator")
    queued(1)
    client.get(LIST)
    with django_assert_max_num_queries(40) as once:
        client.get(LIST)
    for number in range(2, 8):
        queued(number)
    with django_assert_num_queries(len(once)) as again:
        client.get(LIST)
    assert not any('"body"' in query["sql"] for query in again)


def test_a_file_is_downloaded_and_never_shown() -> None:
    first, _ = queued().attachments.all()
    address = reverse("admin:notifications_mailattachment_download", args=[first.pk])
    client = client_of("operator")
    assert (
        address
        in client.get(
            reverse("admin:notifications_mailattachment_change", args=[first.pk])
        ).content.decode()
    )
    answer = client.get(address)
    assert (answer.status_code, answer.content) == (200, PAGE)
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == (f"attachment; filename*=utf-8''{quote(first.name)}")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert client.post(address).status_code == 405
    assert client.get(address.replace(str(first.pk), "999999999")).status_code == 404


def test_without_the_permission_nobody_gets_a_file_and_the_trail_says_so() -> None:
    mail = queued()
    first = mail.attachments.first()
    assert first is not None
    address = reverse("admin:notifications_mailattachment_download", args=[first.pk])
    assert Client().get(address).status_code == 302
    assert client_of("requester").get(address).status_code == 403
    auditor = client_of("auditor")
    row = auditor.get(f"{LIST}{mail.pk}/change/").content.decode()
    assert first.name in row and address not in row
    assert auditor.get(address).status_code == 403
    denied = AuditEntry.objects.filter(action="page.denied").order_by("pk")
    assert [entry.code for entry in denied] == ["permission_denied"] * 2
    assert [entry.body["permission"].partition("_")[0] for entry in denied] == [
        *("notifications.view", "notifications.download"),
    ]


def test_bytes_that_somebody_changed_are_not_handed_out() -> None:
    first = queued().attachments.first()
    assert first is not None
    with pgtrigger.ignore("notifications.MailContent:immutable"):
        MailContent.objects.filter(pk=first.content_id).update(body=b"another")
    client = client_of("operator")
    answer = client.get(
        reverse("admin:notifications_mailattachment_download", args=[first.pk]), follow=True
    )
    assert "is not the file that was attached" in answer.content.decode()
    assert MailAttachment.objects.count() == 2
