"""Interventions for the fault harness: each way in which a saga can end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle

from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import BUDGET, POLICY, Story
from tests.support import eventually

#: The executor is told to refuse it.
REFUSED_TARGET = "Nobody"
#: Its every amount is signed for.
IRREVERSIBLE, IRREVERSIBLE_BUDGET = "school-grants", "education-2026"
ANSWERED = "execute_intervention.answered"
#: What may happen to an intervention once, and never again.
ONCE = (
    *("intervention.requested", "budget.reserved", "budget.released", "budget.committed"),
    *("intervention.execution_done", "intervention.execution_refused", "intervention.rolled_back"),
    *("intervention.executed", "intervention.failed", "intervention.cancelled"),
)


@dataclass(frozen=True)
class End:
    """How it must have ended. `told`: messages about it to people."""

    status: str
    code: str = ""
    ledger: tuple[str, ...] = ()
    executions: int = 0
    reversals: int = 0
    told: int = 1

    def prove(self, story: Story, interventions: Sequence[str]) -> None:
        """AssertionError unless each ended like this, once, and left nothing over."""
        ids = list(interventions)
        eventually(lambda: not leftovers(story, ids), timeout=30, every=0.1)
        rows = story.stack.sql(_SEEN, list(ONCE), ids)
        assert len(rows) == len(ids)
        effects = story.all_effects()
        for pk, status, code, ledger, outcomes, running, twice, told in rows:
            effect = effects.get(f"{pk}:execute", {"executions": 0, "reversals": 0})
            seen = End(
                status=status,
                code=code,
                ledger=tuple(ledger),
                executions=effect["executions"],
                reversals=effect["reversals"],
                told=told,
            )
            assert seen == self, pk
            assert (outcomes, running, twice) == (1, 0, []), pk


_SEEN = """
SELECT i.id::text, i.status, i.error_code,
       ARRAY(SELECT kind FROM interventions_budgetentry e
             WHERE e.intervention_id = i.id ORDER BY e.id),
       (SELECT count(*) FROM interventions_outcome o WHERE o.intervention_id = i.id),
       (SELECT count(*) FROM interventions_interventionstep s
        WHERE s.intervention_id = i.id AND s.status = 'running'),
       ARRAY(SELECT a.action FROM audit_auditentry a
             WHERE a.subject_type = 'intervention' AND a.subject_id = i.id::text
               AND a.outcome = 'done' AND a.action = ANY(%s)
             GROUP BY a.action HAVING count(*) > 1),
       (SELECT count(*) FROM notifications_notification n
        WHERE n.key LIKE 'intervention:' || i.id || ':%%')
FROM interventions_intervention i WHERE i.id::text = ANY(%s)
"""

_LEFTOVERS = """
SELECT 'command ' || key || ' ' || state FROM engine_enginecommand
WHERE subject_id = ANY(%(ids)s) AND state IN ('pending', 'leased', 'parked')
UNION ALL
SELECT 'run ' || workflow_id FROM engine_workflowrun
WHERE subject_id = ANY(%(ids)s) AND status = 'running'
UNION ALL
SELECT 'request ' || key FROM approvals_approvalrequest
WHERE subject_id = ANY(%(ids)s) AND settled_at IS NULL
UNION ALL
SELECT 'not ended ' || id FROM interventions_intervention
WHERE id::text = ANY(%(ids)s) AND settled_at IS NULL
"""


def leftovers(story: Story, ids: Sequence[str]) -> list[str]:
    """Commands not sent, runs not closed, questions not answered, rows not ended."""
    query = _LEFTOVERS.replace("%(ids)s", "%s")
    return [row[0] for row in story.stack.sql(query, *[list(ids)] * 4)]


def ended(story: Story, intervention: str) -> bool:
    """Whether the row is terminal."""
    query = "SELECT settled_at IS NOT NULL FROM interventions_intervention WHERE id = %s"
    return bool(story.stack.sql(query, intervention)[0][0])


# --- the ways -----------------------------------------------------------------------------------
def _ask(story: Story, amount: str = "100.00", **changes: str) -> str:
    return story.ask(amount, key=f"fault-{uuid4()}", **changes)


def _executed(story: Story, points: Points) -> str:
    return _ask(story)


def _signed(story: Story, points: Points) -> str:
    intervention = _ask(story, "25000.00")
    story.approve(intervention)
    return intervention


def _refused(story: Story, points: Points) -> str:
    return _ask(story, target=REFUSED_TARGET)


def _cancelled_after_execution(
    policy: str, budget: str, *, signed: bool = False
) -> Callable[[Story, Points], str]:
    """Cancelled in the engine between the executor's answer and its note: the latest moment."""

    def begin(story: Story, points: Points) -> str:
        points.arm(ANSWERED)
        intervention = _ask(story, policy=policy, budget=budget)
        if signed:
            story.approve(intervention)
        points.wait(ANSWERED)
        handle: Any = WorkflowHandle.cancel
        story.in_the_engine(handle, f"intervention-{intervention}-execution")
        points.release(ANSWERED)
        return intervention

    return begin


