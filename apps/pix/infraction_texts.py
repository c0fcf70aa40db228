"""Words of infractions: tones, codes, next steps and the lines of timelines."""

from apps.common.language import lazy as _
from apps.pix.contracts import INFRACTION
from apps.pix.contracts.infractions import (
    Analysis,
    FraudType,
    InfractionReason,
    InfractionStatus,
    Situation,
)

NEXT_STEPS = {
    "infraction_already_open": _("Open that one. A payment has one open infraction of a reason."),
    "infraction_id_taken": _("Give it another id, or leave the id empty."),
    "workflow_id_taken": _("Start it under another workflow id."),
    "not_our_participant": _("Choose a participant that is ours."),
    "infraction_operation_invalid": _("Nothing was changed. Look at its status."),
    "infraction_party_invalid": _("Nothing was changed. The other participant has to do it."),
    "infraction_not_due": _("Nothing was changed."),
    "infraction_period_expired": _("It cannot be reported any more."),
    "details_required": _("Say in the details what happened."),
    "evidence_empty": _("Give a description, or an address."),
    "fraud_type_required": _("Choose the type of fraud."),
    "directory_unavailable": _("Nothing was lost. It is tried again by itself."),
}

TONES: dict[str, str] = {
    InfractionStatus.ACKNOWLEDGED: "info",
    InfractionStatus.INVESTIGATING: "info",
    InfractionStatus.ESCALATED: "bad",
    Analysis.AGREED: "bad",
    Analysis.DISAGREED: "good",
}

WORDS: dict[str, str] = {
    INFRACTION: _("infraction"),
    InfractionStatus.ACKNOWLEDGED: _("acknowledged"),
    InfractionStatus.INVESTIGATING: _("under investigation"),
    InfractionStatus.ESCALATED: _("escalated"),
    Analysis.AGREED: _("fraud"),
    Analysis.DISAGREED: _("no fraud"),
    InfractionReason.REFUND_REQUEST: _("the payer wants the money back"),
    InfractionReason.REFUND_CANCELLED: _("the payee wants back what was returned"),
    Situation.SCAM: _("scam"),
    Situation.ACCOUNT_TAKEOVER: _("account taken over"),
    Situation.COERCION: _("coercion"),
    Situation.FRAUDULENT_ACCESS: _("fraudulent access"),
    Situation.OTHER: _("something else"),
    Situation.UNKNOWN: _("not said"),
    FraudType.APPLICATION_FRAUD: _("account opened by fraud"),
    FraudType.MULE_ACCOUNT: _("mule account"),
    FraudType.SCAMMER_ACCOUNT: _("account of a scammer"),
    # Statuses in the directory.
    "ACKNOWLEDGED": _("acknowledged"),
    "CLOSED": _("closed"),
    "cancelled_by_reporter": _("taken back by the reporter"),
    # What became of a signal.
    "taken": _("taken"),
    "handed_over": _("a person was asked"),
    "acted_on": _("acted on"),
    "ignored": _("not followed"),
}

ACTIONS = {
    "infraction.created": _("Reported the infraction"),
    "infraction.acknowledged": _("Acknowledged it in the directory"),
    "infraction.evidence_added": _("Brought evidence"),
    "infraction.escalated": _("Escalated it"),
    "infraction.closed": _("Decided it"),
    "infraction.cancelled": _("Took the report back"),
    "infraction.directory_told": _("Told the directory"),
    "infraction.joined": _("Had a second workflow wait for its end"),
    "infraction.published": _("Sent the event of its status again"),
    "infraction.restarted": _("Started its workflow again"),
    "infraction.attention": _("Asked a person"),
    "infraction.carried_on": _("Had it carried on"),
    "infraction.given_up": _("Left it as it stood"),
    "infraction.signal_received": _("Sent a signal that a person looks at"),
    "infraction.signal_acted_on": _("Did what the signal said"),
    "infraction.signal_ignored": _("Did not do what the signal said"),
}

TRIED = {
    "infraction.report": _("Tried to report an infraction"),
    "infraction.decide": _("Tried to decide it"),
    "infraction.evidence": _("Tried to bring evidence"),
    "infraction.escalate": _("Tried to escalate it"),
    "infraction.cancel": _("Tried to take the report back"),
    "infraction.signal": _("Sent a signal that changed nothing"),
    "infraction.approval_open": _("Tried to ask for the decision"),
}
