"""The verbs of claims: who may, what is refused, and two at once."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import current_payload
from apps.approvals.services.bulk import BulkChoice, bulk_decide, item_decide
from apps.audit.models import AuditEntry
from apps.common.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from apps.engine.models import EngineCommand
from apps.pix.models import Claim, Entry
from apps.pix.services.claim_answering import claim_answer
from apps.pix.services.claim_deciding import SIGNED, claim_act
from apps.pix.services.claims import claim_open
from apps.pix.services.key_reading import claim_key_read
from tests.directory import OTHER, OURS
from tests.pix.claims.stage import ACCOUNT, OWNER, PHONE, waiting_claim

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "x" * 1_000_000
NOBODY = UUID(int=7)
HOSTILE: list[Any] = ["\0", "a\0b", LONG, "\u202e", 7, None, [], {"a": 1}, b"x", True]


def opened(people: dict[str, User], **changes: Any) -> tuple[Claim, bool]:
    body: dict[str, Any] = {
        "claim_type": "PORTABILITY",
        "key_type": "PHONE",
        "key": PHONE,
        "claimer_account": ACCOUNT,
        "claimer": OWNER,
        "donor_ispb": OTHER,
        "by": people["officer"],
        "via": "api",
        "as_of": timezone.now(),
    }
    return claim_open(**body | changes)


def answer(people: dict[str, User], claim: Any, event: str, **changes: Any) -> None:
    given: dict[str, Any] = {"by": people["officer"], "via": "api", "as_of": timezone.now()}
    claim_answer(**{"claim_id": claim, "event": event, "reason": "", **given, **changes})


# --- opening --------------------------------------------------------------------------------------
def test_whoever_may_opens_a_claim_which_its_workflow_is_started_for(
    people: dict[str, User],
) -> None:
    claim, new = opened(people, claim_id="C-1", idempotency_key="k")
    assert new and claim.workflow_id == "claim-C-1"
    assert (claim.claimer_ours, claim.donor_ours, claim.tax_id) == (True, True, "11122233396")
    assert EngineCommand.objects.get(kind="start").workflow_id == "claim-C-1"
    # What the engine keeps has no key.
    assert PHONE not in str(vars(EngineCommand.objects.get(kind="start")))
    again = opened(people, claim_id="C-1", idempotency_key="k")
    assert again == (claim, False)
    trail = AuditEntry.objects.get(action="claim.opened")
    assert PHONE not in str(trail.body)


@pytest.mark.parametrize(
    ("by", "changes", "error", "code"),
    [
        ("auditor", {}, NotAllowed, "permission_denied"),
        ("operator", {}, NotAllowed, "permission_denied"),
        ("officer", {"claim_type": "GIFT"}, Invalid, "claim_type_invalid"),
        ("officer", {"key_type": "IBAN"}, Invalid, "key_type_invalid"),
        ("officer", {"key": "61988880000"}, Invalid, "key_invalid"),
        (
            "officer",
            {"claim_type": "OWNERSHIP", "key_type": "CPF", "key": "11122233396"},
            Invalid,
            "claim_type_inconsistent",
        ),
        ("officer", {"key_type": "EVP", "key": str(NOBODY)}, Invalid, "claim_type_inconsistent"),
        (
            "officer",
            {"claimer_account": {**ACCOUNT, "participant": "99999999"}},
            Invalid,
            "participant_not_ours",
        ),
        ("officer", {"claimer_account": {**ACCOUNT, "more": 1}}, Invalid, "account_invalid"),
        ("officer", {"claimer_account": "7654321"}, Invalid, "account_invalid"),
        ("officer", {"claimer": {**OWNER, "more": 1}}, Invalid, "owner_invalid"),
        ("officer", {"claimer": {**OWNER, "tax_id": "1"}}, Invalid, "tax_id_invalid"),
        ("officer", {"donor_ispb": "x"}, Invalid, "ispb_invalid"),
        ("officer", {"claim_id": "a b"}, Invalid, "claim_id_invalid"),
        ("officer", {"rulebook": "none"}, Invalid, "rulebook_unknown"),
    ],
)
def test_what_is_refused_is_in_the_trail_with_its_code(
    people: dict[str, User],
    by: str,
    changes: dict[str, Any],
    error: type[DomainError],
    code: str,
) -> None:
    with pytest.raises(error) as refused:
        opened(people, by=people[by], **changes)
    assert refused.value.code == code
    assert not Claim.objects.exists() and not EngineCommand.objects.exists()
    trail = AuditEntry.objects.get(action="claim.open")
    assert (trail.outcome, trail.actor_id, trail.code) == ("refused", people[by].audit_id, code)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value)[:12])
@pytest.mark.parametrize(
    "field",
    ["claim_type", "key_type", "key", "claimer_account", "claimer", "claim_id", "donor_ispb"],
)
def test_any_value_of_a_field_is_refused_with_a_code(
    people: dict[str, User], field: str, value: Any
) -> None:
    if field in ("claim_id", "donor_ispb") and not value:
        pytest.skip("as if it was not given")
    with pytest.raises(DomainError) as refused:
        opened(people, **{field: value})
    assert refused.value.code and not Claim.objects.exists()


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value)[:12])
@pytest.mark.parametrize("field", ["number", "type", "participant", "name", "tax_id", "rulebook"])
def test_any_value_inside_is_refused_with_a_code(
    people: dict[str, User], field: str, value: Any
) -> None:
    if field == "rulebook" and not value:
        pytest.skip("as if it was not given")
    changes: dict[str, Any] = {"rulebook": value} if field == "rulebook" else {}
    if field in ("number", "type", "participant"):
        changes = {"claimer_account": {**ACCOUNT, field: value}}
    elif field != "rulebook":
        changes = {"claimer": {**OWNER, field: value}}
    with pytest.raises(DomainError) as refused:
        opened(people, **changes)
    assert refused.value.code and not Claim.objects.exists()


def test_the_claim_that_fits_is_named(people: dict[str, User]) -> None:
    entry(tax_id="12345678909")
    with pytest.raises(Invalid) as refused:
        opened(people)
    assert refused.value.code == "claim_type_inconsistent"
    assert refused.value.extra["suggested_claim"] == "OWNERSHIP"
    assert opened(people, claim_type="OWNERSHIP")[1]


def test_nobody_claims_what_they_have(people: dict[str, User]) -> None:
    entry(participant=OURS)
    with pytest.raises(Conflict) as refused:
        opened(people)
    assert refused.value.code == "entry_already_exists"


def test_a_key_has_one_open_claim_and_an_id_names_one(people: dict[str, User]) -> None:
    opened(people, claim_id="C-1", idempotency_key="k")
    for changes, code in (
        ({}, "claim_already_exists_for_key"),
        ({"claim_id": "C-1", "key": "+5561988881111"}, "claim_id_taken"),
        ({"idempotency_key": "k", "key": "+5561988881111"}, "idempotency_key_reused"),
    ):
        with pytest.raises(Conflict) as refused:
            opened(people, **changes)
        assert refused.value.code == code


# --- deciding -------------------------------------------------------------------------------------
def test_the_donors_answer_is_a_signature(people: dict[str, User]) -> None:
    claim = waiting_claim(people)
    answer(people, claim.pk, "confirm", reason="USER_REQUESTED")
    claim.refresh_from_db()
    assert (claim.status, claim.decision, claim.decided_by) == ("decided", "confirm", "DONOR")
    request = ApprovalRequest.objects.get(kind="pix.claim")
    assert request.status == "approved"
    with pytest.raises(Conflict) as late:
        answer(people, claim.pk, "cancel", reason="FRAUD")
    assert late.value.code in ("claim_operation_invalid", "already_decided")


def test_who_asked_does_not_sign_for_the_donor(people: dict[str, User]) -> None:
    claim = waiting_claim(people, by="officer")
    with pytest.raises(NotAllowed) as refused:
        answer(people, claim.pk, "confirm")
    assert refused.value.code == "requester_cannot_sign"
    # As the claimer they take it back.
    answer(people, claim.pk, "cancel", role="CLAIMER", reason="USER_REQUESTED")
    claim.refresh_from_db()
    assert (claim.decision, claim.decided_by) == ("cancel", "CLAIMER")
    assert ApprovalRequest.objects.get(kind="pix.claim").status == "cancelled"


@pytest.mark.parametrize(
    ("by", "event", "role", "reason", "code"),
    [
        ("auditor", "cancel", "CLAIMER", "", "permission_denied"),
        ("requester", "cancel", "CLAIMER", "", "permission_denied"),
        ("reviewer", "confirm", "", "", "not_in_group"),
        ("requester", "confirm", "", "", "requester_cannot_sign"),
        ("officer", "complete", "", "", "claim_operation_invalid"),
        ("officer", "complete", "DONOR", "", "signature_needed"),
        ("officer", "cancel", "NOBODY", "", "claim_role_invalid"),
        ("officer", "confirm", "CLAIMER", "", "claim_party_invalid"),
        ("officer", "cancel", "CLAIMER", "BECAUSE", "reason_invalid"),
    ],
)
def test_a_side_does_only_what_it_may(
    people: dict[str, User], by: str, event: str, role: str, reason: str, code: str
) -> None:
    claim = waiting_claim(people, rulebook="dict")
    with pytest.raises(DomainError) as refused:
        answer(people, claim.pk, event, role=role, reason=reason, by=people[by])
    assert refused.value.code == code
    claim.refresh_from_db()
    assert claim.status == "waiting"
    assert AuditEntry.objects.filter(outcome="refused", actor_id=people[by].audit_id).exists()


def test_a_side_that_is_not_ours_is_left_to_its_participant(people: dict[str, User]) -> None:
    claim = waiting_claim(people, donor_ispb="99999999")
    for event in ("confirm", "cancel"):
        with pytest.raises(DomainError) as refused:
            answer(people, claim.pk, event, role="DONOR", reason="FRAUD")
        assert refused.value.code == "claim_party_invalid"
    assert not ApprovalRequest.objects.filter(kind="pix.claim").exists()


@pytest.mark.parametrize("identifier", ["", "x", "\0", LONG, NOBODY, str(NOBODY), 7, None, []])
def test_an_unknown_claim_is_not_found(people: dict[str, User], identifier: Any) -> None:
    with pytest.raises(NotFound):
        answer(people, identifier, "cancel")
    with pytest.raises(NotFound):
        claim_key_read(claim_id=identifier, by=people["officer"], via="api")
    with pytest.raises(NotFound):
        claim_act(
            claim_id=identifier,
            event="cancel",
            role="CLAIMER",
            by=people["officer"],
            via="api",
            as_of=timezone.now(),
        )


@pytest.mark.parametrize("value", ["\0", LONG, "a\0b", "\u202e", 7, [], {"a": 1}])
@pytest.mark.parametrize("rulebook", ["source", "dict"])
@pytest.mark.parametrize("role", ["DONOR", "CLAIMER"])
def test_any_reason_is_refused_or_kept_short(
    people: dict[str, User], role: str, rulebook: str, value: Any
) -> None:
    claim = waiting_claim(people, rulebook=rulebook)
    try:
        answer(people, claim.pk, "cancel", role=role, reason=value)
    except DomainError as refused:
        assert refused.code
    claim.refresh_from_db()
    assert claim.decision_reason.isprintable() and len(claim.decision_reason) <= 30


def test_the_full_key_is_read_by_whoever_may_and_told_in_the_trail(
    people: dict[str, User],
) -> None:
    claim = waiting_claim(people)
    assert claim_key_read(claim_id=claim.pk, by=people["officer"], via="page").key == PHONE
    told = AuditEntry.objects.get(action="claim.full_key_read")
    assert told.body == {"claim_id": claim.claim_id, "key": "+55 61 *****-0000"}
    with pytest.raises(NotAllowed) as refused:
        claim_key_read(claim_id=claim.pk, by=people["auditor"], via="page")
    assert refused.value.code == "permission_denied"
    with pytest.raises(NotFound):
        claim_key_read(claim_id=claim.pk, by=people["reviewer"], via="page")


# --- at once --------------------------------------------------------------------------------------
def test_of_two_donors_the_first_decides(
    people: dict[str, User], side_by_side: Callable[..., list[Any]]
) -> None:
    claim = waiting_claim(people)

    def decide(number: int) -> None:
        event, reason = (("confirm", "USER_REQUESTED"), ("cancel", "FRAUD"))[number % 2]
        answer(people, claim.pk, event, role="DONOR", reason=reason)

    done = side_by_side(decide, 6)
    assert sum(one is None for one in done) == 1
    codes = {one.code for one in done if one is not None}
    assert codes <= {"already_decided", "claim_operation_invalid", "payload_changed"}
    claim.refresh_from_db()
    assert claim.status == "decided"
    trail = AuditEntry.objects.filter(action__in=["claim.confirm", "claim.cancel"])
    assert trail.exclude(outcome="refused").count() == 1


def test_the_donor_and_the_claimer_at_once_decide_once(
    people: dict[str, User], side_by_side: Callable[..., list[Any]]
) -> None:
    claim = waiting_claim(people)

    def decide(number: int) -> None:
        if number % 2:
            answer(people, claim.pk, "confirm", reason="USER_REQUESTED")
        else:
            answer(people, claim.pk, "cancel", role="CLAIMER", reason="USER_REQUESTED")

    done = side_by_side(decide, 4)
    assert sum(one is None for one in done) == 1
    assert all(isinstance(one, DomainError) for one in done if one is not None)
    assert not ApprovalRequest.objects.open().exists()


def test_many_are_confirmed_together_each_once(people: dict[str, User]) -> None:
    claims = [waiting_claim(people, key=f"+55619888800{number:02}") for number in range(5)]
    requests = [SIGNED.request_of(claim) for claim in claims]
    bulk = bulk_decide(
        by=people["officer"],
        verdict="approve",
        reason="As the owners say.",
        items=[BulkChoice(one.pk, current_payload(one).hash) for one in requests if one],
        key="many",
        via="page",
        as_of=timezone.now(),
    )
    # One is decided by somebody else before the bulk comes to it.
    answer(people, claims[0].pk, "cancel", role="DONOR", reason="FRAUD", by=people["officer2"])
    for item in bulk.items.order_by("pk"):
        for _again in range(2):
            item_decide(item_id=item.pk, as_of=timezone.now())
    decisions = dict(Claim.objects.values_list("pk", "decision"))
    assert [decisions[claim.pk] for claim in claims] == ["cancel", *["confirm"] * 4]
    assert AuditEntry.objects.filter(action="claim.confirm").exclude(outcome="refused").count() == 4


# --- helpers --------------------------------------------------------------------------------------
def entry(**columns: Any) -> Entry:
    """The key at the other participant."""
    return Entry.objects.create(
        **{
            "entry_id": "E-1",
            "key_type": "PHONE",
            "key": PHONE,
            "participant": OTHER,
            "branch": "1",
            "account_number": "7",
            "account_type": "CACC",
            "owner_type": "NATURAL_PERSON",
            "tax_id": "11122233396",
            "name": "João Silva",
            "request_id": uuid4(),
            "status": "active",
            "origin": "here",
            **columns,
        }
    )
