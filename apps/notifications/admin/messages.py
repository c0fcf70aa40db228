"""Admin of notifications in the site, of notices to groups, and of people's settings."""

from django.contrib import admin

from apps.common.language import lazy as _
from apps.notifications.models import GroupNotice, Notification, NotificationSetting
from apps.web.admin import ReadOnlyAdmin


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = ("title", "recipient", "kind", "channel", "state", "created_at", "read_at")
    list_filter = ("state", "channel")
    list_select_related = ("recipient",)
    search_exact = ("key",)
    search_help_text = _("The exact key of a message.")


@admin.register(GroupNotice)
class GroupNoticeAdmin(ReadOnlyAdmin):
    """Messages to groups, before and after their fan-out to people."""

    list_display = ("title", "group", "kind", "state", "told", "created_at", "done_at")
    list_filter = ("state",)
    search_exact = ("key", "group")
    search_help_text = _("An exact key or group.")


@admin.register(NotificationSetting)
class NotificationSettingAdmin(ReadOnlyAdmin):
    """Settings of people; without a row the defaults apply."""

    list_display = ("user", "kind", "in_app", "email")
    list_select_related = ("user",)
    search_exact = ("kind",)
    search_help_text = _("An exact kind.")
