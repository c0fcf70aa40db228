"""Replays of many events: each has one outcome, whoever else is at work, and the counts add up."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from apps.common.errors import DomainError
from apps.engine import process, runs
from apps.engine.models import EngineCommand
from apps.payments.models import (
    Intake,
    PaymentEvent,
    PaymentRule,
    QuarantinedEvent,
    QuarantineGroup,
    ReplayItem,
    ReplayRun,
)
from apps.payments.services import desk, replay_pacing, replays
from apps.payments.services.checking import counters_check
from apps.payments.services.replay_pacing import replay_advance
from apps.payments.services.replays import RUN, Pace
from tests.payments.people import People
from tests.payments.samples import an_event
from tests.payments.stage import Stage
from tests.payments.world import asked_replay, fail, keep, quarantined
from tests.stage import orm
from tests.support import eventually_async

SAID: dict[str, Any] = {"via": "api"}


def refused(call: Any, *args: Any, **about: Any) -> str:
    with pytest.raises(DomainError) as raised:
        call(*args, **about)
    return raised.value.code


def advance(run: ReplayRun) -> Any:
    run.refresh_from_db()
    return replay_advance(run_id=run.pk, workflow_id=run.workflow_id)


def later(run: ReplayRun, seconds: float = 2) -> None:
    """As if so much time had passed since the last wave."""
    at = timezone.now() - timedelta(seconds=seconds)
    ReplayRun.objects.filter(pk=run.pk).update(paced_at=at)


def under_way() -> list[str]:
    return list(Intake.objects.filter(done_at=None).values_list("event_id", flat=True))


def statuses(run: ReplayRun) -> dict[str, int]:
    return {name: n for name, n in runs.counts_by_run(RUN, [run])[run.pk].items() if n}


def test_the_items_are_written_when_the_replay_is_made(people: People) -> None:
    quarantined(30)
    run = asked_replay(people)
    assert (run.total, statuses(run)) == (30, {"waiting": 30})
    # Who joins the group later is not in it.
    quarantined(5, "stripe:later")
    assert statuses(run) == {"waiting": 30}
    assert list(run.items.order_by("number").values_list("number", flat=True)) == [*range(1, 31)]
    assert EngineCommand.objects.filter(subject_type="replay_run").count() == 1


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wave that takes long is cut; on a busy machine that would be the first one."""
    monkeypatch.setattr(replay_pacing, "LONGEST_WAVE", 60)


def test_the_ramp_is_one_five_twenty_and_then_the_rate(people: People, settings: Any) -> None:
    settings.PAYMENTS_MAX_OPEN = 1000
    quarantined(60)
    run = asked_replay(people, pace=Pace(rate=10))
    begun = []
    for _ in range(6):
        later(run)
        advance(run)
        begun.append(len(under_way()))
        # Looked at again before they have ended, nothing further begins in the ramp.
        if len(begun) <= 3:
            advance(run)
            assert len(under_way()) == begun[-1]
        PaymentRule.objects.update(enabled=False)
        keep(under_way())
    assert begun == [1, 5, 20, 10, 10, 10]
    later(run)
    facts = advance(run)
    assert facts.progress.done == 56
    keep(under_way())
    advance(run)
    keep(under_way())
    facts = advance(run)
    assert (facts.status, facts.settled, statuses(run)) == ("completed", True, {"done": 60})
    assert counters_check() == (1, [])


def test_a_replay_stops_by_itself_and_begins_its_ramp_anew(people: People) -> None:
    quarantined(100)
    run = asked_replay(people)
    for _ in range(4):
        later(run)
        facts = advance(run)
        fail(under_way())
    # One, then five: of six all have failed, and none of the twenty begins.
    assert (facts.status, facts.code) == ("paused", "stopped_by_itself")
    assert statuses(run) == {"failed": 6, "waiting": 94}
    assert counters_check() == (1, [])
    assert advance(run).runs is False
    PaymentRule.objects.update(enabled=False)
    replays.replay_resume(run.pk, by=people.corrector, via="page", as_of=timezone.now())
    advance(run)
    assert len(under_way()) == 1
    keep(under_way())
    advance(run)
    assert len(under_way()) == 5


