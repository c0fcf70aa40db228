"""Batches of payment events for the fault harness: kept once, quarantined once, and one that leaves
its batch."""

import json
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from apps.simulators.inference import score_of
from tests.faults.payments import _COUNTERS, _LEFTOVERS, around
from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import Story
from tests.support import eventually

#: What an event is called beside the first, whose id is that of the story.
DECLINED, BAD = ":declined", ":bad"
#: The leader's lane is the other one: without its lock it would be first.
_BEGIN = """
from django.conf import settings
from django.db import connection
from apps.common.locks import lock_number
from apps.payments.models import Intake
from apps.payments.services.admission import LOCK, events_admit
from apps.payments.services.intake import events_take
from apps.payments.services.messages import Message
settings.PAYMENTS_LANE = "batch"
with connection.cursor() as cursor:
    cursor.execute("SELECT pg_advisory_lock(%s)", [lock_number(LOCK)])
if not Intake.objects.filter(event_id={event_id!r}).exists():
    events_take([Message(raw, source="api", offset=str(n)) for n, raw in enumerate({raws!r})])
events_admit()
print("admitted")
"""
_ENDED = "SELECT bool_and(done_at IS NOT NULL) FROM payments_intake WHERE starts_with(event_id, %s)"
_ROWS = """
SELECT i.event_id, i.stored, e.lane, e.fraud_score, e.retry_strategy ->> 'action', e.churn_score,
       array(SELECT q.code FROM payment_events_quarantine q WHERE q.event_id = i.event_id)
  FROM payments_intake i LEFT JOIN payment_events e ON e.event_id = i.event_id
 WHERE starts_with(i.event_id, %s)
"""
_OPEN = """
SELECT workflow_id FROM payments_batch WHERE state = 'open'
 UNION ALL SELECT key FROM engine_enginecommand
 WHERE subject_type = 'payment_batch' AND state IN ('pending', 'leased', 'parked')
 UNION ALL SELECT step FROM payments_batch_scores
"""


def _begin(*, refused: bool = False) -> Callable[[Story, Points], str]:
    def begin(story: Story, points: Points) -> str:
        event_id = f"fault:{uuid4()}"
        if refused:
            _behave(story, refuse_ids=[event_id])
        send_in_a_batch(
            story,
            [
                an_event(event_id),
                an_event(event_id + DECLINED, status="declined"),
                an_event(event_id + BAD, amount_cents=0),
            ],
        )
        return event_id

    return begin


def send_in_a_batch(story: Story, events: Sequence[dict[str, Any]]) -> None:
    """Have the events taken in, and admitted together."""
    raws = [json.dumps(event).encode() for event in events]
    script = _BEGIN.format(event_id=events[0]["event_id"], raws=raws)
    # Whoever is killed meanwhile may take it along.
    eventually(
        lambda: "admitted" in story.stack.manage("shell", "-c", script, check=False), timeout=60
    )


def an_event(event_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "provider": "stripe",
        "provider_event_id": "evt_1",
        "event_type": "payment",
        "status": "succeeded",
        "currency": "USD",
        "amount_cents": 5000,
        "provider_created_at": "2026-01-01T10:00:00Z",
        **changes,
    }


def _behave(story: Story, **behaviour: Any) -> None:
    request = urllib.request.Request(
        story.sink.replace("/executor", "/fraud/behaviour"),
        method="POST",
        data=json.dumps(behaviour).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as response:
        assert response.status == 200


def ended(story: Story, event_id: str) -> bool:
    """Whether all its events are kept, or in the quarantine."""
    return bool(story.stack.sql(_ENDED, event_id)[0][0])


def _proven(first: Callable[[str], tuple[Any, ...]]) -> Callable[[Story, Sequence[str]], None]:
    def prove(story: Story, events: Sequence[str]) -> None:
        for event_id in events:
            declined, bad = event_id + DECLINED, event_id + BAD
            rows = {row[0]: row[1:] for row in story.stack.sql(_ROWS, event_id)}
            retry = score_of("retry", declined)["action"]
            assert rows == {
                event_id: first(event_id),
                declined: (True, "batch", None, retry, _churn(declined), []),
                bad: (False, None, None, None, None, ["amount_bounds"]),
            }
            for kind, scored in (("retry", declined), ("churn", declined)):
                assert _effects(story, kind, scored) == 1, (kind, scored)
            ids = [event_id, declined, bad]
            eventually(lambda ids=ids: not story.stack.sql(_LEFTOVERS, ids), timeout=30, every=0.1)
        eventually(lambda: not story.stack.sql(_OPEN), timeout=30, every=0.1)
        assert story.stack.sql(_COUNTERS) == []

    return prove


def _churn(event_id: str) -> float:
    return float(score_of("churn", event_id)["churn_score"])


def _effects(story: Story, kind: str, event_id: str) -> int:
    address = story.sink.replace("/executor", f"/{kind}/effects?key={event_id}:{kind}")
    with urllib.request.urlopen(address, timeout=5) as answer:
        return int(json.loads(answer.read())["effects"])


def _kept(event_id: str) -> tuple[Any, ...]:
    risk = score_of("fraud", event_id)["fraud_score"]
    return (True, "batch", risk, None, _churn(event_id), [])


def _refused(event_id: str) -> tuple[Any, ...]:
    return (False, None, None, None, None, ["inference_refused"])


KEPT = FaultSaga(
    name="events kept in a batch",
    points=(
        *around("validate_payment_batch", "score_payment_batch", "persist_payment_batch"),
        *("batch_validate.uncommitted", "batch_score.noted", "batch_persist.uncommitted"),
    ),
    begin=_begin(),
    ended=ended,
    prove=_proven(_kept),
)
LEFT = FaultSaga(
    name="event leaves its batch",
    points=("batch_leave.uncommitted",),
    begin=_begin(refused=True),
    ended=ended,
    prove=_proven(_refused),
)
SAGAS = [KEPT, LEFT]
