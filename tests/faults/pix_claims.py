"""Claims of keys for the fault harness: completed, and cancelled, here and at the directory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc

from apps.pix.bridge import directory_pb2 as pb
from apps.pix.bridge.directory_pb2_grpc import ClaimsStub
from tests.directory import OTHER, OURS, SimulatedDirectory
from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import Story
from tests.support import eventually

ASKS, DECIDES, PLACE = "requester", "officer", "/pix/claims"
OWNER = {"type": "NATURAL_PERSON", "tax_id": "11122233396", "name": "João Silva"}
#: What may happen to a claim once, and never again.
ONCE = tuple(
    f"claim.{what}"
    for what in (
        *("opened", "confirm", "complete", "cancel", "confirmed", "completed", "cancelled"),
        *("refused_by_directory", "attention"),
    )
)
#: Of each claim: what became of it here, what of its calls has no answer, what happened or was told
#: more than once, and who has the key.
_SEEN = """
SELECT c.key, c.directory_id, c.status, c.request_id::text,
       (SELECT count(*) FROM pix_directorycall d
         WHERE d.key LIKE 'claim:' || c.id || ':%%' AND d.known_at IS NULL),
       ARRAY(SELECT a.action FROM audit_auditentry a
             WHERE a.subject_type = 'claim' AND a.subject_id = c.id::text
               AND a.outcome = 'done' AND a.action = ANY(%s)
             GROUP BY a.action HAVING count(*) > 1),
       ARRAY(SELECT e.type FROM streams_outevent e WHERE e.key = c.key
             GROUP BY e.type HAVING count(*) > 1),
       ARRAY(SELECT e.participant FROM pix_entry e
             WHERE e.key = c.key AND e.status <> 'removed'),
       (SELECT count(*) FROM notifications_notification n
         WHERE n.kind = 'claim.ended' AND n.url LIKE '%%' || c.id || '%%')
FROM pix_claim c WHERE c.id::text = ANY(%s)
"""
_LEFTOVERS = """
SELECT 'command ' || key || ' ' || state FROM engine_enginecommand
WHERE subject_id = ANY(%s) AND state IN ('pending', 'leased', 'parked')
UNION ALL
SELECT 'run ' || workflow_id FROM engine_workflowrun
WHERE subject_id = ANY(%s) AND status = 'running'
"""


@dataclass(frozen=True)
class End:
    """How each claim must have ended here and at the directory, and who has the key then."""

    status: str
    there: str
    holder: str

    def prove(self, story: Story, claims: Sequence[str]) -> None:
        """AssertionError unless each ended like this, once, here and at the directory."""
        ids = list(claims)
        eventually(lambda: not story.stack.sql(_LEFTOVERS, ids, ids), timeout=30, every=0.1)
        rows = story.stack.sql(_SEEN, list(ONCE), ids)
        assert len(rows) == len(ids)
        with bridge(story) as (directory, stub):
            held = {one.entry.key: one for one in directory.dump(self.holder)}
            for key, name, status, made, unanswered, twice, told, holders, notices in rows:
                there = stub.Get(pb.GetClaimRequest(participant=OURS, id=name))
                assert (status, there.status) == (self.status, self.there), key
                assert (unanswered, twice, told, notices) == (0, [], [], 1), key
                assert key in held, key
                # Nobody here had the donor's entry: only the directory knew it.
                mine = [self.holder] if self.holder == OURS else []
                assert holders == mine, key
                assert (held[key].request_id == made) is (self.holder == OURS), key


@contextmanager
def bridge(story: Story) -> Iterator[tuple[SimulatedDirectory, Any]]:
    """The stack's directory, and its claims as a participant asks for them."""
    address = f"127.0.0.1:{story.stack.ports['BRIDGE_PORT']}"
    directory = SimulatedDirectory(address)
    try:
        with grpc.insecure_channel(address) as channel:
            yield directory, ClaimsStub(channel)
    finally:
        directory.close()


def ended(story: Story, claim: str) -> bool:
    """Whether the claim is over."""
    query = "SELECT settled_at IS NOT NULL FROM pix_claim WHERE id = %s"
    return bool(story.stack.sql(query, claim)[0][0])


# --- the ways -----------------------------------------------------------------------------------
def _open(story: Story) -> str:
    """Claim a key that the directory has at the other one of our participants."""
    key = f"{uuid4().hex}@example.com"
    theirs = pb.Entry(
        key_type="EMAIL",
        key=key,
        account=pb.Account(participant=OTHER, branch="0001", number="1", type="CACC"),
        owner=pb.Owner(**OWNER),
    )
    with bridge(story) as (directory, _stub):
        directory.load([pb.CidEntry(request_id=str(uuid4()), entry=theirs)])
    body = {
        "claim_type": "PORTABILITY",
        "key_type": "EMAIL",
        "key": key,
        # An account of its own: each has five keys at most.
        "claimer_account": {"participant": OURS, "number": uuid4().hex[:16], "type": "CACC"},
        "claimer": OWNER,
        "rulebook": "dict",
        "idempotency_key": f"fault-{uuid4()}",
    }
    answer = story.insist("POST", PLACE, user=ASKS, body=body)
    assert answer.status in (200, 201), answer
    return str(answer.body["id"])


_ASKED = """SELECT 1 FROM approvals_approvalrequest
            WHERE subject_id = %s AND kind = 'pix.claim' AND status = 'open'"""


def _decided(act: str, reason: str) -> Callable[[Story, Points], str]:
    def begin(story: Story, points: Points) -> str:
        claim = _open(story)
        eventually(lambda: story.stack.sql(_ASKED, claim), timeout=120, every=0.1)
        answer = story.insist(
            "POST", f"{PLACE}/{claim}/{act}", user=DECIDES, body={"reason": reason}
        )
        # That an earlier try, whose answer was lost, counted is success.
        assert answer.status == 200 or answer.status == 409, answer
        return claim

    return begin


def _around(*steps: str) -> tuple[str, ...]:
    return tuple(f"{step}.{where}" for step in steps for where in ("before", "after"))


SAGAS = [
    FaultSaga(
        name="claim completed",
        points=(
            *_around("ValidateClaimEligibilityActivity", "CreateClaimActivity"),
            *_around("NotifyDonorActivity", "GetClaimStatusActivity", "CompleteClaimActivity"),
            *_around("PublishClaimEventActivity", "SendClaimConfirmationActivity"),
            *("directory_call.noted", "directory_call.answered"),
            *("claim.created_at_directory", "claim.acknowledged"),
            *("claim.confirmed_at_directory", "claim.carried_at_directory"),
            "entry_ownership.uncommitted",
        ),
        begin=_decided("confirm", "USER_REQUESTED"),
        ended=ended,
        prove=End("completed", "COMPLETED", OURS).prove,
    ),
    FaultSaga(
        name="claim cancelled",
        points=_around("CancelClaimActivity"),
        begin=_decided("cancel", "FRAUD"),
        ended=ended,
        prove=End("cancelled", "CANCELLED", OTHER).prove,
    ),
]

NOT_WALKED = {
    "ExpireClaimActivity": "the same service as CancelClaimActivity, after thirty days; the "
    "time-skipping server tests it (tests/pix/claims/test_workflow.py)",
}
