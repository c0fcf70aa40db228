"""Admin of what goes to topics. It only shows."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from apps.common.language import lazy as _
from apps.streams.models import OutEvent, OutgoingMessage, OutTopic
from apps.streams.selectors import lag_of
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


@admin.register(OutTopic)
class OutTopicAdmin(ReadOnlyAdmin):
    """Topics of events, and how far each is behind."""

    list_display = ("topic", "position", "lag")

    @admin.display(description=_("waits for, in seconds"))
    def lag(self, row: OutTopic) -> int:
        """Age of the event that is sent next."""
        return int(lag_of(row.topic))


@admin.register(OutEvent)
class OutEventAdmin(ReadOnlyAdmin):
    """Events, those that wait among them."""

    list_display = (
        *("topic", "position", "type", "state", "created_at", "sent_at", "waited"),
        *("attempts", "error"),
    )
    list_filter = (("sent_at", admin.EmptyFieldListFilter),)
    ordering = ("-seq",)
    search_exact = ("event_id",)
    search_help_text = _("The exact id of an event.")
    #: Both may be about a person.
    CONTENT = ("key", "body")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All fields; the content for those who may read it."""
        hidden = () if self.granted(request, "streams.read_outevent") else self.CONTENT
        return [name for name in super().get_fields(request, obj) if name not in hidden]

    @admin.display(description=_("state"))
    def state(self, row: OutEvent) -> str:
        """How far it has come."""
        if row.sent_at is not None:
            return str(_("sent"))
        return str(_("not taken") if row.error else _("waits"))

    @admin.display(description=_("waited, in seconds"))
    def waited(self, row: OutEvent) -> int:
        """From its transaction to the broker, or until now."""
        until: datetime = row.sent_at or timezone.now()
        return max(0, int((until - row.created_at).total_seconds()))
