"""Rows of the directory's rules for claims, carried out: allowed ones end there as they end here,
refused ones change nothing. The machine's tests have every row; here are those in which the sides,
the states and the rulebooks differ at the directory."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.utils import timezone

from apps.common.errors import DomainError
from apps.pix.contracts.claims import ClaimLook
from apps.pix.models import Claim, Entry
from apps.pix.services.claim_answering import claim_answer
from apps.pix.services.claim_carrying import claim_look
from apps.streams.models import OutEvent
from tests.directory import AGREES, OTHER, OURS, SILENT
from tests.pix.claims.test_directory import Claims, claims, status

__all__ = ["claims"]

pytestmark = pytest.mark.django_db(transaction=True)

STRANGER_CPF = "12345678909"
REASONS = (
    *("USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "RFB_VALIDATION", "RECONCILIATION"),
    *("DEFAULT_OPERATION", "BRANCH_TRANSFER"),
)
_phones = count(1)


def phone() -> str:
    return f"+5561988{next(_phones):06d}"


def made(claims: Claims, kind: str, state: str) -> Claim:
    """A claim of ours in that state: OPEN and the confirmed portability at a stranger's, else
    between two of our participants."""
    key = phone()
    donor = {"OPEN": SILENT, "CONFIRMED": AGREES if kind == "PORTABILITY" else OTHER}
    holder = donor.get(state, OTHER)
    if state == "OPEN":
        # A stranger whom nobody moves: it does not even acknowledge.
        claims.directory.behave(SILENT, "ours")
    claims.holds(holder, key=key, **({} if kind == "PORTABILITY" else {"tax_id": STRANGER_CPF}))
    claim = claims.open(claim_type=kind, key=key)
    claims.carried(claim)
    if state == "CONFIRMED" and holder == OTHER:
        claims.sign(claim, "approve", "USER_REQUESTED")
        claims.carried(claim)
    elif state == "CONFIRMED":
        for _poll in range(3):
            claims.poll()
    assert status(claim) == state.lower()
    return claim


def answer(
    claims: Claims,
    claim: Claim,
    event: str,
    role: str,
    reason: str = "",
    *,
    as_of: datetime | None = None,
) -> str:
    """Have that side act, and carry it out; the code of a refusal."""
    try:
        claim_answer(
            claim_id=claim.pk,
            event=event,
            role=role,
            reason=reason,
            by=claims.people["officer"],
            via="page",
            as_of=as_of or timezone.now(),
        )
    except DomainError as refusal:
        return refusal.code
    claims.carried(claim, as_of=as_of)
    return ""


#: What ends a claim in each state, by the manual.
CANCELS = {
    ("PORTABILITY", "OPEN", "CLAIMER"): {
        *("USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "RFB_VALIDATION", "RECONCILIATION"),
    },
    ("PORTABILITY", "WAITING", "CLAIMER"): {
        *("USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD", "RFB_VALIDATION"),
    },
    ("PORTABILITY", "CONFIRMED", "CLAIMER"): {"FRAUD", "RECONCILIATION", "RFB_VALIDATION"},
    **{
        ("OWNERSHIP", state, "CLAIMER"): {"USER_REQUESTED", "ACCOUNT_CLOSURE", "FRAUD"}
        for state in ("OPEN", "WAITING", "CONFIRMED")
    },
    ("OWNERSHIP", "CONFIRMED", "DONOR"): {"FRAUD"},
}


@pytest.mark.parametrize(("kind", "state", "role"), CANCELS)
def test_a_side_cancels_in_each_state_for_its_reasons_and_no_other(
    claims: Claims, kind: str, state: str, role: str
) -> None:
    allowed = CANCELS[kind, state, role]
    claim = made(claims, kind, state)
    before = claims.at_directory(claim)
    for reason in REASONS:
        if reason in allowed:
            continue
        code = answer(claims, claim, "cancel", role, reason)
        early = kind == "OWNERSHIP" and role == "CLAIMER" and reason == "DEFAULT_OPERATION"
        assert code == ("claim_possession_period_not_ended" if early else "reason_invalid"), reason
        assert (status(claim), claims.at_directory(claim)) == (state.lower(), before)
    for reason in sorted(allowed):
        assert answer(claims, claim, "cancel", role, reason) == ""
        assert (status(claim), claims.at_directory(claim)) == ("cancelled", "CANCELLED"), reason
        assert (claim.cancelled_by, claim.cancel_reason) == (role, reason)
        claim = made(claims, kind, state) if reason != max(allowed) else claim


@pytest.mark.parametrize("kind", ["PORTABILITY", "OWNERSHIP"])
def test_the_donor_does_not_cancel_a_confirmed_claim_but_for_fraud_of_an_owner(
    claims: Claims, settings: Any, kind: str
) -> None:
    """The stranger's claim is confirmed by our donor. The key is free after FRAUD: the entry is
    gone, and has to be registered again."""
    settings.CLAIMS_RULEBOOK = "dict"
    key = phone()
    claims.holds(OURS, key=key)
    named = {} if kind == "PORTABILITY" else {"claimer_tax_id": STRANGER_CPF}
    claims.directory.open_claim(key, type=kind, claimer_participant=SILENT, **named)
    claims.poll()
    claim = Claim.objects.get(key=key)
    claims.carried(claim)
    claims.sign(claim, "approve", "USER_REQUESTED")
    claims.carried(claim)
    assert status(claim) == "confirmed"
    code = answer(claims, claim, "cancel", "DONOR", "FRAUD")
    if kind == "PORTABILITY":
        assert code == "claim_party_invalid"
        assert claims.at_directory(claim) == "CONFIRMED"
        return
    assert (code, status(claim), claim.cancelled_by) == ("", "cancelled", "DONOR")
    assert claims.at_directory(claim) == "CANCELLED"
    assert not Entry.objects.live().filter(key=key).exists()


@pytest.mark.parametrize("rulebook", ["dict", "source"])
@pytest.mark.parametrize("kind", ["PORTABILITY", "OWNERSHIP"])
def test_a_random_key_is_never_claimed(claims: Claims, kind: str, rulebook: str) -> None:
    key = "123e4567-e89b-42d3-a456-426614174000"
    with pytest.raises(DomainError) as refused:
        claims.open(claim_type=kind, key_type="EVP", key=key, rulebook=rulebook)
    assert refused.value.code == "claim_type_inconsistent"
    assert not Claim.objects.exists()
    assert claims.directory.calls("Claims.Create") == 0


def test_an_email_changes_its_owner_with_the_source_only(claims: Claims) -> None:
    about = {"claim_type": "OWNERSHIP", "key_type": "EMAIL", "key": "a@example.com"}
    with pytest.raises(DomainError) as refused:
        claims.open(rulebook="dict", **about)
    assert refused.value.code == "claim_type_inconsistent"
    assert claims.open(rulebook="source", **about).pk


def test_acts_of_the_wrong_side_are_refused(claims: Claims) -> None:
    claim = made(claims, "PORTABILITY", "OPEN")
    assert answer(claims, claim, "confirm", "CLAIMER") == "claim_operation_invalid"
    # The donor is a stranger: nobody here acts for it.
    assert answer(claims, claim, "complete", "CLAIMER") == "claim_operation_invalid"
    confirmed = made(claims, "OWNERSHIP", "CONFIRMED")
    assert answer(claims, confirmed, "complete", "DONOR") == "claim_party_invalid"
    assert claims.at_directory(confirmed) == "CONFIRMED"


def test_what_the_donor_agreed_to_on_day_3_is_completed_at_once(claims: Claims) -> None:
    claims.holds(OTHER, key=(key := phone()), tax_id=STRANGER_CPF)
    claim = claims.open(claim_type="OWNERSHIP", key=key)
    claims.carried(claim)
    third = claims.directory.advance(days=3)
    claims.sign(claim, "approve", "USER_REQUESTED")
    claims.carried(claim, as_of=third)
    assert answer(claims, claim, "complete", "CLAIMER", as_of=third + timedelta(minutes=1)) == ""
    assert status(claim) == "completed"


@pytest.mark.parametrize(("kind", "kept"), [("PORTABILITY", True), ("OWNERSHIP", False)])
def test_the_owner_has_the_key_since_then_with_portability_and_since_now_with_ownership(
    claims: Claims, kind: str, kept: bool
) -> None:
    claims.holds(OTHER, key=(key := phone()), **({} if kept else {"tax_id": STRANGER_CPF}))
    before = claims.directory.now()
    claims.directory.advance(days=2)
    claim = claims.open(claim_type=kind, key=key)
    claims.carried(claim)
    claims.sign(claim, "approve", "USER_REQUESTED")
    claims.carried(claim)
    if kind == "OWNERSHIP":
        now = claims.directory.now()
        assert answer(claims, claim, "complete", "CLAIMER", as_of=now) == ""
    assert status(claim) == "completed"
    entry = Entry.objects.live().get(key=key)
    assert entry.ownership_at is not None
    assert (entry.ownership_at <= before + timedelta(minutes=1)) is kept


# --- the rulebook of the source, at the directory -------------------------------------------------
@pytest.mark.parametrize("kind", ["PORTABILITY", "OWNERSHIP"])
@pytest.mark.parametrize(
    "act", ["confirm", "donor cancels", "claimer cancels", "silence"], ids=lambda act: act
)
def test_an_end_by_the_source_is_an_end_at_the_directory(
    claims: Claims, kind: str, act: str
) -> None:
    claims.holds(OTHER, key=(key := phone()), **tax_of(kind))
    claim = claims.open(claim_type=kind, key=key, rulebook="source")
    claims.carried(claim)
    acts: dict[str, Callable[[], object]] = {
        "confirm": lambda: claims.sign(claim, "approve"),
        "donor cancels": lambda: claims.sign(claim, "reject"),
        "claimer cancels": lambda: answer(claims, claim, "cancel", "CLAIMER", "USER_REQUESTED"),
        "silence": lambda: None,
    }
    acts[act]()
    late = claims.directory.advance(days=30, minutes=1) if act == "silence" else None
    if late is not None:
        claim_look(ClaimLook(str(claim.pk), claim.workflow_id, late))
    claims.carried(claim, as_of=late)
    ends = {"confirm": ("completed", "COMPLETED"), "silence": ("expired", "CANCELLED")}
    assert (status(claim), claims.at_directory(claim)) == ends.get(act, ("cancelled", "CANCELLED"))
    assert Entry.objects.live().get(key=key).participant == (OURS if act == "confirm" else OTHER)


def test_a_silent_donor_is_not_said_to_have_proved_possession(claims: Claims) -> None:
    """By the source silence expires the claim; at the directory the donor of an ownership claim may
    cancel for FRAUD only, which nobody has said."""
    claims.holds(OURS, key=(key := phone()))
    claims.directory.open_claim(
        key, type="OWNERSHIP", claimer_participant=SILENT, claimer_tax_id=STRANGER_CPF
    )
    claims.poll()
    claim = Claim.objects.get(key=key)
    claims.carried(claim)
    late = claims.directory.now() + timedelta(days=30, minutes=1)
    claim_look(ClaimLook(str(claim.pk), claim.workflow_id, late))
    claims.carried(claim, as_of=late)
    assert status(claim) == "expired"
    assert claims.directory.calls("Claims.Cancel") == 0
    assert Entry.objects.live().get(key=key).participant == OURS


def tax_of(kind: str) -> dict[str, str]:
    """The owner who has the key now."""
    return {} if kind == "PORTABILITY" else {"tax_id": STRANGER_CPF}


# --- what is read twice ---------------------------------------------------------------------------
def test_a_change_in_a_window_that_was_read_is_seen_once_when_the_lag_is_over(
    claims: Claims,
) -> None:
    """The directory lists a change five seconds after its time: the window that has it was read
    meanwhile."""
    claims.directory.reset(lag_seconds=5)
    claims.holds(OTHER, key=(seen := phone()))
    claims.holds(AGREES, key=(key := phone()))
    first, second = claims.open(key=seen), claims.open(key=key)
    claims.carried(first)
    claims.carried(second)
    claims.directory.advance(seconds=3)
    claims.poll()
    assert status(second) == "open"
    claims.directory.advance(seconds=3)
    claims.poll()
    claims.poll()
    changed = Claim.objects.get(pk=second.pk).version
    for _again in range(3):
        claims.directory.advance(seconds=6)
        claims.poll()
    claims.carried(second)
    assert status(second) == "completed"
    told = OutEvent.objects.filter(key=key).values_list("type", flat=True)
    assert sorted(set(told)) == sorted(told)
    for _again in range(2):
        claims.directory.advance(seconds=6)
        version = Claim.objects.get(pk=second.pk).version
        claims.poll()
        assert Claim.objects.get(pk=second.pk).version == version >= changed
