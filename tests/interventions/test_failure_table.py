"""Every step of the saga × every failure × reversible or not: what comes of the money.

`pytest tests/interventions/test_failure_table.py -s` prints the table. What a real kill does at
every one of these places is in tests/faults.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zlib import crc32

import pytest
from django.db import transaction
from django.utils import timezone
from temporalio.client import WorkflowFailureError

from apps.approvals.models import ApprovalRequest
from apps.common.errors import Conflict
from apps.engine.models import EngineCommand
from apps.engine.namespace import engine_ensure
from apps.interventions.contracts import SAGA_STEPS, Step
from apps.interventions.models import Budget, Intervention
from apps.interventions.services import recovery
from tests.interventions.conftest import World, quick
from tests.interventions.failures import (
    DONE,
    HANG_SECONDS,
    INCOMPLETE,
    End,
    Failure,
    Faults,
    expected,
    undone,
)
from tests.interventions.proof import budget_proof
from tests.interventions.stage import Stage
from tests.interventions.test_approval_workflow import cancel
from tests.stage import orm
from tests.support import FULL_SIZE, eventually_async, patient

AMOUNT = Decimal("5000.00")
#: Long enough that no saga misses it for want of a processor, before it reaches its failure.
DEADLINE = patient(12.0)
#: So many sagas at once: more of them only wait for each other.
SIDE_BY_SIDE = 14
#: Who has not ended by then never will.
PATIENCE = patient(120.0)
POLICIES = {True: "relief", False: "grant"}
Record = Callable[[str, object], None]


@dataclass
class Case:
    """One cell: which step fails how. `trigger`: the step whose refusal leads there."""

    step: str
    failure: Failure
    reversible: bool
    ends: set[End]
    trigger: str = ""
    intervention: Intervention | None = None
    closed: bool = False
    end: End | None = None

    @property
    def budget(self) -> str:
        kind = "r" if self.reversible else "i"
        return f"{self.step}-{self.failure.name}-{kind}".lower().replace("_", "-")

    @property
    def key(self) -> str:
        """What failures know its saga by."""
        assert self.intervention is not None
        return str(self.intervention.pk)

    @property
    def name(self) -> str:
        """Its row in the table."""
        return f"{self.step} (undoing)" if self.trigger else str(self.step)


def _cases() -> list[Case]:
    """All of them in `make faults`. Else each step fails in each way under one policy, chosen by
    its name: up to the execution both go the same way."""
    cases = [
        Case(step, failure, reversible, expected(step, failure, reversible=reversible))
        for step in SAGA_STEPS
        for failure in Failure
        for reversible in (True, False)
        if FULL_SIZE or reversible == bool(crc32(f"{step} {failure.name}".encode()) % 2)
    ]
    passing = (Failure.HEALS, Failure.LOST, Failure.HANGS)
    after = Step.NOTIFY_STAKEHOLDERS
    failed = {undone("failed", "told_to_refuse")}
    for step in (Step.ROLL_BACK, Step.RELEASE_BUDGET, "settle"):
        cases += [Case(step, failure, True, failed, after) for failure in passing]
    cases += [Case("commit_budget", failure, False, {INCOMPLETE}, after) for failure in passing]
    cases.append(Case(Step.ROLL_BACK, Failure.REFUSED, True, {INCOMPLETE}, after))
    # Nobody knows whether it was undone: the money stays set aside, and a person is asked.
    unknown = End("executing", "", ("reserve",), 1, 0, asked=1)
    cases.append(Case(Step.ROLL_BACK, Failure.LATE, True, {unknown}, after))
    return cases


@pytest.fixture
async def wide_stage(
    shared_world: World, temporal_client: Any, task_queue: str, sink: Any, settings: Any
) -> AsyncIterator[Stage]:
    """A worker with room for all that hang at once."""
    quick(settings, sink.url)
    # Half of what a hanging attempt takes: the next one begins while it still hangs.
    settings.ACTIVITY_TIMEOUT_SECONDS = HANG_SECONDS / 2
    await engine_ensure(temporal_client)
    stage = Stage(world=shared_world, client=temporal_client, queue=task_queue, sink=sink)
    async with stage.working(slots=24):
        yield stage


@pytest.mark.timeout(900)
@pytest.mark.parametrize("failure", list(Failure), ids=lambda failure: failure.name.lower())
async def test_no_failure_of_any_step_loses_money_or_moves_it_twice(
    failure: Failure,
    wide_stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    record_property: Record,
) -> None:
    stage, cases = wide_stage, [case for case in _cases() if case.failure == failure]
    loop = asyncio.get_running_loop()
    faults = Faults(
        monkeypatch, lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)
    )
    # Those that wait for a deadline need no processor meanwhile: all of them at once.
    late = failure == Failure.LATE
    at_once = len(cases) if late else SIDE_BY_SIDE
    for first in range(0, len(cases), at_once):
        wave = cases[first : first + at_once]
        await orm(_prepare, stage, wave, faults, settings)
        await stage.deliver()
        ending = asyncio.gather(*(_closed(stage, case) for case in wave))
        if late:
            await eventually_async(lambda: all(faults.hit(c.step, c.key) for c in cases), DEADLINE)
        await ending
    assert [case.budget for case in cases if not case.closed] == []
    effects = stage.sink.all_effects()
    for case in cases:
        case.end = await orm(_look, case, effects)
        table = "Failures, " + ("reversible" if case.reversible else "not reversible")
        record_property("table", [table, case.name, str(case.failure), str(case.end)])
    wrong = [f"{case.budget}: {case.end!r}" for case in cases if case.end not in case.ends]
    assert not wrong, "\n".join(wrong)


def _prepare(stage: Stage, cases: list[Case], faults: Faults, settings: Any) -> None:
    """A budget, a request and a failure for each."""
    # What was taken back in an earlier wave needs no waking: its saga has ended by itself.
    EngineCommand.objects.filter(kind="signal", state="pending").update(state="sent")
    for case in cases:
        late = case.failure == Failure.LATE
        settings.SAGA_DEADLINE_SECONDS = DEADLINE if late else 120.0
        stage.world.budget(case.budget, str(AMOUNT))
        made = stage.world.ask(
            policy=POLICIES[case.reversible], budget=case.budget, target=f"For {case.budget}"
        )
        case.intervention = made
        if case.trigger:
            faults.refuse(case.trigger, str(made.pk))
        _break(stage, case, faults)


def _break(stage: Stage, case: Case, faults: Faults) -> None:
    assert case.intervention is not None
    step, subject, row = case.step, case.key, case.intervention
    match case.failure:
        case Failure.REFUSED:
            faults.refuse(step, subject)
        case Failure.HEALS:
            faults.heal(step, subject)
        case Failure.LATE:
            # Only a saga that goes on after its deadline hears the end of the outage. All others
            # might hear it before the deadline, where a processor is wanted at that moment.
            goes_on = case.ends == {DONE}
            faults.fail_for(step, subject, DEADLINE + 2 if goes_on else 1000)
        case Failure.LOST:
            faults.lose(step, subject)
        case Failure.HANGS:
            faults.hang(step, subject)
        case Failure.TAKEN_BACK:
            faults.meanwhile(step, subject, lambda: _take_back(stage, row))
        case Failure.STOPPED:
            faults.meanwhile(step, subject, lambda: stage.saga(row).cancel())


def _take_back(stage: Stage, row: Intervention) -> None:
    try:
        cancel(stage, row)
    except Conflict as refusal:
        assert refusal.code == "execution_started"


async def _closed(stage: Stage, case: Case) -> None:
    """Both workflows are closed; what the mirror would tell the subject then is told."""
    assert case.intervention is not None
    for handle in (stage.approval(case.intervention), stage.saga(case.intervention)):
        try:
            async with asyncio.timeout(PATIENCE):
                await handle.result()
        except TimeoutError:
            return
        except WorkflowFailureError:
            pass
    case.closed = True
    await orm(_tell_closed, case.intervention)


def _tell_closed(row: Intervention) -> None:
    with transaction.atomic(durable=True):
        recovery.process_closed(
            intervention_id=row.pk,
            workflow_id=row.execution_workflow_id,
            run_status="failed",
            as_of=timezone.now(),
        )


def _look(case: Case, effects: dict[str, Any]) -> End:
    """The end as the database and the executor have it; what must hold in any case, asserted."""
    assert case.intervention is not None
    row = Intervention.objects.get(pk=case.intervention.pk)
    ledger = tuple(row.entries.order_by("pk").values_list("kind", flat=True))
    asked = ApprovalRequest.objects.filter(
        kind="intervention.attention", subject_id=str(row.pk), settled_at=None
    )
    effect = effects.get(f"{row.pk}:execute", {"executions": 0, "reversals": 0})
    end = End(
        row.status, row.error_code, ledger, effect["executions"], effect["reversals"], asked.count()
    )
    _check_money(Budget.objects.get(code=case.budget), end, case)
    _check_steps(dict(row.steps.values_list("name", "status")), end, case)
    return end


def _check_money(budget: Budget, end: End, case: Case) -> None:
    assert budget_proof(budget).holds, case.budget
    open_reservation = end.ledger == ("reserve",)
    assert budget.reserved == (AMOUNT if open_reservation else 0), case.budget
    assert budget.spent == (AMOUNT if "commit" in end.ledger else 0), case.budget
    # Money that nobody is asked about, and that no process will ever free, cannot be.
    assert not open_reservation or end.asked == 1, case.budget


def _check_steps(steps: dict[str, str], end: End, case: Case) -> None:
    if end == DONE:
        assert [steps.get(step) for step in SAGA_STEPS] == ["done"] * 7, case.budget
    if "release" in end.ledger:
        freed = (steps[Step.RESERVE_BUDGET], steps[Step.RELEASE_BUDGET])
        assert freed == ("compensated", "done"), case.budget
    if end.reversals:
        assert (steps[Step.EXECUTE], steps[Step.ROLL_BACK]) == ("compensated", "done"), case.budget
    if end.status != "executing":
        assert "running" not in steps.values(), case.budget
