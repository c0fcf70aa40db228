"""Payment events for the fault harness: kept once, retried, and quarantined once."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from redis import Redis

from apps.payments.contracts import QuarantineState
from apps.simulators.inference import score_of
from apps.streams.brokers import MESSAGE_ID
from tests.faults.points import Points
from tests.faults.saga import FaultSaga
from tests.faults.story import Story
from tests.support import eventually

#: What a replay answers whose first answer was lost.
TWICE = ("already_replaying", "already_settled")
_KEPT = """
SELECT i.event_id, e.fraud_score, e.retry_strategy ->> 'action', e.churn_score, e.run_id <> '',
       (SELECT count(*) FROM payment_events_quarantine q WHERE q.event_id = i.event_id),
       i.stored
  FROM payments_intake i LEFT JOIN payment_events e ON e.event_id = i.event_id
 WHERE i.event_id = ANY(%s)
"""
_QUARANTINED = """
SELECT event_id, state, code, stage, attempt,
       (SELECT count(*) FROM payment_events e WHERE e.event_id = q.event_id)
  FROM payment_events_quarantine q WHERE event_id = ANY(%s)
"""
_LEFTOVERS = """
SELECT key, state FROM engine_enginecommand
 WHERE workflow_id = ANY(%s) AND state IN ('pending', 'leased', 'parked')
"""
_COUNTERS = """
SELECT g.code FROM payment_events_quarantine_group g
 WHERE g.open <> (SELECT count(*) FROM payment_events_quarantine q
                   WHERE q.group_id = g.id AND q.state = 'open')
"""


def _event(event_id: str, **changes: Any) -> dict[str, Any]:
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


def _stream(story: Story, points: Points) -> str:
    """Through the stream, whose broker is there again after it was killed."""
    event_id = f"fault:{uuid4()}"
    with Redis.from_url(story.stack.env["REDIS_URL"]) as redis:
        value = json.dumps(_event(event_id))
        eventually(lambda: redis.xadd("payments.normalized", {"value": value}), timeout=40)
    return event_id


def _send(**changes: Any) -> Callable[[Story, Points], str]:
    def begin(story: Story, points: Points) -> str:
        event_id = f"fault:{uuid4()}"
        event = _event(event_id, **changes)
        answer = story.insist("POST", "/payment-events", user="admin", body=event)
        # The first answer may have been lost.
        assert answer.body["accepted"] + answer.body["twins"] == 1, answer
        return event_id

    return begin


def _replay(story: Story, points: Points) -> str:
    """Quarantined by a rule that is then switched off, and replayed by a person."""
    event_id, row = _in_quarantine(story, points)
    story.stack.sql("UPDATE payments_rule SET enabled = FALSE WHERE code = 'currency_allowed'")
    address = f"/quarantine/{row}/replay"
    answer = story.insist("POST", address, user="admin", body={})
    # The first answer may have been lost.
    assert answer.status == 200 or answer.body["code"] in TWICE, answer
    return event_id


def _in_quarantine(story: Story, points: Points) -> tuple[str, str]:
    """Return id of an event that a rule has failed, and of its row."""
    story.stack.sql("UPDATE payments_rule SET enabled = TRUE WHERE code = 'currency_allowed'")
    event_id = _send(currency="SEK")(story, points)
    eventually(lambda: ended(story, event_id), timeout=60)
    query = "SELECT id::text FROM payment_events_quarantine WHERE event_id = %s"
    return event_id, story.stack.sql(query, event_id)[0][0]


def _replay_in_a_run(story: Story, points: Points) -> str:
    event_id, row = _in_quarantine(story, points)
    story.stack.sql("UPDATE payments_rule SET enabled = FALSE WHERE code = 'currency_allowed'")
    body = {"ids": [row], "idempotency_key": event_id}
    answer = story.insist("POST", "/replay-runs", user="admin", body=body)
    assert answer.status in (200, 201), answer
    return event_id


def _run_is_over(story: Story, event_id: str) -> bool:
    query = """
        SELECT r.status = 'completed' AND i.stored
          FROM payments_intake i, payments_replay_item item
          JOIN payments_replay_run r ON r.id = item.run_id
          JOIN payment_events_quarantine q ON q.id = item.event_id
         WHERE i.event_id = %s AND q.event_id = i.event_id
    """
    found = story.stack.sql(query, event_id)
    return bool(found and found[0][0])


def _run_over(story: Story, events: Sequence[str]) -> None:
    _replayed(story, events)
    query = """
        SELECT item.status, count(*) FROM payments_replay_item item
          JOIN payment_events_quarantine q ON q.id = item.event_id
         WHERE q.event_id = ANY(%s) GROUP BY 1
    """
    assert story.stack.sql(query, list(events)) == [("done", len(events))]


def _edit(story: Story, points: Points) -> str:
    event_id, row = _in_quarantine(story, points)
    event = {
        "event_id": event_id,
        "provider": "stripe",
        "provider_event_id": "evt_1",
        "event_type": "payment",
        "status": "succeeded",
        "currency": "EUR",
        "amount_cents": 5000,
        "provider_created_at": "2026-01-01T10:00:00Z",
    }
    body = {"text": json.dumps(event), "reason": "Asked.", "idempotency_key": event_id}
    answer = story.insist("POST", f"/quarantine/{row}/edits", user="admin", body=body)
    assert answer.status in (200, 201), answer
    return event_id


_EDITED = """
SELECT edit.status, request.status
  FROM payment_events_quarantine_edit edit
  JOIN payment_events_quarantine q ON q.id = edit.event_id
  JOIN approvals_approvalrequest request
    ON request.subject_type = 'quarantine_edit' AND request.subject_id = edit.id::text
 WHERE q.event_id = ANY(%s)
