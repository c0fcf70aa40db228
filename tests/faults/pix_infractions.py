"""Infractions for the fault harness: resolved by a person, resolved and dismissed by a signal.

Both sides are participants of ours, so that the directory is told everything in one saga: the
report, its receipt and the decision.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import grpc
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from apps.pix.bridge import directory_pb2 as pb
from apps.pix.bridge.directory_pb2_grpc import InfractionsStub
from apps.pix.contracts import INFRACTION_WORKFLOW, TASK_QUEUE
from tests.directory import AGREES, OURS, REFUSES, SILENT
from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import Story
from tests.support import eventually

WHO, PLACE = "officer", "/pix/infractions"
#: What may happen to an infraction once, and never again.
ONCE = tuple(
    f"infraction.{what}"
    for what in (
        *("created", "acknowledged", "escalated", "closed", "cancelled"),
        *("signal_acted_on", "attention"),
    )
)
#: Acts for a participant that the simulated directory counts as a stranger, as syncs do.
_OURS_NOW = """
INSERT INTO pix_participant VALUES (%s, '', true, now())
    ON CONFLICT (ispb) DO UPDATE SET ours = true
"""
#: Of each infraction: how it ended, what the directory was told of it and what of that has no
#: answer, what its signals did, what happened or was told more than once, what people were told.
#: A signal that a client sent again, because it had no answer, is a second one.
_SEEN = """
SELECT i.id::text, i.directory_id, i.status, i.result, i.fraud_type, i.owed,
       ARRAY(SELECT split_part(d.key, ':', 3) FROM pix_directorycall d
             WHERE d.key LIKE 'infraction:' || i.id || ':%%' AND d.known_at IS NOT NULL
             ORDER BY 1),
       (SELECT count(*) FROM pix_directorycall d
         WHERE d.key LIKE 'infraction:' || i.id || ':%%' AND d.known_at IS NULL),
       ARRAY(SELECT s.decision FROM pix_infractionsignal s
             WHERE s.infraction_id = i.id AND s.outcome = 'acted_on'),
       ARRAY(SELECT a.action FROM audit_auditentry a
             WHERE a.subject_type = 'infraction' AND a.subject_id = i.id::text
               AND a.outcome = 'done' AND a.action = ANY(%s)
             GROUP BY a.action HAVING count(*) > 1),
       ARRAY(SELECT e.type FROM streams_outevent e
             WHERE e.key = i.infraction_id AND e.type NOT LIKE '%%evidence_added'
             GROUP BY e.type HAVING count(*) > 1),
       ARRAY(SELECT count(*) FROM notifications_notification n
             WHERE n.kind = 'infraction.reported' AND n.url LIKE '%%' || i.id || '%%'
             GROUP BY n.recipient_id),
       (SELECT count(*) FROM notifications_groupnotice g
         WHERE g.kind = 'infraction.reported' AND g.url LIKE '%%' || i.id || '%%')
FROM pix_infraction i WHERE i.id::text = ANY(%s)
"""
_LEFTOVERS = """
SELECT 'command ' || key || ' ' || state FROM engine_enginecommand
WHERE subject_id = ANY(%s) AND state IN ('pending', 'leased', 'parked')
UNION ALL
SELECT 'run ' || workflow_id FROM engine_workflowrun
WHERE subject_id = ANY(%s) AND status = 'running'
UNION ALL
SELECT 'request ' || id FROM approvals_approvalrequest
WHERE subject_id = ANY(%s) AND status = 'open'
"""


@dataclass(frozen=True)
class End:
    """How each infraction must have ended, here and at the directory; `acted_on`: the decisions
    of signals that were carried out."""

    result: str
    fraud_type: str
    acted_on: tuple[str, ...]

    def prove(self, story: Story, infractions: Sequence[str]) -> None:
        """AssertionError unless each ended like this, once, here and at the directory."""
        ids = list(infractions)
        eventually(lambda: not story.stack.sql(_LEFTOVERS, ids, ids, ids), timeout=30, every=0.1)
        rows = story.stack.sql(_SEEN, list(ONCE), ids)
        assert len(rows) == len(ids)
        decided = (self.result, self.fraud_type)
        with grpc.insecure_channel(f"127.0.0.1:{story.stack.ports['BRIDGE_PORT']}") as channel:
            stub: Any = InfractionsStub(channel)
            for pk, name, status, result, fraud, owed, told, unanswered, *rest in rows:
                assert (status, result, fraud, owed) == ("closed", *decided, ""), pk
                # The directory's own stranger may have acknowledged it before us.
                told = [call for call in told if call != "acknowledge"]
                assert (told, unanswered) == (["close", "create"], 0), pk
                acted_on, twice, events, notices, noted = rest
                assert (tuple(acted_on), twice, events) == (self.acted_on, [], []), pk
                # Whom the news would reach only after the decision is not told.
                assert noted == 1 and set(notices) <= {1}, pk
                there = stub.Get(pb.GetInfractionRequest(participant=SILENT, id=name), timeout=30)
                assert there.status == "CLOSED", pk
                assert (there.analysis_result, there.fraud_type) == decided, pk


def ended(story: Story, infraction: str) -> bool:
    """Whether it is decided, and the directory is owed nothing."""
    query = "SELECT settled_at IS NOT NULL AND owed = '' FROM pix_infraction WHERE id = %s"
    return bool(story.stack.sql(query, infraction)[0][0])


# --- the ways -----------------------------------------------------------------------------------
def _report(story: Story) -> dict[str, str]:
    """What is said of a payment that went from one of our participants to the other."""
    story.stack.sql(_OURS_NOW, SILENT)
    return {
        "transaction_id": _payment(),
        "situation": "SCAM",
        "reporter_ispb": OURS,
        "counterparty_ispb": SILENT,
    }


def _payment() -> str:
    """The id of a payment of which the directory says that it went to SILENT: it chooses a
    stranger by the id, and this one leaves every decision to us."""
    strangers = sorted((AGREES, REFUSES, SILENT))
    while True:
        at = datetime.now(UTC) - timedelta(minutes=5)
        payment = f"E{OURS}{at:%Y%m%d%H%M}{uuid4().hex[:11]}"
        if strangers[sha256(payment.encode()).digest()[0] % len(strangers)] == SILENT:
            return payment


def _patiently(story: Story, act: Callable[[Client], Awaitable[object]]) -> None:
    """Do something in the engine, again and again while it is away."""

    async def attempt() -> bool:
        temporal = story.stack.private.temporal
        assert temporal is not None
        await act(await Client.connect(temporal.address))
        return True

    eventually(lambda: asyncio.run(attempt()), timeout=120, every=0.2)


def _started(story: Story) -> str:
    """Start one as the command line does; its row's id."""
    name = f"fault-{uuid4()}"
    body = {"infraction_id": name, **_report(story)}
    _patiently(
        story,
        lambda client: client.start_workflow(
            INFRACTION_WORKFLOW,
            body,
            id=name,
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        ),
    )
    rows: list[tuple[Any, ...]] = eventually(
        lambda: story.stack.sql(_ROW, name), timeout=120, every=0.1
    )
    return str(rows[0][0])


