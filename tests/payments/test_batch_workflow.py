"""The batch lane: hundreds of events in one run, with the rows that the event lane makes."""

from collections.abc import Mapping
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError

from apps.engine.models import EngineCommand
from apps.payments import leader_tasks
from apps.payments.models import (
    InferenceBreaker,
    Intake,
    PaymentBatch,
    PaymentEvent,
    QuarantinedEvent,
)
from apps.payments.services import admission
from apps.payments.services.checking import counters_check
from apps.payments.services.intake import events_take
from apps.simulators.inference import score_of
from tests.payments.samples import a_message, an_event
from tests.payments.stage import Stage
from tests.stage import failure, orm
from tests.support import eventually_async

#: What differs between two runs of the same event.
OF_A_RUN = {"id", "intake_id", "run_id", "ingested_at", "lane"}
OF_A_FAILURE = {"id", "intake_id", "group_id", "created_at", "updated_at", "failed_at", "came_once"}


@pytest.fixture
def batched(stage: Stage, settings: Any) -> Stage:
    settings.PAYMENTS_LANE = "batch"
    return stage


@pytest.fixture(params=[False, True], ids=["singly", "bulk"])
def asked(request: Any, batched: Stage, settings: Any) -> Stage:
    settings.INFERENCE_BULK = request.param
    return batched


async def the_batches() -> list[PaymentBatch]:
    return await orm(lambda: list(PaymentBatch.objects.order_by("created_at")))


async def result(stage: Stage, batch: PaymentBatch) -> Any:
    return await stage.run_of(batch.workflow_id).result()


def rows(table: Any, without: set[str]) -> dict[str, Mapping[str, Any]]:
    return {
        row["event_id"]: {name: value for name, value in row.items() if name not in without}
        for row in table.objects.values()
    }


