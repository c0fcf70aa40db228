"""Registers payment events with the engine, and what comes in over the API."""

import re
from typing import Any

from django.urls import reverse

from apps.accounts import scopes
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.common.uploads import ENVELOPE_BYTES
from apps.engine import subjects
from apps.engine.subjects import EngineSubject
from apps.live.topics import Topic
from apps.live.topics import register as topic_register
from apps.payments.contracts import BATCH, CUSTOMER, EVENT, QUARANTINED, RULE
from apps.payments.scopes import Scope
from apps.payments.services import alerting, ending, imports, reviews, rules
from apps.web import body_sizes

VIEW = "payments.view_paymentevent"

SUBJECT = EngineSubject(
    type=EVENT,
    title=_("Payment event"),
    restart=ending.event_restart,
    on_undeliverable=ending.event_undeliverable,
    on_closed=lambda identifier, run: None,
    url=lambda identifier: reverse("payment_event", args=[identifier]),
    # Events have no run in the mirror: the leader's own task finds those that nobody carries.
    stranded=lambda: (),
    ended=ending.events_ended,
)
BATCH_SUBJECT = EngineSubject(
    type=BATCH,
    title=_("Batch of payment events"),
    restart=ending.batch_restart,
    on_undeliverable=ending.batch_undeliverable,
    on_closed=lambda identifier, run: None,
    url=lambda identifier: "",
    # No run in the mirror, as of an event.
    stranded=lambda: (),
    ended=ending.batches_ended,
)
REVIEW_SUBJECT = EngineSubject(
    type=QUARANTINED,
    title=_("Review of a quarantined event"),
    restart=reviews.review_restart,
    on_undeliverable=reviews.review_undeliverable,
    on_closed=lambda identifier, run: None,
    url=lambda identifier: reverse("quarantined_event", args=[identifier]),
    # The row waits without its review, and a decision starts it.
    stranded=lambda: (),
    subjects_of=reviews.rows_of_reviews,
    ended=reviews.reviews_ended,
)


#: What comes in over the API, with room for a batch.
BODIES = body_sizes.Roomier(re.compile(r"/api/v1/payment-events"), most=8 * 1024 * 1024, json=True)
#: Corrected events, over the API and as a file of the page.
LINES = body_sizes.Roomier(
    re.compile(r"/api/v1/quarantine/edits"), most=imports.MOST_BYTES, json=True
)
FILES = body_sizes.Roomier(
    re.compile(r"/quarantine/import/"), most=imports.MOST_BYTES + ENVELOPE_BYTES
)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    subjects.register(SUBJECT)
    subjects.register(BATCH_SUBJECT)
    subjects.register(REVIEW_SUBJECT)
    scopes.register(Scope)
    for body in (BODIES, LINES, FILES):
        body_sizes.register(body)
    subject_types.register(QUARANTINED, EVENT, RULE, CUSTOMER)
    alerting.register()
    topic_register(Topic("payments", permission=VIEW))


def rules_ensure(**kwargs: Any) -> None:
    """Receiver of post_migrate: make the rows of the business rules."""
    rules.rules_ensure()
