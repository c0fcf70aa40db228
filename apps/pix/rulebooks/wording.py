"""A rulebook in plain sentences, for the people who change it."""

from collections.abc import Iterator

from django.utils.translation import gettext

from apps.common.durations import duration_in_words
from apps.common.language import lazy as _
from apps.common.lists_in_words import all_of, one_of
from apps.pix.rulebooks.book import Row, Rulebook, TypeRules
from apps.pix.rulebooks.terms import Actor, ClaimStatus, ClaimType, Effect, Event, Period, Role

_TYPES = {ClaimType.PORTABILITY: _("Portability"), ClaimType.OWNERSHIP: _("Ownership")}
#: How sentences about one type of claim begin.
TYPE_WORDS = tuple(_TYPES.values())
_STATUSES = {
    ClaimStatus.OPEN: _("open"),
    ClaimStatus.WAITING_RESOLUTION: _("waiting for the donor"),
    ClaimStatus.CONFIRMED: _("confirmed"),
    ClaimStatus.COMPLETED: _("completed"),
    ClaimStatus.CANCELLED: _("cancelled"),
    ClaimStatus.EXPIRED: _("expired"),
}
_PARTIES = {
    Actor.DONOR: _("the donor"),
    Actor.CLAIMER: _("the claimer"),
    Actor.CLOCK: _("the clock"),
    Actor.SIGNAL: _("a signal to the engine"),
}
_CLOCKS = {
    None: _("the clock"),
    Role.DONOR: _("the clock on behalf of our donor"),
    Role.CLAIMER: _("the clock on behalf of our claimer"),
}
_ACTS = {
    Event.OPEN: _("{claims}: {party} may open a claim; it is then {status}."),
    Event.ACKNOWLEDGE: _("{claims}, while {state}: {party} may acknowledge; it is then {status}."),
    Event.CONFIRM: _("{claims}, while {state}: {party} may confirm; it is then {status}."),
    Event.COMPLETE: _("{claims}, while {state}: {party} may complete; it is then {status}."),
    Event.CANCEL: _("{claims}, while {state}: {party} may cancel; it is then {status}."),
    Event.ELAPSE: _("{claims}, while {state}: {party} acts; it is then {status}."),
}
_PERIODS = {
    Period.RESOLUTION: _("{claims}: the donor has {time} to answer."),
    Period.COMPLETION: _("{claims}: after that, {time} pass before it can be completed."),
    Period.POSSESSION: _("{claims}: the claimer has {time} from the opening to show possession."),
}
_AFTER = {
    Period.RESOLUTION: _("Not before the donor's time has ended."),
    Period.COMPLETION: _("Not before the completion period has ended."),
    Period.POSSESSION: _("Not before the claimer's time has ended."),
}
_EFFECTS = {
    Effect.CREATE_CLAIM: _("the claim is created"),
    Effect.NOTIFY_DONOR: _("the donor is told"),
    Effect.SEND_CONFIRMATION: _("a confirmation is sent"),
    Effect.REMOVE_DONOR_ENTRY: _("the donor's entry is removed"),
    Effect.MOVE_ENTRY: _("the entry becomes the claimer's"),
    Effect.CREATE_CLAIMER_ENTRY: _("the claimer's entry is created"),
    Effect.KEEP_OWNERSHIP_DATE: _("the ownership date is kept"),
    Effect.RESET_OWNERSHIP_DATE: _("the ownership begins anew"),
    Effect.COMPLETION_ENDS_NOW: _("the completion period ends at once"),
    Effect.NEW_REQUEST_ID: _("the entry has a request id of its own"),
}

#: All of a rule but its reason: type, status, who, event, end, effects, after, on behalf of whom.
_Rule = tuple[
    ClaimType,
    ClaimStatus | None,
    Actor,
    Event,
    ClaimStatus,
    frozenset[Effect],
    Period | None,
    Role | None,
]
#: The reasons of each rule: words, "" for none, `_ANY` for any.
_Rules = dict[_Rule, tuple[str, ...]]
_ANY = "any"


def words(rulebook: Rulebook) -> list[str]:
    """Return the whole rulebook, a sentence or two for each rule, in the reader's language."""
    said = [line for rules in rulebook.types for line in _of_type(rules)]
    said += [_same(status, meant) for status, meant in rulebook.same]
    return said + [_sentence(rule, reasons) for rule, reasons in _rules(rulebook).items()]