"""


def _is_edited(story: Story, event_id: str) -> bool:
    return bool(story.stack.sql(_EDITED, [event_id]))


def _edited(story: Story, events: Sequence[str]) -> None:
    ids = list(events)
    assert story.stack.sql(_EDITED, ids) == [("awaiting_approval", "open")] * len(ids)
    assert story.stack.sql(_COUNTERS) == []


def _discard(story: Story, points: Points) -> str:
    """Discarded by a person when its review waits in the engine."""
    event_id, row = _in_quarantine(story, points)
    query = "SELECT review_at IS NOT NULL FROM payment_events_quarantine WHERE id = %s"
    eventually(lambda: story.stack.sql(query, row)[0][0], timeout=60)
    body = {"reason": "Not ours."}
    answer = story.insist("POST", f"/quarantine/{row}/discard", user="admin", body=body)
    assert answer.status == 200, answer
    return event_id


def _review_of(story: Story, event_id: str) -> str:
    query = "SELECT 'dlq-' || id FROM payment_events_quarantine WHERE event_id = %s"
    return str(story.stack.sql(query, event_id)[0][0])


def _is_reviewed(story: Story, event_id: str) -> bool:
    state = "SELECT state FROM payment_events_quarantine WHERE event_id = %s"
    if story.stack.sql(state, event_id) != [("discarded",)]:
        return False
    found: list[Any] = []

    async def look(handle: Any) -> None:
        described = await handle.describe()
        found.append(described.status.name)

    try:
        story.in_the_engine(look, _review_of(story, event_id))
    except Exception:
        return False  # the engine is away, or does not know the review yet
    return found == ["COMPLETED"]


def _reviewed(story: Story, events: Sequence[str]) -> None:
    ids = list(events)
    _settled(story, [*ids, *(_review_of(story, one) for one in ids)])
    query = "SELECT state, review_at FROM payment_events_quarantine WHERE event_id = ANY(%s)"
    assert story.stack.sql(query, ids) == [("discarded", None)] * len(ids)


def _retarget(story: Story, points: Points) -> str:
    event_id, row = _in_quarantine(story, points)
    body = {"topic": "elsewhere", "reason": "Theirs."}
    answer = story.insist("POST", f"/quarantine/{row}/retarget", user="admin", body=body)
    assert answer.status == 200, answer
    return event_id


_OUTGOING = """
SELECT m.key_once, m.sent_at IS NOT NULL, q.state
  FROM streams_outgoingmessage m
  JOIN payment_events_quarantine q ON q.id::text = m.subject_id WHERE q.event_id = ANY(%s)
