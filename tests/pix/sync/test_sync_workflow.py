"""Synchronisations on the engine: as others start them, as the schedule does, stopped, decided."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import ApprovalRequest
from apps.approvals.services import request_decide
from apps.pix.contracts import SCHEDULER_WORKFLOW, SYNC_WORKFLOW, TASK_QUEUE
from apps.pix.contracts.sync import SyncStatus
from apps.pix.models import Participant, SyncRun
from apps.pix.services.sync_requesting import sync_request, sync_stop
from tests.directory import SimulatedDirectory
from tests.pix.sync.entries import ISPB
from tests.pix.sync.runs import active, both_sides, known_there, some, told
from tests.stage import EngineStage, failure, orm
from tests.support import eventually_async

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def stage(
    engine_stage: Callable[[str], EngineStage], directory: SimulatedDirectory
) -> EngineStage:
    return engine_stage(TASK_QUEUE)


def officer(name: str = "keys") -> User:
    user: User = User.objects.create_user(name, email=f"{name}@example.org", password=None)
    user.groups.add(Group.objects.get(name="key officer"))
    return user


async def begun(stage: EngineStage, input: Any) -> Any:
    return await stage.client.start_workflow(
        SYNC_WORKFLOW, input, id=f"vsync-{uuid4()}", task_queue=stage.queue
    )


async def test_the_source_s_input_synchronises(
    stage: EngineStage, directory: SimulatedDirectory
) -> None:
    await orm(both_sides, directory, some(300))
    directory.tamper(changed=5, missing=5, extra=5, key_type="PHONE")
    given = {"participant_ispb": ISPB, "sync_type": "FULL", "last_sync_date": "2026-01-31"}
    async with stage.working():
        handle = await begun(stage, given)
        answer = await handle.result()
    run = await orm(SyncRun.objects.get)
    assert (answer["status"], answer["run_id"]) == ("ok", str(run.pk))
    assert (run.workflow_id, run.trigger, run.status) == (handle.id, "engine", SyncStatus.OK)
    assert await orm(told, run) == {
        "changed repaired": 5,
        "extra repaired": 5,
        "missing repaired": 5,
    }
    assert await orm(active) == known_there(directory)


@pytest.mark.parametrize(
    ("input", "code"),
    [
        ({}, "ispb_invalid"),
        ({"participant_ispb": "99999999"}, "participant_not_ours"),
        ({"participant_ispb": ISPB, "sync_type": 7}, "sync_type_invalid"),
    ],
)
async def test_an_input_that_makes_no_sense_fails_with_a_code(
    stage: EngineStage, input: Any, code: str
) -> None:
    await orm(Participant.objects.create, ispb=ISPB, ours=True)
    async with stage.working():
        assert await failure(await begun(stage, input)) == code


async def test_a_second_one_of_a_participant_fails(stage: EngineStage) -> None:
    await orm(Participant.objects.create, ispb=ISPB, ours=True)
    by = await orm(officer)
    await orm(sync_request, participant=ISPB, by=by, via="api", as_of=timezone.now())
    async with stage.working():
        handle = await begun(stage, {"participant_ispb": ISPB})
        assert await failure(handle) == "sync_running"


async def test_the_daily_one_starts_one_for_each_that_has_none(stage: EngineStage) -> None:
    for ispb in (ISPB, "87654321", "55555555"):
        await orm(Participant.objects.create, ispb=ispb, ours=True)
    await orm(Participant.objects.create, ispb="11111111")
    by = await orm(officer)
    await orm(sync_request, participant="55555555", by=by, via="api", as_of=timezone.now())
    async with stage.working():
        handle = await stage.client.start_workflow(
            SCHEDULER_WORKFLOW, id=f"daily-{uuid4()}", task_queue=stage.queue
        )
        answer = await handle.result()
        assert answer == {"started": [ISPB, "87654321"], "running": []}

        def ended() -> bool:
            rows = SyncRun.objects.filter(trigger="daily", status=SyncStatus.OK)
            return rows.count() == 2

        await eventually_async(lambda: orm(ended))


async def test_what_a_person_lets_be_repaired_is_repaired(
    stage: EngineStage, directory: SimulatedDirectory
) -> None:
    await orm(both_sides, directory, some(300))
    directory.tamper(missing=120, key_type="PHONE")
    by, other = await orm(officer), await orm(officer, "other")
    async with stage.working():
        run, _new = await orm(
            sync_request, participant=ISPB, by=by, via="api", as_of=timezone.now()
        )
        await stage.deliver()
        request = await eventually_async(lambda: orm(ApprovalRequest.objects.first))
        await orm(_decide, request, other)
        await stage.deliver()
        handle = stage.client.get_workflow_handle(run.workflow_id)
        assert (await handle.result())["status"] == "ok"
    assert await orm(told, run) == {"extra repaired": 120}


async def test_a_stop_ends_it_wherever_it_is(
    stage: EngineStage, directory: SimulatedDirectory
) -> None:
    await orm(both_sides, directory, some(300))
    directory.tamper(missing=120, key_type="PHONE")
    by = await orm(officer)
    async with stage.working():
        run, _new = await orm(
            sync_request, participant=ISPB, by=by, via="api", as_of=timezone.now()
        )
        await stage.deliver()
        await eventually_async(lambda: orm(ApprovalRequest.objects.first))
        said: dict[str, Any] = {"by": by, "via": "api"}
        await orm(sync_stop, run.pk, reason="Not now.", **said)
        await stage.deliver()
        handle = stage.client.get_workflow_handle(run.workflow_id)
        assert (await handle.result())["status"] == "stopped"
        again = await orm(sync_stop, run.pk, reason="Not now.", **said)
        assert again.status == SyncStatus.STOPPED
    assert (await orm(ApprovalRequest.objects.get)).status == "cancelled"
    assert await orm(told, run) == {"extra pending": 120}


async def test_a_run_whose_time_is_over_ends(
    stage: EngineStage, directory: SimulatedDirectory
) -> None:
    await orm(both_sides, directory, some(3))
    directory.faults("Sync.Verify", status=503)
    by = await orm(officer)
    run, _new = await orm(sync_request, participant=ISPB, by=by, via="api", as_of=timezone.now())
    soon = timezone.now() + timedelta(seconds=5)
    await orm(SyncRun.objects.filter(pk=run.pk).update, ends_at=soon)
    async with stage.working():
        await stage.deliver()
        answer = await stage.client.get_workflow_handle(run.workflow_id).result()
    assert (answer["status"], answer["code"]) == ("failed", "deadline_exceeded")


def _decide(request: ApprovalRequest, by: User) -> None:
    request_decide(
        request_id=request.pk,
        by=by,
        verdict="approve",
        reason="The directory was changed on purpose.",
        payload_hash=request.payloads.get().hash,
        via="api",
        as_of=timezone.now(),
    )
