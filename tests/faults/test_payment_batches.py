"""A batch of 500 whose worker is killed again and again while it is scored."""

import json
import urllib.request
from uuid import uuid4

import pytest

from apps.payments.services.batch_scoring import SIDE_BY_SIDE
from apps.simulators.inference import score_of
from tests.faults.payment_batches import an_event, ended, send_in_a_batch
from tests.faults.points import Points
from tests.faults.story import Story
from tests.support import eventually

pytestmark = pytest.mark.faults

KILLS = 2
_COUNTS = """
SELECT count(*), count(*) FILTER (WHERE i.stored), count(e.event_id),
       (SELECT count(*) FROM payment_events_quarantine q WHERE starts_with(q.event_id, %s)),
       count(DISTINCT i.batch_id)
  FROM payments_intake i LEFT JOIN payment_events e ON e.event_id = i.event_id
 WHERE starts_with(i.event_id, %s)
"""
_SCORES = """
SELECT event_id, fraud_score, churn_score FROM payment_events WHERE starts_with(event_id, %s)
"""


def test_500_events_are_kept_once_and_no_more_calls_are_repeated_than_were_under_way(
    story: Story, points: Points
) -> None:
    prefix = f"fault:{uuid4()}"
    before = {kind: _totals(story, kind) for kind in ("fraud", "churn")}
    points.arm("batch_score.noted")
    send_in_a_batch(
        story,
        [
            an_event(f"{prefix}:{number}", amount_cents=0 if number % 50 == 0 else 5000)
            for number in range(500)
        ],
    )
    for kill in range(KILLS):
        points.wait("batch_score.noted", timeout=60)
        story.stack.kill9("worker")
        points.release_all()
        if kill + 1 < KILLS:
            points.arm("batch_score.noted")
        story.stack.restart("worker")
    eventually(lambda: ended(story, prefix), timeout=120, every=0.2)
    assert story.stack.sql(_COUNTS, prefix, prefix) == [(500, 490, 490, 10, 1)]
    for event_id, fraud, churn in story.stack.sql(_SCORES, prefix):
        assert fraud == score_of("fraud", event_id)["fraud_score"], event_id
        assert churn == score_of("churn", event_id)["churn_score"], event_id
    for kind, (effects, requests) in before.items():
        now_effects, now_requests = _totals(story, kind)
        assert now_effects - effects == 490, kind
        repeated = now_requests - requests - 490
        assert 0 <= repeated <= KILLS * SIDE_BY_SIDE, (kind, repeated)
    story.stack.manage("checkquarantine")


def _totals(story: Story, kind: str) -> tuple[int, int]:
    address = story.sink.replace("/executor", f"/{kind}/totals")
    with urllib.request.urlopen(address, timeout=5) as answer:
        body = json.loads(answer.read())
    return body["effects"], body["requests"]
