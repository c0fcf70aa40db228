"""Admin of e-mails and of what is attached to them."""

from functools import cache
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from apps.audit import subject_types
from apps.common.errors import DomainError
from apps.common.language import lazy as _
from apps.common.uploads import as_attachment, size_in_words
from apps.notifications import services
from apps.notifications.models import Mail, MailAttachment, MailContent
from apps.notifications.models.mails import DOWNLOAD_PERMISSION
from apps.web.admin import ReadOnlyAdmin, link
from apps.web.admin_verbs import Given, Line, state_note, verb

#: Without a page of its own: the URL name of a file's download.
_DOWNLOAD = "admin:notifications_mailattachment_download"


def _mail_line(mail: Mail, request: HttpRequest) -> Line:
    return Line(
        state_note(mail.get_state_display(), mail.error),
        label=f"{mail} → {mail.person}",
        blocked=mail.state not in ("failed", "unknown", "dropped"),
    )


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    """E-mails and their delivery state. One that may have been sent is only resent by a person."""

    list_display = (
        *("title", "to", "attached", "kind", "state"),
        *("attempts", "created_at", "sent_at"),
    )
    list_filter = ("state", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("recipient",)
    ordering = ("-created_at", "-id")
    search_exact = ("key", "address")
    search_help_text = _("An exact key or address, or the exact id of what it is about.")
    actions = ("send_again",)

    def searched_subjects(self) -> list[str]:
        return subject_types.registered()

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Return the e-mails with the names of their files, which one more query reads."""
        return super().get_queryset(request).prefetch_related("attachments")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Return the columns and the files, which link to their downloads for who may download."""
        return [
            *super().get_fields(request, obj),
            _files(request.user.has_perm(DOWNLOAD_PERMISSION)),
        ]

    @admin.display(description=_("to"))
    def to(self, mail: Mail) -> str:
        """Return the person and, as far as it is known, the address."""
        return f"{mail.person} <{mail.address}>" if mail.address else mail.person

    @admin.display(description=_("files"))
    def attached(self, mail: Mail) -> str:
        """Return the names of the attached files."""
        return ", ".join(one.name for one in mail.attachments.all()) or self.empty_value_display

    @verb(
        _("Send again"),
        title=_("Send e-mails again"),
        explanation=_(
            "What failed or was perhaps sent goes back into the queue. Of the latter "
            "the person may have a copy already: whoever sends it again decides that "
            "two are better than none."
        ),
        button=_("Send again"),
        permission="resend",
        line=_mail_line,
    )
    def send_again(self, mail: Mail, given: Given) -> str:
        """Put failed, dropped and perhaps-sent e-mails back into the queue."""
        services.mail_send_again(mail_id=mail.pk, by=given.by, reason=given.reason)
        return gettext("Will be sent within seconds.")


@cache
def _files(linked: bool) -> Any:
    """Return a column of an e-mail's files with size and digest; `linked` to their downloads."""

    @admin.display(description=_("files"))
    def files(mail: Mail) -> SafeString | str:
        lines = format_html_join(
            "\n",
            # A line for the link alone: within a text it would differ by its color only.
            "<div>{}</div><div>{}, SHA-256 {}</div>",
            (
                (
                    link(reverse(_DOWNLOAD, args=[one.pk]) if linked else "", one.name),
                    size_in_words(one.size),
                    one.content_id,
                )
                for one in mail.attachments.all()
            ),
        )
        return lines or "–"

    return files


@admin.register(MailAttachment)
class MailAttachmentAdmin(ReadOnlyAdmin):
    """Files of e-mails. They are downloaded by permission, never shown as a page of this site."""

    list_display = ("name", "mail", "content_type", "size", "digest")
    list_select_related = ("mail",)
    search_exact = ("id", "mail", "content")
    search_help_text = _("An exact id, of the file or of its e-mail, or a digest.")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Return the files without their bytes."""
        return super().get_queryset(request).defer("content__body")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_safe(self.download))
        return [
            path("<int:object_id>/download/", view, name="notifications_mailattachment_download"),
            *super().get_urls(),
        ]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Return the columns, and the download for who may download."""
        more = ["file"] if request.user.has_perm(DOWNLOAD_PERMISSION) else []
        return [*super().get_fields(request, obj), *more]

    @admin.display(description=_("file"))
    def file(self, attachment: MailAttachment) -> SafeString | str:
        """Return the link to the download."""
        return link(reverse(_DOWNLOAD, args=[attachment.pk]), gettext("Download"))

    @admin.display(description="SHA-256")
    def digest(self, attachment: MailAttachment) -> str:
        """Return the digest without asking for the bytes."""
        return attachment.content_id

    def download(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Send the file as a download, to who may see files and may download them."""
        self.must_be_granted(request, "view")
        self.must_be_granted(request, DOWNLOAD_PERMISSION)
        attachment = get_object_or_404(MailAttachment, pk=object_id)
        try:
            body = services.attachment_body(attachment)
        except DomainError as error:
            self.message_user(request, error.detail, messages.ERROR)
            return redirect("admin:notifications_mailattachment_change", object_id)
        return as_attachment(name=attachment.name, content_type=attachment.content_type, body=body)


@admin.register(MailContent)
class MailContentAdmin(ReadOnlyAdmin):
    """The stored bytes of files. Only the download of a file serves them."""

    list_display = ("sha256", "size", "created_at")
    ordering = ("-created_at", "sha256")
    search_exact = ("sha256",)
    search_help_text = _("A digest.")
    exclude = ("body",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Defer the bytes: the rows of one list page could hold half a gigabyte."""
        return super().get_queryset(request).defer("body")
