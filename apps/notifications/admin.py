"""Admin of notifications, settings, e-mails and webhooks."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from apps.notifications import kinds, services
from apps.notifications.models import (
    GroupNotice,
    Mail,
    Notification,
    NotificationSetting,
    WebhookDelivery,
    WebhookEndpoint,
)
from apps.notifications.models.webhooks import EVERY_EVENT, MANAGE_PERMISSION
from apps.web.admin import ReadOnlyAdmin, acting
from apps.web.admin_verbs import Line, ServiceFormAdmin, confirmed_action

#: A secret that is shown once, in a sentence.
_SECRET = "The secret, shown this once: {secret}"  # noqa: S105 - the words around it


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = ("title", "recipient", "kind", "channel", "state", "created_at", "read_at")
    list_filter = ("state", "channel")
    list_select_related = ("recipient",)
    ordering = ("-id",)
    search_exact = ("key",)
    search_help_text = "The exact key of a message."


@admin.register(GroupNotice)
class GroupNoticeAdmin(ReadOnlyAdmin):
    """Messages to groups, before and after their fan-out to people."""

    list_display = ("title", "group", "kind", "state", "told", "created_at", "done_at")
    list_filter = ("state",)
    ordering = ("-id",)
    search_exact = ("key", "group")
    search_help_text = "An exact key or group."


@admin.register(NotificationSetting)
class NotificationSettingAdmin(ReadOnlyAdmin):
    """Settings of people; without a row the defaults apply."""

    list_display = ("user", "kind", "in_app", "email")
    list_select_related = ("user",)
    ordering = ("-id",)
    search_exact = ("kind",)
    search_help_text = "An exact kind."


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    """E-mails and their delivery state. One that may have been sent is only resent by a person."""

    list_display = ("title", "recipient", "kind", "state", "attempts", "created_at", "sent_at")
    list_filter = ("state", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("recipient",)
    ordering = ("-created_at", "-id")
    search_exact = ("key", "address")
    search_help_text = "An exact key or address."
    actions = ("send_again",)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return self.granted(request, "resend")

    @admin.action(description="Send again…", permissions=["resend"])
    def send_again(self, request: HttpRequest, queryset: "QuerySet[Mail]") -> HttpResponse:
        """Put failed, dropped and perhaps-sent e-mails back into the queue."""

        def run(mail: Mail, reason: str, stamp: str) -> str:
            services.mail_send_again(mail_id=mail.pk, by=acting(request), reason=reason)
            return "Will be sent within seconds."

        return confirmed_action(
            self,
            request,
            queryset,
            action="send_again",
            title="Send e-mails again",
            explanation="What failed or was perhaps sent goes back into the queue. Of the latter "
            "the person may have a copy already: whoever sends it again decides that two are "
            "better than none.",
            button="Send again",
            line=lambda mail: Line(
                pk=str(mail.pk),
                label=f"{mail} → {mail.recipient}",
                note=f"{mail.get_state_display()}; {mail.error[:200] or 'no error'}",
                blocked=mail.state not in ("failed", "unknown", "dropped"),
            ),
            run=run,
        )


class EndpointForm(forms.Form):
    """A new webhook."""

    url = forms.CharField(max_length=500, label="Address", help_text="https://host/path")
    description = forms.CharField(max_length=200, required=False)
    events = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, choices=[])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["events"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [
            (EVERY_EVENT, "all, also those to come"),
            *((name, f"{name}: {title}") for name, title in kinds.events().items()),
        ]


class _Managed(ReadOnlyAdmin):
    """Verbs that need the permission to manage webhooks."""

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(MANAGE_PERMISSION))


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(_Managed, ServiceFormAdmin):
    """Webhook endpoints. The secret is shown once, when it is made."""

    service_form = EndpointForm
    new_label = "New webhook"
    list_display = ("url", "events", "active", "failures", "last_success_at", "last_failure_at")
    list_filter = ("active",)
    ordering = ("-created_at", "-id")
    search_exact = ("url",)
    search_help_text = "The exact address."
    exclude = ("secret_sealed", "previous_sealed")
    actions = ("ping", "rotate", "switch_off", "switch_on", "delete_endpoint")

    def granted(self, request: HttpRequest, action: str = "change") -> bool:
        return action == "add" and self.has_manage_permission(request)

    def put(self, request: HttpRequest, data: dict[str, Any]) -> Model:
        endpoint, secret = services.webhook_create(
            url=data["url"],
            events=data["events"],
            description=data["description"],
            by=acting(request),
            via="admin",
        )
        self.message_user(request, _SECRET.format(secret=secret), messages.WARNING)
        return endpoint

    @admin.action(description="Send a test message…", permissions=["manage"])
    def ping(self, request: HttpRequest, queryset: "QuerySet[WebhookEndpoint]") -> HttpResponse:
        """A message of the type webhook.ping."""

        def run(endpoint: WebhookEndpoint, reason: str, stamp: str) -> str:
            message = services.webhook_ping(
                endpoint_id=endpoint.pk, by=acting(request), via="admin"
            )
            return f"{message} is on its way; its delivery says how it ends."

        return self._ask(
            request,
            queryset,
            action="ping",
            title="Send test messages",
            explanation="Each chosen webhook gets one message of the type webhook.ping.",
            button="Send",
            run=run,
            with_reason=False,
        )

    @admin.action(description="New secret…", permissions=["manage"])
    def rotate(self, request: HttpRequest, queryset: "QuerySet[WebhookEndpoint]") -> HttpResponse:
        """The old one signs beside it for a day."""

        def run(endpoint: WebhookEndpoint, reason: str, stamp: str) -> str:
            _, secret = services.webhook_rotate(
                endpoint_id=endpoint.pk, by=acting(request), via="admin"
            )
            return _SECRET.format(secret=secret)

        return self._ask(
            request,
            queryset,
            action="rotate",
            title="New secrets",
            explanation="For 24 hours messages are signed with the old and the new secret, so that "
            "the receiver can change over without a gap.",
            button="Make new secrets",
            run=run,
            with_reason=False,
        )

    @admin.action(description="Switch off…", permissions=["manage"])
    def switch_off(
        self, request: HttpRequest, queryset: "QuerySet[WebhookEndpoint]"
    ) -> HttpResponse:
        """Nothing is sent there, and events meanwhile are not kept for it."""
        return self._switch(request, queryset, active=False)

    @admin.action(description="Switch on…", permissions=["manage"])
    def switch_on(
        self, request: HttpRequest, queryset: "QuerySet[WebhookEndpoint]"
    ) -> HttpResponse:
        """What waits is sent, and new events again."""
        return self._switch(request, queryset, active=True)

    @admin.action(description="Delete…", permissions=["manage"])
    def delete_endpoint(
        self, request: HttpRequest, queryset: "QuerySet[WebhookEndpoint]"
    ) -> HttpResponse:
        """For good; the record of what it was sent stays."""

        def run(endpoint: WebhookEndpoint, reason: str, stamp: str) -> str:
            services.webhook_delete(endpoint_id=endpoint.pk, by=acting(request), via="admin")
            return "Deleted; its secrets are wiped."

        return self._ask(
            request,
            queryset,
            action="delete_endpoint",
            title="Delete webhooks",
            explanation="Nothing is sent there ever again, and the secrets are wiped. The record "
            "of what was sent stays.",
            button="Delete",
            run=run,
            with_reason=False,
        )

    def _switch(self, request: HttpRequest, queryset: Any, *, active: bool) -> HttpResponse:
        def run(endpoint: WebhookEndpoint, reason: str, stamp: str) -> str:
            services.webhook_switch(
                endpoint_id=endpoint.pk,
                active=active,
                reason=reason,
                by=acting(request),
                via="admin",
            )
            return "On." if active else "Off."

        return self._ask(
            request,
            queryset,
            action="switch_on" if active else "switch_off",
            title="Switch webhooks on" if active else "Switch webhooks off",
            explanation="What waits is sent as long as its time is not over, and new events again."
            if active
            else "Nothing is sent there. Events that happen meanwhile are not kept for it.",
            button="Switch on" if active else "Switch off",
            run=run,
        )

    def _ask(self, request: HttpRequest, queryset: Any, **words: Any) -> HttpResponse:
        return confirmed_action(
            self,
            request,
            queryset.filter(deleted_at=None),
            line=lambda endpoint: Line(
                pk=str(endpoint.pk),
                label=endpoint.url,
                note=f"{'on' if endpoint.active else 'off'}; {', '.join(endpoint.events)[:200]}",
            ),
            **words,
        )


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(_Managed):
    """Webhook deliveries and the endpoints' answers."""

    list_display = (
        "event",
        "endpoint",
        "state",
        "attempts",
        "status",
        "error",
        "created_at",
        "delivered_at",
    )
    list_filter = ("state", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("endpoint",)
    ordering = ("-created_at", "-id")
    search_exact = ("message_id",)
    search_help_text = "An exact webhook-id."
    actions = ("redeliver",)

    @admin.action(description="Deliver again…", permissions=["manage"])
    def redeliver(
        self, request: HttpRequest, queryset: "QuerySet[WebhookDelivery]"
    ) -> HttpResponse:
        """With the same webhook-id: the receiver can tell that it knows it."""

        def run(delivery: WebhookDelivery, reason: str, stamp: str) -> str:
            services.delivery_redeliver(delivery_id=delivery.pk, by=acting(request), reason=reason)
            return "Will be sent within seconds."

        return confirmed_action(
            self,
            request,
            queryset,
            action="redeliver",
            title="Deliver again",
            explanation="The same message with the same webhook-id, tried as long as a new one.",
            button="Deliver again",
            line=lambda delivery: Line(
                pk=str(delivery.pk),
                label=f"{delivery} → {delivery.endpoint}",
                note=f"{delivery.state}; {delivery.error[:200] or 'no error'}",
            ),
            run=run,
        )
