"""An event's workflow: checked, scored, kept once; or in the quarantine, with a code."""

import asyncio
from typing import Any

import pytest
from django.db import connections

from apps.payments.contracts import PersistInput
from apps.payments.models import InferenceBreaker, Intake, PaymentEvent, QuarantinedEvent
from apps.payments.services.carrying import event_persist
from apps.simulators.inference import score_of
from tests.payments.samples import an_event
from tests.payments.stage import Stage
from tests.stage import failure, orm
from tests.support import eventually_async


async def test_each_status_gets_its_scores_once(stage: Stage) -> None:
    names = [stage.named(name) for name in ("paid", "failed", "open")]
    events = [
        an_event(names[0], status="SUCCEEDED"),
        an_event(names[1], status="declined"),
        an_event(names[2], status="authorized", metadata={"n": 1}),
    ]
    await stage.take(*events)
    for event in events:
        result = await stage.run_of(event["event_id"]).result()
        assert result == {"event_id": event["event_id"], "status": "completed"}
    paid, failed, waiting = [await stage.row(name) for name in names]
    assert paid and failed and waiting
    fraud, retry = score_of("fraud", names[0]), score_of("retry", names[1])
    assert (paid.fraud_score, paid.risk_level) == (fraud["fraud_score"], fraud["risk_level"])
    assert paid.retry_strategy is None and paid.status == "succeeded" and paid.currency == "USD"
    assert failed.retry_strategy == retry and failed.fraud_score is None
    assert failed.retry_delay_seconds == retry["delay_seconds"]
    assert (waiting.fraud_score, waiting.retry_strategy) == (None, None)
    for row in (paid, failed, waiting):
        churn = score_of("churn", row.event_id)
        assert (row.churn_score, row.days_to_churn_estimate) == (
            churn["churn_score"],
            churn["days_to_churn_estimate"],
        )
        counts = await orm(stage.inference.counts, "churn", row.event_id)
        assert counts == {"requests": 1, "effects": 1}
    assert await orm(lambda: Intake.objects.filter(stored=True).count()) == 3


async def test_the_queries_answer_what_is_known(stage: Stage) -> None:
    paid = stage.named("paid")
    await stage.take(an_event(paid))
    run = stage.run_of(paid)
    await run.result()
    assert await run.query("get_status") == "completed"
    assert await run.query("get_fraud_score") == score_of("fraud", paid)
    assert await run.query("get_retry_strategy") is None
    assert (await run.query("get_churn_score"))["churn_score"] > 0


async def test_a_failed_rule_quarantines_and_then_fails_the_workflow(stage: Stage) -> None:
    bad = stage.named("bad")
    await stage.take(an_event(bad, currency="XXX", amount_cents=0))
    assert await failure(stage.run_of(bad)) == "amount_bounds"
    row = await orm(QuarantinedEvent.objects.select_related("group").get)
    assert (row.event_id, row.stage, row.code) == (bad, "validate", "amount_bounds")
    assert [one["code"] for one in row.errors] == ["amount_bounds", "currency_allowed"]
    assert str(row.group) == "validate amount_bounds amount_cents"
    assert await stage.row(bad) is None


async def test_started_by_hand_it_makes_its_row(stage: Stage) -> None:
    by_hand, nobody = stage.named("by-hand"), stage.named("nobody")

    async def start(name: str, document: Any) -> Any:
        return await stage.client.start_workflow(
            "PaymentEventWorkflow", document, id=stage.named(name), task_queue=stage.queue
        )

    await (await start("by-hand", an_event(by_hand))).result()
    assert await stage.row(by_hand) is not None
    assert await stage.admit() == 0
    assert await failure(await start("another", an_event(by_hand))) == "event_id_differs"
    strange = {"event_id": stage.named("strange"), "x": 1}
    assert await failure(await start("strange", strange)) == "required_fields"
    assert await failure(await start("nobody", {"event_id": nobody})) == "event_not_found"
    for number, odd in enumerate(("x", 5, [1], None)):
        assert await failure(await start(f"odd-{number}", odd)) == "input_invalid"


async def test_the_service_away_makes_events_wait_and_quarantines_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # When a probe gives its place away is `test_admission`'s; here it would be after two seconds.
    monkeypatch.setattr("apps.payments.services.admission.PROBE_HOLD", 10_000)
    for kind in ("fraud", "churn"):
        await orm(lambda kind=kind: stage.inference.behave(kind, down=True))
    await stage.take(*(an_event(stage.named(f"e-{n}")) for n in range(3)))
    opened = InferenceBreaker.objects.filter(open_until__isnull=False)
    await eventually_async(lambda: orm(opened.all().exists))
    assert await orm(QuarantinedEvent.objects.count) == 0
    await stage.take(an_event(stage.named("later")))
    assert await orm(lambda: Intake.objects.get(event_id=stage.named("later")).admitted_at) is None
    for kind in ("fraud", "churn"):
        await orm(lambda kind=kind: stage.inference.behave(kind))
    for number in range(3):
        await stage.run_of(stage.named(f"e-{number}")).result()
    assert await orm(lambda: InferenceBreaker.objects.exclude(open_until=None).count()) == 0
    assert await stage.admit() == 1
    await stage.run_of(stage.named("later")).result()
    assert await orm(PaymentEvent.objects.count) == 4


@pytest.mark.parametrize(
    ("how", "code"),
    [("refused", "inference_refused"), ("senseless", "inference_answer_invalid")],
)
async def test_an_answer_that_is_final_quarantines(
    stage: Stage, how: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.payments.services.scoring.MOST_SENSELESS", 2)
    event_id = stage.named("e-1")
    told: Any = {"senseless": True} if how == "senseless" else {"refuse_ids": [event_id]}
    await orm(lambda: stage.inference.behave("churn", **told))
    await stage.take(an_event(event_id))
    assert await failure(stage.run_of(event_id)) == code
    row = await orm(QuarantinedEvent.objects.get)
    assert (row.stage, row.code) == ("inference", code)
    assert await stage.row(event_id) is None


async def test_only_so_many_are_open_at_a_time(stage: Stage, settings: Any) -> None:
    settings.PAYMENTS_MAX_OPEN = 3
    await orm(lambda: stage.inference.behave("churn", delay_seconds=0.3))
    await stage.take(*(an_event(stage.named(f"e-{n}")) for n in range(7)))
    assert await orm(lambda: Intake.objects.exclude(admitted_at=None).count()) == 3
    assert await stage.admit() == 0
    for first in (0, 3, 6):
        for number in range(first, min(first + 3, 7)):
            await stage.run_of(stage.named(f"e-{number}")).result()
        await stage.admit()
    assert await orm(PaymentEvent.objects.count) == 7


async def test_kept_by_two_at_once_there_is_one_row(stage: Stage) -> None:
    event_id = stage.named("e-1")
    await orm(lambda: stage.inference.behave("churn", down=True))
    await stage.take(an_event(event_id))

    def persist() -> bool:
        try:
            return event_persist(PersistInput(event_id)).new
        finally:
            connections.close_all()

    found = await asyncio.gather(*(asyncio.to_thread(persist) for _ in range(6)))
    assert sorted(found) == [False] * 5 + [True]
    assert await orm(PaymentEvent.objects.count) == 1
    # The workflow finds it kept, whether it has begun to score or not.
    await orm(lambda: stage.inference.behave("churn", down=False))
    assert (await stage.run_of(event_id).result())["status"] == "completed"
    assert await orm(PaymentEvent.objects.count) == 1
