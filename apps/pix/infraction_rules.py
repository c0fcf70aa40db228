"""What may happen to an infraction report, by whom, and what a report and its answer have to say.

The directory knows OPEN, ACKNOWLEDGED, CLOSED and CANCELLED; investigating and escalating are ours.
A clock escalates, and never decides. All times are aware datetimes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.common.validation import clean_text
from apps.pix.contracts.infractions import (
    LONGEST_DETAILS,
    FraudType,
    InfractionReason,
    InfractionStatus,
)
from apps.pix.contracts.infractions import Analysis as AnalysisResult
from apps.pix.contracts.infractions import Situation as SituationType

#: The counterparty has so long to close a report.
DUE_WITHIN = timedelta(days=7)
#: A transaction that is older cannot be reported.
OLDEST_TRANSACTION = timedelta(days=80)


class InfractionEvent(StrEnum):
    ACKNOWLEDGE = "acknowledge"
    INVESTIGATE = "investigate"
    ADD_EVIDENCE = "add_evidence"
    ESCALATE = "escalate"
    CLOSE = "close"
    EDIT = "edit"
    CANCEL = "cancel"


class InfractionParty(StrEnum):
    """Who acts. SIGNAL: somebody outside, by a signal to the engine."""

    REPORTER = "REPORTER"
    COUNTERPARTY = "COUNTERPARTY"
    CLOCK = "CLOCK"
    SIGNAL = "SIGNAL"


@dataclass(frozen=True)
class InfractionFacts:
    """What has to be known of a report. `due_at` None: DUE_WITHIN after its creation.
    `from_funds_recovery`: the directory opened it itself, for a recovery of funds."""

    status: InfractionStatus
    created_at: datetime
    due_at: datetime | None = None
    from_funds_recovery: bool = False


@dataclass(frozen=True)
class Report:
    """What a report says."""

    reason: InfractionReason
    situation: SituationType
    details: str


@dataclass(frozen=True)
class Closing:
    """What the counterparty answers. AGREED has a type of fraud, DISAGREED has none."""

    result: AnalysisResult
    fraud_type: FraudType | None
    details: str


_S, _P, _E = InfractionStatus, InfractionParty, InfractionEvent
_ANALYSED = {_S.ACKNOWLEDGED, _S.INVESTIGATING, _S.ESCALATED}
_UNDECIDED = {_S.OPEN, *_ANALYSED}


@dataclass(frozen=True)
class _Rule:
    """`to` None: the status stays."""

    states: frozenset[InfractionStatus]
    parties: frozenset[InfractionParty]
    to: InfractionStatus | None


def _rule(
    states: set[InfractionStatus], parties: set[InfractionParty], to: InfractionStatus | None = None
) -> _Rule:
    return _Rule(frozenset(states), frozenset(parties), to)


_RULES = {
    _E.ACKNOWLEDGE: _rule({_S.OPEN}, {_P.COUNTERPARTY}, _S.ACKNOWLEDGED),
    _E.INVESTIGATE: _rule({_S.ACKNOWLEDGED}, {_P.COUNTERPARTY}, _S.INVESTIGATING),
    _E.ADD_EVIDENCE: _rule(_UNDECIDED, {_P.REPORTER, _P.COUNTERPARTY, _P.SIGNAL}),
    _E.ESCALATE: _rule(
        {_S.ACKNOWLEDGED, _S.INVESTIGATING}, {_P.COUNTERPARTY, _P.CLOCK, _P.SIGNAL}, _S.ESCALATED
    ),
    _E.CLOSE: _rule(_ANALYSED, {_P.COUNTERPARTY, _P.SIGNAL}, _S.CLOSED),
    _E.EDIT: _rule(_UNDECIDED, {_P.REPORTER}),
    _E.CANCEL: _rule({*_UNDECIDED, _S.CLOSED}, {_P.REPORTER}, _S.CANCELLED),
}


# --- what happens to it ---------------------------------------------------------------------------
def move_infraction(
    facts: InfractionFacts, *, event: InfractionEvent, party: InfractionParty, as_of: datetime
) -> InfractionStatus:
    """Return the status after the event.

    Raises Conflict `infraction_operation_invalid` (extra infraction_status) if nobody can do it
    now, NotAllowed `infraction_party_invalid` (extra parties) if only another side can, Conflict
    `infraction_not_due` (extra due_at) if the clock is early.
    """
    rule = _RULES.get(event)
    if not rule or not _possible(rule, facts, event):
        raise Conflict(
            filled(_("The report is {status}: this is not possible."), status=facts.status),
            code="infraction_operation_invalid",
            infraction_status=facts.status,
        )
    if party not in rule.parties:
        parties = sorted(rule.parties)
        raise NotAllowed(
            filled(_("This is for {parties} only."), parties=", ".join(parties)),
            code="infraction_party_invalid",
            parties=parties,
        )
    due_at = due(facts)
    if party == InfractionParty.CLOCK and as_of < due_at:
        raise Conflict(
            filled(_("The report is due at {due_at}."), due_at=due_at),
            code="infraction_not_due",
            due_at=due_at.isoformat(),
        )
    return rule.to or facts.status


def due(facts: InfractionFacts) -> datetime:
    """Return when the report has to be closed."""
    return facts.due_at or facts.created_at + DUE_WITHIN


def next_infraction_clock(facts: InfractionFacts) -> datetime | None:
    """Return when the clock escalates; None if it does not: before the report is acknowledged,
    which comes first, and once it is escalated or closed."""
    return due(facts) if facts.status in _RULES[_E.ESCALATE].states else None


def _possible(rule: _Rule, facts: InfractionFacts, event: InfractionEvent) -> bool:
    # The directory cancels those that it opened itself, with their recovery.
    kept = event == InfractionEvent.CANCEL and facts.from_funds_recovery
    return facts.status in rule.states and not kept


# --- what it says ---------------------------------------------------------------------------------
def clean_report(
    *,
    reason: object,
    situation: object,
    details: object = "",
    transaction_at: datetime | None = None,
    as_of: datetime | None = None,
) -> Report:
    """Return a report that we make, checked. Without the time of its transaction the directory
    alone knows its age.

    Raises Invalid `reason_invalid`, `situation_invalid`, `details_required` (OTHER says what),
    `details_invalid`, `invisible_characters`; Conflict `infraction_period_expired`.
    """
    why = _word(reason, InfractionReason, code="reason_invalid")
    what = _word(situation, SituationType, code="situation_invalid", but=(SituationType.UNKNOWN,))
    if why is InfractionReason.REFUND_CANCELLED and what is not SituationType.OTHER:
        raise Invalid(_("The situation of a cancelled refund is OTHER."), code="situation_invalid")
    said = _details(details, required=what is SituationType.OTHER)
    if transaction_at and as_of and as_of - transaction_at > OLDEST_TRANSACTION:
        raise Conflict(
            filled(
                _("A transaction can be reported for {days} days."), days=OLDEST_TRANSACTION.days
            ),
            code="infraction_period_expired",
        )
    return Report(why, what, said)


def clean_closing(*, result: object, fraud_type: object = "", details: object = "") -> Closing:
    """Return the answer to a report, checked. Raises Invalid `result_invalid`,
    `fraud_type_required` (AGREED), `fraud_type_invalid` (also with DISAGREED), `details_required`
    (OTHER says what), `details_invalid`, `invisible_characters`."""
    answer = _word(result, AnalysisResult, code="result_invalid")
    given = fraud_type not in (None, "")
    if answer is AnalysisResult.DISAGREED and given:
        raise Invalid(_("Who does not agree names no type of fraud."), code="fraud_type_invalid")
    if answer is AnalysisResult.AGREED and not given:
        raise Invalid(_("Who agrees names the type of fraud."), code="fraud_type_required")
    fraud = _word(fraud_type, FraudType, code="fraud_type_invalid") if given else None
    return Closing(answer, fraud, _details(details, required=fraud is FraudType.OTHER))


Word = TypeVar("Word", bound=StrEnum)


def _word(raw: object, kind: type[Word], *, code: str, but: tuple[Word, ...] = ()) -> Word:
    words = [word for word in kind if word not in but]
    found = next((word for word in words if word == raw), None)
    if found is None:
        raise Invalid(filled(_("This is one of {words}."), words=", ".join(words)), code=code)
    return found


def _details(raw: object, *, required: bool) -> str:
    text = "" if raw is None else raw
    if isinstance(text, str) and not text.strip():
        if required:
            raise Invalid(_("OTHER needs details that say what."), code="details_required")
        return ""
    return clean_text(
        text if isinstance(text, str) else "",
        field="details",
        limit=LONGEST_DETAILS,
        multiline=True,
    )
