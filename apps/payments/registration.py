"""Registers payments with the shared parts of the site."""

import re
from typing import Any

from apps.accounts import roles, scopes
from apps.audit import subject_types
from apps.common.language import lazy as _
from apps.engine import subjects, timeline
from apps.engine.subjects import EngineSubject
from apps.live.topics import Topic
from apps.live.topics import register as topic_register
from apps.payments.contracts import BATCH, EVENT, QUARANTINED
from apps.payments.scopes import Scope
from apps.payments.services import ending, rules
from apps.web import body_sizes, refusals, tones

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


#: What comes in over the API, with room for a batch.
BODIES = body_sizes.Roomier(re.compile(r"/api/v1/payment-events"), most=8 * 1024 * 1024, json=True)


def register() -> None:
    """Register everything above. Called once, when Django is ready."""
    subjects.register(SUBJECT)
    subjects.register(BATCH_SUBJECT)
    scopes.register(Scope)
    body_sizes.register(BODIES)
    refusals.explain(NEXT_STEPS)
    tones.register({}, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
    subject_types.register(QUARANTINED, EVENT)
    _grant()
    topic_register(Topic("payments", permission="payments.view_paymentevent"))
    topic_register(Topic("quarantine", permission="payments.view_quarantinedevent"))


NEXT_STEPS = {
    "already_replaying": _("Wait until it is kept, or has failed again."),
    "not_replayable": _("Edit it first: as it came it would fail again."),
    "event_known": _("Look at the event that has this id; discard this one if it is the same."),
    "event_waits_elsewhere": _("Deal with the row in which it waits."),
}

#: Why events are in the quarantine.
WORDS = {
    "already_quarantined": _("in the quarantine already"),
    "duplicate_key": _("a member is named twice"),
    "event_id_differs": _("the workflow has another id"),
    "event_id_invalid": _("unusable id"),
    "event_id_missing": _("no id"),
    "event_id_reserved": _("an id that another workflow could have"),
    "event_id_reused": _("another event has its id"),
    "event_not_found": _("no such event"),
    "inference_answer_invalid": _("scores make no sense"),
    "inference_refused": _("refused by the inference service"),
    "inference_unavailable": _("inference service away"),
    "not_json": _("not JSON"),
    "schema_unknown": _("unknown version of the schema"),
    "too_deep": _("nested too deeply"),
    "unstorable": _("refused by the database"),
    "workflow_terminated": _("workflow ended from outside"),
    "workflow_undeliverable": _("workflow could not be started"),
    "wrong_type": _("a value of the wrong type"),
    "required_fields": _("a field is missing"),
    "amount_bounds": _("amount out of bounds"),
    "currency_allowed": _("currency not allowed"),
    "status_unknown": _("unknown status"),
    "timestamp_bounds": _("time in the future"),
    "method_known": _("unknown method of payment"),
    "customer_blocklist": _("blocked customer"),
    "merchant_blocklist": _("blocked merchant"),
    "upstream": _("refused elsewhere"),
}

ACTIONS = {
    "quarantined_event.discarded": _("Discarded the event"),
    "quarantined_event.restored": _("Restored the event"),
    "quarantined_event.replayed": _("Replayed the event"),
    "payments.gap": _("Found that messages of a topic are gone"),
}
TRIED = {
    "quarantined_event.discard": _("Tried to discard the event"),
    "quarantined_event.restore": _("Tried to restore the event"),
    "quarantined_event.replay": _("Tried to replay the event"),
    "payment_event.take": _("Tried to send payment events"),
}


def _grant() -> None:
    roles.grant(
        "quarantine operator",
        "payments.send_paymentevent",
        "payments.edit_quarantinedevent",
        "payments.replay_quarantinedevent",
        "payments.discard_quarantinedevent",
        "payments.import_quarantinedevent",
        "payments.read_payload",
    )
    roles.grant("quarantine releaser", "payments.read_payload")
    for role in ("quarantine operator", "quarantine releaser", "operator"):
        roles.grant(role, "payments.view_*")


def rules_ensure(**kwargs: Any) -> None:
    """Receiver of post_migrate: make the rows of the business rules."""
    rules.rules_ensure()
