"""Short steps of the saga that run together: one transaction instead of one for each.

A step by itself is a lock, a commit and a turn of the workflow; three of them together are cheaper
by half. What each does, checks and records is the same.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

from apps.common.errors import DomainError, Unavailable
from apps.interventions.services.rows import joined_steps


def steps_join(
    *, intervention_id: UUID | str, steps: Callable[[], None], related: Sequence[str] = ()
) -> None:
    """Run `steps`, which are verbs of the saga on this intervention, all or none of them.

    Where one of them refuses, all run again one by one, each in a transaction of its own: those
    before it stand, and the refusal is audited and shown on its step, as the verbs say. Raises what
    they raise. `related` are read together with the locked row.
    """
    try:
        with joined_steps(intervention_id, *related):
            steps()
    except Unavailable:
        raise
    except DomainError:
        steps()
