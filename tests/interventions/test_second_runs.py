"""Runs of a saga that come late, twice or from the wrong hand: the row says what is left to do."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.engine import effects
from apps.engine.models import EngineCommand
from apps.interventions.models import Intervention
from apps.interventions.services import attention, budgets, execution, outcomes, recovery
from tests.interventions.stage import Stage
from tests.interventions.test_saga_workflow import ended, items
from tests.stage import failure, orm


async def unanswered(stage: Stage) -> Intervention:
    """The executor may have been called, nothing carries it, and a person is asked."""

    def make() -> Intervention:
        intervention = stage.world.ask()
        stage.world.reserve(intervention)
        effects.begin(execution.EXECUTION, intervention.pk)
        attention.attention_open(intervention.pk, code="execution_unfinished", detail="Look at it.")
        EngineCommand.objects.update(state="sent")
        return intervention

    return await orm(make)


def newest_start(intervention: Intervention) -> EngineCommand:
    starts = EngineCommand.objects.filter(subject_id=str(intervention.pk), kind="start")
    return starts.latest("id")


def forgotten(intervention: Intervention) -> None:
    """The engine lost the newest start's run, and the sweeper has the row started again."""
    command = newest_start(intervention)
    long_ago = timezone.now() - timedelta(hours=1)
    EngineCommand.objects.filter(pk=command.pk).update(state="sent", settled_at=long_ago)
    with transaction.atomic():
        recovery.intervention_restart(intervention.pk)
    assert newest_start(intervention).pk != command.pk


async def test_not_to_carry_on_is_remembered_when_the_engine_loses_the_run_that_undoes_it(
    stage: Stage,
) -> None:
    intervention = await unanswered(stage)
    await orm(stage.world.decide, intervention, "reject")
    await orm(forgotten, intervention)
    await stage.deliver()
    row = await stage.status(intervention, "failed", "executed")
    assert (row.status, row.error_code) == ("failed", "given_up")
    assert stage.sink.effects(intervention)["executions"] == 0
    assert await stage.ledger(intervention) == ["reserve", "release"]


async def test_a_start_that_is_carried_out_late_does_what_was_decided_last(stage: Stage) -> None:
    intervention = await unanswered(stage)
    await orm(stage.world.decide, intervention, "reject")
    late = await orm(newest_start, intervention)
    # It was lost, as far as anybody knew; a person was asked once more and decided to carry on.
    await orm(attention.attention_open, intervention.pk, code="stuck", detail="Look.")
    await orm(stage.world.decide, intervention, "approve", by="reviewer2")
    await orm(EngineCommand.objects.exclude(pk=late.pk).update, state="sent")
    await stage.deliver()
    row = await stage.status(intervention, "failed", "executed")
    assert row.status == "executed"
    assert stage.sink.effects(intervention)["executions"] == 1


async def test_a_second_run_leaves_a_row_alone_while_a_person_is_asked_about_it(
    stage: Stage,
) -> None:
    intervention = await unanswered(stage)
    # One that waited behind the run that asked, or whose parent continued as new.
    again = await stage.by_hand(intervention, intervention.execution_workflow_id, restarted=True)
    assert await failure(again) == "attention_open"
    assert stage.sink.effects(intervention)["executions"] == 0
    assert len(await items(intervention)) == 1
    await stage.decide(intervention)
    assert (await stage.saga(intervention).result())["status"] == "executed"
    assert stage.sink.effects(intervention)["executions"] == 1


async def test_a_saga_of_another_id_that_is_cancelled_at_once_leaves_the_row_to_its_own(
    stage: Stage,
) -> None:
    stage.sink.behave(answer_delay_seconds=4)
    intervention = await stage.ask()
    await stage.status(intervention, "executing")
    elsewhere = replace(stage, queue=f"{stage.queue}-elsewhere")
    stranger = await elsewhere.by_hand(intervention, f"stranger-{intervention.pk}")
    await stranger.cancel()
    async with elsewhere.working():
        assert await failure(stranger) == "already_executing"
    row = await ended(stage, intervention)
    assert (row.status, row.error_code) == ("executed", "")
    assert stage.sink.effects(intervention)["reversals"] == 0


@pytest.mark.parametrize("verb", ["budget_release", "intervention_settle"])
def test_what_undoes_a_row_is_refused_to_another_workflow_than_its_own(
    world: Any, verb: str
) -> None:
    intervention = world.ask()
    world.reserve(intervention)
    more = {} if verb == "budget_release" else {"status": "failed", "code": "x", "detail": "y"}
    call = getattr(budgets if verb == "budget_release" else outcomes, verb)
    with pytest.raises(Exception, match="executes this intervention") as refused:
        call(intervention_id=intervention.pk, workflow_id="stranger", **more)
    assert getattr(refused.value, "code", "") == "already_executing"
    call(intervention_id=intervention.pk, workflow_id=intervention.execution_workflow_id, **more)
