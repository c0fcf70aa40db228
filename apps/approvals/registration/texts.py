"""Registers the texts of approvals for shared pages: timeline, next steps, tones of states."""

from typing import Any

from django.utils.translation import gettext

from apps.common.language import lazy as _
from apps.engine import timeline
from apps.web import refusals, tones


def _released(body: dict[str, Any], actor: str) -> str:
    """Return the wording for the holder who releases a claim, or for another user who ends it."""
    if body.get("held_by") not in (None, actor):
        return gettext("Ended the claim of {held_by}")
    return gettext("Gave it back")


def _with_reason(text: str) -> timeline.Wording:
    """Add the coded reason's label where the signature has one."""
    return lambda body, actor: f"{text}: {{reason_label}}" if body.get("reason_label") else text


ACTIONS: dict[str, timeline.Wording] = {
    "approval.opened": _("Asked for a signature"),
    "approval.not_needed": _("No signature needed"),
    "approval.signed": _with_reason(_("Signed in tier {tier}")),
    "approval.approved": _with_reason(_("Approved")),
    "approval.rejected": _with_reason(_("Rejected")),
    "approval.expired": _("Expired: nobody signed in time"),
    "approval.cancelled": _("Cancelled"),
    "approval.claimed": _("Took it on"),
    "approval.released": _released,
    "approval.reassigned": _("Gave it to {to}"),
    "approval.edited": _(
        "Edited: version {payload_number} is asked now, earlier signatures are void"
    ),
    "approval.reminded": _("Reminder {number} sent to those who can sign"),
    "approval.overdue": _("Overdue"),
    "approval.escalated": _("Escalated to {to}"),
    "approval.commented": _("Commented"),
    "approval.evidence_added": _("Added the file {name}"),
    "approval.evidence_erased": _("Erased the content of {name}"),
    "bulk.started": _("Began"),
    "bulk.stopped": _("Stopped"),
    "bulk.resumed": _("Resumed"),
    "bulk.restarted": _("Its workflow was started again"),
    "bulk.completed": _("Worked through"),
    "approval.clock_restarted": _("Clock started again"),
    "approval.clock_stopped": _("Clock stopped"),
}

TRIED = {
    "approval.decide": _("Tried to sign"),
    "approval.claim": _("Tried to take it on"),
    "approval.release": _("Tried to give it back"),
    "approval.reassign": _("Tried to give it to somebody"),
    "approval.edit": _("Tried to edit it"),
    "approval.comment": _("Tried to comment"),
    "approval.evidence_add": _("Tried to add a file"),
    "approval.evidence_erase": _("Tried to erase a file"),
    "approval.escalated": _("Could not be escalated"),
    "approval.signal": _("A signal that nobody here sent"),
}

NEXT_STEPS = {
    "expired": _("Nothing was recorded. If it is still wanted, it has to be asked for again."),
    "currency_mismatch": _("Choose what is in the same currency."),
    "too_many_items": _("Nothing was stored. Split the list into several batches."),
    "already_decided": _("Nothing of yours was recorded. The record shows who signed and why."),
    "payload_changed": _("Nothing was recorded. Read what is asked now, then decide on that."),
    "tier_changed": _("Nothing was recorded. Read who has signed since, then decide on that."),
    "workflow_closed": _("Nothing was recorded. The request will leave the inbox by itself."),
    "requester_cannot_sign": _("Somebody else of the group has to sign it."),
    "editor_cannot_sign": _("Somebody else of the group has to sign it."),
    "already_signed": _("It waits for the next signature now."),
    "not_in_group": _("It leaves this list when somebody of that group has signed."),
    "claimed": _("Nothing was recorded. Wait until it is given back, or ask who holds it."),
    "claim_used_up": _("It is anybody's to decide now, and still yours to sign."),
    "no_delegation": _("Nothing was recorded. Your delegations are listed on their own page."),
    "authority_invalid": _("Nothing was recorded. Choose under whose authority you sign."),
    "reason_code_required": _("Nothing was recorded. Choose one of the coded reasons."),
    "reason_code_unknown": _("Nothing was recorded. Choose one of the coded reasons."),
    "too_many_edits": _("Nothing was recorded. Have it cancelled, and ask for it anew."),
    "nothing_changed": _("Nothing was recorded. Change a field, or leave the page."),
    "assignee_cannot_sign": _("Nothing was changed. Choose somebody whose signature would count."),
    "delegate_invalid": _("Nothing was changed. Choose somebody with a role that signs."),
    "period_invalid": _("Nothing was changed. Correct the dates."),
    "too_many_delegations": _("Nothing was changed. One of theirs has to end first."),
    "request_closed": _("Nothing was kept. A comment can still point to where the file is."),
    "evidence_erased": _(
        "If it must be seen, ask who erased it; the reason stands beside the file."
    ),
    "comment_too_long": _(
        "What you wrote is still in the field: shorten it, or bring it as a file."
    ),
    "comment_empty": _("Write something, then send it."),
    "too_many_comments": _("What you wrote is still in the field: send it when the time is over."),
    "nonce_reused": _("The one before was kept. Send this one again to add it."),
}

TONES = {
    "open": "info",
    "approve": "good",
    "reject": "bad",
    # Of delegations.
    "runs": "good",
    "not_begun": "info",
}

WORDS = {
    "open": _("waiting"),
    "approve": _("approved"),
    "reject": _("rejected"),
    # Subjects of the trail.
    "approval": _("request"),
    "approval_rule": _("approval rule"),
    "bulk": _("bulk decision"),
    "delegation": _("delegation"),
}


#: Codes that rows keep of what failed, in words.
CODES = {
    "no_rule": _("no approval rule"),
    "already_decided": _("decided already"),
    "already_signed": _("signed already"),
    "amount_missing": _("amount missing"),
    "authority_invalid": _("not an authority of the signer"),
    "bad_tier": _("tier not valid"),
    "claimed": _("held by somebody else"),
    "claim_used_up": _("held for too long"),
    "editor_cannot_sign": _("who edited it cannot sign"),
    "requester_cannot_sign": _("who asked cannot sign"),
    "no_delegation": _("no delegation for it"),
    "not_in_group": _("not in the group that signs"),
    "payload_changed": _("what is asked has changed"),
    "tier_changed": _("tier has changed"),
    "workflow_closed": _("workflow has ended"),
    "reason_code_required": _("coded reason missing"),
    "reason_code_unknown": _("coded reason unknown"),
    "unknown_request": _("request unknown"),
    "unknown_kind": _("kind unknown"),
    "not_waiting": _("waits for no signature"),
    "nobody_to_escalate_to": _("nobody to escalate to"),
    "not_decided": _("not decided yet"),
    "second_person_needed": _("a second person is needed"),
}


def register() -> None:
    """Register the texts. Called once, when Django is ready."""
    timeline.register_words(ACTIONS, tried=TRIED, people=("authority", "to", "held_by"))
    refusals.explain(NEXT_STEPS)
    tones.register(TONES, {**WORDS, **CODES})
