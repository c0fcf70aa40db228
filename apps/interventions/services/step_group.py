"""Steps of the saga that run together: one activity and one transaction for three short steps.

A step by itself is a lock, a commit and a turn of the workflow; three of them together are cheaper
by half. What each does, checks and records is the same.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

from apps.common.errors import DomainError, Unavailable
from apps.interventions.services.rows import one_transaction


def step_group_run(
    *, intervention_id: UUID | str, steps: Callable[[], None], related: Sequence[str] = ()
) -> None:
    """Run `steps`, which are verbs of the saga on this intervention, all or none of them.

    Where one of them refuses, all run again one by one, each in a transaction of its own: those
    before it stand, and the refusal is audited and shown on its step, as the verbs say. Raises what
    they raise. `related` are read together with the locked row.
    """
    try:
        with one_transaction(intervention_id, *related):
            steps()
    except Unavailable:
        raise
    except DomainError:
        steps()
