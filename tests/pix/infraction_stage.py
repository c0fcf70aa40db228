"""People and a worker of this process for infractions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from temporalio.client import WorkflowHandle

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.selectors import current_payload
from apps.approvals.services import request_decide
from apps.pix.contracts.infractions import INFRACTION_KIND
from apps.pix.models import Infraction
from apps.pix.services.infraction_opening import infraction_open, infraction_report
from apps.pix.services.infraction_signing import SIGNED
from tests.directory import AGREES, OURS, REFUSES, SILENT, SimulatedDirectory
from tests.stage import EngineStage, orm
from tests.support import eventually_async

STRANGER = "99999001"
WORKFLOW = "InvestigateInfractionWorkflow"


def payment(reporter: str = STRANGER, number: int = 1) -> str:
    """The id of a payment that the participant made some minutes ago."""
    at = timezone.now() - timedelta(minutes=5)
    return f"E{reporter}{at:%Y%m%d%H%M}{number:011d}"


@dataclass(kw_only=True)
class World:
    """Who is there, and what they do."""

    people: dict[str, User]

    @property
    def officer(self) -> User:
        return self.people["officer"]

    def received(
        self,
        infraction_id: str = "INF-1",
        workflow_id: str = "inf-1",
        *,
        as_of: datetime | None = None,
        **input: Any,
    ) -> Infraction:
        """An infraction as a workflow of others makes it, with its request open."""
        body = {"reporter_ispb": STRANGER, "counterparty_ispb": OURS, **input}
        as_of = as_of or timezone.now()
        facts = infraction_open(
            workflow_id=workflow_id, input={"infraction_id": infraction_id, **body}, as_of=as_of
        )
        infraction = Infraction.objects.get(pk=facts.row_id)
        if infraction.decides:
            SIGNED.open(infraction.pk, workflow_id=infraction.workflow_id, as_of=as_of)
        return infraction

    def report(self, **changes: Any) -> tuple[Infraction, bool]:
        body: dict[str, Any] = {
            "transaction_id": payment(OURS),
            "reason": "REFUND_REQUEST",
            "situation": "SCAM",
            "reporter_ispb": OURS,
            "by": self.officer,
            "via": "api",
            "as_of": timezone.now(),
        }
        return infraction_report(**{**body, **changes})

    def sign(
        self, infraction: Infraction, verdict: str, code: str = "", why: str = "Seen."
    ) -> None:
        """As in the inbox."""
        request = self.request_of(infraction)
        request_decide(
            request_id=request.pk,
            by=self.officer,
            verdict=verdict,
            reason=why,
            reason_code=code,
            payload_hash=current_payload(request).hash,
            via="page",
            as_of=timezone.now(),
        )

    def request_of(self, infraction: Infraction) -> ApprovalRequest:
        rows = ApprovalRequest.objects.filter(kind=INFRACTION_KIND)
        return rows.get(subject_id=str(infraction.pk))


def decide_item(by: User, item: ApprovalRequest, verdict: str) -> None:
    """Sign an item of the inbox."""
    request_decide(
        request_id=item.pk,
        by=by,
        verdict=verdict,
        reason="Seen.",
        payload_hash=current_payload(item).hash,
        via="page",
        as_of=timezone.now(),
    )


def nobody_decides(directory: SimulatedDirectory) -> None:
    """The strangers acknowledge what is reported, and wait."""
    for ispb in (AGREES, REFUSES, SILENT):
        directory.behave(ispb, "silent")


def items(kind: str) -> Any:
    """The open items of a kind."""
    return ApprovalRequest.objects.open().filter(kind=kind)


@dataclass(kw_only=True)
class Stage(EngineStage):
    """What a test of infractions' workflows works with."""

    world: World
    serves: str = "conn-dict-task-queue"

    async def start(self, *input: Any, id: str = "inf-1") -> WorkflowHandle[Any, Any]:
        """As `temporal workflow start` does."""
        return await self.client.start_workflow(WORKFLOW, args=input, id=id, task_queue=self.queue)

    async def row(self, infraction_id: str = "INF-1") -> Infraction:
        return await orm(lambda: Infraction.objects.get(infraction_id=infraction_id))

    async def status(self, infraction_id: str = "INF-1") -> str:
        found = await orm(lambda: Infraction.objects.filter(infraction_id=infraction_id).first())
        return found.status if found else ""

    def is_asked(self, infraction_id: str = "INF-1") -> bool:
        """Whether the request is open."""
        infraction = Infraction.objects.filter(infraction_id=infraction_id).first()
        about = items(INFRACTION_KIND)
        return bool(infraction) and about.filter(subject_id=str(infraction.pk)).exists()

    async def until_asked(self) -> None:
        await eventually_async(lambda: orm(self.is_asked))

    async def until(self, infraction: Infraction, **columns: Any) -> Infraction:
        """Wait until the row has these; return it."""
        rows = Infraction.objects.filter(pk=infraction.pk, **columns)
        found = await eventually_async(lambda: orm(rows.first))
        assert found is not None
        return found
