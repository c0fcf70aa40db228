"""The smallest workflow: proves that a queue is served, by `manage.py pingengine`."""

from temporalio import workflow
from temporalio.common import VersioningBehavior


@workflow.defn(name="PingWorkflow", versioning_behavior=VersioningBehavior.PINNED)
class PingWorkflow:
    """Answers without an activity: it works while PostgreSQL is away."""

    @workflow.run
    async def run(self) -> dict[str, bool]:
        return {"pong": True}
