"""Sending the events that wait to the endpoints that want them, each until it is taken.

A receiver may get one event twice (a kill after its answer); the event's id is the same each time.
"""

import secrets
import time
from datetime import timedelta
from random import uniform
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.audit.services import entry_record, refusals
from apps.common import correlation
from apps.common.errors import Conflict, DomainError, NotAllowed, NotFound
from apps.common.language import lazy as _
from apps.notifications import signing
from apps.notifications.models import WebhookDelivery, WebhookEndpoint
from apps.notifications.models.webhooks import MANAGE_PERMISSION
from apps.notifications.safe_http import Answer, Undelivered, post, storable
from apps.notifications.services.notifying import notify

logger = correlation.get_logger(__name__)

#: At once for one endpoint; one alone while it fails, so that a dead one holds up nobody.
PER_ENDPOINT = 3
FIRST_WAIT, LONGEST_WAIT = 5.0, 3600.0
#: Of an endpoint that fails altogether, until one message tries it again.
LONGEST_PAUSE = 60.0

_S = WebhookDelivery.State

_CLAIM = """
UPDATE notifications_webhookdelivery SET state = 'sending', lease = %(lease)s,
    leased_until = %(now)s + %(seconds)s * interval '1 second', attempts = attempts + 1
WHERE id IN (
    SELECT due.id
    FROM notifications_webhookendpoint e
    CROSS JOIN LATERAL (
        SELECT d.id, d.next_try_at, row_number() OVER (ORDER BY d.next_try_at, d.id) AS place
        FROM (
            SELECT id, next_try_at FROM notifications_webhookdelivery
            WHERE endpoint_id = e.id AND state = 'pending' AND next_try_at <= %(now)s
            ORDER BY next_try_at, id
            LIMIT GREATEST(0, CASE WHEN e.failures > 0 THEN 1 ELSE %(per_endpoint)s END - (
                SELECT count(*) FROM notifications_webhookdelivery s
                WHERE s.endpoint_id = e.id AND s.state = 'sending'))
            FOR UPDATE SKIP LOCKED
        ) d
    ) due
    WHERE e.active AND (e.not_before IS NULL OR e.not_before <= %(now)s)
    ORDER BY due.place, due.next_try_at, due.id
    LIMIT %(limit)s
)
RETURNING id
"""


def deliveries_claim(*, limit: int) -> list[int]:
    """Lease up to `limit` due deliveries to the caller, who posts each; returns their ids.

    Fair between endpoints: the first delivery of each comes before the second of any. A dead
    sender's deliveries are due again when their lease is over.
    """
    now = timezone.now()
    WebhookDelivery.objects.filter(state=_S.SENDING, leased_until__lt=now).update(
        state=_S.PENDING, lease="", leased_until=None
    )
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "lease": secrets.token_hex(16),
                "now": now,
                "seconds": settings.WEBHOOK_TIMEOUT_SECONDS * 3 + 30,
                "per_endpoint": PER_ENDPOINT,
                "limit": limit,
            },
        )
        return [row[0] for row in cursor.fetchall()]


def delivery_post(*, delivery_id: int) -> None:
    """Send a claimed delivery and record the result.

    2xx is delivered; 410 switches the endpoint off; anything else is retried with growing waits
    until its time is over, then failed, and the endpoint's creator is notified. An unexpected error
    counts as a failure too: a delivery that is never settled would be sent for ever.
    """
    delivery = WebhookDelivery.objects.select_related("endpoint").get(pk=delivery_id)
    if delivery.state != _S.SENDING:
        return
    answer: Answer | None = None
    try:
        answer = _post(delivery)
        error = _wrong(answer)
    except (Undelivered, DomainError) as failure:
        error = str(failure)
    except Exception as failure:
        logger.error("a webhook broke", delivery=delivery.pk, error=repr(failure), alert=True)
        error = f"{type(failure).__name__}: {failure}"
    with transaction.atomic(durable=True):
        if error == "":
            _delivered(delivery, answer)
        else:
            _failed(delivery, answer, error)


def delivery_redeliver(
    *, delivery_id: int, by: User, reason: str, via: str = "admin"
) -> WebhookDelivery:
    """Send a delivery again, also a delivered one, with the same id and the full retry time.

    Raises, each audited: NotAllowed `permission_denied`, NotFound, Conflict `webhook_inactive`,
    `in_delivery`.
    """
    record: dict[str, Any] = {
        "action": "webhook.redeliver",
        "subject_type": "webhook_delivery",
        "subject_id": delivery_id,
        "by": by,
        "via": via,
    }
    with refusals(**record), transaction.atomic(durable=True):
        if not by.is_active or not by.has_perm(MANAGE_PERMISSION):
            raise NotAllowed(_("You may not manage webhooks."), code="permission_denied")
        delivery = (
            WebhookDelivery.objects.select_for_update(of=("self",))
            .select_related("endpoint")
            .filter(pk=delivery_id)
            .first()
        )
        if delivery is None:
            raise NotFound(_("There is no such delivery."))
        if not delivery.endpoint.active:
            raise Conflict(_("The webhook is switched off."), code="webhook_inactive")
        if delivery.state == _S.SENDING:
            raise Conflict(_("It is being sent just now."), code="in_delivery")
        before, now = delivery.state, timezone.now()
        delivery.state, delivery.attempts, delivery.error = _S.PENDING, 0, ""
        delivery.next_try_at = now
        delivery.give_up_at = now + timedelta(seconds=settings.WEBHOOK_RETRY_SECONDS)
        delivery.save(update_fields=["state", "attempts", "error", "next_try_at", "give_up_at"])
        entry_record(
            **record, body={"was": before, "reason": reason, "message_id": delivery.message_id}
        )
    return delivery