class Turned:
    """The leader, as one turn of a duty sees it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.threads = self

    async def client(self) -> Any:
        return self.stage.client

    async def run(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return await orm(fn, *args, **kwargs)


async def reconciled(stage: Stage, settings: Any) -> None:
    settings.PAYMENTS_STALE_SECONDS = -1
    await leader_tasks.reconcile(Turned(stage))  # type: ignore[arg-type]


def admitted_in_vain(event: Any) -> None:
    """Admit the event; its start is sent to an engine that forgets it."""
    events_take([a_message(event, offset=77)])
    assert admission.events_admit() == 1
    EngineCommand.objects.filter(state="pending").update(state="sent")


async def test_both_lanes_make_the_same_rows(asked: Stage, settings: Any) -> None:
    events = [
        an_event(asked.named("paid"), status="SUCCEEDED", currency="jpy"),
        an_event(asked.named("failed"), status="declined", failure_code="do_not_honor"),
        an_event(asked.named("open"), status="authorized", card_brand=None, processed_at=None),
        an_event(asked.named("exact"), metadata={"n": 10**25, "l": [1.5, {"a": None}], "x": "é"}),
        an_event(asked.named("no-metadata"), metadata=None, customer_id="a\tb\\N\nc"),
        an_event(asked.named("bad"), amount_cents=0, currency="XXX"),
    ]
    found = []
    for lane in ("batch", "event"):
        settings.PAYMENTS_LANE = lane
        await asked.take(*events)
        if lane == "batch":
            [batch] = await the_batches()
            assert await result(asked, batch) == {
                "batch_id": str(batch.pk),
                "status": "completed",
                "kept": 5,
            }
        else:
            for event in events[:-1]:
                await asked.run_of(event["event_id"]).result()
            assert await failure(asked.run_of(events[-1]["event_id"])) == "amount_bounds"
        found.append(
            (
                await orm(rows, PaymentEvent, OF_A_RUN),
                await orm(rows, QuarantinedEvent, OF_A_FAILURE),
            )
        )
        lanes = await orm(lambda: set(PaymentEvent.objects.values_list("lane", "run_id")))
        assert len(lanes) == (1 if lane == "batch" else 5) and {one for one, _ in lanes} == {lane}
        for table in (PaymentEvent, QuarantinedEvent, Intake):
            await orm(table.objects.all().delete)
    assert len(found[0][0]) == 5 and len(found[0][1]) == 1
    assert found[0] == found[1]


async def test_of_500_events_10_fail_a_rule_and_490_are_kept(asked: Stage) -> None:
    events = [
        an_event(
            asked.named(f"e-{n}"),
            status=("succeeded", "failed", "pending")[n % 3],
            amount_cents=0 if n % 50 == 7 else 5000,
        )
        for n in range(500)
    ]
    await asked.take(*events)
    [batch] = await the_batches()
    assert (await result(asked, batch))["kept"] == 490
    kept = await orm(lambda: list(PaymentEvent.objects.all()))
    assert len(kept) == 490 and await orm(QuarantinedEvent.objects.count) == 10
    for row in kept:
        assert row.churn_score == score_of("churn", row.event_id)["churn_score"]
        fraud = score_of("fraud", row.event_id)["fraud_score"]
        assert row.fraud_score == (fraud if row.status == "succeeded" else None)
    assert await orm(counters_check) == (1, [])
    history = await asked.run_of(batch.workflow_id).fetch_history()
    assert len(history.events) < 40 and asked.named("e-") not in history.to_json()


async def test_the_service_away_makes_batches_wait_and_quarantines_none(asked: Stage) -> None:
    for kind in ("fraud", "churn"):
        await orm(lambda kind=kind: asked.inference.behave(kind, down=True))
    await asked.take(*(an_event(asked.named(f"e-{n}")) for n in range(40)))
    opened = InferenceBreaker.objects.filter(open_until__isnull=False)
    await eventually_async(lambda: orm(opened.all().exists), timeout=30)
    await asked.take(*(an_event(asked.named(f"later-{n}")) for n in range(10)))
    assert await orm(lambda: Intake.objects.filter(admitted_at=None).count()) >= 10
    assert await orm(QuarantinedEvent.objects.count) == 0
    for kind in ("fraud", "churn"):
        await orm(lambda kind=kind: asked.inference.behave(kind))

    async def all_kept() -> bool:
        await asked.admit()
        return await orm(PaymentEvent.objects.count) == 50

    await eventually_async(all_kept, timeout=60)
    assert await orm(QuarantinedEvent.objects.count) == 0


async def test_one_that_needs_more_goes_on_in_a_workflow_of_its_own(asked: Stage) -> None:
    refused, failing = asked.named("refused"), asked.named("failing")
    told = {"refuse_ids": [refused], "fail_ids": [failing]}
    await orm(lambda: asked.inference.behave("churn", **told))
    await asked.take(*(an_event(name) for name in (refused, failing, asked.named("good"))))
    [batch] = await the_batches()
    assert (await result(asked, batch))["kept"] == 1
    assert await orm(QuarantinedEvent.objects.count) == 0
    await asked.admit()
    assert await failure(asked.run_of(refused)) == "inference_refused"
    assert (await orm(QuarantinedEvent.objects.get)).event_id == refused
    await orm(lambda: asked.inference.behave("churn"))
    await asked.run_of(failing).result()
    row = await asked.row(failing)
    assert row is not None and row.lane == "event"
    assert await orm(PaymentBatch.objects.count) == 1


async def test_events_of_a_batch_that_was_ended_in_the_engine_are_kept_in_another(
    batched: Stage, settings: Any
) -> None:
    await orm(lambda: batched.inference.behave("churn", down=True))
    await batched.take(*(an_event(batched.named(f"e-{n}")) for n in range(5)))
    [batch] = await the_batches()
    await reconciled(batched, settings)
    assert (await the_batches())[0].state == "open"
    await batched.run_of(batch.workflow_id).terminate()
    await orm(lambda: batched.inference.behave("churn"))
    await orm(InferenceBreaker.objects.all().delete)
    await reconciled(batched, settings)
    await batched.admit()
    _lost, again = await the_batches()
    assert (await result(batched, again))["kept"] == 5
    assert await orm(lambda: set(PaymentBatch.objects.values_list("state"))) == {
        ("lost",),
        ("done",),
    }


async def test_a_batch_that_the_engine_does_not_know_lets_its_events_go(
    batched: Stage, settings: Any
) -> None:
    await batched.take(an_event(batched.named("e-1")))
    [first] = await the_batches()
    await result(batched, first)
    # As after a restore of the engine alone: started, and nobody knows of it.
    await orm(lambda: admitted_in_vain(an_event(batched.named("e-2"))))
    await reconciled(batched, settings)
    assert await batched.admit() == 1
    again = (await the_batches())[-1]
    assert (await result(batched, again))["kept"] == 1
    described = await batched.run_of(again.workflow_id).describe()
    assert described.status == WorkflowExecutionStatus.COMPLETED


async def test_a_batch_that_failed_by_itself_lets_each_event_go_alone(
    batched: Stage, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**about: Any) -> Any:
        raise ApplicationError("a bug", type="bug", non_retryable=True)

    with monkeypatch.context() as broken_for_now:
        broken_for_now.setattr("apps.payments.services.batch_carrying.batch_persist", broken)
        await batched.take(an_event(batched.named("e-1")))
        [batch] = await the_batches()
        assert await failure(batched.run_of(batch.workflow_id)) == "bug"
    await reconciled(batched, settings)
    assert await batched.admit() == 1
    await batched.run_of(batched.named("e-1")).result()
    assert await batched.row(batched.named("e-1")) is not None


async def test_a_step_that_is_cut_short_goes_on_where_it_was(
    batched: Stage, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ACTIVITY_TIMEOUT_SECONDS = 1.0
    monkeypatch.setattr("apps.payments.services.batch_scoring.SIDE_BY_SIDE", 2)
    await orm(lambda: batched.inference.behave("churn", delay_seconds=0.2))
    await batched.take(*(an_event(batched.named(f"e-{n}"), status="pending") for n in range(12)))
    [batch] = await the_batches()
    assert (await result(batched, batch))["kept"] == 12
    counts = [
        await orm(batched.inference.counts, "churn", batched.named(f"e-{n}")) for n in range(12)
    ]
    assert counts == [{"requests": 1, "effects": 1}] * 12
    run = batched.run_of(batch.workflow_id)
    assert await run.query("get_status") == "completed"
