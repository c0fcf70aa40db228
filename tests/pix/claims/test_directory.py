"""Claims at the directory: both sides, both rulebooks, one participant on both sides, answers that
were lost. The steps are those of the workflow, called one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_decide
from apps.common.errors import Conflict, DomainError
from apps.engine.models import EngineCommand
from apps.pix.bridge import directory_pb2 as pb
from apps.pix.bridge.problems import DirectoryUnavailable
from apps.pix.contracts.claims import ClaimFacts, ClaimLook, ClaimOpening, ClaimRequest
from apps.pix.models import Claim, DirectoryCall, Entry
from apps.pix.services import polling
from apps.pix.services.claim_answering import claim_answer
from apps.pix.services.claim_carrying import claim_carry, claim_look, claim_tell
from apps.pix.services.claims import claim_adopt, claim_open
from apps.streams.models import OutEvent
from tests.directory import AGREES, OTHER, OURS, SILENT, SimulatedDirectory
from tests.pix.claims.stage import ACCOUNT, OWNER, PHONE

pytestmark = pytest.mark.django_db(transaction=True)

CPF = "11122233396"


@dataclass
class Claims:
    """A claim's steps, and the directory on the other side."""

    people: dict[str, User]
    directory: SimulatedDirectory

    def holds(self, participant: str, *, tax_id: str = CPF, key: str = PHONE) -> None:
        """The directory has the key at this participant."""
        request_id = uuid4()
        entry = pb.Entry(
            key_type="PHONE",
            key=key,
            account=pb.Account(participant=participant, branch="1", number="7", type="CACC"),
            owner=pb.Owner(type="NATURAL_PERSON", tax_id=tax_id, name="João Silva"),
        )
        self.directory.load([pb.CidEntry(cid="", request_id=str(request_id), entry=entry)])
        if participant in (OURS, OTHER):
            Entry.objects.create(
                entry_id=f"entry-{key}",
                key_type="PHONE",
                key=key,
                participant=participant,
                branch="1",
                account_number="7",
                account_type="CACC",
                owner_type="NATURAL_PERSON",
                tax_id=tax_id,
                name="João Silva",
                request_id=request_id,
                status="active",
                origin="here",
            )

    def open(self, **changes: Any) -> Claim:
        """Claim the key for an account of ours."""
        body: dict[str, Any] = {
            "claim_type": "PORTABILITY",
            "key_type": "PHONE",
            "key": PHONE,
            "claimer_account": ACCOUNT,
            "claimer": OWNER,
            "rulebook": "dict",
            "by": self.people["requester"],
            "via": "api",
            "as_of": timezone.now(),
        }
        return claim_open(**body | changes)[0]

    def carried(self, claim: Claim, *, as_of: datetime | None = None) -> ClaimFacts:
        """Do what the workflow does until it waits, or the claim has ended."""
        now = as_of or timezone.now()
        opening = ClaimOpening(claim.workflow_id, ClaimRequest(claim.claim_id), now)
        facts = claim_adopt(opening)
        look = ClaimLook(facts.row_id, claim.workflow_id, now)
        for _step in range(8):
            if facts.step in ("", "wait"):
                return facts
            facts = claim_tell(look) if facts.step == "tell" else claim_carry(look)
        raise AssertionError(facts)

    def poll(self) -> None:
        """What the relay's leader does every minute."""
        polling.poll_all()

    def sign(self, claim: Claim, verdict: str, code: str = "") -> None:
        request = ApprovalRequest.objects.open().get(subject_id=str(claim.pk), kind="pix.claim")
        request_decide(
            request_id=request.pk,
            by=self.people["officer"],
            verdict=verdict,
            reason="As the owner says.",
            reason_code=code,
            payload_hash=request.payloads.get(number=request.payload_number).hash,
            via="page",
            as_of=timezone.now(),
        )

    def at_directory(self, claim: Claim) -> str:
        claim.refresh_from_db()
        return self.directory.client.claim_get(
            participant=claim.claimer_ispb, claim_id=claim.directory_id
        ).status


@pytest.fixture
def claims(people: dict[str, User], directory: SimulatedDirectory) -> Claims:
    return Claims(people, directory)


def status(claim: Claim) -> str:
    claim.refresh_from_db()
    return claim.status


def test_our_claimer_and_a_stranger_that_agrees(claims: Claims) -> None:
    claims.holds(AGREES)
    claim = claims.open()
    assert claims.carried(claim).step == "wait"
    claims.poll()
    claims.poll()
    claims.carried(claim)
    assert status(claim) == "completed"
    assert claim.donor_ispb == AGREES
    entry = Entry.objects.get(key=PHONE)
    assert (entry.participant, entry.status, entry.request_id) == (
        OURS,
        "active",
        claim.request_id,
    )
    assert [one.request_id for one in claims.directory.dump()] == [str(claim.request_id)]