"""


def _is_sent(story: Story, event_id: str) -> bool:
    return [row[1:] for row in story.stack.sql(_OUTGOING, [event_id])] == [(True, "retargeted")]


def _sent(story: Story, events: Sequence[str]) -> None:
    """Each is in the topic as it came; whoever was killed between the broker's answer and the note
    of it has sent a message twice, under one id."""
    ids = list(events)
    _settled(story, ids)
    wanted = {str(key): 0 for key, _sent, _state in story.stack.sql(_OUTGOING, ids)}
    assert len(wanted) == len(ids)
    with Redis.from_url(story.stack.env["REDIS_URL"]) as redis:
        for _place, fields in redis.xrange("elsewhere"):
            key = fields[MESSAGE_ID.encode()].decode()
            if key in wanted:
                wanted[key] += 1
                assert json.loads(fields[b"value"])["event_id"] in ids
    assert all(times <= 2 for times in wanted.values()), wanted
    # A Valkey that was killed may have forgotten what it had taken, and said where.
    query = "SELECT 1 FROM streams_outgoingmessage WHERE sent_at IS NOT NULL AND place = ''"
    assert story.stack.sql(query) == []


def _is_replayed(story: Story, event_id: str) -> bool:
    query = "SELECT stored FROM payments_intake WHERE event_id = %s"
    return bool(story.stack.sql(query, event_id)[0][0])


def _replayed(story: Story, events: Sequence[str]) -> None:
    ids = list(events)
    _settled(story, ids)
    query = """
        SELECT q.state, q.attempt, (SELECT count(*) FROM payment_events e
                                     WHERE e.event_id = q.event_id)
          FROM payment_events_quarantine q WHERE event_id = ANY(%s)
    """
    assert story.stack.sql(query, ids) == [("replayed", 1, 1)] * len(ids)


def ended(story: Story, event_id: str) -> bool:
    """Whether the event is kept, or in the quarantine."""
    query = "SELECT 1 FROM payments_intake WHERE event_id = %s AND done_at IS NOT NULL"
    return bool(story.stack.sql(query, event_id))


def _settled(story: Story, ids: list[str]) -> None:
    eventually(lambda: not story.stack.sql(_LEFTOVERS, ids), timeout=30, every=0.1)
    assert story.stack.sql(_COUNTERS) == []


def _kept(scored: str) -> Callable[[Story, Sequence[str]], None]:
    def prove(story: Story, events: Sequence[str]) -> None:
        ids = list(events)
        _settled(story, ids)
        rows = story.stack.sql(_KEPT, ids)
        assert len(rows) == len(ids)
        for event_id, fraud, action, churn, has_run, quarantined, stored in rows:
            retry = score_of("retry", event_id)["action"] if scored == "retry" else None
            risk = score_of("fraud", event_id)["fraud_score"] if scored == "fraud" else None
            expected = (risk, retry, score_of("churn", event_id)["churn_score"])
            assert (fraud, action, churn) == expected, event_id
            assert (has_run, quarantined, stored) == (True, 0, True), event_id

    return prove


def _failed(story: Story, events: Sequence[str]) -> None:
    ids = list(events)
    _settled(story, ids)
    rows = story.stack.sql(_QUARANTINED, ids)
    assert len(rows) == len(ids)
    for event_id, state, code, stage, attempt, kept in rows:
        found = (state, code, stage, attempt, kept)
        assert found == (QuarantineState.OPEN, "amount_bounds", "validate", 1, 0), event_id


def around(*steps: str) -> tuple[str, ...]:
    """The points around these activities."""
    return tuple(f"{step}.{where}" for step in steps for where in ("before", "after"))


KEPT = FaultSaga(
    name="event kept",
    points=(
        "events_take.uncommitted",
        "events_admit.uncommitted",
        *around("validate_business_rules", "get_fraud_score", "get_churn_prediction"),
        *around("persist_to_postgres"),
        "event_persist.uncommitted",
    ),
    begin=_send(),
    ended=ended,
    prove=_kept("fraud"),
)
STREAMED = FaultSaga(
    name="event of a stream",
    points=("stream.taken",),
    begin=_stream,
    ended=ended,
    prove=_kept("fraud"),
)
RETRIED = FaultSaga(
    name="event of a failed payment",
    points=around("get_retry_strategy"),
    begin=_send(status="declined"),
    ended=ended,
    prove=_kept("retry"),
)
QUARANTINED = FaultSaga(
    name="event quarantined",
    points=("event_validate.uncommitted",),
    begin=_send(amount_cents=0),
    ended=ended,
    prove=_failed,
)
REPLAYED = FaultSaga(
    name="event replayed",
    points=("event_replay.uncommitted",),
    begin=_replay,
    ended=_is_replayed,
    prove=_replayed,
)
REPLAYED_IN_A_RUN = FaultSaga(
    name="event replayed in a run",
    points=(
        "replay_make.uncommitted",
        "replay_begin.uncommitted",
        *around("advance_replay"),
    ),
    begin=_replay_in_a_run,
    ended=_run_is_over,
    prove=_run_over,
)
EDITED = FaultSaga(
    name="event edited",
    points=("edit_ask.uncommitted",),
    begin=_edit,
    ended=_is_edited,
    prove=_edited,
)
REVIEWED = FaultSaga(
    name="event reviewed",
    points=("reviews_open.uncommitted", *around("look_at_quarantined_event")),
    begin=_discard,
    ended=_is_reviewed,
    prove=_reviewed,
)
RETARGETED = FaultSaga(
    name="event sent elsewhere",
    points=("event_retarget.uncommitted", "messages_publish.sent"),
    begin=_retarget,
    ended=_is_sent,
    prove=_sent,
)
SAGAS = [
    *(KEPT, STREAMED, RETRIED, QUARANTINED, REPLAYED, REPLAYED_IN_A_RUN, EDITED),
    *(REVIEWED, RETARGETED),
]
NOT_WALKED = {
    "quarantine_payment_event": "one transaction, as `validate_business_rules` ends an event",
}
