"""Every row of the directory's rules for claims and of the source's, allowed and refused, by either
side. The table here is written from the rules, not from the documents of the product. Numbers of
reports are those of the design's table."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed
from apps.pix.contracts import KeyType
from apps.pix.rulebooks.book import Rulebook
from apps.pix.rulebooks.documents import DICT, SOURCE
from apps.pix.rulebooks.machine import allowed, begin, dates_of, fitting_claim, move, next_clock
from apps.pix.rulebooks.terms import (
    Actor,
    Choice,
    ClaimFacts,
    ClaimStatus,
    ClaimType,
    Effect,
    Event,
    Move,
    Reason,
    Role,
)

BOOKS = {"source": Rulebook.parse(SOURCE), "dict": Rulebook.parse(DICT)}
DAY_0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
PORTABILITY, OWNERSHIP = ClaimType.PORTABILITY, ClaimType.OWNERSHIP
OPEN, WAITING, CONFIRMED, COMPLETED, CANCELLED, EXPIRED = ClaimStatus
DONOR, CLAIMER, CLOCK, SIGNAL = Actor
BOTH = {Role.DONOR, Role.CLAIMER}
ANY = ["", "anything at all", *Reason]


def day(days: float) -> datetime:
    return DAY_0 + timedelta(days=days)


def claim(claim_type: ClaimType, status: ClaimStatus, **dates: datetime) -> ClaimFacts:
    return ClaimFacts(claim_type, status, DAY_0, **dates)


def act(
    book: str, facts: ClaimFacts, event: str, actor: Actor, reason: Any = "", **at: Any
) -> Move:
    when = at.get("as_of", day(31))
    return move(BOOKS[book], facts, event=Event(event), actor=actor, reason=reason, as_of=when)


def code(
    book: str, facts: ClaimFacts, event: str, actor: Actor, reason: Any = "", **at: Any
) -> str:
    with pytest.raises(DomainError) as refused:
        act(book, facts, event, actor, reason, **at)
    return refused.value.code


# --- the table ------------------------------------------------------------------------------------
#: Type, statuses, event, actor, reasons, the end, the day before which it is too early.
Line = tuple[ClaimType, list[ClaimStatus], str, Actor, list[str], ClaimStatus, int]
NONE = [""]
ACTIVE, UNANSWERED = [OPEN, WAITING, CONFIRMED], [OPEN, WAITING]

DIRECTORY: list[Line] = [
    *((kind, [OPEN], "acknowledge", DONOR, NONE, WAITING, 0) for kind in ClaimType),
    (PORTABILITY, [WAITING], "confirm", DONOR, ["USER_REQUESTED", "ACCOUNT_CLOSURE"], CONFIRMED, 0),
    (OWNERSHIP, [WAITING], "confirm", DONOR, ["USER_REQUESTED"], CONFIRMED, 0),
    (OWNERSHIP, [WAITING], "confirm", DONOR, ["DEFAULT_OPERATION"], CONFIRMED, 7),
    (PORTABILITY, [CONFIRMED], "complete", CLAIMER, NONE, COMPLETED, 0),
    (OWNERSHIP, [CONFIRMED], "complete", CLAIMER, NONE, COMPLETED, 14),
    (PORTABILITY, UNANSWERED, "cancel", DONOR, ["USER_REQUESTED", "FRAUD"], CANCELLED, 0),
    (PORTABILITY, UNANSWERED, "cancel", DONOR, ["DEFAULT_OPERATION"], CANCELLED, 7),
    (
        *(PORTABILITY, UNANSWERED, "cancel", CLAIMER),
        *(["USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "RFB_VALIDATION"], CANCELLED, 0),
    ),
    (PORTABILITY, [OPEN], "cancel", CLAIMER, ["RECONCILIATION"], CANCELLED, 0),
    (
        *(PORTABILITY, [CONFIRMED], "cancel", CLAIMER),
        *(["FRAUD", "RECONCILIATION", "RFB_VALIDATION"], CANCELLED, 0),
    ),
    (OWNERSHIP, ACTIVE, "cancel", DONOR, ["FRAUD"], CANCELLED, 0),
    (
        *(OWNERSHIP, ACTIVE, "cancel", CLAIMER),
        *(["USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD"], CANCELLED, 0),
    ),
    (OWNERSHIP, ACTIVE, "cancel", CLAIMER, ["DEFAULT_OPERATION"], CANCELLED, 30),
    (PORTABILITY, [WAITING], "elapse", CLOCK, ["", "DEFAULT_OPERATION"], CANCELLED, 7),
    (OWNERSHIP, [WAITING], "elapse", CLOCK, ["", "DEFAULT_OPERATION"], CONFIRMED, 7),
    (OWNERSHIP, [CONFIRMED], "elapse", CLOCK, ["", "DEFAULT_OPERATION"], CANCELLED, 30),
]
#: OPEN and WAITING_RESOLUTION are one.
OF_SOURCE: list[Line] = [
    *(
        (kind, UNANSWERED, "confirm", actor, ANY, COMPLETED, 0)
        for kind in ClaimType
        for actor in (DONOR, SIGNAL)
    ),
    *(
        (kind, UNANSWERED, "cancel", actor, ANY, CANCELLED, 0)
        for kind in ClaimType
        for actor in (DONOR, CLAIMER, SIGNAL)
    ),
    *(
        (kind, UNANSWERED, "elapse", CLOCK, ["", "DEFAULT_OPERATION"], EXPIRED, 30)
        for kind in ClaimType
    ),
]
TABLES = {"dict": DIRECTORY, "source": OF_SOURCE}
EARLY = {
    7: "claim_resolution_period_not_ended",
    14: "claim_completion_period_not_ended",
    30: "claim_possession_period_not_ended",
}


@pytest.mark.parametrize("status", ClaimStatus)
@pytest.mark.parametrize("kind", ClaimType)
@pytest.mark.parametrize("book", BOOKS)
def test_each_row_is_allowed_to_whom_it_names_and_to_nobody_else(
    book: str, kind: ClaimType, status: ClaimStatus
) -> None:
    facts = claim(kind, status)
    lines = [line for line in TABLES[book] if line[0] is kind and status in line[1]]
    for event, actor, reason in product(Event, Actor, ANY):
        of_event = [line for line in lines if line[2] == event]
        of_actor = [line for line in of_event if line[3] is actor]
        fits = [line for line in of_actor if reason in line[4]]
        asked = f"{event} by {actor} because {reason!r}"
        if fits:
            ((*_question, end, first_day),) = fits
            done = act(book, facts, event, actor, reason, as_of=day(first_day))
            assert done.status is end, asked
            assert done.event is event
        elif not of_event:
            assert code(book, facts, event, actor, reason) == "claim_operation_invalid", asked
        elif not of_actor:
            assert code(book, facts, event, actor, reason) == "claim_party_invalid", asked
        else:
            assert code(book, facts, event, actor, reason) == "reason_invalid", asked


@pytest.mark.parametrize("book", BOOKS)
def test_what_waits_for_a_period_is_refused_until_its_very_end(book: str) -> None:
    for kind, states, event, actor, reasons, _end, first_day in TABLES[book]:
        if not first_day:
            continue
        early = day(first_day) - timedelta(microseconds=1)
        expected = EARLY[7 if book == "source" else first_day]
        for state, reason in product(states, reasons):
            facts = claim(kind, state)
            assert code(book, facts, event, actor, reason, as_of=early) == expected


@pytest.mark.parametrize("book", BOOKS)
@pytest.mark.parametrize("kind", ClaimType)
@pytest.mark.parametrize("status", ClaimStatus)
def test_the_choices_of_a_side_are_exactly_what_moves(
    book: str, kind: ClaimType, status: ClaimStatus
) -> None:
    facts = claim(kind, status)
    for actor, days in product(Actor, (0, 7, 14, 30)):
        choices = allowed(BOOKS[book], facts, actor=actor, as_of=day(days))
        offered = {
            (choice.event, reason)
            for choice in choices
            for reason in (ANY if choice.any_reason else choice.reasons or NONE)
        }
        moved = set()
        for event, reason in product(Event, ANY):
            try:
                act(book, facts, event, actor, reason, as_of=day(days))
            except (Conflict, Invalid, NotAllowed):
                continue
            moved.add((event, reason))
        # The clock need not say why.
        assert offered == {one for one in moved if actor is not CLOCK or one[1]}
        assert len({choice.event for choice in choices}) == len(choices)


# --- beginning ------------------------------------------------------------------------------------
#: Types of keys of each type of claim; None: the key is not known here.
CLAIMED = {
    ("dict", PORTABILITY): {KeyType.CPF, KeyType.CNPJ, KeyType.PHONE, KeyType.EMAIL},
    ("dict", OWNERSHIP): {KeyType.PHONE},
    ("source", PORTABILITY): {KeyType.CPF, KeyType.CNPJ, KeyType.PHONE, KeyType.EMAIL, None},
    ("source", OWNERSHIP): {KeyType.PHONE, KeyType.EMAIL, None},
}


@pytest.mark.parametrize(("book", "kind"), CLAIMED)
def test_a_claim_begins_for_the_types_of_keys_of_its_type(book: str, kind: ClaimType) -> None:
    for key_type in (*KeyType, None):
        about: Any = {"claim_type": kind, "key_type": key_type, "opened_at": DAY_0}
        if key_type in CLAIMED[book, kind]:
            started = begin(BOOKS[book], **about)
            assert started.status is (OPEN if book == "dict" else WAITING)
            assert Effect.CREATE_CLAIM in started.effects
            continue
        with pytest.raises(Invalid) as refused:
            begin(BOOKS[book], **about)
        assert refused.value.code == "claim_type_inconsistent"


@pytest.mark.parametrize(
    ("book", "kind", "ends"),
    [
        ("source", PORTABILITY, (30, None, None)),
        ("source", OWNERSHIP, (30, None, None)),
        ("dict", PORTABILITY, (7, None, None)),
        ("dict", OWNERSHIP, (7, 14, 30)),
    ],
)
def test_the_periods_count_from_the_opening(
    book: str, kind: ClaimType, ends: tuple[int | None, ...]
) -> None:
    started = begin(BOOKS[book], claim_type=kind, key_type=KeyType.PHONE, opened_at=DAY_0)
    expected = [days and day(days) for days in ends]
    found = started.resolution_ends_at, started.completion_ends_at, started.possession_ends_at
    assert list(found) == expected
    assert dates_of(BOOKS[book], claim(kind, started.status)) == started.dates


def test_the_source_waits_exactly_2592000_seconds() -> None:
    due = next_clock(BOOKS["source"], claim(PORTABILITY, WAITING), ours=set())
    assert due and (due.at - DAY_0).total_seconds() == 2_592_000


@pytest.mark.parametrize("kind", ["", "PORTABILIDADE", None])
def test_an_unknown_type_of_claim_does_not_begin(kind: Any) -> None:
    with pytest.raises(Invalid) as refused:
        begin(BOOKS["dict"], claim_type=kind, key_type=KeyType.PHONE, opened_at=DAY_0)
    assert refused.value.code == "claim_type_inconsistent"


# --- what it brings with it -----------------------------------------------------------------------
def test_the_donors_entry_goes_with_the_confirmation_and_the_claimers_comes_with_the_end() -> None:
    confirmed = act("dict", claim(PORTABILITY, WAITING), "confirm", DONOR, "USER_REQUESTED")
    assert confirmed.effects == (Effect.REMOVE_DONOR_ENTRY,)
    for kind, date in (
        (PORTABILITY, Effect.KEEP_OWNERSHIP_DATE),
        (OWNERSHIP, Effect.RESET_OWNERSHIP_DATE),
    ):
        done = act("dict", claim(kind, CONFIRMED), "complete", CLAIMER)
        assert set(done.effects) == {Effect.NEW_REQUEST_ID, Effect.CREATE_CLAIMER_ENTRY, date}
        at_once = act("source", claim(kind, WAITING), "confirm", SIGNAL)
        assert set(at_once.effects) == {Effect.MOVE_ENTRY, Effect.SEND_CONFIRMATION, date}
    assert act("dict", claim(OWNERSHIP, CONFIRMED), "cancel", DONOR, "FRAUD").effects == ()


@pytest.mark.parametrize("book", BOOKS)
def test_whose_act_it_was_goes_with_the_move(book: str) -> None:
    for kind, states, event, actor, reasons, _end, _day in TABLES[book]:
        done = act(book, claim(kind, states[0]), event, actor, reasons[0])
        if actor in (DONOR, CLAIMER):
            assert done.role == actor.value
        elif book == "source":
            assert done.role is None
        else:
            assert done.role is (Role.CLAIMER if states[0] is CONFIRMED else Role.DONOR)


def test_any_reason_is_kept_as_it_was_said() -> None:
    said = act("source", claim(OWNERSHIP, WAITING), "cancel", SIGNAL, "cliente desistiu")
    assert said.reason == "cliente desistiu"
    assert act("source", claim(OWNERSHIP, WAITING), "cancel", SIGNAL, None).reason == ""


@pytest.mark.parametrize("reason", [5, ["FRAUD"], {"reason": "FRAUD"}, object()])
@pytest.mark.parametrize("book", BOOKS)
def test_a_reason_that_is_no_text_is_refused(book: str, reason: Any) -> None:
    for actor in (DONOR, CLAIMER):
        assert code(book, claim(OWNERSHIP, WAITING), "cancel", actor, reason) == "reason_invalid"


def test_a_refusal_says_what_would_be_right() -> None:
    with pytest.raises(Invalid) as refused:
        act("dict", claim(PORTABILITY, WAITING), "confirm", DONOR, "FRAUD")
    assert refused.value.extra["reasons"] == ["USER_REQUESTED", "ACCOUNT_CLOSURE"]
    with pytest.raises(NotAllowed) as forbidden:
        act("dict", claim(PORTABILITY, WAITING), "confirm", CLAIMER, "USER_REQUESTED")
    assert forbidden.value.extra["parties"] == ["DONOR"]
    with pytest.raises(Conflict) as early:
        act("dict", claim(OWNERSHIP, CONFIRMED), "complete", CLAIMER, as_of=day(13))
    assert early.value.extra["ends_at"] == day(14).isoformat()


# --- the directory's dates ------------------------------------------------------------------------
def test_the_directorys_dates_win_over_the_rulebooks() -> None:
    facts = claim(OWNERSHIP, WAITING, resolution_ends_at=day(5), completion_ends_at=day(9))
    dates = dates_of(BOOKS["dict"], facts)
    assert dates.resolution_ends_at == day(5)
    assert dates.completion_ends_at == day(9)
    assert dates.possession_ends_at == day(30)
    due = next_clock(BOOKS["dict"], facts, ours={Role.DONOR})
    assert due and due.at == day(5)
    late = claim(OWNERSHIP, WAITING, resolution_ends_at=day(8))
    expected = "claim_resolution_period_not_ended"
    assert code("dict", late, "elapse", CLOCK, as_of=day(7.5)) == expected


# --- the clock ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("book", "kind", "status", "ours", "role", "days"),
    [
        ("source", PORTABILITY, WAITING, set(), None, 30),
        ("source", OWNERSHIP, OPEN, {Role.CLAIMER}, None, 30),
        ("dict", PORTABILITY, WAITING, {Role.DONOR}, Role.DONOR, 7),
        ("dict", OWNERSHIP, WAITING, {Role.DONOR}, Role.DONOR, 7),
        ("dict", OWNERSHIP, WAITING, BOTH, Role.DONOR, 7),
        ("dict", OWNERSHIP, CONFIRMED, {Role.CLAIMER}, Role.CLAIMER, 30),
        ("dict", OWNERSHIP, CONFIRMED, BOTH, Role.CLAIMER, 30),
    ],
)
def test_the_clock_acts_for_the_side_that_is_ours(
    book: str, kind: ClaimType, status: ClaimStatus, ours: set[Role], role: Role | None, days: int
) -> None:
    facts = claim(kind, status)
    due = next_clock(BOOKS[book], facts, ours=ours)
    assert due and (due.actor, due.role, due.at) == (CLOCK, role, day(days))
    done = act(book, facts, due.event, due.actor, due.reason, as_of=due.at)
    assert done.reason == "DEFAULT_OPERATION"
    assert done.role is role
    assert act(book, facts, due.event, due.actor, as_of=due.at) == done


@pytest.mark.parametrize(
    ("kind", "status", "ours"),
    [
        (PORTABILITY, WAITING, {Role.CLAIMER}),
        (OWNERSHIP, CONFIRMED, {Role.DONOR}),
        (PORTABILITY, CONFIRMED, BOTH),
        (PORTABILITY, OPEN, BOTH),
        *((kind, status, BOTH) for kind in ClaimType for status in (COMPLETED, CANCELLED, EXPIRED)),
    ],
)
def test_the_clock_waits_where_it_is_not_ours(
    kind: ClaimType, status: ClaimStatus, ours: set[Role]
) -> None:
    assert next_clock(BOOKS["dict"], claim(kind, status), ours=ours) is None


# --- reports --------------------------------------------------------------------------------------
def test_10_a_silent_donor_of_an_ownership_claim_confirms_and_loses_the_entry() -> None:
    facts = claim(OWNERSHIP, WAITING)
    due = next_clock(BOOKS["dict"], facts, ours={Role.DONOR})
    assert due and due.at == day(7)
    done = act("dict", facts, due.event, due.actor, due.reason, as_of=due.at)
    assert (done.status, done.reason) == (CONFIRMED, "DEFAULT_OPERATION")
    assert done.effects == (Effect.REMOVE_DONOR_ENTRY,)
    # Silence leaves the donor's user the days until the completion.
    assert done.dates.completion_ends_at == day(14)


def test_11_a_silent_donor_of_a_portability_claim_cancels_and_keeps_the_entry() -> None:
    facts = claim(PORTABILITY, WAITING)
    due = next_clock(BOOKS["dict"], facts, ours={Role.DONOR})
    assert due and due.at == day(7)
    done = act("dict", facts, due.event, due.actor, due.reason, as_of=due.at)
    assert (done.status, done.reason, done.effects) == (CANCELLED, "DEFAULT_OPERATION", ())


def test_12_on_day_30_the_clock_cancels_for_the_claimer_where_both_sides_are_ours() -> None:
    facts = claim(OWNERSHIP, CONFIRMED)
    due = next_clock(BOOKS["dict"], facts, ours=BOTH)
    assert due and (due.role, due.at) == (Role.CLAIMER, day(30))
    assert act("dict", facts, "elapse", CLOCK, as_of=due.at).role is Role.CLAIMER
    # By hand too, and for no other side: the donor has no such reason.
    by_hand = act("dict", facts, "cancel", CLAIMER, "DEFAULT_OPERATION", as_of=due.at)
    assert by_hand.role is Role.CLAIMER
    refused = code("dict", facts, "cancel", DONOR, "DEFAULT_OPERATION", as_of=due.at)
    assert refused == "reason_invalid"


def test_13_a_donor_that_is_also_the_claimer_cancels_as_the_donor() -> None:
    done = act("dict", claim(OWNERSHIP, CONFIRMED), "cancel", DONOR, "FRAUD", as_of=day(8))
    assert (done.status, done.role) == (CANCELLED, Role.DONOR)


def test_14_a_repeated_completion_is_refused_and_says_that_the_claim_is_completed() -> None:
    with pytest.raises(Conflict) as refused:
        act("dict", claim(OWNERSHIP, COMPLETED), "complete", CLAIMER)
    assert refused.value.code == "claim_operation_invalid"
    assert refused.value.extra["claim_status"] is COMPLETED


def test_15_a_confirmation_that_the_user_asked_for_lets_the_claimer_complete_at_once() -> None:
    done = act("dict", claim(OWNERSHIP, WAITING), "confirm", DONOR, "USER_REQUESTED", as_of=day(3))
    assert done.dates.completion_ends_at == day(3)
    facts = claim(OWNERSHIP, CONFIRMED, completion_ends_at=done.dates.completion_ends_at)
    assert act("dict", facts, "complete", CLAIMER, as_of=day(3)).status is COMPLETED


def test_15_a_late_confirmation_does_not_put_the_completion_off() -> None:
    facts = claim(OWNERSHIP, WAITING, completion_ends_at=day(14))
    late = act("dict", facts, "confirm", DONOR, "USER_REQUESTED", as_of=day(20))
    assert late.dates.completion_ends_at == day(14)


def test_16_without_the_donors_confirmation_the_claimer_only_waits() -> None:
    facts = claim(OWNERSHIP, WAITING)
    assert next_clock(BOOKS["dict"], facts, ours={Role.CLAIMER}) is None
    refused = code("dict", facts, "complete", CLAIMER, as_of=day(14))
    assert refused == "claim_operation_invalid"
    (choice,) = allowed(BOOKS["dict"], facts, actor=CLAIMER, as_of=day(14))
    assert choice == Choice(
        Event.CANCEL, (Reason.USER_REQUESTED, Reason.ACCOUNT_CLOSURE, Reason.FRAUD)
    )


@pytest.mark.parametrize(
    ("same_owner", "same_participant", "fits"),
    [
        (True, False, PORTABILITY),
        (False, False, OWNERSHIP),
        (False, True, OWNERSHIP),
        (True, True, None),
    ],
)
@pytest.mark.parametrize("book", BOOKS)
def test_17_a_claim_that_does_not_fit_the_owner_is_refused_and_the_right_one_suggested(
    book: str, same_owner: bool, same_participant: bool, fits: ClaimType | None
) -> None:
    whose: Any = {"same_owner": same_owner, "same_participant": same_participant}
    assert fitting_claim(BOOKS[book], key_type=KeyType.PHONE, **whose) is fits
    for kind in ClaimType:
        about: Any = {"claim_type": kind, "key_type": KeyType.PHONE, "opened_at": DAY_0}
        if kind is fits:
            begin(BOOKS[book], **about, **whose)
            continue
        with pytest.raises(Invalid) as refused:
            begin(BOOKS[book], **about, **whose)
        assert refused.value.code == "claim_type_inconsistent"
        assert refused.value.extra["suggested_claim"] == (fits or "")


def test_17_no_claim_is_suggested_that_the_rulebook_does_not_have() -> None:
    whose: Any = {"key_type": KeyType.EMAIL, "same_owner": False, "same_participant": False}
    assert fitting_claim(BOOKS["dict"], **whose) is None
    assert fitting_claim(BOOKS["source"], **whose) is OWNERSHIP
    whose["key_type"] = KeyType.EVP
    assert fitting_claim(BOOKS["source"], **whose) is None
