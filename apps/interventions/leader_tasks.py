"""What the relay's leader does for interventions: the features' online copy is kept up to date."""

from apps.engine.db_threads import Threads
from apps.engine.leader_tasks import Duty, Leader, register
from apps.interventions.services.online_store import PUSH_ROWS, PUSH_TURNS, online_catch_up

#: What was missed while Redis was away arrives this soon after it is back.
CATCH_UP_SECONDS = 15.0


def intervention_duties() -> list[Duty]:
    """In a thread of its own: a Redis that hangs holds up no other duty."""
    return [Duty("features", CATCH_UP_SECONDS, _CatchUp())]


def register_all() -> None:
    """Give the duties to the engine."""
    register("interventions", intervention_duties)


class _CatchUp:
    def __init__(self) -> None:
        self._threads = Threads("features", most=1)

    async def __call__(self, leader: Leader) -> bool:
        return await self._threads.run(online_catch_up) >= PUSH_ROWS * PUSH_TURNS
