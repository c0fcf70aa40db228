"""Reviews: few wait in the engine, every decision is there, and none depends on it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from temporalio.service import RPCError

from apps.engine.models import EngineCommand
from apps.payments.models import PaymentRule, QuarantinedEvent
from apps.payments.services import desk, reviews
from apps.payments.services.intake import events_take
from apps.payments.services.reviews import reviews_open, workflow_id_of
from tests.payments.people import People
from tests.payments.samples import a_message, an_event
from tests.payments.stage import Stage
from tests.payments.world import people_of, quarantined
from tests.plans import plan_by_index
from tests.stage import failure, orm

SAID: dict[str, Any] = {"via": "api"}


def commands() -> list[tuple[str, str]]:
    rows = EngineCommand.objects.filter(workflow_id__startswith="dlq-").order_by("pk")
    return list(rows.values_list("kind", "workflow_id"))


def rows() -> list[QuarantinedEvent]:
    return list(QuarantinedEvent.objects.order_by("created_at", "pk"))


def at_once(call: Callable[[], Any], number: int) -> list[Any]:
    def one(_number: int) -> Any:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_those_that_have_waited_longest_are_reviewed_until_so_many_are_open(
    people: People, settings: Any
) -> None:
    settings.QUARANTINE_OPEN_REVIEWS = 3
    for number in range(5):
        events_take([a_message(b"{%d" % number, offset=number)])
    assert (reviews_open(), reviews_open()) == (3, 0)
    oldest = rows()
    assert commands() == [("start", workflow_id_of(row.pk)) for row in oldest[:3]]
    assert [row.review_at is not None for row in oldest] == [True] * 3 + [False] * 2
    desk.event_discard(row_id=oldest[0].pk, by=people.admin, reason="spam", **SAID)
    assert commands()[3:] == [("signal", workflow_id_of(oldest[0].pk))]
    # Its place is free for the next.
    assert (reviews_open(), reviews_open()) == (1, 0)
    assert rows()[3].review_at is not None


def test_without_any_allowed_nothing_waits_in_the_engine(people: People, settings: Any) -> None:
    settings.QUARANTINE_OPEN_REVIEWS = 0
    events_take([a_message(b"{")])
    assert reviews_open() == 0
    [row] = rows()
    desk.event_discard(row_id=row.pk, by=people.admin, reason="spam", **SAID)
    assert commands() == [("start", workflow_id_of(row.pk))]


def test_two_leaders_at_once_open_no_more_than_one_would(people: People, settings: Any) -> None:
    settings.QUARANTINE_OPEN_REVIEWS = 7
    for number in range(12):
        events_take([a_message(b"{%d" % number, offset=number)])
    assert sum(at_once(reviews_open, 4)) == 7
    assert len(commands()) == len(set(commands())) == 7


def test_a_decision_about_many_tells_each_of_them(people: People, settings: Any) -> None:
    settings.QUARANTINE_OPEN_REVIEWS = 1
    quarantined(3)
    reviews_open()
    for row in rows():
        desk.event_discard(row_id=row.pk, by=people.admin, reason="spam", **SAID)
    assert sorted(kind for kind, _workflow in commands()) == ["signal", "start", "start", "start"]


def test_both_lookups_of_the_leader_have_their_index(people: People) -> None:
    waiting = QuarantinedEvent.objects.filter(state="open")
    unreviewed = waiting.filter(review_at=None).order_by("created_at", "pk")
    plan_by_index(unreviewed[:10], "quarantine_unreviewed")
    plan_by_index(waiting.exclude(review_at=None).order_by(), "quarantine_reviewed")


async def test_a_review_waits_until_a_person_decides(stage: Stage) -> None:
    admin = (await orm(people_of)).admin
    await orm(events_take, [a_message(b"{")])
    assert await orm(reviews_open) == 1
    [row] = await orm(rows)
    await stage.deliver()
    run = stage.client.get_workflow_handle(workflow_id_of(row.pk))
    assert await run.query("get_state") in ("", "open")
    await orm(lambda: desk.event_discard(row_id=row.pk, by=admin, reason="spam", **SAID))
    await stage.deliver()
    assert await run.result() == {
        "quarantine_id": str(row.pk),
        "state": "discarded",
        "waits": False,
        "attempt": 1,
        "code": row.code,
    }
    assert await run.query("get_state") == "discarded"


async def test_what_fails_again_is_reviewed_again_under_the_same_id(stage: Stage) -> None:
    admin = (await orm(people_of)).admin
    event_id = stage.named("again")
    await stage.take(an_event(event_id, currency="SEK"))
    assert await failure(stage.run_of(event_id)) == "currency_allowed"
    [row] = await orm(rows)
    pk = row.pk
    run = stage.client.get_workflow_handle(workflow_id_of(pk))
    for attempt in (2, 3):
        assert await orm(reviews_open) == 1
        await orm(lambda: desk.event_replay(row_id=pk, by=admin, **SAID))
        await stage.deliver()
        assert await failure(stage.run_of(event_id)) == "currency_allowed"
        [row] = await orm(rows)
        assert (row.state, row.attempt, row.review_at) == ("open", attempt, None)
    # A review that looked when the event had failed again goes on waiting, and is joined.
    assert await orm(reviews_open) == 1
    await orm(lambda: PaymentRule.objects.filter(code="currency_allowed").update(enabled=False))
    await orm(lambda: desk.event_replay(row_id=row.pk, by=admin, **SAID))
    await stage.deliver()
    await stage.run_of(event_id).result()
    assert (await run.result())["state"] in ("replaying", "replayed")


async def test_a_review_that_somebody_ended_is_started_again_by_the_decision(stage: Stage) -> None:
    admin = (await orm(people_of)).admin
    await orm(events_take, [a_message(b"{")])
    await orm(reviews_open)
    [row] = await orm(rows)
    await stage.deliver()
    run = stage.client.get_workflow_handle(workflow_id_of(row.pk))
    await run.terminate()
    await orm(lambda: desk.event_discard(row_id=row.pk, by=admin, reason="spam", **SAID))
    await stage.deliver()
    # What the signal did not find was written anew.
    await stage.deliver()
    assert (await run.result())["state"] == "discarded"


async def test_a_review_by_hand_is_that_of_its_row_or_none(stage: Stage) -> None:
    await orm(events_take, [a_message(b"{")])
    [row] = await orm(rows)
    unknown = "00000000-0000-4000-8000-000000000000"
    for workflow_id, given, code in (
        (stage.named("elsewhere"), str(row.pk), "not_its_workflow"),
        (f"dlq-{unknown}", unknown, "quarantined_event_not_found"),
        (stage.named("odd"), "x", "quarantined_event_not_found"),
        (stage.named("nul"), "\x00", "input_invalid"),
    ):
        run = await stage.client.start_workflow(
            "DLQReviewWorkflow", {"quarantine_id": given}, id=workflow_id, task_queue=stage.queue
        )
        assert await failure(run) == code


def test_what_the_engine_asks_of_a_review(people: People) -> None:
    events_take([a_message(b"{")])
    [row] = rows()
    for odd in ("x", "\0", ""):
        reviews.review_restart(odd)
    assert commands() == []
    for _ in range(2):
        # The second finds that a start is under way.
        reviews.review_restart(str(row.pk))
    assert commands() == [("start", workflow_id_of(row.pk))]
    assert reviews.row_of_review(workflow_id_of(row.pk)) == str(row.pk)
    for other in ("dlq-x", str(row.pk), f"x-{row.pk}", f"dlq-{str(row.pk).upper()}", ""):
        assert reviews.row_of_review(other) == ""
    assert reviews.reviews_ended([str(row.pk), "x"]) == [str(row.pk), "x"]
    reviews_open()
    assert reviews.reviews_ended([str(row.pk), "x"]) == ["x"]


async def test_its_id_is_no_events(stage: Stage) -> None:
    await orm(events_take, [a_message(an_event("dlq-1"))])
    [row] = await orm(rows)
    assert row.code == "event_id_reserved"
    with pytest.raises(RPCError):
        await stage.client.get_workflow_handle("dlq-1").describe()