def _post(delivery: WebhookDelivery) -> Answer:
    endpoint, body = delivery.endpoint, delivery.body.encode()
    timestamp = int(time.time())
    sealed = [endpoint.secret_sealed]
    if endpoint.previous_until is not None and endpoint.previous_until > timezone.now():
        sealed.append(endpoint.previous_sealed)
    signatures = [
        signing.signature(
            signing.unseal(one), message_id=delivery.message_id, timestamp=timestamp, body=body
        )
        for one in sealed
        if one
    ]
    return post(
        endpoint.url,
        body=body,
        headers={
            "Content-Type": "application/json",
            "webhook-id": delivery.message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(signatures),
        },
        seconds=settings.WEBHOOK_TIMEOUT_SECONDS,
    )


def _wrong(answer: Answer) -> str:
    if 200 <= answer.status < 300:
        return ""
    if 300 <= answer.status < 400:
        return f"It answered {answer.status}: redirects are not followed."
    return f"It answered {answer.status}."


def _mine(delivery: WebhookDelivery) -> Any:
    return WebhookDelivery.objects.filter(
        pk=delivery.pk, lease=delivery.lease, state__in=(_S.SENDING, _S.PENDING)
    )


def _delivered(delivery: WebhookDelivery, answer: Answer | None) -> None:
    now = timezone.now()
    _mine(delivery).update(
        state=_S.DELIVERED,
        delivered_at=now,
        lease="",
        leased_until=None,
        error="",
        status=answer.status if answer else None,
        answer=answer.text if answer else "",
    )
    WebhookEndpoint.objects.filter(pk=delivery.endpoint_id).update(
        failures=0, not_before=None, last_success_at=now
    )


def _failed(delivery: WebhookDelivery, answer: Answer | None, error: str) -> None:
    now, error = timezone.now(), storable(error)
    gone = answer is not None and answer.status == 410
    over = gone or now >= delivery.give_up_at
    wait = _wait(delivery.attempts, LONGEST_WAIT)
    changed = _mine(delivery).update(
        state=_S.FAILED if over else _S.PENDING,
        # Not beyond its end: the last try belongs there.
        next_try_at=now + timedelta(seconds=wait)
        if over
        else min(now + timedelta(seconds=wait), max(delivery.give_up_at, now)),
        lease="",
        leased_until=None,
        error=error[:2000],
        status=answer.status if answer else None,
        answer=answer.text if answer else "",
    )
    endpoint = WebhookEndpoint.objects.filter(pk=delivery.endpoint_id)
    # A 4xx is about the message: the others go on.
    sick = answer is None or answer.status >= 500 or answer.status == 429
    if gone:
        endpoint.update(active=False, why_inactive="It answered 410 Gone.", last_failure_at=now)
    elif sick:
        pause = _wait(delivery.endpoint.failures + 1, LONGEST_PAUSE)
        endpoint.update(
            failures=F("failures") + 1,
            not_before=now + timedelta(seconds=pause),
            last_failure_at=now,
        )
    else:
        endpoint.update(last_failure_at=now)
    if over and changed:
        _alert(delivery, error)


def _wait(attempts: int, longest: float) -> float:
    return min(longest, FIRST_WAIT * 2 ** min(max(attempts - 1, 0), 20)) * uniform(0.8, 1.0)  # noqa: S311


def _alert(delivery: WebhookDelivery, error: str) -> None:
    """Once a day for an endpoint, however many messages it misses."""
    endpoint = delivery.endpoint
    logger.error(
        "a webhook was given up",
        alert=True,
        endpoint=str(endpoint.pk),
        message_id=delivery.message_id,
        error=error,
    )
    if endpoint.created_by is not None:
        notify(
            key=f"webhook:{endpoint.pk}:{timezone.now():%Y-%m-%d}",
            recipients=[endpoint.created_by],
            kind="webhook.failed",
            title=gettext("A webhook did not get through: {url}").format(url=endpoint.url),
            text=f"{delivery.event}: {error}",
            url="/admin/notifications/webhookdelivery/?state__exact=failed",
        )
