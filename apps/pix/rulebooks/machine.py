"""One machine for every rulebook: what may happen to a claim, and what it makes of it.

Pure: it is told the time and the facts, and changes nothing. The directory's dates on the claim win
over those that the rulebook gives.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from apps.common.errors import Conflict, Invalid, NotAllowed
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.pix.contracts import KeyType
from apps.pix.rulebooks.book import Row, Rulebook, TypeRules
from apps.pix.rulebooks.terms import (
    Actor,
    Choice,
    ClaimFacts,
    ClaimType,
    Dates,
    Due,
    Effect,
    Event,
    Move,
    Period,
    Role,
    Started,
)

_NOT_ENDED = {
    Period.RESOLUTION: (
        _("The donor has until {ends_at} to answer."),
        "claim_resolution_period_not_ended",
    ),
    Period.COMPLETION: (
        _("The claim cannot be completed before {ends_at}."),
        "claim_completion_period_not_ended",
    ),
    Period.POSSESSION: (
        _("The claimer has until {ends_at} to show that the key is theirs."),
        "claim_possession_period_not_ended",
    ),
}


def begin(
    rulebook: Rulebook,
    *,
    claim_type: ClaimType,
    key_type: KeyType | None,
    opened_at: datetime,
    same_owner: bool | None = None,
    same_participant: bool | None = None,
) -> Started:
    """Return how a claim of that type begins. `key_type` None: its key is not known here.

    `same_owner`, `same_participant`: whether the claimer owns the key already, and has it at the
    same participant; None where nobody knows. Raises Invalid `claim_type_inconsistent` (extra
    suggested_claim, empty where no claim fits).
    """
    rules = rulebook.rules(claim_type)
    possible = rules and (rules.without_key if key_type is None else key_type in rules.keys)
    fits = same_owner is None or claim_type == _fitting(same_owner, same_participant or False)
    if not rules or not possible or not fits:
        suggested = None
        if key_type is not None and same_owner is not None:
            suggested = fitting_claim(
                rulebook,
                key_type=key_type,
                same_owner=same_owner,
                same_participant=same_participant or False,
            )
        raise Invalid(
            _("A claim of this type does not fit the key or who has it."),
            code="claim_type_inconsistent",
            suggested_claim=suggested or "",
        )
    opening = next(
        row for row in rulebook.rows if row.event is Event.OPEN and claim_type in row.types
    )
    return Started(opening.to, opening.effects, _computed(rules, opened_at))


def fitting_claim(
    rulebook: Rulebook, *, key_type: KeyType, same_owner: bool, same_participant: bool
) -> ClaimType | None:
    """Return the claim to open for a key that is registered already: of another owner, or of the
    claimer at another participant. None if no claim fits: the entry is the claimer's at the same
    participant, or the rulebook does not let such a key be claimed so."""
    claim_type = _fitting(same_owner, same_participant)
    rules = rulebook.rules(claim_type) if claim_type else None
    return claim_type if rules and key_type in rules.keys else None


def move(
    rulebook: Rulebook,
    facts: ClaimFacts,
    *,
    event: Event,
    actor: Actor,
    reason: str | None = "",
    as_of: datetime,
) -> Move:
    """Return what the event makes of the claim. The clock need not give its reason; where a
    rulebook takes any, the text is kept as it is, so the caller has it cleaned.

    Raises Conflict `claim_operation_invalid` (extra claim_status) if nobody can do it in this
    status, NotAllowed `claim_party_invalid` (extra parties) if only another side can, Invalid
    `reason_invalid` (extra reasons), Conflict `claim_resolution_period_not_ended`,
    `claim_completion_period_not_ended`, `claim_possession_period_not_ended` (extra ends_at).
    """
    rows = [row for row in rulebook.rows_from(facts.claim_type, facts.status) if row.event == event]
    if not rows:
        raise Conflict(
            filled(_("The claim is {status}: this is not possible."), status=facts.status),
            code="claim_operation_invalid",
            claim_status=facts.status,
        )
    row, given = _row_for(_of_actor(rows, actor), actor, reason)
    dates = dates_of(rulebook, facts)
    _check_ended(row, dates, as_of)
    role = row.on_behalf_of if actor == Actor.CLOCK else Actor(actor).role
    return Move(row.event, row.to, row.effects, _after(row, dates, as_of), given, role)


def next_clock(rulebook: Rulebook, facts: ClaimFacts, *, ours: Collection[Role]) -> Due | None:
    """Return what the clock does next for the sides that are ours, and when; None if it waits for
    somebody else."""
    dates = dates_of(rulebook, facts)
    for row in rulebook.rows_from(facts.claim_type, facts.status):
        if row.event is not Event.ELAPSE or not row.after:
            continue
        at = dates.of(row.after)
        if at and (row.on_behalf_of is None or row.on_behalf_of in ours):
            return Due(row.event, Actor.CLOCK, row.on_behalf_of, row.reasons[0], at)
    return None


def allowed(
    rulebook: Rulebook, facts: ClaimFacts, *, actor: Actor, as_of: datetime
) -> tuple[Choice, ...]:
    """Return the events that the actor may choose now, each once, in the rulebook's order."""
    dates = dates_of(rulebook, facts)
    found: dict[Event, Choice] = {}
    for row in rulebook.rows_from(facts.claim_type, facts.status):
        ends_at = dates.of(row.after) if row.after else None
        if actor not in row.actors or (ends_at and as_of < ends_at):
            continue
        before = found.get(row.event, Choice(row.event))
        reasons = (*before.reasons, *row.reasons)
        found[row.event] = Choice(row.event, reasons, row.any_reason)
    return tuple(found.values())