@pytest.mark.parametrize("kind", ["PORTABILITY", "OWNERSHIP"])
def test_under_the_old_rules_a_claim_that_a_stranger_confirms_is_completed_too(
    claims: Claims, kind: str
) -> None:
    claims.holds(AGREES, tax_id=CPF if kind == "PORTABILITY" else "98765432100")
    claim = claims.open(rulebook="source", claim_type=kind)
    claims.carried(claim)
    claims.poll()
    claims.poll()
    claims.carried(claim)
    assert (status(claim), claims.at_directory(claim)) == ("completed", "COMPLETED")
    assert Entry.objects.live().get().participant == OURS


@pytest.mark.parametrize("rulebook", ["source", "dict"])
def test_a_completion_that_the_directory_refuses_is_tried_again_when_a_person_says_so(
    claims: Claims, rulebook: str
) -> None:
    claims.holds(AGREES)
    claim = claims.open(rulebook=rulebook)
    claims.carried(claim)
    claims.poll()
    claims.directory.faults("Claims.Complete", status=400, next=1)
    claims.poll()
    assert claims.carried(claim).step == "wait"
    assert status(claim) == "confirmed"
    item = ApprovalRequest.objects.open().get(subject_id=str(claim.pk))
    request_decide(
        request_id=item.pk,
        by=claims.people["officer"],
        verdict="approve",
        reason="The directory says that it was its own mistake.",
        payload_hash=item.payloads.get(number=item.payload_number).hash,
        via="page",
        as_of=timezone.now(),
    )
    claims.carried(claim)
    assert (status(claim), claims.at_directory(claim)) == ("completed", "COMPLETED")


@pytest.mark.parametrize("operation", ["Create", "Acknowledge", "Confirm", "Complete"])
def test_an_answer_that_was_lost_makes_nothing_twice(claims: Claims, operation: str) -> None:
    claims.holds(OTHER)
    claims.directory.faults(f"Claims.{operation}", lose_answer=True, next=1)
    claim = claims.open()

    def insist() -> None:
        for _try in range(2):
            try:
                claims.carried(claim)
                return
            except DirectoryUnavailable:
                continue

    insist()
    claims.sign(claim, "approve", "USER_REQUESTED")
    insist()
    assert status(claim) == "completed"
    assert claims.at_directory(claim) == "COMPLETED"
    assert len(claims.directory.dump(OURS)) == 1 and not claims.directory.dump(OTHER)
    assert Entry.objects.live().get().participant == OURS
    assert not DirectoryCall.objects.filter(known_at=None).exists()
    told = OutEvent.objects.filter(type__startswith="claim.").values_list("type", flat=True)
    assert len(set(told)) == len(told)


def test_a_stranger_claims_our_key_and_our_donor_confirms(claims: Claims) -> None:
    claims.holds(OURS)
    claims.directory.open_claim(PHONE, type="PORTABILITY", claimer_participant=SILENT)
    claims.poll()
    claim = Claim.objects.get()
    assert EngineCommand.objects.filter(kind="start", workflow_id=claim.workflow_id).count() == 1
    assert claims.carried(claim).waiting
    assert claims.at_directory(claim) == "WAITING_RESOLUTION"
    claims.poll()
    claims.sign(claim, "approve")
    claims.carried(claim)
    assert (status(claim), claims.at_directory(claim)) == ("confirmed", "CONFIRMED")
    assert not Entry.objects.live().exists()


@pytest.mark.parametrize(
    ("verdict", "code", "end"),
    [("approve", "USER_REQUESTED", "completed"), ("reject", "FRAUD", "cancelled")],
)
def test_one_participant_on_both_sides_says_which_side_acted(
    claims: Claims, verdict: str, code: str, end: str
) -> None:
    claims.holds(OURS, tax_id="12345678909")
    claim = claims.open(claim_type="OWNERSHIP")
    claims.carried(claim)
    claims.sign(claim, verdict, code)
    facts = claims.carried(claim)
    if end == "completed":
        assert facts.status == "confirmed"
        claim_answer(
            claim_id=claim.pk,
            event="complete",
            reason="",
            by=claims.people["officer"],
            via="page",
            as_of=timezone.now(),
        )
        claims.carried(claim)
    assert status(claim) == end
    if end == "cancelled":
        # The directory says CLAIMER, for it knows no better.
        assert (claim.cancelled_by, claim.cancel_reason) == ("DONOR", "FRAUD")


