"""Infractions in the engine: started by anybody, signalled by anybody, decided by people."""

from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowFailureError
from temporalio.common import RawValue

from apps.engine.models import WorkflowRun
from apps.pix.contracts.infractions import ATTENTION_KIND, INFRACTION_KIND, SIGNAL_KIND
from apps.pix.models import Infraction, InfractionSignal
from apps.pix.services import polling
from apps.pix.services.infraction_attention import infraction_closed
from tests.directory import AGREES, REFUSES, SILENT, SimulatedDirectory
from tests.pix.infraction_stage import Stage, decide_item, items, nobody_decides
from tests.pix.participants import participants
from tests.stage import failure, orm
from tests.support import eventually_async

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_decision_in_the_inbox_ends_it(infractions: Stage) -> None:
    handle = await infractions.start({"infraction_id": "INF-1"})
    await infractions.until_asked()
    row = await infractions.row()
    await orm(infractions.world.sign, row, "approve", "MULE_ACCOUNT")
    await infractions.deliver()
    assert await handle.result() == {
        "infraction_id": "INF-1",
        "status": "closed",
        "result": "AGREED",
        "fraud_type": "MULE_ACCOUNT",
    }


async def test_the_same_line_again_joins_and_ends_with_the_same_result(
    infractions: Stage,
) -> None:
    first = await infractions.start({"infraction_id": "INF-1"}, id="a")
    await infractions.until_asked()
    second = await infractions.start({"infraction_id": "INF-1", "reason": None}, id="b")
    await infractions.until(await infractions.row(), joined=["b"])
    await first.signal("investigation_complete", {"decision": "DISMISS"})
    ends = [await first.result()]
    await infractions.deliver()
    ends.append(await second.result())
    # And once more when it is over.
    ends.append(await (await infractions.start({"infraction_id": "INF-1"}, id="a")).result())
    assert ends == [ends[0]] * 3
    assert ends[0]["result"] == "DISAGREED"


@pytest.mark.parametrize(
    ("input", "code"),
    [
        ([], "input_invalid"),
        (["INF-1"], "input_invalid"),
        ([{"infraction_id": "INF-1"}, 2], "input_invalid"),
        ([{}], "infraction_id_invalid"),
        ([{"infraction_id": {"a": 1}}], "infraction_id_invalid"),
        ([{"infraction_id": "a\x00b"}], "infraction_id_invalid"),
        ([{"infraction_id": "INF-1", "reporter_ispb": "no"}], "ispb_invalid"),
    ],
)
async def test_a_start_that_is_none_fails_with_a_code(
    infractions: Stage, input: list[Any], code: str
) -> None:
    assert await failure(await infractions.start(*input)) == code


@pytest.mark.parametrize("arguments", [(), (None,), ("text",), (7,), ([1],), ({"x": 1},), ({}, 2)])
async def test_signals_take_any_argument_or_none(
    infractions: Stage, arguments: tuple[Any, ...]
) -> None:
    handle = await infractions.start({"infraction_id": "INF-1"})
    await infractions.until_asked()
    await handle.signal("evidence_added", args=list(arguments))
    await handle.signal("investigation_complete", args=list(arguments))
    await eventually_async(lambda: orm(items(SIGNAL_KIND).exists))
    await handle.signal("evidence_added", {"description": "A letter.", "evidence_url": "x://y"})
    await handle.signal("investigation_complete", {"decision": "RESOLVE", "notes": "Fraud."})
    result = await handle.result()
    assert (result["status"], result["fraud_type"]) == ("closed", "OTHER")
    outcomes = await orm(lambda: list(InfractionSignal.objects.values_list("outcome", flat=True)))
    assert outcomes == ["refused", "handed_over", "taken", "acted_on"]
    assert not await orm(items(SIGNAL_KIND).exists)


async def test_what_cannot_be_read_or_is_not_ours_is_dropped(infractions: Stage) -> None:
    handle = await infractions.start({"infraction_id": "INF-1"})
    await infractions.until_asked()
    broken = Payload(metadata={"encoding": b"json/plain"}, data=b"{")
    await handle.signal("investigation_complete", RawValue(broken))
    await handle.signal("infraction_changed", "now")
    await handle.signal("unknown", 1)
    await handle.signal("evidence_added", args=[1, 2, 3])
    await handle.signal("investigation_complete", {"decision": "DISMISS"})
    assert (await handle.result())["result"] == "DISAGREED"
    assert await orm(InfractionSignal.objects.count) == 1


async def test_in_review_a_signal_decides_nothing(infractions: Stage, settings: Any) -> None:
    settings.CLAIMS_BARE_SIGNALS = "review"
    handle = await infractions.start({"infraction_id": "INF-1"})
    await infractions.until_asked()
    await handle.signal("investigation_complete", {"decision": "RESOLVE"})
    await eventually_async(lambda: orm(items(SIGNAL_KIND).exists))
    assert await infractions.status() == "open"
    await orm(_approve, infractions, SIGNAL_KIND)
    await infractions.deliver()
    assert (await handle.result())["result"] == "AGREED"


def _approve(stage: Stage, kind: str) -> None:
    decide_item(stage.world.officer, items(kind).get(), "approve")