def dates_of(rulebook: Rulebook, facts: ClaimFacts) -> Dates:
    """Return the ends of the claim's periods: the directory's where it gave them."""
    rules = rulebook.rules(facts.claim_type)
    computed = _computed(rules, facts.opened_at) if rules else Dates(None)
    return Dates(
        facts.resolution_ends_at or computed.resolution_ends_at,
        facts.completion_ends_at or computed.completion_ends_at,
        facts.possession_ends_at or computed.possession_ends_at,
    )


# --- dates ----------------------------------------------------------------------------------------
def _computed(rules: TypeRules, opened_at: datetime) -> Dates:
    def after(seconds: int | None) -> datetime | None:
        return opened_at + timedelta(seconds=seconds) if seconds else None

    resolution = rules.length(Period.RESOLUTION)
    completion = rules.length(Period.COMPLETION)
    return Dates(
        after(resolution),
        after((resolution or 0) + completion) if completion else None,
        after(rules.length(Period.POSSESSION)),
    )


def _check_ended(row: Row, dates: Dates, as_of: datetime) -> None:
    ends_at = dates.of(row.after) if row.after else None
    if row.after and ends_at and as_of < ends_at:
        sentence, code = _NOT_ENDED[row.after]
        raise Conflict(filled(sentence, ends_at=ends_at), code=code, ends_at=ends_at.isoformat())


def _after(row: Row, dates: Dates, as_of: datetime) -> Dates:
    """Return the dates after the move. A confirmation pulls the completion forward, never back."""
    ends_at = dates.completion_ends_at
    if Effect.COMPLETION_ENDS_NOW in row.effects and ends_at and as_of < ends_at:
        return Dates(dates.resolution_ends_at, as_of, dates.possession_ends_at)
    return dates


# --- who and why ----------------------------------------------------------------------------------
def _fitting(same_owner: bool, same_participant: bool) -> ClaimType | None:
    if not same_owner:
        return ClaimType.OWNERSHIP
    return None if same_participant else ClaimType.PORTABILITY


def _of_actor(rows: list[Row], actor: Actor) -> list[Row]:
    found = [row for row in rows if actor in row.actors]
    if not found:
        parties = sorted({party for row in rows for party in row.actors})
        raise NotAllowed(
            filled(_("This is for {parties} only."), parties=", ".join(parties)),
            code="claim_party_invalid",
            parties=parties,
        )
    return found


def _row_for(rows: list[Row], actor: Actor, reason: str | None) -> tuple[Row, str]:
    """Return the one row that takes the reason, and the reason as the claim keeps it."""
    given = reason or ""
    if actor == Actor.CLOCK and not given:
        return rows[0], rows[0].reasons[0]
    for row in rows:
        if isinstance(given, str) and _takes(row, given):
            return row, str(given)
    reasons = [reason for row in rows for reason in row.reasons]
    text = (
        filled(_("The reasons here are {reasons}."), reasons=", ".join(reasons))
        if reasons
        else _("No reason is given with this.")
    )
    raise Invalid(text, code="reason_invalid", reasons=reasons)


def _takes(row: Row, reason: str) -> bool:
    if row.any_reason:
        return True
    return reason in row.reasons if row.reasons else not reason
