"""What is done to batches: each twice and by several at once; no event is lost or kept twice."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from apps.common.errors import NotFound, Unavailable
from apps.engine.models import EngineCommand
from apps.payments import inference
from apps.payments.contracts import PersistInput
from apps.payments.inference import Asked
from apps.payments.models import (
    BatchScores,
    InferenceBreaker,
    Intake,
    PaymentBatch,
    PaymentEvent,
    PaymentRule,
    QuarantinedEvent,
)
from apps.payments.services import batch_carrying, batches, breaker, ending
from apps.payments.services.admission import events_admit, events_stale
from apps.payments.services.batch_scoring import batch_score
from apps.payments.services.carrying import event_persist
from apps.payments.services.checking import counters_check
from apps.payments.services.intake import events_take
from apps.simulators.inference import score_of
from tests.payments.samples import a_message, an_event
from tests.payments.stage import Inference

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def in_batches(settings: Any) -> Iterator[None]:
    settings.PAYMENTS_LANE = "batch"
    settings.INFERENCE_PROBE_SECONDS = 0.1
    yield


@pytest.fixture
def served(inference: Inference, settings: Any) -> Inference:
    settings.INFERENCE_SERVICE_URL = inference.url
    settings.INFERENCE_TIMEOUT_SECONDS = 2.0
    return inference


@pytest.fixture(params=[False, True], ids=["singly", "bulk"])
def asked(request: Any, served: Inference, settings: Any) -> Inference:
    settings.INFERENCE_BULK = request.param
    return served


def take(*events: Any) -> None:
    taken = events_take([a_message(event, offset=number) for number, event in enumerate(events)])
    assert {one.outcome.value for one in taken} == {"accepted"}


def named(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [an_event(f"e-{n}", **changes) for n in range(number)]


def a_batch(*events: Any) -> PaymentBatch:
    """One batch of these events."""
    take(*events)
    assert events_admit() == len(events)
    return PaymentBatch.objects.get()


def score(batch: PaymentBatch, *steps: str, attempt: int = 1) -> list[int]:
    return [
        batch_score(
            batch_id=str(batch.pk),
            step=step,
            seconds=60,
            attempt=attempt,
            interrupted=lambda: False,
        )
        for step in steps
    ]


def persist(batch: PaymentBatch) -> int:
    return batch_carrying.batch_persist(batch_id=str(batch.pk), run_id="r-1").kept


def alone() -> list[str]:
    rows = Intake.objects.filter(alone=True, batch=None, admitted_at=None, done_at=None)
    return sorted(rows.values_list("event_id", flat=True))


def at_once(fn: Callable[[], Any], times: int = 6) -> list[Any]:
    def call(_: int) -> Any:
        try:
            return fn()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(call, range(times)))


# --- admission ------------------------------------------------------------------------------------
def test_events_wait_for_two_batches_at_a_time_and_each_is_in_one() -> None:
    for first in range(0, 1200, 400):
        take(*(an_event(f"e-{n}") for n in range(first, first + 400)))
    assert sorted(at_once(events_admit)) == [0] * 5 + [1000]
    assert sorted(batch.n for batch in PaymentBatch.objects.all()) == [500, 500]
    assert Intake.objects.filter(batch=None, admitted_at=None).count() == 200
    commands = EngineCommand.objects.all()
    assert sorted(one.workflow_id for one in commands) == sorted(
        f"payments-batch-{batch.pk}" for batch in PaymentBatch.objects.all()
    )
    assert {one.options["unmirrored"] for one in commands} == {True}
    for batch in PaymentBatch.objects.all():
        assert batch.events.count() == 500
        assert json.dumps(EngineCommand.objects.get(subject_id=batch.pk).args) == json.dumps(
            [{"batch_id": str(batch.pk)}]
        )


def test_large_events_make_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_BYTES", 1000)
    take(*named(4), an_event("large", metadata={"x": "y" * 4000}))
    assert events_admit() == 4
    assert sorted(batch.n for batch in PaymentBatch.objects.all()) == [2, 2]
    for batch in PaymentBatch.objects.all():
        batches.batch_release(batch_id=batch.pk, alone=True)
    assert events_admit() == 5
    assert PaymentBatch.objects.get(state="open").n == 1


def test_while_the_breaker_is_open_one_batch_probes() -> None:
    for _ in range(breaker.FAILURES):
        breaker.failed("fraud", "away")
    take(*named(501))
    assert events_admit() == 500
    assert events_admit() == 0
    InferenceBreaker.objects.all().delete()
    assert events_admit() == 1


def test_an_admission_that_is_rolled_back_leaves_no_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    take(*named(3))

    def killed(name: str) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr("apps.payments.services.admission.failpoint", killed)
    with pytest.raises(RuntimeError):
        events_admit()
    assert PaymentBatch.objects.count() == EngineCommand.objects.count() == 0
    assert Intake.objects.filter(batch=None, admitted_at=None).count() == 3


# --- validate -------------------------------------------------------------------------------------
def test_of_a_batch_those_that_fail_are_quarantined_at_once(
    django_assert_max_num_queries: Any,
) -> None:
    events = named(500)
    for number in range(0, 500, 50):
        events[number]["amount_cents"] = 0
    events[1]["status"] = "declined"
    batch = a_batch(*events)
    with django_assert_max_num_queries(20):
        valid = batch_carrying.batch_validate(batch_id=str(batch.pk))
    assert valid.steps == ("churn", "fraud", "retry")
    found = at_once(lambda: batch_carrying.batch_validate(batch_id=str(batch.pk)).steps, 4)
    assert found == [valid.steps] * 4
    rows = QuarantinedEvent.objects.all()
    assert {(row.code, row.stage, row.attempt, row.seen) for row in rows} == {
        ("amount_bounds", "validate", 1, 1)
    }
    assert rows.count() == 10
    assert counters_check() == (1, [])
    assert batches.events_open(batch).count() == 490
    assert Intake.objects.filter(batch=batch).count() == 490


def test_an_event_that_cannot_be_carried_like_the_others_leaves() -> None:
    PaymentRule.objects.filter(code__in=("status_known", "required_fields")).update(enabled=False)
    batch = a_batch(an_event("good"), an_event("odd", status="strange"), an_event("no", status=""))
    assert batch_carrying.batch_validate(batch_id=str(batch.pk)).steps == ("churn", "fraud")
    assert alone() == ["no", "odd"]
    assert QuarantinedEvent.objects.count() == 0
    assert events_admit() == 2
    own = EngineCommand.objects.exclude(subject_id=batch.pk)
    assert sorted(own.values_list("workflow_id", flat=True)) == ["no", "odd"]


def test_nobody_has_heard_of_such_a_batch() -> None:
    for batch_id in ("x", "018f0000-0000-7000-8000-000000000000"):
        with pytest.raises(NotFound):
            batch_carrying.batch_validate(batch_id=batch_id)
        with pytest.raises(NotFound):
            batch_carrying.batch_persist(batch_id=batch_id, run_id="")


# --- scores ---------------------------------------------------------------------------------------
def test_each_event_gets_the_scores_that_its_status_asks_for(asked: Inference) -> None:
    batch = a_batch(
        an_event("paid", status="SUCCEEDED"),
        an_event("failed", status="declined"),
        an_event("open", status="authorized"),
    )
    assert score(batch, "fraud", "retry", "churn") == [0, 0, 0]
    assert score(batch, "fraud", "retry", "churn") == [0, 0, 0]
    assert persist(batch) == 3
    rows = {row.event_id: row for row in PaymentEvent.objects.all()}
    assert rows["paid"].fraud_score == score_of("fraud", "paid")["fraud_score"]
    assert rows["failed"].retry_strategy == score_of("retry", "failed")
    assert rows["open"].fraud_score is None and rows["open"].retry_strategy is None
    for event_id, row in rows.items():
        assert row.churn_score == score_of("churn", event_id)["churn_score"]
        assert asked.counts("churn", event_id) == {"requests": 1, "effects": 1}
    assert asked.counts("fraud", "failed") == {"requests": 0, "effects": 0}
    assert BatchScores.objects.count() == 0


def test_what_the_service_does_not_score_leaves(asked: Inference) -> None:
    asked.behave("churn", refuse_ids=["e-0"], senseless_ids=["e-1"], fail_ids=["e-2"])
    batch = a_batch(*named(6))
    for attempt in range(1, 4):
        try:
            assert score(batch, "churn", attempt=attempt) == [0]
        except Unavailable:
            assert "e-2" not in alone()
    assert alone() == ["e-0", "e-1", "e-2"]
    assert score(batch, "fraud") == [0]
    assert persist(batch) == 3
    assert QuarantinedEvent.objects.count() == 0
    assert breaker.is_closed()


def test_known_scores_are_not_asked_for_again(asked: Inference) -> None:
    batch = a_batch(*named(40))
    asked.behave("churn", fail_ids=["e-39"])
    for attempt in range(1, 4):
        try:
            score(batch, "churn", attempt=attempt)
        except Unavailable:
            pass
    counts = [asked.counts("churn", f"e-{n}")["requests"] for n in range(39)]
    assert counts == [1] * 39


def test_two_workers_at_once_have_one_effect_for_each_key(asked: Inference) -> None:
    batch = a_batch(*named(20))
    asked.behave("churn", delay_seconds=0.05)
    assert at_once(lambda: score(batch, "churn"), 3) == [[0]] * 3
    assert score(batch, "fraud") == [0]
    assert {asked.counts("churn", f"e-{n}")["effects"] for n in range(20)} == {1}
    assert persist(batch) == 20


def test_while_the_service_is_away_the_batch_waits(asked: Inference) -> None:
    batch = a_batch(*named(30))
    for step in ("fraud", "churn"):
        asked.behave(step, down=True)
    for attempt in range(1, 9):
        with pytest.raises(Unavailable):
            score(batch, "fraud", attempt=attempt)
    assert not breaker.is_closed()
    assert asked.counts("fraud", "e-0")["effects"] == 0
    assert batches.events_open(batch).count() >= 29
    assert QuarantinedEvent.objects.count() == 0
    for step in ("fraud", "churn"):
        asked.behave(step)
    InferenceBreaker.objects.update(open_until=timezone.now())
    assert score(batch, "fraud", "churn", attempt=9) == [0, 0]
    assert breaker.is_closed()
    assert persist(batch) + len(alone()) == 30


def test_the_service_away_is_probed_by_one_call_at_a_time(served: Inference) -> None:
    batch = a_batch(*named(40))
    served.behave("churn", down=True)
    with pytest.raises(Unavailable):
        score(batch, "churn")
    failures = InferenceBreaker.objects.get().failures
    assert breaker.FAILURES <= failures < 16 + breaker.FAILURES
    with pytest.raises(Unavailable) as blocked:
        score(batch, "churn")
    assert blocked.value.retry_after is not None
    InferenceBreaker.objects.update(open_until=timezone.now())
    with pytest.raises(Unavailable):
        score(batch, "churn")
    assert InferenceBreaker.objects.get().failures == failures + 1


def test_a_service_without_calls_for_many_is_asked_one_by_one(
    served: Inference, settings: Any
) -> None:
    settings.INFERENCE_BULK = True
    served.behave("churn", no_batch=True)
    batch = a_batch(*named(3))
    for attempt in (1, 2):
        with pytest.raises(Unavailable):
            score(batch, "churn", attempt=attempt)
    assert score(batch, "churn", attempt=3) == [0]
    assert alone() == []


def test_one_that_is_told_to_stop_says_how_many_wait(asked: Inference) -> None:
    batch = a_batch(*named(5))
    told: dict[str, Any] = {"batch_id": str(batch.pk), "step": "churn", "attempt": 1}
    assert batch_score(**told, seconds=60, interrupted=lambda: True) == 5
    assert batch_score(**told, seconds=0, interrupted=lambda: False) == 5
    assert batch_score(**told, seconds=60, interrupted=lambda: False) == 0


def test_calls_for_many_are_as_few_as_the_limits_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "MOST_ITEMS", 3)
    monkeypatch.setattr(inference, "MOST_BYTES", 100)

    def sizes(*sizes: int) -> list[list[int]]:
        asked = [Asked("e", {}, size) for size in sizes]
        return [[one.size for one in call] for call in inference.in_calls(asked)]

    assert sizes() == []
    assert sizes(1, 1, 1, 1) == [[1, 1, 1], [1]]
    assert sizes(60, 40, 1, 900, 1) == [[60, 40], [1], [900], [1]]


# --- persist --------------------------------------------------------------------------------------
def test_kept_by_several_at_once_there_is_one_row_each(asked: Inference) -> None:
    batch = a_batch(*named(60))
    score(batch, "churn", "fraud")
    assert at_once(lambda: persist(batch)) == [60] * 6
    assert PaymentEvent.objects.filter(lane="batch", run_id="r-1").count() == 60
    batch.refresh_from_db()
    assert batch.state == "done" and batch.settled_at is not None
    assert Intake.objects.filter(batch=batch, stored=True).count() == 60
    assert batches.batch_release(batch_id=batch.pk, alone=True) is False
    assert score(batch, "churn") == [0]
    assert batch_carrying.batch_validate(batch_id=str(batch.pk)).steps == ()


def test_carried_by_hand_and_in_a_batch_at_once_there_is_one_row(asked: Inference) -> None:
    batch = a_batch(*named(20))
    score(batch, "churn", "fraud")

    def by_hand() -> None:
        for number in range(20):
            event_persist(PersistInput(f"e-{number}"))

    turns = iter([lambda: persist(batch), by_hand])
    at_once(lambda: next(turns)(), 2)
    assert PaymentEvent.objects.count() == 20
    assert Intake.objects.filter(stored=True).count() == 20


def test_an_event_without_its_score_leaves(asked: Inference) -> None:
    batch = a_batch(an_event("paid"), an_event("open", status="created"))
    score(batch, "churn")
    assert persist(batch) == 1
    assert alone() == ["paid"]


def test_rows_that_the_database_refuses_together_go_on_alone(
    asked: Inference, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = a_batch(*named(3))
    score(batch, "churn", "fraud")
    scores = BatchScores.objects.get(step="churn", scores__has_key=str(batch.events.first().pk))
    scores.scores = {pk: [7.5, "high", 1] for pk in scores.scores}
    scores.save()
    assert persist(batch) == 0
    assert alone() == ["e-0", "e-1", "e-2"]
    batch.refresh_from_db()
    assert batch.state == "lost"


# --- batches that nobody carries ------------------------------------------------------------------
@pytest.mark.parametrize("apart", [False, True])
def test_a_lost_batch_lets_its_events_go(served: Inference, apart: bool) -> None:
    batch = a_batch(*named(10))
    assert batches.batches_stale(now=timezone.now(), limit=10) == []
    later = timezone.now() + timedelta(hours=1)
    assert batches.batches_stale(now=later, limit=10) == []
    assert events_stale(now=later, limit=10) == []
    EngineCommand.objects.update(state="sent")
    assert batches.batches_stale(now=later, limit=10) == [batch]
    released = at_once(lambda: batches.batch_release(batch_id=batch.pk, alone=apart))
    assert sorted(released) == [False] * 5 + [True]
    assert batches.batches_stale(now=later, limit=10) == []
    # Whoever still worked on it finds nothing to do.
    assert score(batch, "churn") == [0]
    assert persist(batch) == 0
    assert events_admit() == 10
    assert PaymentBatch.objects.filter(state="open").count() == (0 if apart else 1)


def test_released_and_kept_at_once_no_event_is_lost(served: Inference) -> None:
    batch = a_batch(*named(30))
    score(batch, "churn", "fraud")
    turns = iter(
        [lambda: persist(batch), lambda: batches.batch_release(batch_id=batch.pk, alone=False)]
    )
    at_once(lambda: next(turns)(), 2)
    waiting = Intake.objects.filter(batch=None, admitted_at=None, done_at=None).count()
    assert (waiting, PaymentEvent.objects.count()) in ((30, 0), (0, 30))


def test_a_batch_whose_workflow_can_never_start_lets_its_events_go() -> None:
    batch = a_batch(*named(2))
    command = EngineCommand.objects.get()
    assert list(ending.batches_ended([str(batch.pk), "x"])) == ["x"]
    for _ in range(2):
        with transaction.atomic():
            ending.batch_undeliverable(command)
    assert Intake.objects.filter(batch=None, admitted_at=None, alone=False).count() == 2
    assert list(ending.batches_ended([str(batch.pk), "x"])) == [str(batch.pk), "x"]
    ending.batch_restart(str(batch.pk))
