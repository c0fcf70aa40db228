from typing import TYPE_CHECKING

from django.apps import AppConfig

from apps.common.language import lazy as _

if TYPE_CHECKING:
    from apps.accounts.models import User


class ApprovalsConfig(AppConfig):
    name = "apps.approvals"
    label = "approvals"
    verbose_name = _("Approvals")

    def ready(self) -> None:
        from apps.approvals import business_hours, notifications
        from apps.approvals.models import VIEW_PERMISSION
        from apps.approvals.registration import bulk, clock, search, shell, texts
        from apps.live.topics import UUID_PATTERN, Topic, register

        register(Topic("inbox", permission=VIEW_PERMISSION))
        register(
            Topic(
                "request",
                pattern=UUID_PATTERN,
                permission=VIEW_PERMISSION,
                owner=_asked_for,
                presence=True,
            )
        )
        texts.register()
        shell.register()
        search.register()
        clock.register()
        notifications.register()
        # Invalid working time settings must stop the start, not the first request.
        business_hours.configured()
        bulk.register()


def _asked_for(user: "User", request_id: str) -> bool:
    from apps.approvals.models import ApprovalRequest

    return ApprovalRequest.objects.filter(pk=request_id, requested_by=user).exists()
