"""Words of payment events on shared pages: next steps after refusals, words and tones of states."""

from apps.common.language import lazy as _
from apps.engine import timeline
from apps.web import refusals, tones

NEXT_STEPS = {
    "already_replaying": _("Wait until it is kept, or has failed again."),
    "edit_unreadable": _("Nothing was saved. Correct the event and send it again."),
    "edit_waits": _("Have the version that waits signed, or take it back."),
    "edited_since": _("Replay it again: the newest version is carried then."),
    "field_locked": _("Discard the event if it has the wrong id; its sender has to send it anew."),
    "edit_changes_nothing": _("Replay the event as it is, or change something."),
    "stopped_by_itself": _("Look at what failed again, then resume or cancel the replay."),
    "too_many_changes": _("Write several versions, or discard the event."),
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
    "other": _("other reasons"),
    "already_replaying": _("another replay has it"),
    "edited_since": _("edited after the replay was made"),
    "event_known": _("its id is known already"),
    "event_waits_elsewhere": _("waits in another row"),
    "not_as_signed": _("not as signed"),
    "not_replayable": _("no readable event"),
    "stopped_by_itself": _("too many failed again"),
    "too_large": _("too large"),
    # The way of an event.
    "taken_in": _("taken in"),
    "admitted": _("admitted"),
    "scored": _("scored"),
    "kept": _("kept"),
    # Statuses of payments, ways to pay, sources, steps of the inference service.
    "authorized": _("authorized"),
    "canceled": _("cancelled by the payer"),
    "captured": _("captured"),
    "created": _("created"),
    "declined": _("declined"),
    "disputed": _("disputed"),
    "paid": _("paid"),
    "processing": _("processing"),
    "refunded": _("refunded"),
    "requires_action": _("requires action"),
    "settled": _("settled"),
    "succeeded": _("succeeded"),
    "card": _("card"),
    "bank_transfer": _("bank transfer"),
    "pix": _("Pix"),
    "boleto": _("boleto"),
    "ussd": _("USSD"),
    "mobile_money": _("mobile money"),
    "kafka": _("Kafka"),
    "redis": _("Redis"),
    "api": _("API"),
    "fraud": _("fraud"),
    "retry": _("retry"),
    "churn": _("churn"),
    # States, stages and subjects.
    "replaying": _("on its way"),
    "replayed": _("replayed"),
    "discarded": _("discarded"),
    "superseded": _("superseded"),
    "read": _("reading"),
    "intake": _("intake"),
    "validate": _("rules"),
    "inference": _("inference"),
    "engine": _("engine"),
    "locked": _("locked"),
    "sensitive": _("sensitive"),
    "free": _("free"),
    "signed": _("signed"),
    "payment_event": _("payment event"),
    "quarantined_event": _("quarantined event"),
    "quarantine_edit": _("edit of an event"),
    "replay_run": _("replay of events"),
}

TONES = {
    "replaying": "info",
    "replayed": "good",
    "discarded": "",
    "superseded": "",
    "signed": "good",
}

ACTIONS = {
    "quarantined_event.discarded": _("Discarded the event"),
    "quarantined_event.restored": _("Restored the event"),
    "quarantined_event.replayed": _("Replayed the event"),
    "quarantine_edit.asked": _("Wrote a new version"),
    "quarantine_edit.signed": _("The version was signed"),
    "quarantine_edit.rejected": _("The version was rejected"),
    "quarantine_edit.expired": _("Expired: nobody signed the version in time"),
    "quarantine_edit.cancelled": _("The version was taken back"),
    "replay_run.made": _("Made the replay"),
    "replay_run.paused": _("Paused the replay"),
    "replay_run.resumed": _("Resumed the replay"),
    "replay_run.restarted": _("The replay's workflow was started again"),
    "replay_run.completed": _("The replay is complete"),
    "replay_run.cancelled": _("Cancelled the replay"),
    "payments.gap": _("Found that messages of a topic are gone"),
}
TRIED = {
    "quarantined_event.discard": _("Tried to discard the event"),
    "quarantined_event.restore": _("Tried to restore the event"),
    "quarantined_event.replay": _("Tried to replay the event"),
    "quarantine_edit.ask": _("Tried to edit the event"),
    "quarantine_edit.cancel": _("Tried to take a version back"),
    "replay_run.make": _("Tried to make a replay"),
    "replay_run.pause": _("Tried to pause the replay"),
    "replay_run.resume": _("Tried to resume the replay"),
    "replay_run.cancel": _("Tried to cancel the replay"),
    "payment_event.take": _("Tried to send payment events"),
}


def register() -> None:
    """Register the texts. Called once, when Django is ready."""
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
    timeline.register_words(ACTIONS, tried=TRIED)
