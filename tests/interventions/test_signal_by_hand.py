"""What a person sends with Temporal's own command line, on a real server."""

import asyncio
import subprocess
from decimal import Decimal
from typing import Any

from temporalio.client import Client

from apps.audit.models import AuditEntry
from apps.engine.namespace import engine_ensure
from apps.interventions.models import Intervention
from deploy.local.servers import temporal_program
from tests.interventions.conftest import World, quick
from tests.interventions.stage import Sink, Stage
from tests.stage import orm
from tests.support import eventually_async
from workers.refusals import RefusalWriter


async def test_a_signal_by_hand_without_input_leaves_the_intervention_waiting(
    shared_world: World, temporal_client: Client, task_queue: str, sink: Sink, settings: Any
) -> None:
    quick(settings, sink.url)
    await engine_ensure(temporal_client)
    stage = Stage(world=shared_world, client=temporal_client, queue=task_queue, sink=sink)
    writer = RefusalWriter()
    writer.start()
    async with stage.working(refused=writer.tell):
        intervention = await stage.ask(amount=Decimal("20000.00"))
        await eventually_async(lambda: stage.request(intervention))
        for words in ([], ["--input", "1", "--input", "2"], ["--input", "null"]):
            await asyncio.to_thread(signal_by_hand, temporal_client, intervention, *words)
        refused = AuditEntry.objects.filter(action="engine.input_refused")
        await eventually_async(lambda: orm(lambda: refused.count() == 3))
        entries = await orm(lambda: list(refused.order_by("id")))
        assert {(one.subject_type, one.subject_id, one.code) for one in entries} == {
            ("intervention", str(intervention.pk), "input_invalid")
        }
        assert [one.body["detail"] for one in entries] == [
            "no arguments given, 1 argument taken",
            "2 arguments given, 1 argument taken",
            "argument 1 is not an object",
        ]
        assert all("temporal-cli" in one.body["identity"] for one in entries)
        assert (await stage.row(intervention)).status == "awaiting_approval"

        await stage.decide(intervention)
        handle = stage.approval(intervention)
        assert (await handle.result())["status"] == "executed"
        history = await handle.fetch_history()
        assert not [
            one for one in history.events if one.HasField("workflow_task_failed_event_attributes")
        ]
        assert stage.sink.effects(intervention)["requests"] == 1
    writer.stop()


def signal_by_hand(client: Client, intervention: Intervention, *words: str) -> None:
    done = subprocess.run(
        [
            *(str(temporal_program()), "workflow", "signal", "--name", "request_settled"),
            *("--workflow-id", intervention.workflow_id, "--namespace", client.namespace),
            *("--address", client.service_client.config.target_host, *words),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
