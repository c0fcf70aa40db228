"""Tables of notifications, e-mails and webhooks."""

from apps.notifications.models.mails import Mail, MailAttachment, MailContent
from apps.notifications.models.messages import GroupNotice, Notification, NotificationSetting
from apps.notifications.models.webhooks import WebhookDelivery, WebhookEndpoint

__all__ = [
    "GroupNotice",
    "Mail",
    "MailAttachment",
    "MailContent",
    "Notification",
    "NotificationSetting",
    "WebhookDelivery",
    "WebhookEndpoint",
]
