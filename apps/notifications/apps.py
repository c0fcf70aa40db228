from typing import TYPE_CHECKING

from django.apps import AppConfig

from apps.common.language import lazy as _

if TYPE_CHECKING:
    from apps.accounts.models import User


class NotificationsConfig(AppConfig):
    name = "apps.notifications"
    label = "notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        from apps.accounts.signals import account_touched
        from apps.live.topics import Topic
        from apps.live.topics import register as register_topic
        from apps.notifications import kinds, leader_tasks, registration
        from apps.notifications.models.webhooks import MANAGE_PERMISSION
        from apps.notifications.services.notifying import account_told

        registration.register()
        # Nobody but the person: not even an administrator sees somebody else's bell.
        register_topic(Topic("person", pattern=r"[0-9]{1,18}", private=True, owner=_themselves))
        kinds.register(
            kinds.NotificationKind(
                "webhook.failed",
                _("A webhook of mine cannot be delivered"),
                email=True,
                permission=MANAGE_PERMISSION,
            )
        )
        kinds.register(
            kinds.NotificationKind(
                "account.touched",
                _("Somebody else changes how I sign in"),
                email=True,
                mutable=False,
            )
        )
        account_touched.connect(account_told, dispatch_uid="notifications.account")
        leader_tasks.register_all()


def _themselves(user: "User", identifier: str) -> bool:
    return str(user.pk) == identifier
