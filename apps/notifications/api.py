"""The API of webhooks. Mounted at /api/v1/webhooks."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from apps.accounts.auth import require
from apps.common.api import Cursor, Limit, Words
from apps.common.errors import NotFound
from apps.common.language import lazy as _
from apps.common.pagination import page
from apps.notifications import kinds, services
from apps.notifications.models import Notification, WebhookDelivery, WebhookEndpoint
from apps.notifications.models.webhooks import MANAGE_PERMISSION
from apps.notifications.scopes import Scope

router = Router(tags=["webhooks"])
notifications_router = Router(tags=["notifications"])

WRITE = Scope.WEBHOOKS_WRITE


class WebhookNew(Schema):
    # Only a sane size is asked here: the service knows addresses and events, and audits refusals.
    url: Annotated[str, Field(max_length=1000, examples=["https://example.com/hooks"])]
    events: Annotated[
        list[Annotated[str, Field(max_length=60)]],
        Field(max_length=100, description='Names of events, or "*" for all.'),
    ]
    description: Annotated[str, Field(max_length=1000)] = ""


class Webhook(Schema):
    """`failures` since the last success; until `not_before` nothing is sent there."""

    id: UUID
    url: str
    description: str
    events: list[str]
    active: bool
    why_inactive: Words
    failures: int
    not_before: datetime | None
    previous_secret_until: datetime | None = Field(alias="previous_until")
    last_success_at: datetime | None
    last_failure_at: datetime | None
    created_at: datetime


class WebhookSecret(Schema):
    """An endpoint with its secret, which no other answer contains."""

    id: UUID
    secret: str = Field(description="whsec_ and base64; as Standard Webhooks has it.")


class WebhookPage(Schema):
    items: list[Webhook]
    next: str | None
    events: dict[str, Words] = Field(description="Every event that can be asked for, with a title.")


class Delivery(Schema):
    id: int
    message_id: str
    event: str
    state: str = Field(description="pending, sending, delivered, failed")
    attempts: int
    status: int | None
    answer: str
    error: str
    next_try_at: datetime
    give_up_at: datetime
    created_at: datetime
    delivered_at: datetime | None


class DeliveryPage(Schema):
    items: list[Delivery]
    next: str | None


class Ping(Schema):
    message_id: str


class Place(Schema):
    cursor: Cursor = None
    limit: Limit = 50


@router.get("", response=WebhookPage, summary="Webhooks, newest first")
def webhook_list(request: HttpRequest, place: Query[Place]) -> dict[str, Any]:
    require(request, scope=WRITE, permission=MANAGE_PERMISSION)
    rows = WebhookEndpoint.objects.filter(deleted_at=None)
    return {**page(rows, cursor=place.cursor, limit=place.limit), "events": kinds.events()}


@router.post("", response={201: WebhookSecret}, summary="Make a webhook")
def webhook_create(request: HttpRequest, body: WebhookNew) -> Status[dict[str, Any]]:
    """Refusals: 403 `permission_denied`; 409 `too_many_webhooks`; 422 `bad_url`,
    `private_address`, `event_required`, `unknown_event` (with `valid`), `invalid_text`."""
    user = require(request, scope=WRITE)
    endpoint, secret = services.webhook_create(
        url=body.url, events=body.events, description=body.description, by=user, via="api"
    )
    return Status(201, {"id": endpoint.pk, "secret": secret})


@router.get("/{webhook_id}/deliveries", response=DeliveryPage, summary="What it was sent")
def webhook_deliveries(
    request: HttpRequest, webhook_id: UUID, place: Query[Place]
) -> dict[str, Any]:
    """404 `not_found`; also for one that was deleted."""
    require(request, scope=WRITE, permission=MANAGE_PERMISSION)
    if not WebhookEndpoint.objects.filter(pk=webhook_id, deleted_at=None).exists():
        raise NotFound(_("There is no such webhook."))
    rows = WebhookDelivery.objects.filter(endpoint_id=webhook_id)
    return page(rows, cursor=place.cursor, limit=place.limit)


@router.post("/{webhook_id}/ping", response={202: Ping}, summary="Send a test message")
def webhook_ping(request: HttpRequest, webhook_id: UUID) -> Status[dict[str, Any]]:
    """Of the type `webhook.ping`. Refusals: 403 `permission_denied`; 404 `not_found`; 409
    `webhook_inactive`."""
    user = require(request, scope=WRITE)
    message = services.webhook_ping(endpoint_id=webhook_id, by=user, via="api")
    return Status(202, {"message_id": message})


@router.post("/{webhook_id}/rotate", response=WebhookSecret, summary="A new secret")
def webhook_rotate(request: HttpRequest, webhook_id: UUID) -> dict[str, Any]:
    """For 24 hours messages carry the signatures of both. Refusals: 403 `permission_denied`; 404
    `not_found`."""
    user = require(request, scope=WRITE)
    endpoint, secret = services.webhook_rotate(endpoint_id=webhook_id, by=user, via="api")
    return {"id": endpoint.pk, "secret": secret}


@router.delete("/{webhook_id}", response={204: None}, summary="Delete a webhook")
def webhook_delete(request: HttpRequest, webhook_id: UUID) -> Status[None]:
    """What it was sent stays in the record. Refusals: 403 `permission_denied`; 404 `not_found`."""
    user = require(request, scope=WRITE)
    services.webhook_delete(endpoint_id=webhook_id, by=user, via="api")
    return Status(204, None)


# --- what the person is told ---------------------------------------------------------------------
class NotificationLine(Schema):
    """`url` is a path of the site; `read_at` null: not read yet."""

    id: int
    kind: str
    title: Words
    text: Words
    url: str
    created_at: datetime
    read_at: datetime | None


class NotificationPage(Schema):
    items: list[NotificationLine]
    next: str | None


class NotificationPlace(Place):
    unread: bool = Field(False, description="Only what was not read yet.")


class Reading(Schema):
    ids: Annotated[
        list[Annotated[int, Field(ge=1, le=2**63 - 1)]] | None,
        Field(max_length=500, description="Without: all."),
    ] = None


class ReadCount(Schema):
    read: int = Field(description="How many were unread.")


class KindChoice(Schema):
    """`mutable`: the copy in the site can be switched off."""

    kind: str
    title: Words
    in_app: bool
    email: bool
    mutable: bool


class NotificationSettings(Schema):
    items: list[KindChoice]


class Wanted(Schema):
    """Names of the kinds to be told in the site, and by e-mail; all others are switched off."""

    in_app: Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=100)]
    email: Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=100)]


@notifications_router.get("", response=NotificationPage, summary="What you were told, newest first")
def notification_list(request: HttpRequest, place: Query[NotificationPlace]) -> dict[str, Any]:
    user = require(request, scope=Scope.READ)
    rows = Notification.objects.filter(recipient=user)
    if place.unread:
        rows = rows.filter(read_at=None)
    return page(rows, cursor=place.cursor, limit=place.limit)


@notifications_router.post("/read", response=ReadCount, summary="Mark as read")
def notification_read(request: HttpRequest, body: Reading) -> dict[str, int]:
    """Your own only; again changes nothing."""
    user = require(request, scope=Scope.WRITE)
    read = services.notifications_mark_read(user=user, ids=body.ids, as_of=timezone.now())
    return {"read": read}


@notifications_router.get(
    "/settings", response=NotificationSettings, summary="Your notification settings"
)
def notification_settings_get(request: HttpRequest) -> dict[str, Any]:
    user = require(request, scope=Scope.READ)
    return {"items": services.settings_of(user)}


@notifications_router.put(
    "/settings", response=NotificationSettings, summary="Change your notification settings"
)
def notification_settings_put(request: HttpRequest, body: Wanted) -> dict[str, Any]:
    """Unknown names are left out; what cannot be switched off stays on."""
    user = require(request, scope=Scope.WRITE)
    services.settings_put(user=user, in_app=body.in_app, email=body.email)
    return {"items": services.settings_of(user)}