def _around(*steps: str) -> tuple[str, ...]:
    return tuple(f"{step}.{where}" for step in steps for where in ("before", "after"))


EXECUTED = FaultSaga(
    name="executed",
    points=(
        "intervention_request.uncommitted",
        "intervention_request.committed",
        "relay.claimed",
        "relay.sent",
        "relay.settled",
        *_around("open_approval", "prepare_execution"),
        "validate_policy.uncommitted",
        "get_policy_details.uncommitted",
        "reserve_budget.uncommitted",
        *_around("execute_intervention"),
        "execute_intervention.begun",
        ANSWERED,
        "execute_intervention.uncommitted",
        *_around("conclude_execution"),
        "update_feature_store.uncommitted",
        "notify_stakeholders.uncommitted",
        "record_outcome.uncommitted",
    ),
    begin=_executed,
    ended=ended,
    prove=End("executed", ledger=("reserve", "commit"), executions=1).prove,
)
SIGNED = FaultSaga(
    name="signed",
    points=(
        "request_decide.uncommitted",
        "request_decide.committed",
        *_around("read_decision"),
    ),
    begin=_signed,
    ended=ended,
    prove=End("executed", ledger=("reserve", "commit"), executions=1, told=2).prove,
)
REFUSED = FaultSaga(
    name="refused",
    points=(
        *_around("read_saga", "release_budget"),
        "release_budget.uncommitted",
        *_around("settle_intervention"),
        "settle_intervention.uncommitted",
    ),
    begin=_refused,
    ended=ended,
    prove=End("failed", "execution_refused", ("reserve", "release")).prove,
)
UNDONE = FaultSaga(
    name="undone",
    points=(
        *_around("roll_back"),
        "roll_back.begun",
        "roll_back.answered",
        "roll_back.uncommitted",
    ),
    begin=_cancelled_after_execution(POLICY, BUDGET),
    ended=ended,
    prove=End("cancelled", "cancelled", ("reserve", "release"), executions=1, reversals=1).prove,
)
STANDS = FaultSaga(
    name="stands",
    points=_around(
        "commit_budget", "update_feature_store", "notify_stakeholders", "record_outcome"
    ),
    begin=_cancelled_after_execution(IRREVERSIBLE, IRREVERSIBLE_BUDGET, signed=True),
    ended=ended,
    prove=End("executed", ledger=("reserve", "commit"), executions=1, told=2).prove,
)


# --- a batch ------------------------------------------------------------------------------------
BATCH_ITEMS = 3


def _batch(story: Story, points: Points) -> str:
    body = {
        "policy": POLICY,
        "budget": BUDGET,
        "currency": "NGN",
        "title": "Ward by ward",
        "idempotency_key": f"fault-{uuid4()}",
        "items": [
            {"amount": "50.00", "target": f"Ward {number}", "justification": "Roofs"}
            for number in range(BATCH_ITEMS)
        ],
    }
    answer = story.insist("POST", "/intervention-batches", user="requester", body=body)
    assert answer.status in {200, 201}, answer
    return str(answer.body["id"])


def _batch_ended(story: Story, batch: str) -> bool:
    query = "SELECT settled_at IS NOT NULL FROM interventions_interventionbatch WHERE id = %s"
    return bool(story.stack.sql(query, batch)[0][0])


def _prove_batch(story: Story, batches: Sequence[str]) -> None:
    """Every payment made once, the batch complete; its end tells, not each of its payments."""
    eventually(lambda: not leftovers(story, batches), timeout=30, every=0.1)
    for batch in batches:
        query = "SELECT status FROM interventions_interventionbatch WHERE id = %s"
        assert story.stack.sql(query, batch) == [("completed",)]
        items = story.stack.sql(
            "SELECT status, intervention_id::text FROM interventions_batchitem WHERE batch_id = %s",
            batch,
        )
        assert [status for status, _ in items] == ["done"] * BATCH_ITEMS
        end = End("executed", ledger=("reserve", "commit"), executions=1, told=0)
        end.prove(story, [intervention for _, intervention in items])


BATCH = FaultSaga(
    name="batch",
    points=_around("open_batch", "read_batch", "prepare_items", "finish_batch"),
    begin=_batch,
    ended=_batch_ended,
    prove=_prove_batch,
)

SAGAS = [EXECUTED, SIGNED, REFUSED, UNDONE, STANDS, BATCH]

NOT_WALKED = {
    "expire_intervention": "waits for days; the time-skipping server tests it",
    "expire_batch": "waits for days; the time-skipping server tests it",
    "refuse_batch": "the end of a batch that was never begun; one transaction",
    "note_item": "for a saga that ended without its item; the reconciler's look, run again",
    "cancel_batch": "one transaction; what is under way ends as any saga",
    "raise_attention": "needs an executor that is away for longer than the saga's deadline; "
    "tests/interventions/test_failure_table.py has it",
    "reconcile_reservations": "each row in a transaction of its own, and run again every time",
}
