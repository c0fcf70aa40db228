"""The saga's recorded histories notice a change of its order."""

from pathlib import Path

import pytest
from temporalio.workflow import NondeterminismError

from tests.histories import replay
from workers.workflows import interventions

RELEASE = "await _do(ref, activities.release_budget)"
COMMIT = "await _do(ref, activities.commit_budget)"
PREPARE = "await _do(ref, activities.prepare_execution)"
CONCLUDE = "await _do(ref, activities.conclude_execution)"


@pytest.mark.parametrize(
    ("case", "this", "that"),
    [
        ("executed", PREPARE, CONCLUDE),
        ("compensated", RELEASE, COMMIT),
        ("irreversible-steps-missing", RELEASE, COMMIT),
    ],
)
async def test_two_steps_of_the_saga_that_change_places_are_noticed(
    tmp_path: Path, case: str, this: str, that: str
) -> None:
    history = replay.read(replay.FOLDER / "ExecuteInterventionWorkflow" / f"{case}.json")
    assert await replay.replay(history, [interventions.ExecuteInterventionWorkflow]) is None
    swapped = replay.mutated(interventions, tmp_path, (this, that))
    failure = await replay.replay(history, [swapped.ExecuteInterventionWorkflow])
    assert isinstance(failure, NondeterminismError)
