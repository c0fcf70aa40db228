"""What tests of claims' workflows work with."""

from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone
from temporalio.client import WorkflowHandle

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_decide
from apps.pix.contracts.claims import ClaimLook, ClaimOpening, ClaimRequest
from apps.pix.models import Claim
from apps.pix.services.claim_carrying import claim_tell
from apps.pix.services.claims import claim_adopt, claim_open
from tests.directory import OTHER, OURS
from tests.stage import EngineStage, orm
from tests.support import eventually_async

#: What the contract's command line gives.
BY_HAND = {
    "claim_id": "TEST-001",
    "entry_id": "ENTRY-001",
    "claim_type": "PORTABILITY",
    "claimer_ispb": OURS,
    "donor_ispb": OTHER,
}
ACCOUNT = {"participant": OURS, "branch": "0001", "number": "0007654321", "type": "CACC"}
OWNER = {"type": "NATURAL_PERSON", "tax_id": "111.222.333-96", "name": "João Silva"}
PHONE = "+5561988880000"


def waiting_claim(people: dict[str, User], *, by: str = "requester", **changes: Any) -> Claim:
    """A claim that the directory knows of, as far as anybody here can tell, and that waits for its
    donor. Nobody carries it: tests of its doors need neither directory nor engine."""
    now = timezone.now()
    body: dict[str, Any] = {
        "claim_type": "PORTABILITY",
        "key_type": "PHONE",
        "key": PHONE,
        "claimer_account": ACCOUNT,
        "claimer": OWNER,
        "donor_ispb": OTHER,
        "rulebook": "source",
    }
    claim, _new = claim_open(**body | changes, by=people[by], via="api", as_of=now)
    opening = ClaimOpening(claim.workflow_id, ClaimRequest(claim.claim_id), now)
    facts = claim_adopt(opening)
    Claim.objects.filter(pk=claim.pk).update(
        directory_id=f"D-{claim.pk}", acknowledged_at=now, status="waiting"
    )
    claim_tell(ClaimLook(facts.row_id, claim.workflow_id, now))
    claim.refresh_from_db()
    return claim


@dataclass(kw_only=True)
class ClaimStage(EngineStage):
    """The engine, and the people who decide."""

    people: dict[str, User] = field(default_factory=dict)
    serves: str = "conn-dict-task-queue"

    def workflow_id(self, name: str = "claim-test-001") -> str:
        """The id of a workflow of this test: the tests share their engine."""
        return f"{name}-{self.queue[-8:]}"

    async def by_hand(self, name: str = "claim-test-001", **changes: Any) -> Any:
        """Start a claim as the command line does."""
        handle: WorkflowHandle[Any, Any] = await self.client.start_workflow(
            "ClaimWorkflow",
            {**BY_HAND, **changes},
            id=self.workflow_id(name),
            task_queue=self.queue,
        )
        return handle

    async def claim(self, claim_id: str = "TEST-001", *, status: str = "") -> Claim:
        """Wait for the claim's row, in that status; return it."""
        rows = Claim.objects.filter(claim_id=claim_id)
        wanted = rows.filter(status=status) if status else rows
        await eventually_async(lambda: orm(wanted.exists))
        return await orm(rows.select_related("rulebook").get)

    async def asked(self, claim_id: str = "TEST-001") -> ApprovalRequest:
        """Wait for the donor's request."""
        claim = await self.claim(claim_id)
        rows = ApprovalRequest.objects.open().filter(subject_id=str(claim.pk), kind="pix.claim")
        await eventually_async(lambda: orm(rows.exists))
        return await orm(rows.get)

    def sign(
        self, request: ApprovalRequest, verdict: str, *, code: str = "", by: str = "officer"
    ) -> None:
        """Decide as the donor."""
        request_decide(
            request_id=request.pk,
            by=self.people[by],
            verdict=verdict,
            reason="As the owner says.",
            reason_code=code,
            payload_hash=request.payloads.get(number=request.payload_number).hash,
            via="page",
            as_of=timezone.now(),
        )