def diff_words(old: Rulebook, new: Rulebook) -> list[str]:
    """Return what changes from one to the other, in the reader's language: nothing if only the
    order or the grouping of rules differs."""
    before, after = _plain(old), _plain(new)
    gone = [line for line in before if line not in after]
    come = [line for line in after if line not in before]
    ruled, rules = _rules(old), _rules(new)
    gone += [_sentence(rule, left) for rule, left in _without(ruled, rules)]
    come += [_sentence(rule, left) for rule, left in _without(rules, ruled)]
    return [
        *(gettext("No longer: {sentence}").format(sentence=line) for line in gone),
        *(gettext("New: {sentence}").format(sentence=line) for line in come),
    ]


def _plain(rulebook: Rulebook) -> list[str]:
    """Return the lines that are not of rules; types of keys one by one."""
    said = [line for rules in rulebook.types for line in _of_type(rules, one_by_one=True)]
    return said + [_same(status, meant) for status, meant in rulebook.same]


def _of_type(rules: TypeRules, *, one_by_one: bool = False) -> Iterator[str]:
    claims = str(_TYPES[rules.claim_type])
    keys = [[key] for key in rules.keys] if one_by_one else [list(rules.keys)]
    for listed in keys:
        yield gettext("{claims}: for keys of type {keys}.").format(
            claims=claims, keys=one_of(listed)
        )
    if rules.without_key:
        yield gettext("{claims}: also for a key that is not known here.").format(claims=claims)
    for period, seconds in rules.seconds:
        yield str(_PERIODS[period]).format(claims=claims, time=_exactly(seconds))


def _exactly(seconds: int) -> str:
    """Return the time with its seconds: words are rounded, and a second may be the change."""
    return gettext("{time} ({seconds} s)").format(time=duration_in_words(seconds), seconds=seconds)


def _same(status: ClaimStatus, meant: ClaimStatus) -> str:
    return gettext("A claim that is {status} counts as {meant}.").format(
        status=_STATUSES[status], meant=_STATUSES[meant]
    )


def _rules(rulebook: Rulebook) -> _Rules:
    found: dict[_Rule, list[str]] = {}
    for row in rulebook.rows:
        for rule in _of_row(row):
            found.setdefault(rule, []).extend(_reasons(row))
    return {rule: tuple(sorted(reasons)) for rule, reasons in found.items()}


def _of_row(row: Row) -> Iterator[_Rule]:
    effects = frozenset(row.effects)
    for claim_type in row.types:
        for state in row.states or (None,):
            for actor in row.actors:
                yield (
                    claim_type,
                    state,
                    actor,
                    row.event,
                    row.to,
                    effects,
                    row.after,
                    row.on_behalf_of,
                )


def _reasons(row: Row) -> tuple[str, ...]:
    return (_ANY,) if row.any_reason else row.reasons or ("",)


def _without(these: _Rules, others: _Rules) -> Iterator[tuple[_Rule, tuple[str, ...]]]:
    """Yield the rules of these with the reasons that the others do not have for them."""
    for rule, reasons in these.items():
        left = tuple(reason for reason in reasons if reason not in others.get(rule, ()))
        if left:
            yield rule, left


def _sentence(rule: _Rule, reasons: tuple[str, ...]) -> str:
    claim_type, state, actor, event, to, effects, after, on_behalf_of = rule
    party = _CLOCKS[on_behalf_of] if actor is Actor.CLOCK else _PARTIES[actor]
    said = [
        str(_ACTS[event]).format(
            claims=_TYPES[claim_type],
            state=_STATUSES[state] if state else "",
            party=party,
            status=_STATUSES[to],
        )
    ]
    if reasons == (_ANY,):
        said.append(gettext("Any reason, or none."))
    elif reasons != ("",):
        said.append(gettext("Reason: {reasons}.").format(reasons=one_of(reasons)))
    if after:
        said.append(str(_AFTER[after]))
    if effects:
        told = all_of(str(_EFFECTS[effect]) for effect in Effect if effect in effects)
        said.append(gettext("With it: {effects}.").format(effects=told))
    return " ".join(said)
