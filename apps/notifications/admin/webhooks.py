"""Admin of webhooks and their deliveries."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.common.lists_in_words import all_of
from apps.notifications import kinds, services
from apps.notifications.models import WebhookDelivery, WebhookEndpoint
from apps.notifications.models.webhooks import EVERY_EVENT, MANAGE_PERMISSION
from apps.web.admin import ReadOnlyAdmin, acting
from apps.web.admin_forms import ServiceFormAdmin
from apps.web.admin_verbs import Given, Line, state_note, verb

#: A secret that is shown once, in a sentence.
_SECRET = _("The secret, shown this once: {secret}")


class EndpointForm(forms.Form):
    """A new webhook."""

    url = forms.CharField(max_length=500, label=_("Address"), help_text="https://host/path")
    description = forms.CharField(max_length=200, required=False, label=_("Description"))
    events = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, choices=[], label=_("Events")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["events"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [
            (EVERY_EVENT, gettext("all, also those to come")),
            *((name, f"{name}: {title}") for name, title in kinds.events().items()),
        ]


def _endpoint_line(endpoint: WebhookEndpoint, request: HttpRequest) -> Line:
    text = gettext("On, for {events}.") if endpoint.active else gettext("Off, for {events}.")
    return Line(text.format(events=all_of(endpoint.events)[:200]), label=endpoint.url)


#: Of every verb of a webhook.
_managed = partial(verb, permission=MANAGE_PERMISSION, line=_endpoint_line)


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ServiceFormAdmin):
    """Webhook endpoints. The secret is shown once, when it is made."""

    service_form = EndpointForm
    new_label = _("New webhook")
    new_permission = MANAGE_PERMISSION
    list_display = ("url", "events", "active", "failures", "last_success_at", "last_failure_at")
    list_filter = ("active",)
    ordering = ("-created_at", "-id")
    search_exact = ("url",)
    search_help_text = _("The exact address.")
    exclude = ("secret_sealed", "previous_sealed")
    actions = ("ping", "rotate", "switch_off", "switch_on", "delete_endpoint")

    def granted(self, request: HttpRequest, action: str = "change") -> bool:
        return action != "change" and super().granted(request, action)

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

    def verb_rows(self, request: HttpRequest, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        return rows.filter(deleted_at=None)

    @_managed(
        _("Send a test message"),
        title=_("Send test messages"),
        explanation=_("Each chosen webhook gets one message of the type webhook.ping."),
        button=_("Send"),
        with_reason=False,
    )
    def ping(self, endpoint: WebhookEndpoint, given: Given) -> str:
        """A message of the type webhook.ping."""
        message = services.webhook_ping(endpoint_id=endpoint.pk, by=given.by, via="admin")
        return gettext("{message} is on its way; its delivery says how it ends.").format(
            message=message
        )

    @_managed(
        _("New secret"),
        title=_("New secrets"),
        explanation=_(
            "For 24 hours messages are signed with the old and the new secret, so "
            "that the receiver can change over without a gap."
        ),
        button=_("Make new secrets"),
        with_reason=False,
    )
    def rotate(self, endpoint: WebhookEndpoint, given: Given) -> str:
        """The old one signs beside it for a day."""
        _unused, secret = services.webhook_rotate(endpoint_id=endpoint.pk, by=given.by, via="admin")
        return _SECRET.format(secret=secret)

    @_managed(
        _("Switch off"),
        title=_("Switch webhooks off"),
        explanation=_("Nothing is sent there. Events that happen meanwhile are not kept for it."),
        button=_("Switch off"),
    )
    def switch_off(self, endpoint: WebhookEndpoint, given: Given) -> str:
        """Nothing is sent there, and events meanwhile are not kept for it."""
        services.webhook_switch(endpoint_id=endpoint.pk, active=False, **given.asked)
        return gettext("Off.")

    @_managed(
        _("Switch on"),
        title=_("Switch webhooks on"),
        explanation=_("What waits is sent as long as its time is not over, and new events again."),
        button=_("Switch on"),
    )
    def switch_on(self, endpoint: WebhookEndpoint, given: Given) -> str:
        """What waits is sent, and new events again."""
        services.webhook_switch(endpoint_id=endpoint.pk, active=True, **given.asked)
        return gettext("On.")

    @_managed(
        _("Delete"),
        title=_("Delete webhooks"),
        explanation=_(
            "Nothing is sent there ever again, and the secrets are wiped. The record "
            "of what was sent stays."
        ),
        button=_("Delete"),
        with_reason=False,
    )
    def delete_endpoint(self, endpoint: WebhookEndpoint, given: Given) -> str:
        """For good; the record of what it was sent stays."""
        services.webhook_delete(endpoint_id=endpoint.pk, by=given.by, via="admin")
        return gettext("Deleted; its secrets are wiped.")


def _delivery_line(delivery: WebhookDelivery, request: HttpRequest) -> Line:
    return Line(
        state_note(delivery.get_state_display(), delivery.error),
        label=f"{delivery} → {delivery.endpoint}",
    )


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
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
    search_help_text = _("An exact webhook-id.")
    actions = ("redeliver",)

    @_managed(
        _("Deliver again"),
        title=_("Deliver again"),
        explanation=_("The same message with the same webhook-id, tried as long as a new one."),
        button=_("Deliver again"),
        line=_delivery_line,
    )
    def redeliver(self, delivery: WebhookDelivery, given: Given) -> str:
        """With the same webhook-id: the receiver can tell that it knows it."""
        services.delivery_redeliver(delivery_id=delivery.pk, by=given.by, reason=given.reason)
        return gettext("Will be sent within seconds.")