def test_paused_and_cancelled_half_way_the_counts_add_up(people: People) -> None:
    quarantined(40)
    PaymentRule.objects.update(enabled=False)
    run = asked_replay(people)
    advance(run)
    keep(under_way())
    advance(run)
    replays.replay_pause(run.pk, by=people.corrector, via="page", as_of=timezone.now())
    assert len(under_way()) == 5
    later(run)
    assert advance(run).runs is False
    assert len(under_way()) == 5
    replays.replay_cancel(run.pk, by=people.corrector, via="page", as_of=timezone.now())
    assert statuses(run) == {"done": 1, "running": 5, "cancelled": 34}
    # What was on its way ends, and its items say so.
    keep(under_way())
    assert statuses(run) == {"done": 6, "cancelled": 34}
    assert QuarantinedEvent.objects.filter(state="open").count() == 34
    assert QuarantineGroup.objects.get().open == 34
    assert counters_check() == (1, [])


def test_an_event_of_a_replay_is_replayed_by_nobody_else(people: People) -> None:
    quarantined(3)
    row = QuarantinedEvent.objects.order_by("created_at", "pk")[0]
    first = asked_replay(people)
    for act in (desk.event_replay, desk.event_discard):
        about = {"row_id": row.pk, "by": people.admin, **SAID}
        about |= {"reason": "x"} if act is desk.event_discard else {}
        assert refused(act, **about) == "already_replaying"
    second = asked_replay(people, by=people.releaser)
    assert statuses(second) == {"failed": 3}
    assert set(second.items.values_list("error_code", flat=True)) == {"already_replaying"}
    assert advance(second).status == "completed"
    assert statuses(first) == {"waiting": 3}


def test_an_event_that_somebody_replayed_before_its_turn(people: People) -> None:
    quarantined(3)
    row = QuarantinedEvent.objects.order_by("created_at", "pk")[0]
    desk.event_replay(row_id=row.pk, by=people.admin, **SAID)
    run = asked_replay(people, events=QuarantinedEvent.objects.all())
    advance(run)
    item = run.items.get(event=row)
    assert (item.status, item.error_code, item.begun_at) == ("failed", "already_replaying", None)
    assert Intake.objects.get(pk=row.intake_id).attempt == 2


def test_a_version_signed_after_the_replay_was_made_is_not_carried(people: People) -> None:
    [event_id] = quarantined(1)
    row = QuarantinedEvent.objects.get()
    run = asked_replay(people)
    # An event of a replay is not edited; a version that waited before may still be signed.
    assert refused(people.edit, row, an_event(event_id)) == "already_replaying"
    ReplayItem.objects.update(edit=7)
    advance(run)
    assert run.items.get().error_code == "edited_since"
    assert QuarantinedEvent.objects.get().state == "open"


def test_the_same_key_is_one_replay(people: People) -> None:
    quarantined(4)
    first = asked_replay(people, idempotency_key="k")
    assert asked_replay(people, idempotency_key="k").pk == first.pk
    code = refused(asked_replay, people, idempotency_key="k", said={"q": "other"})
    assert code == "idempotency_key_reused"
    assert ReplayItem.objects.count() == 4


def test_of_two_at_once_each_event_is_in_one(people: People) -> None:
    quarantined(50)

    def make(_: int) -> int:
        try:
            run = asked_replay(people)
            return statuses(run).get("waiting", 0)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(make, range(3)))
    assert sum(found) == 50
    assert ReplayItem.objects.filter(status="waiting").count() == 50


def test_two_workers_at_once_begin_each_event_once(people: People, settings: Any) -> None:
    settings.PAYMENTS_MAX_OPEN = 1000
    quarantined(30)
    run = asked_replay(people, pace=Pace(rate=200))
    ReplayRun.objects.filter(pk=run.pk).update(
        status="running", ramp_from=timezone.now() - timedelta(hours=1)
    )

    def turn(_: int) -> None:
        try:
            advance(run)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(turn, range(4)))
    attempts = set(Intake.objects.values_list("attempt", flat=True))
    assert attempts <= {1, 2}
    starts = EngineCommand.objects.filter(subject_type="payment_event")
    assert starts.count() == Intake.objects.filter(attempt=2).count() == len(under_way())
    assert counters_check() == (1, [])


