"""kill -9 of everybody, at every named point of every saga.

`make test` kills each victim once, where it is most dangerous; `make faults` fills in the whole
matrix. What came of it is printed at the end of the session (with -s, and by `make faults`).
"""

from collections.abc import Callable

import pytest

from tests.faults.harness import VICTIMS, Cell, Harness
from tests.faults.known import activity_names, known_points
from tests.faults.registry import NOT_WALKED, SAGAS
from tests.faults.story import Story
from tests.support import FULL_SIZE

pytestmark = pytest.mark.faults

Record = Callable[[str, object], None]


def _matrix() -> list[Cell]:
    """Every point of every saga under every victim."""
    return [
        Cell(saga, point, victim) for victim in VICTIMS for saga in SAGAS for point in saga.points
    ]


def _diagonal() -> list[Cell]:
    """Each victim once, where most is at stake."""
    at = {
        "worker": "execute_intervention.answered",
        "web": "request_decide.committed",
        "relay": "relay.sent",
        "sessions": "reserve_budget.uncommitted",
        "temporal": "roll_back.answered",
        "valkey": "commit_budget.after",
    }
    return [cell for cell in _matrix() if at[cell.victim] == cell.point]


def test_every_failpoint_is_passed_by_a_registered_saga() -> None:
    """A new activity, or a new point, must be registered with the harness, or say why not."""
    walked = {point for saga in SAGAS for point in saga.points}
    spared = {f"{name}.{where}" for name in NOT_WALKED for where in ("before", "after")}
    assert set(NOT_WALKED) <= activity_names()
    assert walked | spared == known_points()
    assert walked & spared == set()


@pytest.mark.parametrize("cell", _matrix() if FULL_SIZE else _diagonal(), ids=str)
def test_a_saga_survives(harness: Harness, cell: Cell, record_property: Record) -> None:
    came_to = "FAILED"
    try:
        came_to = f"ok {harness.survive(cell):.1f} s"
    finally:
        record_property("table", ["Kills", f"{cell.saga}: {cell.point}", cell.victim, came_to])


def test_a_decision_made_while_no_relay_lives_is_delivered_by_the_next_one(
    harness: Harness, story: Story
) -> None:
    """The worker stands by as a relay as well: both are away when the reviewer signs."""
    intervention = story.ask()
    request = story.request_of(intervention)
    story.stack.kill9("relay")
    story.stack.kill9("worker")

    assert story.decide(request, verdict="approve").status == 200
    assert story.state(intervention)["status"] in {"awaiting_approval", "approved"}

    story.stack.restart("relay")
    story.stack.restart("worker")
    story.ended(intervention)
    story.prove(intervention)


def test_a_request_made_while_temporal_is_down_is_kept_and_carried_out(story: Story) -> None:
    story.stack.kill9("temporal")
    intervention = story.ask("900.00", key="asked-while-temporal-was-down")
    again = story.ask("900.00", key="asked-while-temporal-was-down")
    assert again == intervention
    assert story.state(intervention)["status"] == "pending"

    story.stack.restart("temporal")
    story.ended(intervention)
    story.prove(intervention)
    story.stack.wait_ready()


def test_every_saga_passes_its_points(harness: Harness) -> None:
    """No dead point: one that nobody comes by proves nothing."""
    for saga in SAGAS:
        harness.tell(saga)
    assert {point for saga in SAGAS for point in saga.points} <= harness.points.reached()