_ROW = "SELECT id::text FROM pix_infraction WHERE infraction_id = %s"


def _reported(story: Story) -> str:
    """Report one here; its row's id."""
    body = {**_report(story), "idempotency_key": f"fault-{uuid4()}"}
    answer = story.insist("POST", PLACE, user=WHO, body=body)
    assert answer.status in (200, 201), answer
    return str(answer.body["id"])


def _signal(story: Story, infraction: str, name: str, body: Mapping[str, str]) -> None:
    query = "SELECT workflow_id FROM pix_infraction WHERE id = %s"
    workflow = str(story.stack.sql(query, infraction)[0][0])

    async def send(client: Client) -> None:
        try:
            await client.get_workflow_handle(workflow).signal(name, dict(body))
        except RPCError as error:
            # An earlier try, whose answer was lost, has ended it.
            if error.status is not RPCStatusCode.NOT_FOUND or not ended(story, infraction):
                raise

    _patiently(story, send)


_ESCALATED = "SELECT escalated_at IS NOT NULL FROM pix_infraction WHERE id = %s"


def _resolved(story: Story, points: Points) -> str:
    """Evidence comes, somebody outside escalates it, and the officer signs."""
    infraction = _started(story)
    evidence = {"description": "The account is three days old."}
    _signal(story, infraction, "evidence_added", evidence)
    _signal(story, infraction, "investigation_complete", {"decision": "ESCALATE"})
    eventually(lambda: story.stack.sql(_ESCALATED, infraction)[0][0], timeout=120, every=0.1)
    body = {"fraud_type": "MULE_ACCOUNT", "reason": "Seen and checked"}
    answer = story.insist("POST", f"{PLACE}/{infraction}/resolve", user=WHO, body=body)
    # That an earlier try, whose answer was lost, counted is success.
    assert answer.status in (200, 409), answer
    return infraction


def _by_signal(begin: Callable[[Story], str], **decision: str) -> Callable[[Story, Points], str]:
    def told(story: Story, points: Points) -> str:
        infraction = begin(story)
        _signal(story, infraction, "investigation_complete", decision)
        return infraction

    return told


def _around(*steps: str) -> tuple[str, ...]:
    return tuple(f"{step}.{where}" for step in steps for where in ("before", "after"))


SAGAS = [
    FaultSaga(
        name="infraction resolved",
        points=(
            *_around("ValidateInfractionEligibilityActivity", "CreateInfractionActivity"),
            "infraction_open.uncommitted",
            *_around("InvestigateInfractionActivity", "NotifyReportedParticipantActivity"),
            *_around("NotifyBacenActivity", "GetInfractionStatusActivity"),
            *_around("AddEvidenceActivity", "EscalateInfractionActivity"),
            *_around("PublishInfractionEventActivity"),
            *("directory_call.noted", "directory_call.answered"),
        ),
        begin=_resolved,
        ended=ended,
        prove=End("AGREED", "MULE_ACCOUNT", ("ESCALATE",)).prove,
    ),
    FaultSaga(
        name="infraction resolved by a signal",
        points=_around("ResolveInfractionActivity"),
        begin=_by_signal(_started, decision="RESOLVE", fraud_type="SCAMMER_ACCOUNT"),
        ended=ended,
        prove=End("AGREED", "SCAMMER_ACCOUNT", ("RESOLVE",)).prove,
    ),
    FaultSaga(
        name="infraction dismissed by a signal",
        points=_around("DismissInfractionActivity"),
        begin=_by_signal(_reported, decision="DISMISS", notes="The goods were sent."),
        ended=ended,
        prove=End("DISAGREED", "", ("DISMISS",)).prove,
    ),
]
