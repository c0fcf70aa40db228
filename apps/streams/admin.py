"""Admin of what goes to topics. It only shows."""

from django.contrib import admin

from apps.common.language import lazy as _
from apps.streams.models import OutgoingMessage
from apps.web.admin import ReadOnlyAdmin


@admin.register(OutgoingMessage)
class OutgoingMessageAdmin(ReadOnlyAdmin):
    """Messages, those that wait among them."""

    list_display = ("topic", "broker", "subject_type", "created_at", "sent_at", "attempts", "error")
    list_filter = ("broker",)
    # Contents have a permission of their own, on the pages of the rows that they come from.
    exclude = ("value", "key", "headers")
    ordering = ("-id",)
    search_exact = ("subject_id", "key_once")
    search_help_text = _("The exact id of a row, or the message's key.")
