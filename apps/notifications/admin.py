"""What was told to whom, in the admin."""

from django.contrib import admin

from apps.adminbase import ReadOnlyAdmin
from apps.notifications.models import Notification


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = ("title", "recipient", "kind", "channel", "state", "created_at", "read_at")
    list_filter = ("state", "channel")
    list_select_related = ("recipient",)
    ordering = ("-id",)
    search_exact = ("key",)
    search_help_text = "The exact key of a message."