def test_a_wave_that_was_cut_is_completed(people: People, monkeypatch: Any) -> None:
    quarantined(8)
    PaymentRule.objects.update(enabled=False)
    run = asked_replay(people)
    advance(run)
    keep(under_way())
    monkeypatch.setattr(replay_pacing, "LONGEST_WAVE", 0)
    found = []
    for _ in range(6):
        advance(run)
        found.append(len(under_way()))
    assert found == [1, 2, 3, 4, 5, 5]


def test_refusals_have_codes(people: People) -> None:
    assert refused(asked_replay, people) == "no_items"
    quarantined(2)
    assert refused(asked_replay, people, by=people.auditor) == "permission_denied"
    for rate in (0, -1, 201, 10**9):
        assert refused(asked_replay, people, pace=Pace(rate=rate)) == "rate_invalid"
    for share in (-0.1, 1.1, float("nan")):
        assert refused(asked_replay, people, pace=Pace(stop_share=share)) == "stop_share_invalid"
    run = asked_replay(people)
    stranger = {"run_id": run.pk, "workflow_id": "replay_run-stranger"}
    assert refused(replay_advance, **stranger) == "not_its_workflow"


def test_more_than_a_replay_holds(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    quarantined(4)
    monkeypatch.setattr(replays, "MOST_ITEMS", 3)
    assert refused(asked_replay, people) == "too_many_items"
    assert not ReplayRun.objects.exists()


def test_nothing_begins_while_the_inference_service_is_away(people: People) -> None:
    from apps.payments.services import breaker

    quarantined(3)
    run = asked_replay(people)
    for _ in range(breaker.FAILURES):
        breaker.failed("fraud", "away")
    assert advance(run).wait_seconds == replay_pacing.LATER
    assert under_way() == []


async def test_a_replay_by_its_workflow_kept_to_its_end(stage: Stage, people: People) -> None:
    prefix = stage.named("r")
    ids = await orm(quarantined, 30, prefix)
    await orm(lambda: PaymentRule.objects.update(enabled=False))
    run = await orm(asked_replay, people, pace=Pace(rate=200))
    await stage.deliver()
    handle = stage.run_of(run.workflow_id)

    async def ended() -> bool:
        await stage.deliver()
        return await orm(lambda: ReplayRun.objects.get(pk=run.pk).status == "completed")

    await eventually_async(ended, timeout=60)
    result = await handle.result()
    assert (result["status"], result["progress"]["done"]) == ("completed", 30)
    kept = await orm(lambda: set(PaymentEvent.objects.values_list("event_id", flat=True)))
    assert kept == set(ids)
    assert await orm(counters_check) == (1, [])


async def test_a_paused_replay_is_woken_by_its_resumption(stage: Stage, people: People) -> None:
    await orm(quarantined, 3, stage.named("p"))
    await orm(lambda: PaymentRule.objects.update(enabled=False))
    run = await orm(asked_replay, people)
    pause = {"by": people.corrector, "via": "page", "as_of": timezone.now()}
    await orm(lambda: ReplayRun.objects.filter(pk=run.pk).update(status="paused"))
    await stage.deliver()
    handle = stage.run_of(run.workflow_id)

    async def waits() -> bool:
        return (await handle.query("progress"))["waiting"] == 3

    await eventually_async(waits)
    await orm(lambda: replays.replay_resume(run.pk, **pause))

    async def ended() -> bool:
        await stage.deliver()
        return await orm(lambda: ReplayRun.objects.get(pk=run.pk).status == "completed")

    await eventually_async(ended, timeout=60)
    assert await orm(lambda: process.id_of(RUN.process, run.pk)) == run.pk
