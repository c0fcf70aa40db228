"""Registers the quarantine's replays with the engine, notifications and live pages."""

from apps.common.language import lazy as _
from apps.engine import runs
from apps.live.topics import Topic
from apps.live.topics import register as topic_register
from apps.notifications import kinds as notification_kinds
from apps.notifications.kinds import NotificationKind
from apps.payments.contracts import QUARANTINED
from apps.payments.services.replays import RUN

VIEW = "payments.view_quarantinedevent"

KINDS = (
    NotificationKind("payments.replay_completed", _("A replay that I made is complete")),
    NotificationKind(
        "payments.replay_cancelled", _("A replay that I made was cancelled by somebody else")
    ),
    NotificationKind(
        "payments.replay_paused", _("A replay that I made has paused by itself"), email=True
    ),
)


def register() -> None:
    """Register replays. Called once, when Django is ready."""
    runs.register(RUN, view=VIEW)
    topic_register(Topic("quarantine", permission=VIEW))
    topic_register(Topic(QUARANTINED, pattern=r"[0-9a-f-]{36}", permission=VIEW))
    for kind in KINDS:
        notification_kinds.register(kind)
