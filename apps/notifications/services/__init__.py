"""Services that notify people and programs. Every message is a row with a delivery state."""

from apps.notifications.services.fanout import notices_fan_out
from apps.notifications.services.mails import mail_send_again, mails_deliver
from apps.notifications.services.notifying import (
    Choice,
    notifications_mark_read,
    notify,
    notify_group,
    settings_of,
    settings_put,
)
from apps.notifications.services.queueing import (
    Attachment,
    AttachmentsTooLarge,
    address_checked,
    attachment_body,
    mail_queue,
)
from apps.notifications.services.webhook_delivery import (
    deliveries_claim,
    delivery_post,
    delivery_redeliver,
)
from apps.notifications.services.webhook_events import event_publish
from apps.notifications.services.webhooks import (
    webhook_create,
    webhook_delete,
    webhook_ping,
    webhook_rotate,
    webhook_switch,
)

__all__ = [
    "Attachment",
    "AttachmentsTooLarge",
    "Choice",
    "address_checked",
    "attachment_body",
    "deliveries_claim",
    "delivery_post",
    "delivery_redeliver",
    "event_publish",
    "mail_queue",
    "mail_send_again",
    "mails_deliver",
    "notices_fan_out",
    "notifications_mark_read",
    "notify",
    "notify_group",
    "settings_of",
    "settings_put",
    "webhook_create",
    "webhook_delete",
    "webhook_ping",
    "webhook_rotate",
    "webhook_switch",
]
