"""Webhook endpoints: create, rotate the secret, ping, switch off and on, delete."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.services import entry_record, refusals
from apps.common.errors import Conflict, Invalid, NotAllowed, NotFound
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.notifications import kinds, signing
from apps.notifications.models.webhooks import EVERY_EVENT, MANAGE_PERMISSION, WebhookEndpoint
from apps.notifications.services.webhook_events import event_publish_to
from apps.outbound.addresses import url_checked

SUBJECT_TYPE = "webhook"
PING = "webhook.ping"
#: How long the old secret signs beside the new one.
ROTATION = timedelta(hours=24)
MOST_ENDPOINTS = 100


def webhook_create(
    *, url: str, events: Iterable[str], description: str = "", by: User, via: str
) -> tuple[WebhookEndpoint, str]:
    """Create an endpoint; the second value is its secret, which is not shown again.

    `events` are registered names, or "*". Raises, each audited: NotAllowed `permission_denied`;
    Invalid `bad_url`, `private_address`, `event_required`, `unknown_event` (extra valid),
    `invalid_text`; Conflict `too_many_webhooks`.
    """
    record = _record("create", "", by, via)
    with refusals(**record), transaction.atomic(durable=True):
        _check_permission(by)
        chosen = _events(events)
        address = url_checked(url.strip())
        words = description.strip()
        if "\0" in words or len(words) > 200:
            raise Invalid(_("A description has at most 200 characters."), code="invalid_text")
        if WebhookEndpoint.objects.filter(deleted_at=None).count() >= MOST_ENDPOINTS:
            raise Conflict(
                filled(
                    _("There are {most_endpoints} webhooks already."), most_endpoints=MOST_ENDPOINTS
                ),
                code="too_many_webhooks",
            )
        secret = signing.secret_new()
        endpoint = WebhookEndpoint.objects.create(
            url=address,
            events=chosen,
            description=words,
            secret_sealed=signing.seal(secret),
            created_by=by,
        )
        record["subject_id"] = endpoint.pk
        entry_record(**record, body={"url": address, "events": chosen})
    return endpoint, secret


def webhook_rotate(*, endpoint_id: UUID | str, by: User, via: str) -> tuple[WebhookEndpoint, str]:
    """Make a new secret, shown only now; for 24 hours messages carry the signatures of both.

    Rotating again within that time ends the older one at once. Raises NotAllowed
    `permission_denied`, NotFound.
    """
    with _verb("rotate", endpoint_id, by, via) as verb:
        endpoint = verb.endpoint
        secret = signing.secret_new()
        endpoint.previous_sealed = endpoint.secret_sealed
        endpoint.previous_until = timezone.now() + ROTATION
        endpoint.secret_sealed = signing.seal(secret)
        endpoint.save(update_fields=["previous_sealed", "previous_until", "secret_sealed"])
        verb.done(until=endpoint.previous_until)
    return endpoint, secret


def webhook_switch(
    *, endpoint_id: UUID | str, active: bool, reason: str, by: User, via: str
) -> WebhookEndpoint:
    """Switch the endpoint off or on. Waiting deliveries stay until their time is over. Idempotent.
    Raises NotAllowed `permission_denied`, NotFound."""
    with _verb("switch_on" if active else "switch_off", endpoint_id, by, via) as verb:
        endpoint = verb.endpoint
        endpoint.active = active
        endpoint.why_inactive = "" if active else reason.strip()[:200]
        endpoint.failures, endpoint.not_before = 0, None
        endpoint.save(update_fields=["active", "why_inactive", "failures", "not_before"])
        verb.done(reason=reason)
    return endpoint


def webhook_delete(*, endpoint_id: UUID | str, by: User, via: str) -> WebhookEndpoint:
    """Delete the endpoint for good: wipe its secrets, give up waiting deliveries, keep the record.
    Raises NotAllowed `permission_denied`, NotFound (also when it is deleted already)."""
    with _verb("delete", endpoint_id, by, via) as verb:
        endpoint = verb.endpoint
        endpoint.active, endpoint.deleted_at = False, timezone.now()
        endpoint.secret_sealed = endpoint.previous_sealed = ""
        endpoint.save(update_fields=["active", "deleted_at", "secret_sealed", "previous_sealed"])
        given_up = endpoint.deliveries.filter(state="pending").update(
            state="failed", error="The endpoint was deleted."
        )
        verb.done(given_up=given_up)
    return endpoint


def webhook_ping(*, endpoint_id: UUID | str, by: User, via: str) -> str:
    """Send a test message, whatever the endpoint's subscriptions; returns the message's id.

    Raises NotAllowed `permission_denied`, NotFound, Conflict `webhook_inactive`.
    """
    with _verb("ping", endpoint_id, by, via) as verb:
        endpoint = verb.endpoint
        if not endpoint.active:
            raise Conflict(_("The webhook is switched off."), code="webhook_inactive")
        endpoint.not_before = None  # somebody wants to know now
        endpoint.save(update_fields=["not_before"])
        event_publish_to(
            endpoint_id=endpoint.pk,
            key=f"ping:{uuid4()}",
            event=PING,
            body={"webhook": str(endpoint.pk), "asked_by": by.username},
        )
        message: str = endpoint.deliveries.latest("pk").message_id
        verb.done(message_id=message)
    return message


@dataclass
class _Verb:
    """The arguments of a verb on one endpoint."""

    endpoint: WebhookEndpoint
    record: dict[str, Any]

    def done(self, **body: Any) -> None:
        entry_record(**self.record, body={"url": self.endpoint.url, **body})


@contextmanager
def _verb(name: str, endpoint_id: UUID | str, by: User, via: str) -> Iterator[_Verb]:
    """Check permission, lock, run the verb's own lines, in one transaction; audit refusals."""
    record = _record(name, endpoint_id, by, via)
    with refusals(**record), transaction.atomic(durable=True):
        _check_permission(by)
        yield _Verb(_lock(endpoint_id), record)


def _lock(endpoint_id: UUID | str) -> WebhookEndpoint:
    try:
        found = (
            WebhookEndpoint.objects.select_for_update()
            .filter(pk=endpoint_id, deleted_at=None)
            .first()
        )
    except (ValidationError, ValueError):
        found = None
    if found is None:
        raise NotFound(_("There is no such webhook."))
    return found


def _check_permission(by: User) -> None:
    if not by.is_active or not by.has_perm(MANAGE_PERMISSION):
        raise NotAllowed(_("You may not manage webhooks."), code="permission_denied")


def _events(events: Iterable[str]) -> list[str]:
    chosen = sorted(set(events))
    known = kinds.events()
    if not chosen:
        raise Invalid(_("Choose at least one event, or *."), code="event_required")
    if unknown := [name for name in chosen if name != EVERY_EVENT and name not in known]:
        raise Invalid(
            filled(_("Unknown event: {unknown}."), unknown=", ".join(unknown)[:200]),
            code="unknown_event",
            valid=[EVERY_EVENT, *known],
        )
    return chosen


def _record(verb: str, subject_id: object, by: User, via: str) -> dict[str, Any]:
    return {
        "action": f"webhook.{verb}",
        "subject_type": SUBJECT_TYPE,
        "subject_id": subject_id,
        "by": by,
        "via": via,
    }