async def test_seven_days_escalate_and_decide_nothing(skipping_infractions: Stage) -> None:
    stage = skipping_infractions
    handle = await stage.start({"infraction_id": "INF-1"})
    await stage.until_asked()
    await stage.pass_time(days=6.9)
    assert await stage.status() == "open"
    await stage.pass_time(days=0.2)
    await stage.until(await stage.row(), status="escalated")
    await stage.pass_time(days=30)
    assert (await stage.status(), await orm(stage.is_asked)) == ("escalated", True)
    row = await stage.row()
    request = await orm(stage.world.request_of, row)
    assert request.escalated_group == "senior reviewer"
    assert [event["event"] for event in request.clock if event["done_at"]] == ["due"]
    await orm(stage.world.sign, row, "reject")
    await stage.deliver()
    assert (await handle.result())["result"] == "DISAGREED"


async def test_terminated_it_is_decided_in_the_inbox(
    infractions: Stage, directory: SimulatedDirectory
) -> None:
    directory.open_infraction()
    await orm(polling.poll_all)
    await infractions.deliver()
    row = await infractions.until(await orm(Infraction.objects.get), status="acknowledged")
    handle = infractions.client.get_workflow_handle(row.workflow_id)
    await handle.terminate()
    await orm(_mirrored, row)
    assert await orm(items(ATTENTION_KIND).count) == 1
    await orm(infractions.world.sign, row, "approve", "SCAMMER_ACCOUNT")
    await infractions.deliver()
    again = await orm(_fresh, row)
    assert again.workflow_id != row.workflow_id
    result = await infractions.client.get_workflow_handle(again.workflow_id).result()
    assert result["result"] == "AGREED"
    assert (await orm(_fresh, row)).directory_status == "CLOSED"
    assert directory.calls("Infractions.Close") == 1
    assert not await orm(items(ATTENTION_KIND).exists)


async def test_terminated_it_is_carried_on_from_the_row(infractions: Stage) -> None:
    handle = await infractions.start({"infraction_id": "INF-1"})
    await infractions.until_asked()
    row = await infractions.row()
    await handle.terminate()
    await orm(_mirrored, row)
    await orm(_approve, infractions, ATTENTION_KIND)
    await infractions.deliver()
    row = await infractions.row()
    again = infractions.client.get_workflow_handle(row.workflow_id)
    await again.signal("investigation_complete", {"decision": "DISMISS"})
    assert (await again.result())["result"] == "DISAGREED"
    assert not await orm(items(INFRACTION_KIND).exists)


def _fresh(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


def _mirrored(row: Any) -> None:
    """What the engine's mirror does when it has seen the end of the run."""
    now = timezone.now()
    WorkflowRun.objects.update_or_create(
        workflow_id=row.workflow_id,
        run_id="terminated",
        defaults={
            "workflow_type": "InvestigateInfractionWorkflow",
            "status": "terminated",
            "started_at": now,
            "closed_at": now,
            "subject_type": "infraction",
            "subject_id": str(row.pk),
            "confirmed": True,
        },
    )
    with transaction.atomic():
        infraction_closed(str(row.pk), workflow_id=row.workflow_id, why="Terminated.", as_of=now)


async def test_a_directory_that_is_away_holds_up_no_decision(
    infractions: Stage, directory: SimulatedDirectory, settings: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("workers.workflows.infractions.FIRST_PAUSE", 0.5)
    directory.open_infraction()
    await orm(polling.poll_all)
    directory.faults("Infractions.Acknowledge", status=503, next=4)
    await infractions.deliver()
    await eventually_async(lambda: orm(items(INFRACTION_KIND).exists))
    row = await orm(Infraction.objects.get)
    await orm(infractions.world.sign, row, "reject")
    await infractions.deliver()
    assert (await orm(_fresh, row)).status == "closed"
    handle = infractions.client.get_workflow_handle(row.workflow_id)
    assert (await handle.result())["result"] == "DISAGREED"
    assert (await orm(_fresh, row)).directory_status == "CLOSED"


async def test_our_report_is_made_and_ends_with_the_other_sides_answer(
    infractions: Stage, directory: SimulatedDirectory
) -> None:
    nobody_decides(directory)
    directory.faults("Infractions.Create", lose_answer=True, next=1)
    row, _ = await orm(infractions.world.report)
    await infractions.deliver()
    row = await infractions.until(row, directory_status__gt="")
    directory.client.infraction_acknowledge(
        participant=row.counterparty_ispb, infraction_id=row.directory_id
    )
    directory.client.infraction_close(
        participant=row.counterparty_ispb,
        infraction_id=row.directory_id,
        analysis_result="AGREED",
        fraud_type="MULE_ACCOUNT",
    )
    await orm(polling.poll_all)
    await infractions.deliver()
    handle = infractions.client.get_workflow_handle(row.workflow_id)
    assert (await handle.result())["fraud_type"] == "MULE_ACCOUNT"
    assert len(directory.show().infractions) <= 1


async def test_a_side_of_ours_that_the_directory_names_is_asked(
    infractions: Stage, directory: SimulatedDirectory
) -> None:
    """The report names no counterparty; the directory's answer names one that is ours too."""
    nobody_decides(directory)
    await orm(participants, AGREES, REFUSES, SILENT)
    row, _ = await orm(infractions.world.report)
    assert not row.decides
    await infractions.deliver()
    await eventually_async(lambda: orm(lambda: infractions.is_asked(row.infraction_id)))
    assert (await orm(_fresh, row)).decides


async def test_cancelled_in_the_engine_it_ends_there_only(infractions: Stage) -> None:
    handle = await infractions.start({"infraction_id": "INF-1"})
    await infractions.until_asked()
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert (await infractions.status(), await orm(infractions.is_asked)) == ("open", True)
