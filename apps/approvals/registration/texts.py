"""Registers the texts of approvals for shared pages: timeline, next steps, tones of states."""

from typing import Any

from apps.engine import timeline
from apps.web import refusals, tones


def _released(body: dict[str, Any], actor: str) -> str:
    """Return the wording for the holder who releases a claim, or for another user who ends it."""
    if body.get("held_by") not in (None, actor):
        return "Ended the claim of {held_by}"
    return "Gave it back"


def _with_reason(text: str) -> timeline.Wording:
    """Add the coded reason's label where the signature has one."""
    return lambda body, actor: f"{text}: {{reason_label}}" if body.get("reason_label") else text


ACTIONS: dict[str, timeline.Wording] = {
    "approval.opened": "Asked for a signature",
    "approval.not_needed": "No signature needed",
    "approval.signed": _with_reason("Signed in tier {tier}"),
    "approval.approved": _with_reason("Approved"),
    "approval.rejected": _with_reason("Rejected"),
    "approval.expired": "Expired: nobody signed in time",
    "approval.cancelled": "Cancelled",
    "approval.claimed": "Took it on",
    "approval.released": _released,
    "approval.reassigned": "Gave it to {to}",
    "approval.edited": "Edited: version {payload_number} is asked now, earlier signatures are void",
    "approval.reminded": "Reminder {number} sent to those who can sign",
    "approval.overdue": "Overdue",
    "approval.escalated": "Escalated to {to}",
    "approval.commented": "Commented",
    "approval.evidence_added": "Added the file {name}",
    "approval.evidence_erased": "Erased the content of {name}",
    "approval.clock_restarted": "Clock started again",
    "approval.clock_stopped": "Clock stopped",
}

TRIED = {
    "approval.decide": "Tried to sign",
    "approval.claim": "Tried to take it on",
    "approval.release": "Tried to give it back",
    "approval.reassign": "Tried to give it to somebody",
    "approval.edit": "Tried to edit it",
    "approval.comment": "Tried to comment",
    "approval.evidence_add": "Tried to add a file",
    "approval.evidence_erase": "Tried to erase a file",
    "approval.escalated": "Could not be escalated",
    "approval.signal": "A signal that nobody here sent",
}

NEXT_STEPS = {
    "expired": "Nothing was recorded. If it is still wanted, it has to be asked for again.",
    "currency_mismatch": "Choose what is in the same currency.",
    "too_many_items": "Nothing was stored. Split the list into several batches.",
    "already_decided": "Nothing of yours was recorded. The record shows who signed and why.",
    "payload_changed": "Nothing was recorded. Read what is asked now, then decide on that.",
    "tier_changed": "Nothing was recorded. Read who has signed since, then decide on that.",
    "workflow_closed": "Nothing was recorded. The request will leave the inbox by itself.",
    "requester_cannot_sign": "Somebody else of the group has to sign it.",
    "editor_cannot_sign": "Somebody else of the group has to sign it.",
    "already_signed": "It waits for the next signature now.",
    "not_in_group": "It leaves this list when somebody of that group has signed.",
    "claimed": "Nothing was recorded. Wait until it is given back, or ask who holds it.",
    "claim_used_up": "It is anybody's to decide now, and still yours to sign.",
    "no_delegation": "Nothing was recorded. Your delegations are listed on their own page.",
    "authority_invalid": "Nothing was recorded. Choose under whose authority you sign.",
    "reason_code_required": "Nothing was recorded. Choose one of the coded reasons.",
    "reason_code_unknown": "Nothing was recorded. Choose one of the coded reasons.",
    "too_many_edits": "Nothing was recorded. Have it cancelled, and ask for it anew.",
    "nothing_changed": "Nothing was recorded. Change a field, or leave the page.",
    "assignee_cannot_sign": "Nothing was changed. Choose somebody whose signature would count.",
    "delegate_invalid": "Nothing was changed. Choose somebody with a role that signs.",
    "period_invalid": "Nothing was changed. Correct the dates.",
    "too_many_delegations": "Nothing was changed. One of theirs has to end first.",
    "request_closed": "Nothing was kept. A comment can still point to where the file is.",
    "evidence_erased": "If it must be seen, ask who erased it; the reason stands beside the file.",
    "comment_too_long": "What you wrote is still in the field: shorten it, or bring it as a file.",
    "comment_empty": "Write something, then send it.",
    "too_many_comments": "What you wrote is still in the field: send it when the time is over.",
    "nonce_reused": "The one before was kept. Send this one again to add it.",
}

TONES = {
    "open": "info",
    "approve": "good",
    "reject": "bad",
    # Of delegations.
    "runs": "good",
    "not_begun": "info",
}

WORDS = {"open": "waiting", "approve": "approved", "reject": "rejected"}


def register() -> None:
    """Register the texts. Called once, when Django is ready."""
    timeline.register_words(ACTIONS, tried=TRIED, people=("authority", "to", "held_by"))
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, WORDS)
