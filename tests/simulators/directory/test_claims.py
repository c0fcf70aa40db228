"""Section 2 of the directory's rules, row by row: who may do what in which state, and why."""

from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest

from tests.directory import AGREES, OTHER, OURS, REFUSES, SILENT, SimulatedDirectory
from tests.simulators.directory.acting import (
    COMPANY,
    PERSON,
    PHONE,
    STRANGER,
    account,
    cancel,
    claim,
    claim_in,
    complete,
    confirm,
    create,
    refusal,
)

STATES = ("OPEN", "WAITING_RESOLUTION", "CONFIRMED", "CANCELLED", "COMPLETED")
REASONS = (
    *("USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "DEFAULT_OPERATION", "RFB_VALIDATION"),
    *("RECONCILIATION", "RFB"),
)
BOTH = ("OWNERSHIP", "PORTABILITY")
OPEN, WAITING, CONFIRMED = "OPEN", "WAITING_RESOLUTION", "CONFIRMED"

#: (type, role) → state → reasons that cancel at once; the rest does not.
CANCELS = {
    ("PORTABILITY", "donor"): {
        OPEN: {"USER_REQUESTED", "FRAUD"},
        WAITING: {"USER_REQUESTED", "FRAUD"},
    },
    ("PORTABILITY", "claimer"): {
        OPEN: {"USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "RFB_VALIDATION", "RECONCILIATION"},
        WAITING: {"USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "RFB_VALIDATION"},
        CONFIRMED: {"FRAUD", "RECONCILIATION", "RFB_VALIDATION"},
    },
    ("OWNERSHIP", "donor"): {state: {"FRAUD"} for state in (OPEN, WAITING, CONFIRMED)},
    ("OWNERSHIP", "claimer"): {
        state: {"USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD"}
        for state in (OPEN, WAITING, CONFIRMED)
    },
}
#: DEFAULT_OPERATION before its time.
EARLY = {
    **{("PORTABILITY", "donor", s): "ClaimResolutionPeriodNotEnded" for s in (OPEN, WAITING)},
    **{
        ("OWNERSHIP", "claimer", s): "ClaimCompletionPeriodNotEnded"
        for s in (OPEN, WAITING, CONFIRMED)
    },
}


@pytest.mark.parametrize(("type", "role"), list(CANCELS))
@pytest.mark.parametrize("state", STATES)
def test_each_side_cancels_for_its_own_reasons(
    directory: SimulatedDirectory, type: str, role: str, state: str
) -> None:
    side = OURS if role == "donor" else OTHER
    allowed = CANCELS[type, role].get(state)
    for reason in REASONS:
        directory.reset()
        made = claim_in(directory, type, state)
        if state == "CANCELLED" and (role, reason) == ("claimer", "FRAUD"):
            continue  # as it was cancelled: the next test
        said = refusal(cancel, directory, made, side, reason)
        if allowed and reason in allowed:
            assert said == ""
            now = directory.client.claim_get(participant=side, claim_id=made.id)
            assert (now.status, now.cancel_reason, now.cancelled_by) == (
                *("CANCELLED", reason, role.upper()),
            )
        elif allowed is None:
            assert said == "ClaimOperationInvalid", reason
        elif reason == "DEFAULT_OPERATION":
            assert said == EARLY.get((type, role, state), "InvalidReason")
        else:
            assert said == "InvalidReason", reason


@pytest.mark.parametrize("type", BOTH)
def test_acknowledge_and_confirm_are_the_donors_and_only_in_their_state(
    directory: SimulatedDirectory, type: str
) -> None:
    client = directory.client
    for state in STATES:
        directory.reset()
        made = claim_in(directory, type, state)
        seen = refusal(client.claim_acknowledge, participant=OURS, claim_id=made.id)
        assert seen == ("" if state in (OPEN, WAITING) else "ClaimOperationInvalid"), state
        directory.reset()
        made = claim_in(directory, type, state)
        others = [
            refusal(client.claim_acknowledge, participant=OTHER, claim_id=made.id),
            refusal(confirm, directory, made, OTHER, "USER_REQUESTED"),
            refusal(complete, directory, made, OURS),
            refusal(cancel, directory, made, AGREES, "FRAUD"),
        ]
        assert others == ["Forbidden"] * 4, state
        said = refusal(confirm, directory, made, OURS, "USER_REQUESTED")
        assert said == ("" if state in (WAITING, CONFIRMED) else "ClaimOperationInvalid"), state


@pytest.mark.parametrize(("type", "reason"), list(product(BOTH, REASONS)))
def test_a_donor_confirms_for_its_reasons(
    directory: SimulatedDirectory, type: str, reason: str
) -> None:
    made = claim_in(directory, type, WAITING)
    said = refusal(confirm, directory, made, OURS, reason)
    if reason == "USER_REQUESTED" or (type, reason) == ("PORTABILITY", "ACCOUNT_CLOSURE"):
        assert said == ""
    elif (type, reason) == ("OWNERSHIP", "DEFAULT_OPERATION"):
        assert said == "ClaimResolutionPeriodNotEnded"
    else:
        assert said == "InvalidReason"


@pytest.mark.parametrize("type", BOTH)
@pytest.mark.parametrize("state", STATES)
def test_only_a_confirmed_claim_is_completed(
    directory: SimulatedDirectory, type: str, state: str
) -> None:
    made = claim_in(directory, type, state)
    said = refusal(complete, directory, made, OTHER)
    assert said == ("" if state == CONFIRMED else "ClaimOperationInvalid")


def test_dates_are_those_of_the_manual(directory: SimulatedDirectory) -> None:
    create(directory)
    made = claim(directory, "OWNERSHIP")
    begun = made.modified_at
    assert made.status == "OPEN"
    assert made.donor_participant == OURS
    assert made.claimer_participant == OTHER
    assert made.resolution_ends_at == begun + timedelta(days=7)
    assert made.completion_ends_at == begun + timedelta(days=14)
    cancel(directory, made, OTHER, "FRAUD")
    moved = claim(directory, "PORTABILITY")
    assert moved.resolution_ends_at == moved.modified_at + timedelta(days=7)
    assert moved.completion_ends_at is None


def test_a_silent_donor_of_ownership_confirms_by_default_and_day_14_completes(
    directory: SimulatedDirectory,
) -> None:
    made = claim_in(directory, "OWNERSHIP", WAITING)
    directory.advance(days=7)
    confirmed = confirm(directory, made, OURS, "DEFAULT_OPERATION")
    assert confirmed.status == CONFIRMED
    assert confirmed.completion_ends_at == made.completion_ends_at
    # Confirming removes the entry: no delete of its own.
    assert refusal(directory.client.entry_get, participant=OURS, key=PHONE) == "NotFound"
    assert refusal(complete, directory, made, OTHER) == "ClaimCompletionPeriodNotEnded"
    directory.advance(days=7)
    done = complete(directory, made, OTHER)
    assert done.claim.status == "COMPLETED"
    assert done.owned_since == done.created_at
    entry = directory.client.entry_get(participant=OURS, key=PHONE)
    assert (entry.account.participant, entry.owner.tax_id) == (OTHER, STRANGER.tax_id)


def test_a_donor_who_agrees_pulls_the_completion_to_now(directory: SimulatedDirectory) -> None:
    made = claim_in(directory, "OWNERSHIP", WAITING)
    directory.advance(days=3)
    confirmed = confirm(directory, made, OURS, "USER_REQUESTED")
    assert confirmed.completion_ends_at is not None
    assert confirmed.completion_ends_at <= directory.now()
    assert complete(directory, made, OTHER).claim.status == "COMPLETED"


def test_a_silent_donor_of_portability_cancels_by_default_and_keeps_the_key(
    directory: SimulatedDirectory,
) -> None:
    made = claim_in(directory, "PORTABILITY", WAITING)
    directory.advance(days=7)
    assert cancel(directory, made, OURS, "DEFAULT_OPERATION").cancelled_by == "DONOR"
    entry = directory.client.entry_get(participant=OTHER, key=PHONE)
    assert entry.account.participant == OURS
    assert entry.claimed_at is None


def test_ownership_that_nobody_proves_by_day_30_is_cancelled_and_the_key_is_free(
    directory: SimulatedDirectory,
) -> None:
    made = claim_in(directory, "OWNERSHIP", CONFIRMED)
    directory.advance(days=29)
    said = refusal(cancel, directory, made, OTHER, "DEFAULT_OPERATION")
    assert said == "ClaimCompletionPeriodNotEnded"
    directory.advance(days=1)
    assert cancel(directory, made, OTHER, "DEFAULT_OPERATION").status == "CANCELLED"
    assert create(directory).key == PHONE


def test_possession_passes_on_with_portability_only(directory: SimulatedDirectory) -> None:
    since = create(directory).owned_since
    directory.advance(days=40)
    made = claim(directory, "PORTABILITY")
    directory.client.claim_acknowledge(participant=OURS, claim_id=made.id)
    confirm(directory, made, OURS, "ACCOUNT_CLOSURE")
    done = complete(directory, made, OTHER)
    assert done.owned_since == since
    assert done.created_at is not None
    assert done.created_at > made.modified_at


def test_what_may_be_claimed(directory: SimulatedDirectory) -> None:
    create(directory)
    for key_type, key, owner in (
        ("EMAIL", "joao@example.com", PERSON),
        ("CPF", PERSON.tax_id, PERSON),
        ("CNPJ", COMPANY.tax_id, COMPANY),
    ):
        create(directory, key, key_type=key_type, owner=owner)
        made = claim(directory, "PORTABILITY", key=key, key_type=key_type, claimer=owner)
        assert made.status == "OPEN"
        other = {"key_type": key_type, "claimer": STRANGER}
        said = refusal(claim, directory, "OWNERSHIP", key=key, **other)
        assert said == "ClaimInvalid"
    evp = create(directory, "", key_type="EVP").key
    for type in BOTH:
        said = refusal(claim, directory, type, key=evp, key_type="EVP")
        assert said == "ClaimInvalid"
    assert refusal(claim, directory, "GIFT") == "ClaimInvalid"
    missing = refusal(claim, directory, "OWNERSHIP", key="+5511900000000")
    assert missing == "ClaimKeyNotFound"


def test_the_type_must_fit_the_owner(directory: SimulatedDirectory) -> None:
    create(directory)
    for type, claimer in (("OWNERSHIP", PERSON), ("PORTABILITY", STRANGER)):
        said = refusal(claim, directory, type, claimer=claimer)
        assert said == "ClaimTypeInconsistent"
    here = refusal(claim, directory, "PORTABILITY", by=OURS)
    assert here == "ClaimResultingEntryAlreadyExists"
    foreign = {"claimer_account": account(OURS)}
    assert refusal(claim, directory, "OWNERSHIP", **foreign) == "Forbidden"


@pytest.mark.parametrize("state", [OPEN, WAITING, CONFIRMED])
def test_a_key_has_one_active_claim_and_is_locked_meanwhile(
    directory: SimulatedDirectory, state: str
) -> None:
    claim_in(directory, "OWNERSHIP", state)
    again = refusal(claim, directory, "OWNERSHIP", by=AGREES)
    assert again == "ClaimAlreadyExistsForKey"
    client = directory.client
    gone = refusal(client.entry_delete, participant=OURS, key=PHONE, reason="USER_REQUESTED")
    new = refusal(create, directory)
    if state == CONFIRMED:
        assert (gone, new) == ("NotFound", "EntryLockedByClaim")
        return
    assert (gone, new) == ("EntryLockedByClaim", "EntryAlreadyExists")
    assert client.entry_get(participant=OURS, key=PHONE).claimed_at is not None
    words = {"participant": OURS, "key": PHONE, "trade_name": "", "reason": "USER_REQUESTED"}
    moved = client.entry_update(account=account(number="5"), name=PERSON.name, **words)
    assert moved.account.number == "5"
    renamed = refusal(client.entry_update, account=account(), name="Another", **words)
    assert renamed == "EntryLockedByClaim"


def test_the_same_again_is_answered_and_does_nothing(directory: SimulatedDirectory) -> None:
    client = directory.client
    made = claim_in(directory, "OWNERSHIP", WAITING)
    assert client.claim_acknowledge(participant=OURS, claim_id=made.id) == made
    confirmed = confirm(directory, made, OURS, "USER_REQUESTED")
    assert confirm(directory, made, OURS, "USER_REQUESTED") == confirmed
    assert refusal(confirm, directory, made, OURS, "ACCOUNT_CLOSURE") == "ClaimOperationInvalid"
    request_id = str(uuid4())
    done = complete(directory, made, OTHER, request_id)
    assert complete(directory, made, OTHER, request_id) == done
    assert refusal(complete, directory, made, OTHER) == "ClaimOperationInvalid"
    events = client.cid_events_list(
        participant=OTHER,
        key_type="PHONE",
        since=directory.now() - timedelta(hours=1),
        until=directory.now(),
    )
    assert [event.type for event in events.events] == ["ADDED"]


def test_a_cancellation_is_repeated_by_its_own_side_alone(directory: SimulatedDirectory) -> None:
    made = claim_in(directory, "OWNERSHIP", OPEN)
    cancelled = cancel(directory, made, OURS, "FRAUD")
    assert cancel(directory, made, OURS, "FRAUD") == cancelled
    assert refusal(cancel, directory, made, OTHER, "FRAUD") == "ClaimOperationInvalid"


def test_a_request_id_of_another_entry_completes_nothing(directory: SimulatedDirectory) -> None:
    made = claim_in(directory, "OWNERSHIP", CONFIRMED)
    used = str(uuid4())
    create(directory, "+5511900000001", participant=OTHER, request_id=used)
    assert refusal(complete, directory, made, OTHER, used) == "RequestIdAlreadyUsed"
    assert complete(directory, made, OTHER).claim.status == "COMPLETED"


def test_one_participant_on_both_sides_acts_for_both_and_counts_as_claimer(
    directory: SimulatedDirectory,
) -> None:
    made = claim_in(directory, "OWNERSHIP", WAITING, by=OURS)
    assert (made.donor_participant, made.claimer_participant) == (OURS, OURS)
    # A reason of the donor's, yet the directory says that the claimer did it.
    assert cancel(directory, made, OURS, "FRAUD").cancelled_by == "CLAIMER"
    made = claim(directory, "OWNERSHIP", by=OURS)
    directory.client.claim_acknowledge(participant=OURS, claim_id=made.id)
    directory.advance(days=7)
    assert confirm(directory, made, OURS, "DEFAULT_OPERATION").status == CONFIRMED
    directory.advance(days=23)
    assert cancel(directory, made, OURS, "DEFAULT_OPERATION").status == "CANCELLED"


def test_lists_are_ascending_and_hold_both_ends_of_their_window(
    directory: SimulatedDirectory,
) -> None:
    client = directory.client
    made = []
    for number in range(5):
        key = f"+55119000000{number:02}"
        create(directory, key, account=account(number=str(number)))
        made.append(claim(directory, "OWNERSHIP", key=key))
    first, last = made[1].modified_at, made[3].modified_at
    listed = client.claims_list(
        participant=OURS, role="DONOR", modified_from=first, modified_to=last
    )
    assert [one.id for one in listed.claims] == [one.id for one in made[1:4]]
    assert not listed.has_more
    page = client.claims_list(participant=OTHER, role="CLAIMER", modified_from=first, limit=2)
    assert [one.id for one in page.claims] == [one.id for one in made[1:3]]
    assert page.has_more
    client.claim_acknowledge(participant=OURS, claim_id=made[0].id)
    moved = client.claims_list(participant=OURS, modified_from=first, statuses=[WAITING])
    assert [one.id for one in moved.claims] == [made[0].id]
    assert client.claims_list(participant=OTHER, role="DONOR", modified_from=first).claims == ()
    said = refusal(client.claims_list, participant=OURS, modified_from=first, limit=201)
    assert said == "BadRequest"


def test_a_change_is_listed_when_the_lag_is_over(directory: SimulatedDirectory) -> None:
    directory.reset(lag_seconds=5)
    create(directory)
    made = claim(directory, "OWNERSHIP")
    window = {"participant": OURS, "modified_from": made.modified_at}
    assert directory.client.claims_list(**window).claims == ()
    directory.advance(seconds=5)
    assert [one.id for one in directory.client.claims_list(**window).claims] == [made.id]


# --- strangers -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("donor", "key", "ends"),
    [
        (AGREES, "+5511990000002", {"OWNERSHIP": CONFIRMED, "PORTABILITY": CONFIRMED}),
        (REFUSES, "+5511990000003", {"OWNERSHIP": "CANCELLED", "PORTABILITY": "CANCELLED"}),
        (SILENT, "+5511990000004", {"OWNERSHIP": WAITING, "PORTABILITY": WAITING}),
    ],
)
@pytest.mark.parametrize("type", BOTH)
def test_strangers_answer_our_claims_or_stay_silent_until_the_rules_speak(
    directory: SimulatedDirectory, donor: str, key: str, ends: dict[str, str], type: str
) -> None:
    made = claim(directory, type, by=OURS, key=key)
    assert made.donor_participant == donor
    now = directory.client.claim_get(participant=OURS, claim_id=made.id)
    assert now.status == ends[type]
    if donor == SILENT:
        directory.advance(days=7)
        now = directory.client.claim_get(participant=OURS, claim_id=made.id)
        assert now.status == (CONFIRMED if type == "OWNERSHIP" else "CANCELLED")
        assert "DEFAULT_OPERATION" in (now.confirm_reason, now.cancel_reason)


@pytest.mark.parametrize(("claimer", "ends"), [(AGREES, "COMPLETED"), (SILENT, "CANCELLED")])
def test_a_stranger_who_claims_our_key_completes_or_gives_up(
    directory: SimulatedDirectory, claimer: str, ends: str
) -> None:
    create(directory)
    made = directory.open_claim(PHONE, claimer_participant=claimer)
    assert made.type == "OWNERSHIP"
    assert directory.client.claim_get(participant=OURS, claim_id=made.id).status == "OPEN"
    directory.client.claim_acknowledge(participant=OURS, claim_id=made.id)
    directory.advance(days=7)
    directory.client.claim_confirm(participant=OURS, claim_id=made.id, reason="DEFAULT_OPERATION")
    directory.advance(days=40)
    assert directory.client.claim_get(participant=OURS, claim_id=made.id).status == ends
