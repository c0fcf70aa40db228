"""Registers payments with the shared parts of the site."""

from typing import Any

from apps.common.language import lazy as _
from apps.engine import subjects
from apps.engine.subjects import EngineSubject
from apps.live.topics import Topic
from apps.live.topics import register as topic_register
from apps.payments.contracts import EVENT
from apps.payments.services import ending
from apps.payments.services import rules

SUBJECT = EngineSubject(
    type=EVENT,
    title=_("Payment event"),
    restart=ending.event_restart,
    on_undeliverable=ending.event_undeliverable,
    on_closed=lambda identifier, run: None,
    url=lambda identifier: "",
    # Events have no run in the mirror: the leader's own task finds those that nobody carries.
    stranded=lambda: (),
    ended=ending.events_ended,
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    subjects.register(SUBJECT)
    topic_register(Topic("payments", permission="payments.view_paymentevent"))
    topic_register(Topic("quarantine", permission="payments.view_quarantinedevent"))


def rules_ensure(**kwargs: Any) -> None:
    """Receiver of post_migrate: make the rows of the business rules."""
    rules.rules_ensure()