def test_silence_confirms_an_ownership_claim_which_waits_for_its_completion(
    claims: Claims,
) -> None:
    claims.holds(OTHER, tax_id="12345678909")
    claim = claims.open(claim_type="OWNERSHIP")
    assert claims.carried(claim).due_at is not None
    claim.refresh_from_db()
    assert claim.resolution_ends_at is not None
    late = claims.directory.advance(days=7, minutes=1)
    look = ClaimLook(str(claim.pk), claim.workflow_id, late)
    assert claim_look(look).step == "complete"
    claims.carried(claim, as_of=late)
    assert (status(claim), claim.confirm_reason) == ("confirmed", "DEFAULT_OPERATION")
    assert not Entry.objects.live().exists()

    def complete(as_of: datetime) -> None:
        claim_answer(
            claim_id=claim.pk,
            event="complete",
            reason="",
            by=claims.people["officer"],
            via="page",
            as_of=as_of,
        )

    with pytest.raises(Conflict) as early:
        complete(late)
    assert early.value.code == "claim_completion_period_not_ended"
    later = claims.directory.advance(days=7)
    complete(later)
    claims.carried(claim, as_of=later)
    assert status(claim) == "completed"


def test_silence_cancels_a_portability_claim(claims: Claims) -> None:
    claims.holds(OTHER)
    claim = claims.open()
    claims.carried(claim)
    late = claims.directory.advance(days=7, minutes=1)
    claim_look(ClaimLook(str(claim.pk), claim.workflow_id, late))
    claims.carried(claim, as_of=late)
    assert (status(claim), claim.cancelled_by) == ("cancelled", "DONOR")
    assert Entry.objects.live().get().participant == OTHER


def test_not_completed_by_day_30_the_claimer_cancels(claims: Claims) -> None:
    claims.holds(OTHER, tax_id="12345678909")
    claim = claims.open(claim_type="OWNERSHIP")
    claims.carried(claim)
    claims.sign(claim, "approve", "USER_REQUESTED")
    claims.carried(claim)
    late = claims.directory.advance(days=31)
    claim_look(ClaimLook(str(claim.pk), claim.workflow_id, late))
    claims.carried(claim, as_of=late)
    assert (status(claim), claim.cancelled_by) == ("cancelled", "CLAIMER")


def test_what_the_directory_refuses_ends_the_claim_with_its_code(claims: Claims) -> None:
    claim = claims.open()
    facts = claims.carried(claim)
    assert (facts.status, facts.code) == ("cancelled", "claim_key_not_found")


def test_a_decision_that_the_other_side_was_faster_than_follows_the_directory(
    claims: Claims,
) -> None:
    claims.holds(OTHER)
    claim = claims.open()
    claims.carried(claim)
    claims.sign(claim, "approve", "USER_REQUESTED")
    claim.refresh_from_db()
    claims.directory.client.claim_cancel(
        participant=OURS, claim_id=claim.directory_id, reason="USER_REQUESTED"
    )
    claims.carried(claim)
    assert (status(claim), claim.cancelled_by) == ("cancelled", "CLAIMER")
    assert Entry.objects.live().get().participant == OTHER


@pytest.mark.parametrize(
    ("faster", "reason", "said"),
    [(None, "", "Sold."), (OURS, "USER_REQUESTED", "Sold."), (OTHER, "FRAUD", "")],
)
def test_the_words_beside_a_decision_are_kept_if_it_is_the_one_that_counts(
    claims: Claims, faster: str | None, reason: str, said: str
) -> None:
    claims.holds(OTHER)
    claim = claims.open()
    claims.carried(claim)
    claim_answer(
        claim_id=claim.pk,
        event="cancel",
        role="CLAIMER",
        reason="USER_REQUESTED",
        note="Sold.",
        by=claims.people["officer"],
        via="page",
        as_of=timezone.now(),
    )
    claim.refresh_from_db()
    if faster:
        claims.directory.client.claim_cancel(
            participant=faster, claim_id=claim.directory_id, reason=reason
        )
    claims.carried(claim)
    assert (status(claim), claim.error_detail) == ("cancelled", said)
    assert claim.cancelled_by == ("DONOR" if faster == OTHER else "CLAIMER")


def test_a_key_has_one_open_claim_however_many_ask_at_once(
    claims: Claims, side_by_side: Callable[..., list[Any]]
) -> None:
    claims.holds(OTHER)
    made = side_by_side(lambda number: claims.open(idempotency_key=f"key-{number % 2}"), 6)
    refused = {one.code for one in made if isinstance(one, DomainError)}
    assert refused <= {"claim_already_exists_for_key"}
    assert Claim.objects.count() == 1
    assert len({one.pk for one in made if isinstance(one, Claim)}) == 1


def test_source_waits_thirty_days_whatever_the_directorys_dates(claims: Claims) -> None:
    claims.holds(OTHER)
    claim = claims.open(rulebook="source")
    claims.carried(claim)
    claim.refresh_from_db()
    assert claim.opened_at and claim.resolution_ends_at
    assert claim.resolution_ends_at - claim.opened_at == timedelta(days=30)
    claims.sign(claim, "approve")
    claims.carried(claim)
    assert (status(claim), claims.at_directory(claim)) == ("completed", "COMPLETED")
