"""Whether a rulebook makes sense: no rule that contradicts another or itself, no claim that can
never end, no entry that is lost on the way."""

from typing import TYPE_CHECKING

from apps.common.errors import Invalid
from apps.common.language import filled
from apps.common.language import lazy as _
from apps.pix.contracts import KeyType
from apps.pix.rulebooks.terms import Actor, ClaimStatus, Effect, Event, Period

if TYPE_CHECKING:
    from apps.pix.rulebooks.book import Row, Rulebook, TypeRules

WAITING, CONFIRMED = ClaimStatus.WAITING_RESOLUTION, ClaimStatus.CONFIRMED
COMPLETED, CANCELLED = ClaimStatus.COMPLETED, ClaimStatus.CANCELLED
_ORDER = {status: place for place, status in enumerate(ClaimStatus)}
_LEADS_TO = {
    Event.OPEN: {ClaimStatus.OPEN, WAITING},
    Event.ACKNOWLEDGE: {WAITING},
    Event.CONFIRM: {CONFIRMED, COMPLETED},
    Event.COMPLETE: {COMPLETED},
    Event.CANCEL: {CANCELLED},
    Event.ELAPSE: {CONFIRMED, CANCELLED, ClaimStatus.EXPIRED},
}
#: Where silence has to have an answer.
_CLOCKS = {Period.RESOLUTION: WAITING, Period.POSSESSION: CONFIRMED}
#: Where an effect may stand; those of the entry have their own rules.
_EFFECT_EVENTS = {
    Effect.CREATE_CLAIM: {Event.OPEN},
    Effect.NOTIFY_DONOR: {Event.OPEN, Event.ACKNOWLEDGE},
    Effect.SEND_CONFIRMATION: {Event.CONFIRM, Event.COMPLETE},
}
_OF_NEW_ENTRY = {Effect.CREATE_CLAIMER_ENTRY, Effect.NEW_REQUEST_ID}
_OF_DATE = {Effect.KEEP_OWNERSHIP_DATE, Effect.RESET_OWNERSHIP_DATE}


def wrong(path: str, what: str) -> Invalid:
    """Return the refusal of a document: `path` such as rows.3.reasons, empty for the whole."""
    text = filled(_("{path}: {what}"), path=path, what=what) if path else what
    return Invalid(text, code="rulebook_invalid", path=path)


def check(rulebook: "Rulebook") -> None:
    """Raise Invalid `rulebook_invalid` (extra path) for the first thing that is wrong."""
    _check_same(rulebook)
    declared = {rules.claim_type for rules in rulebook.types}
    replaced = {status for status, _meant in rulebook.same}
    for number, row in enumerate(rulebook.rows, start=1):
        path = f"rows.{number}"
        if not row.types or not declared.issuperset(row.types):
            raise wrong(path, _("A rule is for types of claim that the rulebook has."))
        if replaced.intersection((*row.states, row.to)):
            raise wrong(path, _("This status is read as another one: no rule has it."))
        _check_moves(row, path)
        _check_clock(row, path)
        _check_effects(row, path)
    for rules in rulebook.types:
        rows = [row for row in rulebook.rows if rules.claim_type in row.types]
        path = f"types.{rules.claim_type}"
        _check_keys(rules, path)
        _check_periods(rules, rows, path)
        _check_questions(rows, path)
        _check_ways(rows, path)


def _check_same(rulebook: "Rulebook") -> None:
    replaced = dict(rulebook.same)
    for status, meant in rulebook.same:
        if status.terminal or meant.terminal or meant in replaced:
            raise wrong(f"same.{status}", _("A status is read as one that waits, not as an end."))


# --- a row ----------------------------------------------------------------------------------------
def _check_moves(row: "Row", path: str) -> None:
    if not row.actors:
        raise wrong(path, _("Nobody may do this: a rule names who acts."))
    if row.to not in _LEADS_TO[row.event]:
        raise wrong(
            path, filled(_("{event} does not lead to {status}."), event=row.event, status=row.to)
        )
    if row.event is Event.OPEN:
        if row.states or row.reasons or row.any_reason or row.after:
            raise wrong(path, _("A claim is opened from no status, at once and without a reason."))
        return
    if not row.states:
        raise wrong(path, _("A rule says in which statuses it holds."))
    if any(_ORDER[state] >= _ORDER[row.to] or state.terminal for state in row.states):
        raise wrong(path, _("A claim only goes forward, and not on after its end."))


def _check_clock(row: "Row", path: str) -> None:
    if (row.event is Event.ELAPSE) != (Actor.CLOCK in row.actors) or (
        Actor.CLOCK in row.actors and len(row.actors) > 1
    ):
        raise wrong(path, _("What elapses is the clock's, and the clock does nothing else."))
    if row.event is not Event.ELAPSE:
        if row.on_behalf_of:
            raise wrong(path, _("Only the clock acts on behalf of a side."))
        return
    if not row.after or len(row.reasons) != 1 or row.any_reason:
        raise wrong(path, _("The clock acts after a period, for one reason."))


