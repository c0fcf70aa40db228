"""Refusals as pages tell them: what happened, and what the reader can do now."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.dateparse import parse_datetime

from apps.common.errors import DomainError

#: Code of a refusal → what the reader can do now.
NEXT_STEPS = {
    "already_decided": "Nothing of yours was recorded. The record shows who signed and why.",
    "payload_changed": "Nothing was recorded. Read what is asked now, then decide on that.",
    "tier_changed": "Nothing was recorded. Read who has signed since, then decide on that.",
    "workflow_closed": "Nothing was recorded. The request will leave the inbox by itself.",
    "expired": "Nothing was recorded. If it is still wanted, it has to be asked for again.",
    "requester_cannot_sign": "Somebody else of the group has to sign it.",
    "editor_cannot_sign": "Somebody else of the group has to sign it.",
    "already_signed": "It waits for the next signature now.",
    "not_in_group": "It leaves this list when somebody of that group has signed.",
    "permission_denied": "Whoever keeps the roles can give you the one you need.",
    "execution_started": "The programs finish it; this page shows how it ends.",
    "already_settled": "It has ended; this page shows how.",
    "reason_required": "Say in a sentence why, for whoever reads the record later.",
    "claimed": "Nothing was recorded. Wait until it is given back, or ask who holds it.",
    "budget_exceeded": "Nothing was asked. Choose another budget, or a smaller sum.",
    "budget_not_open": "Nothing was asked. Choose the budget of the period that runs now.",
    "same_budget": "Choose two different budgets.",
    "currency_mismatch": "Choose what is in the same currency.",
    "claim_used_up": "It is anybody's to decide now, and still yours to sign.",
    "no_delegation": "Nothing was recorded. Your delegations are listed on their own page.",
    "authority_invalid": "Nothing was recorded. Choose under whose authority you sign.",
    "too_many_edits": "Nothing was recorded. Have it cancelled, and ask for it anew.",
    "invisible_characters": "Nothing was recorded. Type the text where that stands once more.",
    "nothing_changed": "Nothing was recorded. Change a field, or leave the page.",
    "assignee_cannot_sign": "Nothing was changed. Choose somebody whose signature would count.",
    "delegate_invalid": "Nothing was changed. Choose somebody with a role that signs.",
    "period_invalid": "Nothing was changed. Correct the dates.",
    "too_many_delegations": "Nothing was changed. One of theirs has to end first.",
    "empty_file": "Choose a file with something in it.",
    "too_large": "Choose a smaller one, or split it.",
    "type_not_allowed": "Save it as PDF, or as one of these, and bring that.",
    "scan_refused": "If it must be kept, bring it in another form.",
    "scan_unavailable": "Nothing was kept. Your file is still with you.",
    "request_closed": "Nothing was kept. A comment can still point to where the file is.",
    "evidence_erased": "If it must be seen, ask who erased it; the reason stands beside the file.",
    "comment_too_long": "What you wrote is still in the field: shorten it, or bring it as a file.",
    "comment_empty": "Write something, then send it.",
    "too_many_comments": "What you wrote is still in the field: send it when the time is over.",
    "nonce_reused": "The one before was kept. Send this one again to add it.",
    "no_valid_items": "Nothing was stored. Check the list: each line says what is wrong with it.",
    "too_many_items": "Nothing was stored. Split the list into several batches.",
    "csv_columns": "Nothing was stored. Correct the first line, then check again.",
    "csv_invalid": "Nothing was stored. Correct that line, then check again.",
    "csv_encoding": "Nothing was stored. Save it as CSV UTF-8, then choose it again.",
    "second_person_needed": "Nothing was changed. Ask another administrator, or wait for a day.",
    "amount_below_limit": "Ask for more, or under a policy that allows so little.",
    "amount_above_limit": "Ask for less, or under a policy that allows as much.",
    "policy_not_yet_valid": "Ask again from that day on, or under another policy.",
    "policy_expired": "Ask under another policy, or have this one prolonged.",
    "policy_inactive": "Ask under another policy, or have this one switched on again.",
    "region_required": "Name the region where it is paid.",
    "region_not_covered": "Ask under a policy that covers it.",
    "target_limit_exceeded": "Ask for no more than what is left, or when earlier payments count no "
    "longer.",
    "version_changed": "Nothing was changed. Look at the version that is active now.",
    "unavailable": "Nothing was changed. Try again in a moment.",
}


@dataclass(frozen=True)
class Refusal:
    """A refusal as a page tells it: what happened, and what to do next."""

    code: str
    status: int
    what: str
    next_step: str
    at: datetime | None = None


def refusal_of(error: DomainError) -> Refusal:
    """The error in words. A decision that came too late names who decided, and `at` says when."""
    what, at = error.detail, None
    if error.code == "already_decided":
        what = f"{error.extra['decided_by']} was first: it is already {error.extra['status']}."
        at = parse_datetime(str(error.extra.get("decided_at", "")))
    return Refusal(
        code=error.code,
        status=error.status,
        what=what,
        next_step=NEXT_STEPS.get(error.code, "Nothing was changed."),
        at=at,
    )