def _check_effects(row: "Row", path: str) -> None:
    effects = set(row.effects)
    for effect, events in _EFFECT_EVENTS.items():
        if effect in effects and row.event not in events:
            raise wrong(
                path, filled(_("{effect} is not for {event}."), effect=effect, event=row.event)
            )
    if row.event is Event.OPEN and Effect.CREATE_CLAIM not in effects:
        raise wrong(path, _("Opening a claim creates it."))
    if (Effect.REMOVE_DONOR_ENTRY in effects) != (row.to is CONFIRMED):
        raise wrong(path, _("The donor's entry is removed by what confirms, and by nothing else."))
    if Effect.COMPLETION_ENDS_NOW in effects and row.to is not CONFIRMED:
        raise wrong(path, _("Only what confirms moves the completion."))
    _check_entry(row, effects, path)


def _check_entry(row: "Row", effects: set[Effect], path: str) -> None:
    """One that the confirmation has removed is made anew, one that is still there is moved."""
    of_entry = effects & (_OF_NEW_ENTRY | _OF_DATE | {Effect.MOVE_ENTRY})
    if row.to is not COMPLETED:
        if of_entry:
            raise wrong(path, _("The claimer gets the entry when the claim is completed."))
        return
    if len(of_entry & _OF_DATE) != 1:
        raise wrong(path, _("The ownership date is either kept or reset."))
    was_confirmed = {state is CONFIRMED for state in row.states}
    expected = {True: _OF_NEW_ENTRY, False: {Effect.MOVE_ENTRY}}
    if len(was_confirmed) != 1 or of_entry - _OF_DATE != expected[was_confirmed.pop()]:
        raise wrong(
            path,
            _(
                "A confirmed claim creates the claimer's entry, under a new request id; from "
                "another status the entry is moved."
            ),
        )


# --- a type of claim ------------------------------------------------------------------------------
def _check_keys(rules: "TypeRules", path: str) -> None:
    if KeyType.EVP in rules.keys:
        raise wrong(f"{path}.keys", _("A key of type EVP is never claimed."))
    if not rules.keys:
        raise wrong(f"{path}.keys", _("No key could be claimed: name a type of key."))


def _check_periods(rules: "TypeRules", rows: list["Row"], path: str) -> None:
    has = {period for period, _seconds in rules.seconds}
    used = {row.after for row in rows if row.after}
    for row in rows:
        if Effect.COMPLETION_ENDS_NOW in row.effects:
            used.add(Period.COMPLETION)
    if has != used:
        raise wrong(
            f"{path}.seconds",
            filled(
                _("The periods that have a length and those that rules wait for differ: {names}."),
                names=", ".join(sorted(has ^ used)),
            ),
        )
    for period, state in _CLOCKS.items():
        clocked = any(
            row.event is Event.ELAPSE and row.after is period and state in row.states
            for row in rows
        )
        if period in has and not clocked:
            raise wrong(
                path,
                filled(
                    _("When {period} ends and nobody has acted, no rule of the clock says what."),
                    period=period,
                ),
            )
    possession = rules.length(Period.POSSESSION)
    before = (rules.length(Period.RESOLUTION) or 0) + (rules.length(Period.COMPLETION) or 0)
    if possession is not None and possession <= before:
        raise wrong(
            f"{path}.seconds", _("The possession ends after the resolution and the completion.")
        )


def _check_questions(rows: list["Row"], path: str) -> None:
    """Two rows for the same reason would be two answers; the clock is asked without a reason, and a
    row without reasons, or with any, answers for all of them."""
    asked: dict[tuple[ClaimStatus | None, Event, Actor], set[object]] = {}
    for row in rows:
        for state in row.states or (None,):
            for actor in row.actors:
                whole = row.event is Event.ELAPSE or not row.reasons
                answers: set[object] = {"all"} if whole else set(row.reasons)
                before = asked.setdefault((state, row.event, actor), set())
                if before and ("all" in before | answers or before & answers):
                    raise wrong(
                        path,
                        filled(
                            _("Two rules say what {event} by {actor} does in {status}."),
                            event=row.event,
                            actor=actor,
                            status=state or "-",
                        ),
                    )
                before |= answers


def _check_ways(rows: list["Row"], path: str) -> None:
    opening = [row for row in rows if row.event is Event.OPEN]
    if len(opening) != 1:
        raise wrong(path, _("One rule opens claims of a type."))
    leads = {state: {row.to for row in rows if state in row.states} for state in ClaimStatus}
    reached = _reached(opening[0].to, leads)
    if dead := [state for state in reached if not state.terminal and not leads[state]]:
        raise wrong(path, filled(_("No rule leads out of {status}."), status=dead[0]))
    mentioned = [state for row in rows for state in row.states if state not in reached]
    if mentioned:
        raise wrong(path, filled(_("No rule leads to {status}."), status=mentioned[0]))
    if COMPLETED not in reached:
        raise wrong(path, _("No claim of this type could be completed."))


def _reached(
    first: ClaimStatus, leads: dict[ClaimStatus, set[ClaimStatus]]
) -> tuple[ClaimStatus, ...]:
    """Return all statuses that a claim can come to, itself included, in their order."""
    found, more = set[ClaimStatus](), {first}
    while more:
        found |= more
        more = set().union(*(leads[state] for state in more)) - found
    return tuple(state for state in ClaimStatus if state in found)
